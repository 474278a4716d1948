//! RUNTIME: calls we make. Somebody is called through a provider's API; when they answer, their stream comes in like any other
//! and is handed to whoever waits for it here.
//!
//! ```text
//!  dial ──REST──▶ provider ── rings ──▶ answered ──webhook──▶ a token ──▶ stream ──▶ [`Awaited::leg`]
//!                                └─ busy, no answer, a machine ──webhook──▶ [`Awaited::missed`]
//! ```

pub mod callbacks;
pub mod phone_agents;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::call::CallId;
use crate::call::away::{Away, AwayEntry};
use crate::call::handle::{CallCommand, CallHandle, LegIo};
use crate::call::input::{Missed, TransferNews};
use crate::telemetry::Pii;

/// Control: what the provider says of one call we make.
const NEWS: usize = 8;

/// Why nobody could be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The provider's API is not configured, or there is none.
    #[error("no calls can be made through this provider")]
    Unconfigured,
    /// The provider refused, or can't be reached.
    #[error("the provider did not make the call")]
    Refused,
}

/// Makes calls through providers' APIs.
#[async_trait]
pub trait Dialler: Send + Sync {
    /// Whether calls can be made through a provider.
    fn can_dial(&self, provider: &'static str) -> bool;

    /// Through whom somebody is called: the provider that is named for all calls, else the caller's own, else the first that
    /// can.
    fn through(&self, own: Option<&'static str>) -> Option<&'static str>;

    /// The provider calls `to`. What becomes of it comes by webhooks under `key`. Gives the provider's name for the call.
    async fn dial(&self, provider: &'static str, key: &str, to: &Pii<String>) -> Result<String, DialError>;

    /// The provider lets it ring no more, or ends the call.
    async fn hang_up(&self, provider: &'static str, call_id: &str);
}

/// Somebody's telephone rings. Dropping it forgets who answers: their stream is then a call like any other.
#[derive(Debug)]
pub struct Ringing {
    /// Ours, to be told apart.
    pub key: String,
    /// Through which provider.
    pub provider: &'static str,
    /// The provider's name for what was asked for.
    pub call_id: String,
    /// The call this will be.
    pub call: CallId,
    /// Ends it.
    pub cancel: CancellationToken,
    news: mpsc::Receiver<CallCommand>,
    entry: AwayEntry,
}

/// What became of a telephone that rang.
#[derive(Debug)]
pub enum Answer {
    /// Somebody answered, and this is their line.
    Leg(Box<LegIo>),
    /// Nobody did.
    Missed(Missed),
}

/// Lets a telephone ring.
pub async fn ring(
    dialler: &dyn Dialler,
    away: &Arc<Away>,
    provider: &'static str,
    to: &Pii<String>,
    cancel: CancellationToken,
) -> Result<Ringing, DialError> {
    let key = uuid::Uuid::new_v4().simple().to_string();
    let (commands, news) = mpsc::channel(NEWS);
    let call = CallId::generate();
    // Before the provider knows of it: whoever answers may be quicker than the answer to our request.
    let entry = away.enter(provider, &key, CallHandle { id: call, cancel: cancel.clone() }, commands);
    let call_id = dialler.dial(provider, &key, to).await?;
    Ok(Ringing { key, provider, call_id, call, cancel, news, entry })
}

impl Ringing {
    /// The provider's name for the call, which it may have made up only when somebody answered.
    pub fn name(&self) -> &str {
        self.entry.renamed().unwrap_or(&self.call_id)
    }

    /// What becomes of it. Dropping the future loses nothing.
    pub async fn answer(&mut self) -> Answer {
        loop {
            match self.news.recv().await {
                Some(CallCommand::Transfer { news: TransferNews::Back, leg: Some(leg) }) => return Answer::Leg(leg),
                Some(CallCommand::Transfer { news: TransferNews::Missed(why), .. }) => return Answer::Missed(why),
                Some(CallCommand::Transfer { news: TransferNews::CallerLeft, .. }) => {
                    return Answer::Missed(Missed::NoAnswer);
                }
                Some(_) => {}
                None => return Answer::Missed(Missed::Failed),
            }
        }
    }

    /// The same within a time; longer is no answer.
    pub async fn answer_within(&mut self, patience: Duration) -> Answer {
        let until = Instant::now() + patience;
        timeout_at(until, self.answer()).await.unwrap_or(Answer::Missed(Missed::NoAnswer))
    }
}
