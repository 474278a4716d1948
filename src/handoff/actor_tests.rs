//! The desk as its clients see it: what arrives on a socket, in order.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;
use crate::store::scribe;
use crate::store::sqlite::SqliteStore;
use crate::telephony::protocol::Speaker;

struct Office {
    desk: DeskHandle,
    tasks: JoinSet<()>,
}

impl Office {
    async fn open() -> Self {
        let policy = DeskPolicy {
            offer_timeout: Duration::from_secs(20),
            reoffer_after: Duration::from_secs(30),
            resume: Duration::from_secs(15),
            wrap_up: Duration::from_secs(60),
            presence_grace: Duration::from_secs(30),
        };
        let store = SqliteStore::in_memory().await.expect("opens");
        let (scribe, writing) = scribe::open(Arc::new(store));
        let words = vec!["sold".to_owned(), "lost".to_owned()];
        let (desk, running) = open(policy, words, scribe, CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(writing);
        tasks.spawn(running);
        Self { desk, tasks }
    }

    async fn client(&self) -> TestClient {
        let agent = AgentId("ann".to_owned());
        let (session, inbox) = self.desk.connect(agent.clone(), "Ann".to_owned()).await.expect("the desk runs");
        TestClient { desk: self.desk.clone(), agent, session, inbox }
    }

    /// A caller wants a person.
    async fn caller(&self) -> (HandoffId, mpsc::Receiver<CallCommand>) {
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
            id: HandoffId::generate(),
            call: CallId::generate(),
            reason: HandoffReason::CallerAsked,
            summary: Vec::new(),
            provider: "browser",
            lines: vec![line],
            commands,
        };
        let id = task.id;
        self.desk.request(task).await;
        (id, inbox)
    }

    async fn close(mut self) {
        drop(self.desk);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no task panics");
        }
    }
}

struct TestClient {
    desk: DeskHandle,
    agent: AgentId,
    session: u64,
    inbox: mpsc::Receiver<AgentOut>,
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
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("the message comes")
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
    ann.say(FromAgent::SetState { state: AgentState::Available }).await;
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
