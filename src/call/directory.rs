//! (see call/mod.rs)
