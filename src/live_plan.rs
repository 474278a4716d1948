//! RUNTIME: the plan in force: the configuration's `[routing]`, and instead of parts of it what was kept in the console: opening
//! hours, priorities of queues and what their callers are told.
//!
//! What is kept takes effect at once: the desk gets a new plan, and whoever asks gets the new calendar. What is forgotten is
//! the configuration's again. When the section is changed in the file, the desk gets a new plan, too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tracing::warn;

use crate::config::{Config, RoutingConfig};
use crate::handoff::actor::DeskHandle;
use crate::handoff::routing::Plan;
use crate::handoff::routing::hours::{Calendar, HoursProblem};
use crate::store::{HoursRecord, QueueRecord, Store, StoreError};

/// Hours that are kept, as they are written and as they are read.
#[derive(Clone)]
struct KeptHours {
    record: HoursRecord,
    calendar: Calendar,
}

/// What is kept, by name.
#[derive(Clone, Default)]
struct Kept {
    hours: BTreeMap<String, KeptHours>,
    queues: BTreeMap<String, QueueRecord>,
}

struct Inner {
    config: Arc<Config>,
    /// As the file has it now.
    routing: RwLock<Arc<RoutingConfig>>,
    store: Arc<dyn Store>,
    kept: RwLock<Kept>,
    /// Changes come one after the other, so that the desk has the last plan in the end.
    changing: Mutex<()>,
}

/// The plan in force. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct LivePlan(Arc<Inner>);

impl fmt::Debug for LivePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_list().entries(kept.hours.keys()).entries(kept.queues.keys()).finish()
    }
}

impl LivePlan {
    /// The configuration's with what is kept in the store. What can't be read any more is left out.
    pub async fn load(store: Arc<dyn Store>, config: Arc<Config>) -> Result<Self, StoreError> {
        let mut kept = Kept::default();
        for record in store.list_queues().await? {
            kept.queues.insert(record.name.clone(), record);
        }
        for record in store.list_hours().await? {
            match check(&record) {
                Ok(calendar) => {
                    kept.hours.insert(record.name.clone(), KeptHours { record, calendar });
                }
                Err(_) => warn!(calendar = record.name, "Opening hours kept in the console can't be read: left out"),
            }
        }
        let routing = RwLock::new(Arc::new(config.routing.clone()));
        Ok(Self(Arc::new(Inner { config, routing, store, kept: RwLock::new(kept), changing: Mutex::new(()) })))
    }

    /// Who gets which caller, as it is in force.
    pub fn plan(&self) -> Plan {
        let (mut plan, kept) = (self.configured(), self.kept());
        for hours in kept.hours.values() {
            plan.keep_hours(&hours.calendar, &hours.record.queues);
        }
        for queue in kept.queues.values() {
            plan.keep_queue(&queue.name, queue.priority, &queue.message);
        }
        plan
    }

    /// The same as the configuration has it.
    pub fn configured(&self) -> Plan {
        self.routing().plan(&self.0.config.handoff)
    }

    /// The calendar of this name.
    pub fn calendar(&self, name: &str) -> Option<Calendar> {
        let kept = self.kept().hours.get(name).map(|kept| kept.calendar.clone());
        kept.or_else(|| self.routing().calendar(name))
    }

    /// The configuration's `[routing]` in force.
    pub fn routing(&self) -> Arc<RoutingConfig> {
        self.0.routing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another `[routing]` into force, for callers who wait already, too. False if it is the same.
    pub async fn take_up(&self, routing: RoutingConfig, desk: &DeskHandle) -> bool {
        let _turn = self.0.changing.lock().await;
        if *self.routing() == routing {
            return false;
        }
        *self.0.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routing);
        desk.reload(self.plan()).await;
        true
    }

    /// Hours that are kept instead of the configuration's, by name.
    pub fn hours(&self) -> Vec<HoursRecord> {
        self.kept().hours.into_values().map(|kept| kept.record).collect()
    }

    /// What is kept of queues, by name; also of queues the configuration has no more.
    pub fn queues(&self) -> BTreeMap<String, QueueRecord> {
        self.kept().queues
    }

    /// Keeps priority and message of a queue and puts them into force.
    pub async fn keep_queue(&self, record: QueueRecord, desk: &DeskHandle) -> Result<(), StoreError> {
        let _turn = self.0.changing.lock().await;
        self.0.store.put_queue(&record).await?;
        self.change(|kept| kept.queues.insert(record.name.clone(), record));
        desk.reload(self.plan()).await;
        Ok(())
    }

