//! RUNTIME: callers who were given to a telephone outside and have no leg with us meanwhile. Their calls wait here for what
//! the provider says, and for the caller to come back on a new stream.

use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use tokio::sync::mpsc;

use super::CallId;
use super::handle::{CallCommand, CallHandle, LegIo};
use super::input::TransferNews;

type Key = (&'static str, String);

/// By provider and the provider's name for the call. As many as there are calls.
#[derive(Debug, Default)]
pub struct Away {
    calls: DashMap<Key, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    handle: CallHandle,
    commands: mpsc::Sender<CallCommand>,
    /// The name they got later.
    renamed: Arc<OnceLock<String>>,
}

impl Away {
    /// Notes that the caller is away, for as long as the answer is kept.
    pub fn enter(
        self: &Arc<Self>,
        provider: &'static str,
        provider_call_id: &str,
        handle: CallHandle,
        commands: mpsc::Sender<CallCommand>,
    ) -> AwayEntry {
        let key = (provider, provider_call_id.to_owned());
        let (call, renamed) = (handle.id, Arc::<OnceLock<String>>::default());
        self.calls.insert(key.clone(), Waiting { handle, commands, renamed: renamed.clone() });
        AwayEntry { all: self.clone(), key, call, renamed }
    }

    /// Whether this caller is away.
    pub fn contains(&self, provider: &'static str, provider_call_id: &str) -> bool {
        self.calls.contains_key(&(provider, provider_call_id.to_owned()))
    }

    /// The caller is known by another name from now on: who is called by us gets the provider's when they answer.
    pub fn rename(&self, provider: &'static str, from: &str, to: &str) -> bool {
        match self.calls.remove(&(provider, from.to_owned())) {
            Some((_, waiting)) => {
                // Once: who has answered has a name of the provider's already.
                let _ = waiting.renamed.set(to.to_owned());
                self.calls.insert((provider, to.to_owned()), waiting);
                true
            }
            None => false,
        }
    }

    /// Tells the call what became of its caller; false when no such caller is away.
    pub fn tell(&self, provider: &'static str, provider_call_id: &str, news: TransferNews) -> bool {
        let Some(waiting) = self.calls.get(&(provider, provider_call_id.to_owned())) else { return false };
        waiting.commands.try_send(CallCommand::Transfer { news, leg: None }).is_ok()
    }

    /// The caller is back: their call takes the leg. Gives the leg back when no such caller is away.
    pub fn back(&self, provider: &'static str, provider_call_id: &str, leg: LegIo) -> Result<CallHandle, Box<LegIo>> {
        let Some((_, waiting)) = self.calls.remove(&(provider, provider_call_id.to_owned())) else {
            return Err(Box::new(leg));
        };
        let back = CallCommand::Transfer { news: TransferNews::Back, leg: Some(Box::new(leg)) };
        match waiting.commands.try_send(back).map_err(|error| error.into_inner()) {
            Ok(()) => Ok(waiting.handle),
            Err(CallCommand::Transfer { leg: Some(leg), .. }) => Err(leg),
            Err(_) => unreachable!("what could not be sent comes back as it was"),
        }
    }
}

/// A caller's entry; dropping it takes it out.
#[derive(Debug)]
pub struct AwayEntry {
    all: Arc<Away>,
    key: Key,
    call: CallId,
    renamed: Arc<OnceLock<String>>,
}

impl AwayEntry {
    /// The name the provider gave them when they answered.
    pub fn renamed(&self) -> Option<&str> {
        self.renamed.get().map(String::as_str)
    }
}

impl Drop for AwayEntry {
    fn drop(&mut self) {
        if self.all.calls.remove(&self.key).is_none() {
            // Back already, or renamed.
            self.all.calls.retain(|_, waiting| waiting.handle.id != self.call);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::call::input::Missed;

    fn leg() -> LegIo {
        LegIo { frames: mpsc::channel(1).1, events: mpsc::channel(1).1, commands: mpsc::channel(1).0 }
    }

    #[test]
    fn news_and_the_returning_leg_reach_the_call_that_waits() {
        let away = Arc::new(Away::default());
        let (commands, mut inbox) = mpsc::channel(2);
        let handle = CallHandle { id: CallId::generate(), cancel: CancellationToken::new() };
        let entry = away.enter("twilio", "CA1", handle.clone(), commands);
        assert!(!away.tell("twilio", "CA2", TransferNews::Taken) && !away.tell("plivo", "CA1", TransferNews::Taken));
        assert!(away.tell("twilio", "CA1", TransferNews::Missed(Missed::Busy)));
        let told = inbox.try_recv().expect("news");
        assert!(matches!(told, CallCommand::Transfer { news: TransferNews::Missed(Missed::Busy), leg: None }));
        assert_eq!(away.back("twilio", "CA1", leg()).expect("awaited").id, handle.id);
        let told = inbox.try_recv().expect("the leg");
        assert!(matches!(told, CallCommand::Transfer { news: TransferNews::Back, leg: Some(_) }));
        assert!(away.back("twilio", "CA1", leg()).is_err(), "once");
        drop(entry);
        assert!(away.calls.is_empty());
    }

    #[test]
    fn who_answers_is_found_by_the_providers_name() {
        let away = Arc::new(Away::default());
        let (commands, mut inbox) = mpsc::channel(1);
        let handle = CallHandle { id: CallId::generate(), cancel: CancellationToken::new() };
        let entry = away.enter("twilio", "key", handle, commands);
        assert_eq!(entry.renamed(), None);
        assert!(away.rename("twilio", "key", "CA9") && !away.rename("twilio", "key", "CA9"), "once");
        assert_eq!(entry.renamed(), Some("CA9"));
        assert!(away.back("twilio", "CA9", leg()).is_ok() && inbox.try_recv().is_ok());
        drop(entry);
        let (commands, _inbox) = mpsc::channel(1);
        let handle = CallHandle { id: CallId::generate(), cancel: CancellationToken::new() };
        let entry = away.enter("twilio", "key", handle, commands);
        assert!(away.rename("twilio", "key", "CA9"));
        drop(entry);
        assert!(away.calls.is_empty(), "nobody waits for who never came");
    }

    #[test]
    fn a_call_that_ended_takes_no_leg() {
        let away = Arc::new(Away::default());
        let (commands, inbox) = mpsc::channel(1);
        let handle = CallHandle { id: CallId::generate(), cancel: CancellationToken::new() };
        let _entry = away.enter("twilio", "CA1", handle, commands);
        drop(inbox);
        assert!(!away.tell("twilio", "CA1", TransferNews::Taken));
        assert!(away.back("twilio", "CA1", leg()).is_err(), "a new call has to take it");
    }
}
