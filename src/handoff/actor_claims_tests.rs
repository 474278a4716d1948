//! Several servers, one set of records: a caller is whose offer the records give them to.

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::handoff::wire::OfferResult;
use crate::store::StoreError;
use crate::store::claims::Claim;

/// Both at once.
const ROUNDS: usize = 30;

/// A server of its own on records that others use too.
async fn server(folder: &std::path::Path, connect: Duration) -> Office {
    let store = SqliteStore::open("sqlite:shared.db", folder).await.expect("opens");
    let mut plan = Plan::default();
    plan.rules.connect = Some(connect);
    let mut office = Office::deciding(plan, store.clone(), Some(Arc::new(store)));
    let writing = office.unwritten.take().expect("just opened");
    office.tasks.spawn(writing);
    office
}

fn offer_of(message: ToAgent) -> Option<OfferId> {
    match message {
        ToAgent::Offer(offer) => Some(offer.offer_id),
        _ => None,
    }
}

impl TestClient {
    async fn chooses(&mut self, wanted: AgentState) {
        self.say(FromAgent::SetState { state: wanted, code: None }).await;
        self.comes_to(wanted).await;
    }

    async fn comes_to(&mut self, wanted: AgentState) {
        let told = |message| match message {
            ToAgent::State { state, .. } if state == wanted => Some(()),
            _ => None,
        };
        self.hears(told).await;
    }

    /// Accepts what is offered, and how that offer ended.
    async fn accepts(&mut self) -> OfferResult {
        let offer = self.hears(offer_of).await;
        self.say(FromAgent::Accept { offer_id: offer }).await;
        let ended = |message| match message {
            ToAgent::OfferEnded { offer_id, result } if offer_id == offer => Some(result),
            _ => None,
        };
        self.hears(ended).await
    }
}

/// The next news the call has of agents.
async fn news(commands: &mut mpsc::Receiver<CallCommand>) -> HandoffNews {
    loop {
        match commands.recv().await.expect("the desk runs") {
            CallCommand::Handoff { news: HandoffNews::Queued { .. }, .. } => {}
            CallCommand::Handoff { news, .. } => return news,
            _ => {}
        }
    }
}

#[tokio::test]
async fn of_two_servers_that_accept_at_once_one_has_the_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let (here, there) =
        tokio::join!(server(folder.path(), Duration::from_secs(600)), server(folder.path(), Duration::from_secs(600)),);
    let (mut ann, mut ben) = (here.client_of("ann").await, there.client_of("ben").await);
    ann.chooses(AgentState::Available).await;
    ben.chooses(AgentState::Available).await;
    for round in 0..ROUNDS {
        let handoff = HandoffId::generate();
        let (mut call, mut other_call) = tokio::join!(here.caller_called(handoff), there.caller_called(handoff));
        let results = tokio::join!(ann.accepts(), ben.accepts());
        let (winner, winning, office) = match results {
            (OfferResult::Accepted, OfferResult::Rescinded) => (&mut ann, &mut call, &here),
            (OfferResult::Rescinded, OfferResult::Accepted) => (&mut ben, &mut other_call, &there),
            other => panic!("round {round}: {other:?}"),
        };
        assert!(matches!(news(winning).await, HandoffNews::Accepted { .. }));
        office.desk.bridged(handoff).await;
        here.desk.close(handoff, HandoffOutcome::Bridged).await;
        there.desk.close(handoff, HandoffOutcome::Bridged).await;
        winner.comes_to(AgentState::WrapUp).await;
        winner
            .say(FromAgent::WrapUp { call_id: CallId::generate(), note: String::new(), disposition: String::new() })
            .await;
        winner.comes_to(AgentState::Available).await;
    }
    drop((ann, ben));
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_caller_nobody_connected_with_elsewhere_goes_first_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let office = server(folder.path(), Duration::from_secs(1)).await;
    let mut ann = office.client().await;
    ann.chooses(AgentState::Available).await;
    let handoff = HandoffId::generate();
    let faster = office.store.claim(handoff.0, 0, Uuid::from_u128(7)).await.expect("decided");
    assert_eq!(faster, Claim::Won(1));
    let mut call = office.caller_called(handoff).await;
    assert_eq!(ann.accepts().await, OfferResult::Rescinded);
    let why = office.desk.why(handoff).await.expect("known");
    assert!(why.starts_with("Taken by somebody at another server") || why.starts_with("Offered to ann"), "{why}");
    assert_eq!(news(&mut call).await, HandoffNews::Requeued);
    assert_eq!(ann.accepts().await, OfferResult::Accepted, "how often it was taken is known now");
    assert!(matches!(news(&mut call).await, HandoffNews::Accepted { .. }));
    drop(ann);
    office.close().await;
}

#[tokio::test]
async fn two_agents_of_one_server_are_decided_between_as_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open("sqlite:shared.db", folder.path()).await.expect("opens");
    let text = "[[routing.queues]]\nname = \"main\"\nparallel = 2\n";
    let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
    let mut office = Office::deciding(config.routing.plan(&config.handoff), store.clone(), Some(Arc::new(store)));
    let writing = office.unwritten.take().expect("just opened");
    office.tasks.spawn(writing);
    let (mut ann, mut ben) = (office.client_of("ann").await, office.client_of("ben").await);
    ann.chooses(AgentState::Available).await;
    ben.chooses(AgentState::Available).await;
    let (_, mut call) = office.caller().await;
    let mut results = <[_; 2]>::from(tokio::join!(ann.accepts(), ben.accepts()));
    results.sort_by_key(|result| *result != OfferResult::Accepted);
    assert_eq!(results, [OfferResult::Accepted, OfferResult::Rescinded]);
    assert!(matches!(news(&mut call).await, HandoffNews::Accepted { .. }));
    drop((ann, ben));
    office.close().await;
}

/// Records that are of no help.
enum Useless {
    Silent,
    Broken,
}

#[async_trait]
impl Claims for Useless {
    async fn claim(&self, _: Uuid, _: u32, _: Uuid) -> Result<Claim, StoreError> {
        match self {
            Self::Silent => std::future::pending().await,
            Self::Broken => Err(StoreError::Query(sqlx::Error::PoolTimedOut)),
        }
    }
}

#[tokio::test]
async fn records_that_do_not_answer_cost_no_caller() {
    for useless in [Useless::Silent, Useless::Broken] {
        let store = SqliteStore::in_memory().await.expect("opens");
        let office = Office::deciding(Plan::default(), store, Some(Arc::new(useless)));
        tokio::time::pause();
        let mut ann = office.client().await;
        ann.chooses(AgentState::Available).await;
        let (_, mut call) = office.caller().await;
        assert_eq!(ann.accepts().await, OfferResult::Accepted);
        assert!(matches!(news(&mut call).await, HandoffNews::Accepted { .. }));
        tokio::time::resume();
        drop(ann);
        office.close().await;
    }
}