    /// The configuration's priority and message hold again; false if they did already.
    pub async fn forget_queue(&self, name: &str, desk: &DeskHandle) -> Result<bool, StoreError> {
        let _turn = self.0.changing.lock().await;
        if !self.0.store.delete_queue(name).await? {
            return Ok(false);
        }
        self.change(|kept| kept.queues.remove(name));
        desk.reload(self.plan()).await;
        Ok(true)
    }

    /// Keeps hours and puts them into force; the inner error says what is wrong with them.
    pub async fn keep_hours(
        &self,
        record: HoursRecord,
        desk: &DeskHandle,
    ) -> Result<Result<(), Vec<HoursProblem>>, StoreError> {
        let calendar = match check(&record) {
            Ok(calendar) => calendar,
            Err(problems) => return Ok(Err(problems)),
        };
        let _turn = self.0.changing.lock().await;
        self.0.store.put_hours(&record).await?;
        self.change(|kept| kept.hours.insert(record.name.clone(), KeptHours { record, calendar }));
        desk.reload(self.plan()).await;
        Ok(Ok(()))
    }

    /// The configuration's hold again; false if they did already.
    pub async fn forget_hours(&self, name: &str, desk: &DeskHandle) -> Result<bool, StoreError> {
        let _turn = self.0.changing.lock().await;
        if !self.0.store.delete_hours(name).await? {
            return Ok(false);
        }
        self.change(|kept| kept.hours.remove(name));
        desk.reload(self.plan()).await;
        Ok(true)
    }

