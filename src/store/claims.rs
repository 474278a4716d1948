//! One winner among all servers that use the same records: compare-and-set on how often something was taken.

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;

/// What became of a claim. Either way: how often the thing has been taken by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the claimant's.
    Won(u32),
    /// Somebody else has taken it since.
    Lost(u32),
}

/// Decides between claimants.
#[async_trait]
pub trait Claims: Send + Sync {
    /// `by` takes `what`, unless it was taken more often than `taken` times, which is what the claimant knows of. Asking again
    /// with the same `by` after a lost answer gives the same answer.
    async fn claim(&self, what: Uuid, taken: u32, by: Uuid) -> Result<Claim, StoreError>;
}
