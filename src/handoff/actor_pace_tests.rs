//! The desk by a clock of its own: what is told how often, whose line is dead, and what is answered by itself.

use super::*;
use crate::audio::units::{Millis, SampleRate};
use crate::call::hold;
use crate::handoff::actor::queue_news::EVERY;
use crate::handoff::wire::{Offer, OfferResult};

fn offered(message: ToAgent) -> Option<Box<Offer>> {
    match message {
        ToAgent::Offer(offer) => Some(offer),
        _ => None,
    }
}

fn state(message: ToAgent) -> Option<AgentState> {
    match message {
        ToAgent::State { state, .. } => Some(state),
        _ => None,
    }
}

impl TestClient {
    async fn available(&mut self) {
        self.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
        while self.hears(state).await != AgentState::Available {}
        // Later is later, also by a clock that stands.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// What has arrived.
    fn arrived(&mut self) -> Vec<ToAgent> {
        let out = std::iter::from_fn(|| self.inbox.try_recv().ok());
        let message = |out| match out {
            AgentOut::Message(message) => Some(message),
            _ => None,
        };
        out.filter_map(message).collect()
    }
}

#[tokio::test]
async fn a_rush_of_callers_is_a_handful_of_messages_and_the_last_is_true() {
    let office = Office::paused(Plan::default()).await;
    let (mut ann, mut ben) = (office.client_of("ann").await, office.client_of("ben").await);
    let began = Instant::now();
    let mut callers = Vec::new();
    for n in 1..=1_000u32 {
        callers.push(office.caller().await);
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let waiting = |message| match message {
        ToAgent::Queue { waiting, .. } => Some(waiting),
        _ => None,
    };
    for agent in [&mut ann, &mut ben] {
        let mut told = Vec::new();
        while told.last() != Some(&1_000) {
            told.push(agent.hears(waiting).await);
        }
        let most = 2 + (Instant::now() - began).as_millis() / EVERY.as_millis();
        assert!(told.len() as u128 <= most, "{told:?}");
        assert!(told.is_sorted(), "{told:?}");
    }
    for (handoff, _) in &callers {
        office.desk.close(*handoff, HandoffOutcome::CallerHungUp).await;
    }
    while ann.hears(waiting).await != 0 {}
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ann.arrived().len(), 0, "nothing is told twice");
    let mut cid = office.client_of("cid").await;
    assert_eq!(cid.hears(waiting).await, 0, "whoever comes is told how it is");
    assert_eq!(ann.arrived().len(), 0, "and nobody else");
    drop((ann, ben, cid, callers));
    office.close().await;
}

#[tokio::test]
async fn an_offer_on_a_dead_line_is_taken_back_and_is_no_miss() {
    let office = Office::paused(Plan::default()).await;
    let (mut ann, mut ben) = (office.client_of("ann").await, office.client_of("ben").await);
    ann.available().await;
    ben.available().await;
    let (first, _commands) = office.caller().await;
    assert_eq!(ann.hears(offered).await.handoff_id, first, "the longest idle");
    // Her line is dead: nothing comes from her any more, not even a ping.
    tokio::time::sleep(Duration::from_secs(10)).await;
    ben.say(FromAgent::Ping { n: 1 }).await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert!(office.desk.why(first).await.expect("known").starts_with("Offered to ann"), "until the offer runs out");
    assert_eq!(ben.hears(offered).await.handoff_id, first, "then the next one is asked");
    let heard = ann.arrived();
    assert!(ann.inbox.is_closed(), "the dead connection is given up");
    let missed = |one: &ToAgent| {
        matches!(
            one,
            ToAgent::OfferEnded { result: OfferResult::Timeout, .. } | ToAgent::State { state: AgentState::Missed, .. }
        )
    };
    assert!(!heard.iter().any(missed), "{heard:?}");
    // Back within the grace, she is who she was.
    let mut again = office.client_of("ann").await;
    assert_eq!(again.hears(state).await, AgentState::Available);
    // Ben is there and lets it ring.
    tokio::time::sleep(Duration::from_secs(15)).await;
    ben.say(FromAgent::Ping { n: 2 }).await;
    while ben.hears(state).await != AgentState::Missed {}
    drop((ann, again, ben));
    office.close().await;
}

#[tokio::test]
async fn nobody_stays_available_as_a_ghost() {
    let office = Office::paused(Plan::default()).await;
    let mut ann = office.client().await;
    ann.available().await;
    office.desk.disconnect(ann.agent.clone(), ann.session).await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(office.desk.census().await.agents["available"], 1, "within the grace");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(office.desk.census().await.agents.is_empty(), "signed out");
    drop(ann);
    office.close().await;
}

#[tokio::test]
async fn an_offer_says_the_language_and_what_a_caller_usually_takes() {
    let office = Office::paused(Plan::default()).await;
    let mut ann = office.client().await;
    ann.available().await;
    let (handoff, _first) = office.caller().await;
    let offer = ann.hears(offered).await;
    assert_eq!((offer.language.as_deref(), offer.expected_ms), (Some("en"), None), "nobody was served yet");
    ann.say(FromAgent::Accept { offer_id: offer.offer_id }).await;
    office.desk.bridged(handoff).await;
    while ann.hears(state).await != AgentState::OnContact {}
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        ann.say(FromAgent::Ping { n: 1 }).await;
    }
    office.desk.close(handoff, HandoffOutcome::Bridged).await;
    while ann.hears(state).await != AgentState::WrapUp {}
    tokio::time::sleep(Duration::from_secs(10)).await;
    let wrap_up = FromAgent::WrapUp { call_id: offer.call_id, note: String::new(), disposition: "sold".to_owned() };
    ann.say(wrap_up).await;
    while ann.hears(state).await != AgentState::Available {}
    let (_, _second) = office.caller().await;
    let usual = ann.hears(offered).await.expected_ms.expect("one was served");
    assert!((100_000..101_000).contains(&usual), "90 s of talk and 10 s of work afterwards, not {usual} ms");
    drop(ann);
    office.close().await;
}