    fn kept(&self) -> Kept {
        self.0.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) {
        change(&mut self.0.kept.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn check(record: &HoursRecord) -> Result<Calendar, Vec<HoursProblem>> {
    Calendar::check(&record.name, &record.zone, &record.weekly, &record.days)
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::handoff::AgentId;
    use crate::handoff::actor::{self as desk, DeskSettings};
    use crate::handoff::routing::Moment;
    use crate::store::scribe;
    use crate::store::sqlite::SqliteStore;

    const OFFICE: &str = "[[routing.queues]]\nname = \"billing\"\nhours = \"office\"\n[[routing.queues]]\nname = \"sales\"\n\
        [[routing.calendars]]\nname = \"office\"\nweekly = [\"mon-sun 00:00-24:00\"]\n";

    /// A desk and what its plan is made of.
    struct Office {
        store: Arc<dyn Store>,
        config: Arc<Config>,
        desk: DeskHandle,
        stop: CancellationToken,
        tasks: tokio::task::JoinSet<()>,
    }

    impl Office {
        async fn open(config: &str) -> Self {
            let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
            let config = Arc::new(Config::parse(config, std::iter::empty()).expect("valid"));
            let (scribe, _writing) = scribe::open(store.clone());
            let stop = CancellationToken::new();
            let (desk, running) = desk::open(DeskSettings::default(), scribe, stop.clone());
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(running);
            Self { store, config, desk, stop, tasks }
        }
    }

    fn hours(name: &str, weekly: &str, queues: &[&str]) -> HoursRecord {
        HoursRecord {
            name: name.to_owned(),
            zone: "UTC".to_owned(),
            weekly: vec![weekly.to_owned()],
            days: Vec::new(),
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            set_by: AgentId("boss".to_owned()),
            set_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Whether each queue is open on a Friday at eight, by its name.
    fn open(opening: &LivePlan) -> Vec<(String, bool)> {
        let friday = Moment::from_ms(1_800_000_000_000);
        let is_open = |hours: &Option<Calendar>| hours.as_ref().is_none_or(|hours| hours.is_open(friday));
        opening.plan().queues.iter().map(|queue| (queue.name.clone(), is_open(&queue.hours))).collect()
    }

    #[tokio::test]
    async fn what_is_kept_holds_at_once_after_a_restart_and_until_it_is_forgotten() {
        let Office { store, config, desk, stop, tasks } = Office::open(OFFICE).await;
        let of = |billing: bool, sales: bool| vec![("billing".to_owned(), billing), ("sales".to_owned(), sales)];

        let opening = LivePlan::load(store.clone(), config.clone()).await.expect("readable");
        assert_eq!(open(&opening), of(true, true));
        let office = hours("office", "mon-thu 09:00-17:00", &[]);
        opening.keep_hours(office, &desk).await.expect("kept").expect("good");
        opening.keep_hours(hours("shop", "sat 10:00-12:00", &["sales"]), &desk).await.expect("kept").expect("good");
        assert_eq!(open(&opening), of(false, false));
        assert_eq!(desk.live().await.queues, ["billing", "sales"], "the desk has the plan");
        assert!(opening.calendar("office").is_some_and(|office| !office.is_open(Moment::from_ms(1_800_000_000_000))));

        let again = LivePlan::load(store.clone(), config.clone()).await.expect("readable");
        assert_eq!(open(&again), of(false, false), "after a restart");
        let wrong = opening.keep_hours(hours("office", "whenever", &[]), &desk).await.expect("the store works");
        assert_eq!((wrong.expect_err("no hours").len(), open(&opening)), (1, of(false, false)));

        assert!(opening.forget_hours("office", &desk).await.expect("forgotten"));
        assert!(!opening.forget_hours("office", &desk).await.expect("asked"), "there is nothing left to forget");
        assert_eq!(open(&opening), of(true, false));
        assert!(opening.calendar("shop").is_some() && opening.calendar("nowhere").is_none());
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn another_section_is_the_desks_at_once_and_keeps_what_was_kept() {
        let Office { store, config, desk, stop, tasks } = Office::open(OFFICE).await;
        let opening = LivePlan::load(store, config.clone()).await.expect("readable");
        opening.keep_hours(hours("office", "mon-thu 09:00-17:00", &[]), &desk).await.expect("kept").expect("good");
        assert!(!opening.take_up(config.routing.clone(), &desk).await, "nothing is new");
        let more = format!("{OFFICE}[[routing.queues]]\nname = \"cards\"\nhours = \"office\"\n");
        let routing = Config::parse(&more, std::iter::empty()).expect("valid").routing;
        assert!(opening.take_up(routing.clone(), &desk).await);
        assert_eq!(desk.live().await.queues, ["billing", "sales", "cards"], "the desk has it");
        let wanted = [("billing", false), ("sales", true), ("cards", false)];
        assert_eq!(open(&opening), wanted.map(|(name, open)| (name.to_owned(), open)), "with the hours that were kept");
        assert!(!opening.take_up(routing, &desk).await);
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn priorities_and_messages_hold_at_once_after_a_restart_and_until_they_are_forgotten() {
        let text = "[[routing.queues]]\nname = \"billing\"\npriority = 3\n[[routing.queues]]\nname = \"sales\"\n";
        let Office { store, config, desk, stop, tasks } = Office::open(text).await;
        let record = |name: &str, priority, message: &str| QueueRecord {
            name: name.to_owned(),
            priority,
            message: message.to_owned(),
            set_by: AgentId("boss".to_owned()),
            set_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let billing = |plan: &LivePlan| {
            let queue = plan.plan().queues.remove(0);
            (queue.priority, queue.message)
        };
        let live = LivePlan::load(store.clone(), config.clone()).await.expect("readable");
        assert_eq!(billing(&live), (3, String::new()));
        live.keep_queue(record("billing", 7, "Invoices are late."), &desk).await.expect("kept");
        live.keep_queue(record("of an older file", 1, ""), &desk).await.expect("kept");
        assert_eq!(billing(&live), (7, "Invoices are late.".to_owned()));
        assert_eq!(desk.live().await.queues, ["billing", "sales"], "the desk has the plan");
        let again = LivePlan::load(store, config).await.expect("readable");
        assert_eq!(billing(&again), (7, "Invoices are late.".to_owned()), "after a restart");
        assert!(live.forget_queue("billing", &desk).await.expect("forgotten"));
        assert!(!live.forget_queue("billing", &desk).await.expect("asked"), "there is nothing left to forget");
        assert_eq!(billing(&live), (3, String::new()));
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn hours_that_can_not_be_read_any_more_leave_the_files() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        store.put_hours(&hours("office", "of an older version", &[])).await.expect("written");
        let config = Arc::new(Config::parse(OFFICE, std::iter::empty()).expect("valid"));
        let opening = LivePlan::load(store, config).await.expect("readable");
        assert!(open(&opening).iter().all(|(_, open)| *open) && opening.hours().is_empty());
    }
}
