//! The desk as its clients see it: what arrives on a socket, in order.

#[path = "actor_claims_tests.rs"]
mod claims;
#[path = "actor_pace_tests.rs"]
mod pace;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::task::JoinSet;

use super::*;
use crate::call::handle::CallCommand;
use crate::handoff::HandoffReason;
use crate::handoff::wire::{Brief, FromAgent, MAX_KEYS};
use crate::store::scribe::{self, Record, Scribe};
use crate::store::sqlite::SqliteStore;
use crate::store::{CallOutcome, CallRecord, HandoffOutcome};
use crate::telephony::protocol::{Digit, Speaker};

struct Office {
    store: SqliteStore,
    scribe: Scribe,
    desk: DeskHandle,
    tasks: JoinSet<()>,
    calls: tokio::sync::Mutex<HashMap<HandoffId, CallId>>,
    /// Where the clock stands records only pile up: the database lives by another one.
    unwritten: Option<BoxFuture<'static, ()>>,
}

impl Office {
    async fn open() -> Self {
        Self::with(Plan::default()).await
    }

    async fn with(plan: Plan) -> Self {
        let mut office = Self::unwritten(plan).await;
        let writing = office.unwritten.take().expect("just opened");
        office.tasks.spawn(writing);
        office
    }

    /// The clock stands still while somebody has something to do, and jumps when all wait.
    async fn paused(plan: Plan) -> Self {
        let office = Self::unwritten(plan).await;
        tokio::time::pause();
        office
    }

    async fn unwritten(plan: Plan) -> Self {
        Self::deciding(plan, SqliteStore::in_memory().await.expect("opens"), None)
    }

    /// Where `claims` decide whose a caller is.
    fn deciding(plan: Plan, store: SqliteStore, claims: Option<Arc<dyn Claims>>) -> Self {
        let (scribe, writing) = scribe::open(Arc::new(store.clone()));
        let dispositions = vec!["sold".to_owned(), "lost".to_owned()];
        let settings = DeskSettings {
            plan,
            dispositions,
            language: "en".to_owned(),
            tells_supervised: true,
            claims,
            ..DeskSettings::default()
        };
        let (desk, running) = open(settings, scribe.clone(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(running);
        Self { store, scribe, desk, tasks, calls: tokio::sync::Mutex::default(), unwritten: Some(Box::pin(writing)) }
    }

    async fn client(&self) -> TestClient {
        self.client_of("ann").await
    }

    async fn client_of(&self, name: &str) -> TestClient {
        self.client_as(name, UserRole::Agent).await
    }

    async fn client_as(&self, name: &str, role: UserRole) -> TestClient {
        let agent = AgentId(name.to_owned());
        let (session, inbox) = self.desk.connect(agent.clone(), name.to_owned(), role).await.expect("the desk runs");
        // By a clock that jumps when all wait, waiting long would only be waiting for something else.
        let patience = Duration::from_secs(if self.unwritten.is_some() { 10 } else { 60 });
        TestClient { desk: self.desk.clone(), agent, session, inbox, patience }
    }

    /// A caller wants a person.
    async fn caller(&self) -> (HandoffId, mpsc::Receiver<CallCommand>) {
        let id = HandoffId::generate();
        (id, self.caller_called(id).await)
    }

    async fn caller_called(&self, id: HandoffId) -> mpsc::Receiver<CallCommand> {
        let (commands, inbox) = mpsc::channel(16);
        let line = Line {
            seq: 0,
            who: Speaker::Caller,
            text: "A person, please".to_owned(),
            at_ms: 900,
            confidence: 0.9,
            is_final: true,
        };
        let task = HandoffTask {
            id,
            call: CallId::generate(),
            reason: HandoffReason::CallerAsked,
            summary: Vec::new(),
            brief: Brief::default(),
            known_agent: None,
            provider: "browser",
            language: None,
            caller: None,
            waiting_since: None,
            first: false,
            continues: None,
            lines: vec![line],
            commands,
        };
        self.calls.lock().await.insert(id, task.call);
        // As a call's actor does: what belongs to a call is written after it.
        self.scribe.put(Record::Call(call_record(task.call)));
        self.desk.request(task).await;
        inbox
    }

    /// The records, once all is written.
    async fn close(mut self) -> SqliteStore {
        drop((self.desk, self.scribe));
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task panics");
        }
        self.store
    }
}

fn call_record(id: CallId) -> CallRecord {
    CallRecord {
        id,
        provider: "browser".to_owned(),
        provider_call_id: String::new(),
        from: None,
        to: None,
        started_at: Timestamp::now(),
        ended_at: None,
        outcome: CallOutcome::Live,
        recording: None,
        notice_at_ms: None,
    }
}

struct TestClient {
    desk: DeskHandle,
    agent: AgentId,
    session: u64,
    inbox: mpsc::Receiver<AgentOut>,
    patience: Duration,
}

impl TestClient {
    async fn say(&self, message: FromAgent) {
        self.desk.from_agent(self.agent.clone(), self.session, message).await;
    }

