//! (see dialog/mod.rs)

/// Lead over the next entry from which the best one is taken for sure.
pub const MIN_MARGIN: f32 = 0.08;
