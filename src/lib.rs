//! Warmline answers phone calls with speech recognition and a language model that run on your own machine, and puts a
//! caller through to a person the moment that is the better answer.
//!
//! Uses point one way: `audio ← telephony ← call/machine ← actors ← web ← app ← main`; `engine`, `store` and `dialog`
//! know pure types, not each other. `ARCHITECTURE.md` walks a call end to end.

pub mod alarm;
pub mod app;
pub mod audio;
pub mod bus;
pub mod call;
pub mod cli;
pub mod config;
pub mod dialog;
pub mod engine;
pub mod handoff;
pub mod judgment;
pub mod library;
pub mod live_plan;
pub mod models;
pub mod outbound;
pub mod review;
pub mod said;
pub mod store;
pub mod telemetry;
pub mod telephony;
pub mod tools;
pub mod web;
