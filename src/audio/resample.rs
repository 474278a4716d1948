//! (see audio/mod.rs)
