//! (see cli/mod.rs)