fn answering() -> Plan {
    let text = "[[routing.queues]]\nname = \"main\"\nauto_answer_s = 3\n";
    let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
    config.routing.plan(&config.handoff)
}

#[tokio::test]
async fn an_offer_answers_itself_after_a_beep() {
    let office = Office::paused(answering()).await;
    let mut ann = office.client().await;
    let allowed = |message| match message {
        ToAgent::Hello { auto_answer, .. } => Some(auto_answer),
        _ => None,
    };
    assert!(ann.hears(allowed).await, "the page may show the switch");
    ann.say(FromAgent::AutoAnswer { on: true }).await;
    let confirmed = |message| match message {
        ToAgent::AutoAnswer { on } => Some(on),
        _ => None,
    };
    assert!(ann.hears(confirmed).await);
    ann.available().await;
    let (handoff, mut commands) = office.caller().await;
    let answers = ann.hears(offered).await.answers_in_ms;
    assert!(answers.is_some_and(|ms| (2_990..=3_000).contains(&ms)), "{answers:?}");
    tokio::time::sleep(Duration::from_millis(1)).await;
    ann.say(FromAgent::Ping { n: 1 }).await;
    let leg = async {
        let mut now = None;
        loop {
            match ann.inbox.recv().await.expect("connected") {
                AgentOut::Leg { from_caller, .. } => return (now, from_caller),
                AgentOut::Message(message) => now = state(message).or(now),
                _ => {}
            }
        }
    };
    let (now, mut leg) = tokio::time::timeout(Duration::from_secs(10), leg).await.expect("joined by itself");
    assert_eq!(now, Some(AgentState::OnContact));
    let frames: Vec<_> = std::iter::from_fn(|| leg.try_recv().ok()).collect();
    let frame = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
    assert_eq!(frames.len(), hold::beep().len().div_ceil(frame), "the whole beep, before the caller's voice");
    assert!(frames.iter().all(|one| one.pcm.len() == frame));
    let announced = async {
        loop {
            if let CallCommand::Handoff { news: HandoffNews::Accepted { name, .. }, .. } =
                commands.recv().await.expect("open")
            {
                return name;
            }
        }
    };
    assert_eq!(announced.await, "ann", "the assistant says who comes");
    office.desk.close(handoff, HandoffOutcome::CallerHungUp).await;
    drop(ann);
    office.close().await;
}

#[tokio::test]
async fn whoever_says_nothing_is_not_answered_for() {
    let office = Office::paused(answering()).await;
    let mut ann = office.client().await;
    ann.say(FromAgent::AutoAnswer { on: true }).await;
    ann.available().await;
    let (handoff, _commands) = office.caller().await;
    let offer_id = ann.hears(offered).await.offer_id;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(office.desk.why(handoff).await.expect("known").starts_with("Offered to ann"), "it rings on");
    ann.say(FromAgent::Accept { offer_id }).await;
    while ann.hears(state).await != AgentState::OnContact {}
    drop(ann);
    office.close().await;
}
