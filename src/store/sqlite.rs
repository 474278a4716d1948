//! SQLite (see store/mod.rs).
