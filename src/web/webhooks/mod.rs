//! (see web/mod.rs)

pub mod browser;
pub mod outcomes;
pub mod twilio;
