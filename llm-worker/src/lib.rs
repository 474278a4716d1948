//! Warmline's embedded language model: a small server for one GGUF model, run as a child process.
//!
//! It speaks the OpenAI chat API on loopback, so Warmline has one client for the embedded model and for remote ones.
//! It is a separate program because llama.cpp and whisper.cpp carry different versions of ggml and cannot be linked
//! into one binary; as a side effect a crash here costs no call.
//!
//! ```text
//!  HTTP ──▶ api ──parse──▶ model::Frontend ──tokens──▶ engine::queue ──▶ engine::run ──▶ model::Backend (llama)
//!   ▲                                                  bounded            one thread       one KV cache
//!   └───────────── SSE chunks ◀── events (bounded) ◀───────────────────────┘
//! ```
//!
//! - [`cache`], [`text`], [`sample`] and [`api::request`] are pure: no clock, no IO, no model.
//! - [`engine`] owns the one thread that computes; everything else only hands it jobs.
//! - [`llama`] (feature `llama`) is the only module with `unsafe`; without it the rest builds and tests in seconds.

pub mod api;
pub mod app;
pub mod cache;
pub mod cli;
pub mod engine;
pub mod lifeline;
#[cfg(feature = "llama")]
pub mod llama;
pub mod model;
pub mod sample;
pub mod text;
