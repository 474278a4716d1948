//! Giving a live call to a person. PURE: [`machine`], [`consults`], [`routing`], [`measures`], [`intervals`], [`fairness`],
//! [`callback`], [`shifts`], [`phone`], [`sim`], [`wire`]. RUNTIME: [`actor`], [`handle`].

pub mod actor;
pub mod callback;
pub mod consults;
pub mod fairness;
pub mod handle;
pub mod intervals;
pub mod machine;
pub mod measures;
pub mod phone;
pub mod routing;
pub mod shifts;
pub mod sim;
pub mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One wish for a person, from trigger to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct HandoffId(pub Uuid);

/// One pairing of a handoff and an agent, with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct OfferId(pub Uuid);

/// A person who takes calls; the id of their account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct AgentId(pub String);

impl HandoffId {
    /// A new id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl OfferId {
    /// A new id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a caller is given to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandoffReason {
    /// Pressed `0`.
    CallerPressedZero,
    /// Asked for a person in words.
    CallerAsked,
    /// The assistant was unsure twice in a row.
    LowConfidence,
    /// Recognition, language model or voice failed.
    EngineFailed,
    /// A topic the operator keeps for people.
    ForbiddenTopic,
    /// The caller is angry, or somebody may be in danger.
    Distress,
    /// The caller said nothing, again and again.
    Silence,
    /// The person on the call was lost.
    AgentLost,
    /// A supervisor stepped in.
    TakenOver,
    /// Is called back.
    Callback,
}

impl HandoffReason {
    /// The word used in the database, in metrics and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerPressedZero => "caller_pressed_zero",
            Self::CallerAsked => "caller_asked",
            Self::LowConfidence => "low_confidence",
            Self::EngineFailed => "engine_failed",
            Self::ForbiddenTopic => "forbidden_topic",
            Self::Distress => "distress",
            Self::Silence => "silence",
            Self::AgentLost => "agent_lost",
            Self::TakenOver => "taken_over",
            Self::Callback => "callback",
        }
    }
}
