//! What the engine tells the outside about itself: written by the engine thread, read by `/health`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::Prefix;

/// Counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Cells of the key-value cache: all, in use, in use by pinned prefixes.
    pub capacity: usize,
    pub used: usize,
    pub pinned: usize,
    /// Kept sequences, most recently used first.
    pub prefixes: Vec<Prefix>,
    /// Requests finished, failed and abandoned by their client since the start.
    pub served: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// Shared between the engine and the HTTP side.
#[derive(Debug, Default)]
pub struct Status {
    snapshot: Mutex<Snapshot>,
    busy: AtomicBool,
}

impl Status {
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Is a request being served right now?
    pub fn busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = snapshot;
    }
}
