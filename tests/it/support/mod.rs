//! What several test files need.

pub mod agent;
pub mod house;
pub mod replay;
pub mod site;
pub mod tones;
