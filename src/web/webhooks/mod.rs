//! (see web/mod.rs)

pub mod twilio;
