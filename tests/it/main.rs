//! The one integration test binary.

mod callback;
mod chores;
mod cli;
mod colleagues;
mod conformance;
mod conversations;
mod edits;
mod fallback;
mod jambonz;
mod languages;
#[cfg(feature = "whisper")]
mod main_job;
mod moving;
mod outside;
mod phone_agent;
#[cfg(feature = "whisper")]
mod scribe;
mod scripted_calls;
#[cfg(feature = "whisper")]
mod spoken;
mod supervisor;
mod support;
mod talk;
mod telephone;
mod telephony;
mod telephony_call;
mod tidy;
mod unattended;
mod web;
