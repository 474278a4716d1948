//! RUNTIME: the calls going on now. Opens them up to the cap, finds them, and tells all of them to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use super::CallId;
pub use super::actor::CalledBack;
use super::actor::{self, CallServices, NewCall};
use super::handle::{AdmitError, CALL_COMMANDS, CallCommand, CallHandle, CallOpener, LegIo};
use super::input::TransferNews;
use crate::audio::units::SampleRate;
use crate::telemetry::Pii;
use crate::telephony::protocol::StreamStart;

/// See the module's documentation.
pub struct Directory {
    calls: Arc<DashMap<CallId, mpsc::Sender<CallCommand>>>,
    lines: Arc<Semaphore>,
    accepting: AtomicBool,
    services: Arc<CallServices>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Directory {
    /// Room for `max_calls`. Calls run under `tracker` and end at once when `cancel` is cancelled.
    pub fn new(services: Arc<CallServices>, max_calls: usize, tracker: TaskTracker, cancel: CancellationToken) -> Self {
        Self {
            calls: Arc::new(DashMap::new()),
            lines: Arc::new(Semaphore::new(max_calls)),
            accepting: AtomicBool::new(true),
            services,
            tracker,
            cancel,
        }
    }

    /// Calls going on now.
    pub fn live(&self) -> usize {
        self.calls.len()
    }

    /// No new calls from now on.
    pub fn close(&self) {
        self.accepting.store(false, Ordering::Release);
    }

    /// Every call says goodbye and ends.
    pub fn stop_all(&self) {
        for call in self.calls.iter() {
            if call.value().try_send(CallCommand::Stop).is_err() {
                tracing::warn!(call.id = %call.key(), "A call does not take its stop command; it will be cut off");
            }
        }
    }

    /// Whether a caller is at a telephone outside.
    pub fn is_away(&self, provider: &'static str, provider_call_id: &str) -> bool {
        self.services.away.contains(provider, provider_call_id)
    }

    /// Whether this caller's call was cut off when the process ended, and is awaited again.
    pub fn is_returning(&self, provider: &'static str, provider_call_id: &str) -> bool {
        self.services.returning.contains(provider, provider_call_id)
    }

    /// What became of a caller who was given to a telephone; nothing happens when there is none.
    pub fn transferred(&self, provider: &'static str, provider_call_id: &str, news: TransferNews) {
        self.services.away.tell(provider, provider_call_id, news);
    }

    /// Somebody whom we call has answered, and is known by the provider's name from now on; false when nobody waits for them.
    pub fn answered(&self, provider: &'static str, key: &str, provider_call_id: &str) -> bool {
        self.services.away.rename(provider, key, provider_call_id)
    }

    /// Ends a call to be, with all others.
    pub fn child_token(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// Who is called back has answered: their call begins. It takes a line if there is one; nobody is called to be turned
    /// away.
    pub fn called_back(&self, answered: Answered, leg: LegIo, back: CalledBack) {
        let Answered { call: id, provider, provider_call_id, number, cancel } = answered;
        let (commands, inbox) = mpsc::channel(CALL_COMMANDS);
        self.calls.insert(id, commands.clone());
        let entry = Entry { id, calls: self.calls.clone(), _line: self.lines.clone().try_acquire_owned().ok() };
        let start = StreamStart {
            stream_id: provider_call_id.clone(),
            provider_call_id,
            rate: SampleRate::WIDEBAND,
            plays_at: SampleRate::WIDEBAND,
            token: None,
            from: Some(number),
            to: None,
            parameters: BTreeMap::new(),
        };
        let call =
            NewCall { id, provider, start, leg, inbox, commands, cancel, called_back: Some(back), cut_off: None };
        self.run(call, entry);
    }

    fn run(&self, call: NewCall, entry: Entry) {
        let services = self.services.clone();
        let span = info_span!("call", call.id = %call.id, provider = call.provider);
        self.tracker.spawn(
            async move {
                // Held so that the line is free again however the call ends, a panic included.
                let _entry = entry;
                actor::run(call, services).await;
            }
            .instrument(span),
        );
    }

    /// Whether a call could be opened now.
    pub fn room(&self) -> Result<(), AdmitError> {
        if !self.accepting.load(Ordering::Acquire) {
            return Err(AdmitError::Draining);
        }
        if self.lines.available_permits() == 0 { Err(AdmitError::Busy) } else { Ok(()) }
    }
}

impl CallOpener for Directory {
    fn open(&self, provider: &'static str, start: StreamStart, leg: LegIo) -> Result<CallHandle, AdmitError> {
        let leg = match self.services.away.back(provider, &start.provider_call_id, leg) {
            Ok(call) => return Ok(call),
            Err(leg) => *leg,
        };
        self.room()?;
        let line = self.lines.clone().try_acquire_owned().map_err(|_| AdmitError::Busy)?;
        // Only now: whoever finds all lines busy may try once more.
        let cut_off = self.services.returning.take(provider, &start.provider_call_id);
        let id = CallId::generate();
        let (commands, inbox) = mpsc::channel(CALL_COMMANDS);
        let cancel = self.cancel.child_token();
        self.calls.insert(id, commands.clone());
        let entry = Entry { id, calls: self.calls.clone(), _line: Some(line) };
        let handle = CallHandle { id, cancel: cancel.clone() };
        self.run(NewCall { id, provider, start, leg, inbox, commands, cancel, called_back: None, cut_off }, entry);
        Ok(handle)
    }
}

/// Somebody whom we called, and who has answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What their call is to be named.
    pub call: CallId,
    /// Through which provider.
    pub provider: &'static str,
    /// The provider's name for the call.
    pub provider_call_id: String,
    /// Their number.
    pub number: Pii<String>,
    /// Ends it.
    pub cancel: CancellationToken,
}

struct Entry {
    id: CallId,
    calls: Arc<DashMap<CallId, mpsc::Sender<CallCommand>>>,
    _line: Option<OwnedSemaphorePermit>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.calls.remove(&self.id);
    }
}
