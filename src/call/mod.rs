//! One caller's visit. PURE: [`machine`], [`turn`], [`patience`], [`completeness`], [`overlap`], [`echo`], [`gain`], [`cleaner`],
//! [`sound`], [`playback`], [`keys`], [`hold`], [`message`]. RUNTIME: [`actor`], [`away`], [`directory`], [`handle`], [`journal`], [`mind`],
//! [`recorder`], [`speech`].

pub mod actor;
pub mod away;
pub mod cleaner;
pub mod completeness;
pub mod conference;
pub mod directory;
pub mod echo;
pub mod gain;
pub mod handle;
pub mod hold;
pub mod input;
pub mod journal;
pub mod keys;
pub mod listener;
pub mod machine;
pub mod message;
pub mod mind;
pub mod notetaker;
pub mod overlap;
pub mod patience;
pub mod playback;
pub mod recorder;
pub mod returning;
pub mod sound;
pub mod speech;
pub mod tongues;
pub mod turn;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One caller's visit, from first to last byte. Sorts by time of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct CallId(pub Uuid);

impl CallId {
    /// A new id, unique everywhere.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
