//! RUNTIME: who gets which caller, as it is in force: the configuration's `[routing]`, and instead of its opening hours those that
//! were kept in the console.
//!
//! What is kept takes effect at once: the desk gets a new plan, and whoever asks gets the new calendar. A calendar that is
//! forgotten is the configuration's again. When the section is changed in the file, the desk gets a new plan, too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tracing::warn;

use crate::config::{Config, RoutingConfig};
use crate::handoff::actor::DeskHandle;
use crate::handoff::routing::Plan;
use crate::handoff::routing::hours::{Calendar, HoursProblem};
use crate::store::{HoursRecord, Store, StoreError};

/// What is kept, as it is written and as it is read.
#[derive(Clone)]
struct Kept {
    record: HoursRecord,
    calendar: Calendar,
}

struct Inner {
    config: Arc<Config>,
    /// As the file has it now.
    routing: RwLock<Arc<RoutingConfig>>,
    store: Arc<dyn Store>,
    kept: RwLock<BTreeMap<String, Kept>>,
    /// Changes come one after the other, so that the desk has the last plan in the end.
    changing: Mutex<()>,
}

/// Opening hours in force. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct OpeningHours(Arc<Inner>);

impl fmt::Debug for OpeningHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kept().keys()).finish()
    }
}

impl OpeningHours {
    /// The configuration's with what is kept in the store. What can't be read any more is left out.
    pub async fn load(store: Arc<dyn Store>, config: Arc<Config>) -> Result<Self, StoreError> {
        let mut kept = BTreeMap::new();
        for record in store.list_hours().await? {
            match check(&record) {
                Ok(calendar) => {
                    kept.insert(record.name.clone(), Kept { record, calendar });
                }
                Err(_) => warn!(calendar = record.name, "Opening hours kept in the console can't be read: left out"),
            }
        }
        let routing = RwLock::new(Arc::new(config.routing.clone()));
        Ok(Self(Arc::new(Inner { config, routing, store, kept: RwLock::new(kept), changing: Mutex::new(()) })))
    }

    /// Who gets which caller, with the hours in force.
    pub fn plan(&self) -> Plan {
        let mut plan = self.routing().plan(&self.0.config.handoff);
        for kept in self.kept().values() {
            plan.keep_hours(&kept.calendar, &kept.record.queues);
        }
        plan
    }

    /// The calendar of this name.
    pub fn calendar(&self, name: &str) -> Option<Calendar> {
        let kept = self.kept().get(name).map(|kept| kept.calendar.clone());
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

    /// What is kept instead of the configuration's, by name.
    pub fn records(&self) -> Vec<HoursRecord> {
        self.kept().values().map(|kept| kept.record.clone()).collect()
    }

    /// Keeps hours and puts them into force; the inner error says what is wrong with them.
    pub async fn keep(
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
        let name = record.name.clone();
        self.0.kept.write().unwrap_or_else(PoisonError::into_inner).insert(name, Kept { record, calendar });
        desk.reload(self.plan()).await;
        Ok(Ok(()))
    }

    /// The configuration's hold again; false if they did already.
    pub async fn forget(&self, name: &str, desk: &DeskHandle) -> Result<bool, StoreError> {
        let _turn = self.0.changing.lock().await;
        if !self.0.store.delete_hours(name).await? {
            return Ok(false);
        }
        self.0.kept.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        desk.reload(self.plan()).await;
        Ok(true)
    }

    fn kept(&self) -> BTreeMap<String, Kept> {
        self.0.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
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
    fn open(opening: &OpeningHours) -> Vec<(String, bool)> {
        let friday = Moment::from_ms(1_800_000_000_000);
        let is_open = |hours: &Option<Calendar>| hours.as_ref().is_none_or(|hours| hours.is_open(friday));
        opening.plan().queues.iter().map(|queue| (queue.name.clone(), is_open(&queue.hours))).collect()
    }

    #[tokio::test]
    async fn what_is_kept_holds_at_once_after_a_restart_and_until_it_is_forgotten() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        let config = Arc::new(Config::parse(OFFICE, std::iter::empty()).expect("valid"));
        let (scribe, _writing) = scribe::open(store.clone());
        let stop = CancellationToken::new();
        let (desk, running) = desk::open(DeskSettings::default(), scribe, stop.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(running);
        let of = |billing: bool, sales: bool| vec![("billing".to_owned(), billing), ("sales".to_owned(), sales)];

        let opening = OpeningHours::load(store.clone(), config.clone()).await.expect("readable");
        assert_eq!(open(&opening), of(true, true));
        let office = hours("office", "mon-thu 09:00-17:00", &[]);
        opening.keep(office, &desk).await.expect("kept").expect("good");
        opening.keep(hours("shop", "sat 10:00-12:00", &["sales"]), &desk).await.expect("kept").expect("good");
        assert_eq!(open(&opening), of(false, false));
        assert_eq!(desk.live().await.queues, ["billing", "sales"], "the desk has the plan");
        assert!(opening.calendar("office").is_some_and(|office| !office.is_open(Moment::from_ms(1_800_000_000_000))));

        let again = OpeningHours::load(store.clone(), config.clone()).await.expect("readable");
        assert_eq!(open(&again), of(false, false), "after a restart");
        let wrong = opening.keep(hours("office", "whenever", &[]), &desk).await.expect("the store works");
        assert_eq!((wrong.expect_err("no hours").len(), open(&opening)), (1, of(false, false)));

        assert!(opening.forget("office", &desk).await.expect("forgotten"));
        assert!(!opening.forget("office", &desk).await.expect("asked"), "there is nothing left to forget");
        assert_eq!(open(&opening), of(true, false));
        assert!(opening.calendar("shop").is_some() && opening.calendar("nowhere").is_none());
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn another_section_is_the_desks_at_once_and_keeps_what_was_kept() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        let config = Arc::new(Config::parse(OFFICE, std::iter::empty()).expect("valid"));
        let (scribe, _writing) = scribe::open(store.clone());
        let stop = CancellationToken::new();
        let (desk, running) = desk::open(DeskSettings::default(), scribe, stop.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(running);
        let opening = OpeningHours::load(store, config.clone()).await.expect("readable");
        opening.keep(hours("office", "mon-thu 09:00-17:00", &[]), &desk).await.expect("kept").expect("good");
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
    async fn hours_that_can_not_be_read_any_more_leave_the_files() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.expect("opens"));
        store.put_hours(&hours("office", "of an older version", &[])).await.expect("written");
        let config = Arc::new(Config::parse(OFFICE, std::iter::empty()).expect("valid"));
        let opening = OpeningHours::load(store, config).await.expect("readable");
        assert!(open(&opening).iter().all(|(_, open)| *open) && opening.records().is_empty());
    }
}
