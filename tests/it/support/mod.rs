//! What several test files need.

pub mod agent;
pub mod front_desk;
pub mod house;
pub mod replay;
pub mod site;
pub mod tones;
