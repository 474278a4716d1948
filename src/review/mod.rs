//! PURE. What a reviewer takes out of a call: its words and its sound without personal details, and a scenario for
//! `warmline eval`.
//!
//! Nothing here decides who may have it, reads a store or touches the recording: that is `web/api/review.rs` and
//! `redacted_audio.rs`.

pub mod mask;
pub mod scenario;
pub mod sound;
pub mod transcript;
