//! Moving a caller who is still on their stream to somebody else by the provider's API. Where there is no API, or it fails, the
//! stream is closed and the provider asks what comes next.

use async_trait::async_trait;

use crate::telephony::protocol::Transfer;

/// The stream's parameter with the provider's account the call came to.
pub const ACCOUNT: &str = "account";

/// A caller who is about to leave.
#[derive(Clone, Debug)]
pub struct Departing {
    /// Row name.
    pub provider: &'static str,
    /// The provider's name for the call.
    pub call_id: String,
    /// Our number, as far as it is known.
    pub number: String,
    /// The account of the provider's the call came to, where its stream brought it along.
    pub account: String,
    /// Where to, and what is to be told there.
    pub transfer: Transfer,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The provider has the caller, and ends the stream.
    Yes,
    /// The provider knows no such call, or none any more.
    Gone,
    /// It did not happen, as far as we know: the other way.
    No,
    /// It was tried for long enough, and the caller is still there.
    Stayed,
}

/// Moves callers.
#[async_trait]
pub trait Mover: Send + Sync {
    /// Whether callers can be moved by this provider's API.
    fn can_move(&self, provider: &'static str) -> bool;

    /// Moves one. Answers within seconds, or when the telephone at the other end has: the caller waits on our line meanwhile.
    async fn move_call(&self, caller: &Departing) -> Moved;

    /// A caller who [`Moved::Stayed`] is with us on the stream they have: their call is told.
    fn stayed(&self, provider: &'static str, call_id: &str);
}
