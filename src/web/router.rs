//! (see web/mod.rs)
