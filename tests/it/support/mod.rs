//! What several test files need.

pub mod house;
pub mod replay;
pub mod site;
