//! A caller on the way to somebody else by the provider's API, while their stream is still open.
//!
//! ```text
//! Transfer ──▶ Asked ── yes ──▶ Moved ── the provider ends the stream, or we do after a while
//!                ├── no, or nobody answers ──▶ the stream is closed: the provider asks what comes next
//!                └── the caller stayed ──▶ with us, as before
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use crate::telephony::protocol::{StopReason, Transfer};
use crate::web::moving::{Departing, Moved, Mover};

/// How long the provider may take to end the stream of a caller it has moved.
pub(super) const PARTING_PATIENCE: Duration = Duration::from_secs(2);

/// See the module's documentation.
pub(super) struct Departure {
    transfer: Transfer,
    state: State,
}

enum State {
    Asked(BoxFuture<'static, Moved>),
    Moved { until: Instant },
}

impl Departure {
    /// The provider is asked.
    pub(super) fn new(mover: Arc<dyn Mover>, caller: Departing) -> Self {
        let transfer = caller.transfer.clone();
        Self { transfer, state: State::Asked(Box::pin(async move { mover.move_call(&caller).await })) }
    }

    /// The provider has the caller.
    pub(super) fn moved(&mut self, now: Instant) {
        self.state = State::Moved { until: now + PARTING_PATIENCE };
    }

    /// When the stream is ours to close.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state {
            State::Asked(_) => None,
            State::Moved { until } => Some(until),
        }
    }

    /// What was to be done.
    pub(super) fn into_transfer(self) -> Transfer {
        self.transfer
    }

    /// The stream ended on the way. Whether that was us giving the caller away, or the caller hanging up, only the provider
    /// can say.
    pub(super) async fn ended(self, reason: StopReason) -> StopReason {
        match self.state {
            State::Moved { .. } => StopReason::Hangup,
            State::Asked(answer) => match answer.await {
                Moved::Gone => reason,
                // If they are still there the provider asks what comes next.
                Moved::Yes | Moved::No | Moved::Stayed => StopReason::Hangup,
            },
        }
    }
}

/// The provider's answer, if one is awaited. Dropping the future loses nothing.
pub(super) async fn answered(departure: &mut Option<Departure>) -> Moved {
    match departure {
        Some(Departure { state: State::Asked(answer), .. }) => answer.await,
        _ => std::future::pending().await,
    }
}
