//! (see telephony/mod.rs)
