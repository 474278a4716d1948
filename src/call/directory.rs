//! RUNTIME: the calls going on now. Opens them up to the cap, finds them, and tells all of them to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use super::CallId;
use super::actor::{self, CallServices, NewCall};
use super::handle::{AdmitError, CALL_COMMANDS, CallCommand, CallHandle, CallOpener, LegIo};
use super::input::TransferNews;
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

    /// What became of a caller who was given to a telephone; nothing happens when there is none.
    pub fn transferred(&self, provider: &'static str, provider_call_id: &str, news: TransferNews) {
        self.services.away.tell(provider, provider_call_id, news);
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
        let id = CallId::generate();
        let (commands, inbox) = mpsc::channel(CALL_COMMANDS);
        let cancel = self.cancel.child_token();
        self.calls.insert(id, commands.clone());
        let entry = Entry { id, calls: self.calls.clone(), _line: line };
        let call = NewCall { id, provider, start, leg, inbox, commands, cancel: cancel.clone() };
        let services = self.services.clone();
        let span = info_span!("call", call.id = %id, provider);
        self.tracker.spawn(
            async move {
                // Held so that the line is free again however the call ends, a panic included.
                let _entry = entry;
                actor::run(call, services).await;
            }
            .instrument(span),
        );
        Ok(CallHandle { id, cancel })
    }
}

struct Entry {
    id: CallId,
    calls: Arc<DashMap<CallId, mpsc::Sender<CallCommand>>>,
    _line: OwnedSemaphorePermit,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.calls.remove(&self.id);
    }
}
