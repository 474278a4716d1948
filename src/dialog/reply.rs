//! (see dialog/mod.rs)
