//! (see handoff/mod.rs)
