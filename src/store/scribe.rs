//! Writes records behind the actors' backs, so that no call waits for the database.
//!
//! Control path: records queue up while the database is slow and are tried again when it fails; only when thousands wait
//! is one given up, counted and logged. One that the database refuses, because the call it belongs to was erased, is given up
//! at once: the others must not wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{
    AuditRecord, CallRecord, CallbackRecord, ContactRecord, HandoffRecord, LedgerRecord, MessageRecord, OfferRecord,
    PartyRecord, StandRecord, Store, StoreError, ToolRunRecord, TriggerRecord, TurnRecord, WrapUpRecord,
};
use crate::telemetry::metric;

/// Records that may wait for the database.
const WAITING_RECORDS: usize = 4_096;
/// Tries before a record is given up.
const TRIES: u32 = 6;

/// One record to be written.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most records are turns; a box more for each would cost more than the room it saves"
)]
pub enum Record {
    /// A call, as it is now.
    Call(CallRecord),
    /// A turn.
    Turn(TurnRecord),
    /// A trigger.
    Trigger(TriggerRecord),
    /// A handoff, as it is now.
    Handoff(HandoffRecord),
    /// An offer, as it is now.
    Offer(OfferRecord),
    /// A message or callback.
    Message(MessageRecord),
    /// A callback, as it is now.
    Callback(CallbackRecord),
    /// A tool's run, as it is now.
    Tool(ToolRunRecord),
    /// A closing note.
    WrapUp(WrapUpRecord),
    /// A conversation with an agent, as it is now.
    Contact(ContactRecord),
    /// Somebody's part in a call, as it is now.
    Party(PartyRecord),
    /// What a supervisor did.
    Audit(AuditRecord),
    /// What an agent does just now.
    Stand(StandRecord),
    /// A stretch of an agent's time.
    Ledger(LedgerRecord),
}

/// Takes records. Cheap to clone; the writer ends when the last clone is gone and all is written.
#[derive(Clone, Debug)]
pub struct Scribe {
    records: mpsc::Sender<Record>,
}

impl Scribe {
    /// Queues a record; never waits.
    pub fn put(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            metrics::counter!(metric::RECORDS_LOST).increment(1);
            error!("A record is lost: the database has been failing for too long, or the server is stopping");
        }
    }
}

/// A scribe and the future that writes; the caller owns the task.
pub fn open(store: Arc<dyn Store>) -> (Scribe, impl Future<Output = ()>) {
    let (records, mut inbox) = mpsc::channel(WAITING_RECORDS);
    let writer = async move {
        while let Some(record) = inbox.recv().await {
            let mut pause = Duration::from_millis(50);
            for attempt in 1..=TRIES {
                match write(store.as_ref(), &record).await {
                    Ok(()) => break,
                    Err(error) if attempt < TRIES && !error.is_refusal() => {
                        warn!(%error, attempt, "A record could not be written; trying again");
                        tokio::time::sleep(pause).await;
                        pause *= 3;
                    }
                    Err(error) => {
                        metrics::counter!(metric::RECORDS_LOST).increment(1);
                        error!(%error, "A record is lost");
                        break;
                    }
                }
            }
        }
    };
    (Scribe { records }, writer)
}

async fn write(store: &dyn Store, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Call(call) => store.put_call(call).await,
        Record::Turn(turn) => store.put_turn(turn).await,
        Record::Trigger(trigger) => store.put_trigger(trigger).await,
        Record::Handoff(handoff) => store.put_handoff(handoff).await,
        Record::Offer(offer) => store.put_offer(offer).await,
        Record::Message(message) => store.put_message(message).await,
        Record::Callback(callback) => store.put_callback(callback).await,
        Record::Tool(run) => store.put_tool_run(run).await,
        Record::WrapUp(wrap_up) => store.put_wrap_up(wrap_up).await,
        Record::Contact(contact) => store.put_contact(contact).await,
        Record::Party(party) => store.put_party(party).await,
        Record::Audit(audit) => store.put_audit(audit).await,
        Record::Stand(stand) => store.put_stand(stand).await,
        Record::Ledger(entry) => store.put_ledger(entry).await,
    }
}
