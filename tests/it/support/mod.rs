//! What several test files need.

pub mod agent;
pub mod calling;
pub mod front_desk;
pub mod house;
pub mod model;
pub mod office;
#[cfg(feature = "whisper")]
pub mod recordings;
pub mod replay;
pub mod site;
pub mod tones;