    /// The next message that `wanted` gives something for.
    async fn hears<T>(&mut self, wanted: impl Fn(ToAgent) -> Option<T>) -> T {
        let next = async {
            loop {
                if let AgentOut::Message(message) = self.inbox.recv().await.expect("connected")
                    && let Some(found) = wanted(message)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(self.patience, next).await.expect("the message comes")
    }
}

#[tokio::test]
async fn a_page_loaded_anew_in_wrap_up_learns_which_call_it_was() {
    let office = Office::open().await;
    let mut ann = office.client().await;
    let words = ann.hears(|message| match message {
        ToAgent::Hello { dispositions, .. } => Some(dispositions),
        _ => None,
    });
    assert_eq!(words.await, ["sold", "lost"]);
    ann.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
    let (handoff, _commands) = office.caller().await;
    let offer = ann.hears(|message| match message {
        ToAgent::Offer(offer) => Some(offer),
        _ => None,
    });
    let offer = offer.await;
    ann.say(FromAgent::Accept { offer_id: offer.offer_id }).await;
    office.desk.bridged(handoff).await;
    office.desk.close(handoff, HandoffOutcome::Bridged).await;
    let ended = |message| match message {
        ToAgent::CallEnded { call_id, wrap_up_ms, transcript, .. } => Some((call_id, wrap_up_ms, transcript)),
        _ => None,
    };
    let (call, first_ms, transcript) = ann.hears(ended).await;
    assert_eq!((call, transcript.len()), (offer.call_id, 0), "a running page has the transcript");

    let mut again = office.client().await;
    let (call, left_ms, transcript) = again.hears(ended).await;
    assert_eq!((call, transcript), (offer.call_id, offer.transcript.clone()));
    assert!(left_ms <= first_ms && left_ms > first_ms - 20_000, "the rest of {first_ms}, not {left_ms}");
    let wrap_up = FromAgent::WrapUp { call_id: call, note: String::new(), disposition: "sold".to_owned() };
    again.say(wrap_up).await;
    let state = |message| match message {
        ToAgent::State { state, .. } => (state != AgentState::WrapUp).then_some(state),
        _ => None,
    };
    assert_eq!(again.hears(state).await, AgentState::Available);

    let mut later = office.client().await;
    let first_state = |message| match message {
        ToAgent::State { state, .. } => Some(state),
        ToAgent::CallEnded { .. } => panic!("that wrap-up is over"),
        _ => None,
    };
    assert_eq!(later.hears(first_state).await, AgentState::Available);
    drop((ann, again, later));
    office.close().await;
}

#[tokio::test]
async fn the_last_words_of_a_client_that_goes_count() {
    let office = Office::open().await;
    let TestClient { desk, agent, session, inbox, .. } = office.client().await;
    // Nobody reads any more what the first of them is answered.
    drop(inbox);
    for state in [AgentState::Available, AgentState::Break] {
        desk.from_agent(agent.clone(), session, FromAgent::SetState { state, code: None }).await;
    }
    desk.disconnect(agent, session).await;
    drop(desk);
    let mut again = office.client().await;
    let state = |message| match message {
        ToAgent::State { state, .. } => Some(state),
        _ => None,
    };
    assert_eq!(again.hears(state).await, AgentState::Break);
    drop(again);
    office.close().await;
}

#[tokio::test]
async fn configured_skills_decide_who_is_asked_and_a_new_plan_changes_it() {
    let plan = |skilled: &str| {
        let text = format!(
            "[[routing.queues]]\nname = \"billing\"\nneeds = [\"billing\"]\n[[routing.agents]]\nname = \"{skilled}\"\n\
             skills = {{ billing = 3 }}\n[routing.break_codes]\ntraining = \"work\"\n"
        );
        let config = crate::config::Config::parse(&text, std::iter::empty()).expect("valid");
        config.routing.plan(&config.handoff)
    };
    let office = Office::with(plan("ben")).await;
    let (mut ann, mut ben) = (office.client_of("ann").await, office.client_of("ben").await);
    ann.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
    let (handoff, mut commands) = office.caller().await;
    let waiting = office.desk.why(handoff).await.expect("a caller in line");
    assert!(waiting.contains("1 without billing"), "{waiting}");
    ben.say(FromAgent::SetState { state: AgentState::Break, code: Some("training".to_owned()) }).await;
    let on_break = |message| match message {
        ToAgent::State { state: AgentState::Break, code, .. } => Some(code),
        _ => None,
    };
    assert_eq!(ben.hears(on_break).await.as_deref(), Some("training"));
    office.desk.reload(plan("ann")).await;
    let offered = |message| match message {
        ToAgent::Offer(offer) => Some(offer.handoff_id),
        _ => None,
    };
    assert_eq!(ann.hears(offered).await, handoff);
    assert!(office.desk.why(handoff).await.expect("known").starts_with("Offered to ann"));
    let news = commands.recv().await.expect("the call is told its place");
    assert!(matches!(news, CallCommand::Handoff { news: HandoffNews::Queued { position: 1, .. }, .. }));
    office.desk.close(handoff, HandoffOutcome::CallerHungUp).await;
    assert_eq!(office.desk.why(handoff).await, None);
    drop((ann, ben));
    office.close().await;
}

#[tokio::test]
async fn callers_in_line_hear_a_queues_message_once_and_a_changed_one_at_once() {
    let plan = |priority: i32, message: &str| {
        let mut plan = Plan::default();
        plan.keep_queue("main", priority, message);
        plan
    };
    let office = Office::with(plan(0, "Parcels are late today.")).await;
    let (handoff, mut commands) = office.caller().await;
    office.desk.reload(plan(5, "Parcels are late today.")).await;
    office.desk.reload(plan(5, "Parcels are on their way.")).await;
    office.desk.reload(plan(5, "")).await;
    // Answered behind all of them, whose news have been sent by then.
    assert_eq!(office.desk.live().await.waiting, 1);
    let mut told = Vec::new();
    while let Ok(command) = commands.try_recv() {
        if let CallCommand::Handoff { news: HandoffNews::QueueMessage(message), .. } = command {
            told.push(message);
        }
    }
    assert_eq!(told, ["Parcels are late today.", "Parcels are on their way.", ""]);
    office.desk.close(handoff, HandoffOutcome::CallerHungUp).await;
    office.close().await;
}

#[tokio::test]
async fn after_the_last_step_the_caller_hears_of_the_ways_out_and_keeps_the_place() {
    let text = "[[routing.queues]]\nname = \"main\"\n[[routing.workflows]]\nname = \"all\"\nexit = \"callback\"\n\
                steps = [{ queue = \"main\", skip_if = [\"none_available\"] }]\n";
    let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
    let office = Office::with(config.routing.plan(&config.handoff)).await;
    let (handoff, mut commands) = office.caller().await;
    let news = commands.recv().await.expect("news");
    assert!(matches!(news, CallCommand::Handoff { news: HandoffNews::Queued { staffed: 0, .. }, .. }));
    assert!(office.desk.why(handoff).await.expect("known").starts_with("Number 1 in main"), "still in line");
    let mut ann = office.client().await;
    ann.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
    let offered = |message| match message {
        ToAgent::Offer(offer) => Some(offer.handoff_id),
        _ => None,
    };
    assert_eq!(ann.hears(offered).await, handoff);
    drop(ann);
    office.close().await;
}

fn error(message: ToAgent) -> Option<String> {
    match message {
        ToAgent::Error { code, .. } => Some(code),
        _ => None,
    }
}

#[tokio::test]
async fn an_agents_keys_reach_the_call_and_what_is_no_key_does_not() {
    let office = Office::open().await;
    let mut ann = office.client().await;
    let press = |digit: &str| FromAgent::Dtmf { digit: digit.to_owned() };
    ann.say(press("1")).await;
    assert_eq!(ann.hears(error).await, "no_call");
    ann.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
    let (handoff, mut commands) = office.caller().await;
    let offered = |message| match message {
        ToAgent::Offer(offer) => Some(offer.offer_id),
        _ => None,
    };
    let offer_id = ann.hears(offered).await;
    ann.say(FromAgent::Accept { offer_id }).await;
    office.desk.bridged(handoff).await;
    for nonsense in ["", "5x", "1 2", "é", &"1".repeat(MAX_KEYS + 1)] {
        ann.say(press(nonsense)).await;
        assert_eq!(ann.hears(error).await, "bad_digit", "{nonsense}");
    }
    ann.say(press("5a#*")).await;
    let keys = async {
        loop {
            if let CallCommand::Handoff { news: HandoffNews::Keys(keys), .. } = commands.recv().await.expect("open") {
                return keys.into_iter().map(Digit::get).collect::<String>();
            }
        }
    };
    assert_eq!(keys.await, "5A#*");
    drop(ann);
    office.close().await;
}

#[tokio::test]
async fn only_supervisors_move_callers_and_only_those_in_line() {
    let text = "[[routing.queues]]\nname = \"main\"\n[[routing.queues]]\nname = \"late\"\n[[routing.workflows]]\n\
                name = \"nobody\"\nwhen = [\"reason = silence\"]\nsteps = [{ queue = \"late\" }]\n";
    let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
    let office = Office::with(config.routing.plan(&config.handoff)).await;
    let (mut ann, mut boss) = (office.client_of("ann").await, office.client_as("boss", UserRole::Supervisor).await);
    let hello = |message| match message {
        ToAgent::Hello { role, queues, .. } => Some((role, queues)),
        _ => None,
    };
    assert_eq!(ann.hears(hello).await.0, Some(UserRole::Agent));
    assert_eq!(boss.hears(hello).await.1, ["main", "late"]);
    let (first, _inbox) = office.caller().await;
    let (second, _other_inbox) = office.caller().await;
    let call_id = office.calls.lock().await[&second];
    let prioritise = FromAgent::Prioritise { call_id, priority: 5 };
    ann.say(prioritise.clone()).await;
    assert_eq!(ann.hears(error).await, "forbidden");
    boss.say(prioritise).await;
    boss.say(FromAgent::Move { call_id, queue: "nowhere".to_owned() }).await;
    assert_eq!(boss.hears(error).await, "no_queue");
    assert!(office.desk.why(second).await.expect("in line").starts_with("Number 1 in main"));
    boss.say(FromAgent::Move { call_id, queue: "late".to_owned() }).await;
    boss.say(FromAgent::Prioritise { call_id: CallId::generate(), priority: 5 }).await;
    assert_eq!(boss.hears(error).await, "not_waiting");
    assert!(office.desk.why(second).await.expect("in line").starts_with("Number 1 in late"));
    assert!(office.desk.why(first).await.expect("in line").starts_with("Number 1 in main"));
    drop((ann, boss));
    office.close().await;
}

#[tokio::test]
async fn time_is_written_down_as_states_change() {
    use crate::handoff::routing::plan::PaidClass;
    use crate::store::Store as _;
    let began = Timestamp::now();
    let office = Office::open().await;
    let mut ann = office.client().await;
    for state in [AgentState::Available, AgentState::Break, AgentState::Offline, AgentState::Available] {
        tokio::time::sleep(Duration::from_millis(3)).await;
        ann.say(FromAgent::SetState { state, code: None }).await;
        let told = |message| match message {
            ToAgent::State { state: now, .. } if now == state => Some(()),
            _ => None,
        };
        ann.hears(told).await;
    }
    tokio::time::sleep(Duration::from_millis(3)).await;
    drop(ann);
    let store = office.close().await;
    let entries = store.list_ledger(&AgentId("ann".to_owned()), began, Timestamp::now()).await.expect("readable");
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.state, entry.class)).collect();
    let available = (AgentState::Available, PaidClass::Standby);
    assert_eq!(kinds, [available, (AgentState::Break, PaidClass::None), available], "the last ends with the desk");
    assert_eq!(entries[0].ended_at, entries[1].began_at, "nothing between");
    assert!(entries.iter().all(|entry| entry.began_at < entry.ended_at));
}
