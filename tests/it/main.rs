//! The one integration test binary.

mod cli;
#[cfg(feature = "whisper")]
mod main_job;
mod support;
mod telephony;
mod telephony_call;
mod tidy;
mod web;
