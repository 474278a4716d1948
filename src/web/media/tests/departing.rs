//! A caller who goes to somebody else by the provider's API, or by closing the stream where that fails.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::super::departing::PARTING_PATIENCE;
use super::*;
use crate::web::moving::Departing;

/// An API that answers when it is told to.
struct Api {
    asked: Mutex<Vec<Departing>>,
    answer: Mutex<Option<oneshot::Receiver<Moved>>>,
    stayed: Mutex<Vec<String>>,
}

#[async_trait]
impl Mover for Api {
    fn can_move(&self, provider: &'static str) -> bool {
        provider == "twilio"
    }

    async fn move_call(&self, caller: &Departing) -> Moved {
        self.asked.lock().expect("not poisoned").push(caller.clone());
        let answer = self.answer.lock().expect("not poisoned").take().expect("asked once");
        answer.await.expect("the test answers")
    }

    fn stayed(&self, provider: &'static str, call_id: &str) {
        assert_eq!(provider, "twilio");
        self.stayed.lock().expect("not poisoned").push(call_id.to_owned());
    }
}

/// A Twilio call whose caller has been told to go.
struct Leaving {
    peer: Peer,
    leg: LegIo,
    api: Arc<Api>,
    answer: oneshot::Sender<Moved>,
}

async fn leaving() -> Leaving {
    let (answer, awaited) = oneshot::channel();
    let api = Arc::new(Api { asked: Mutex::default(), answer: Mutex::new(Some(awaited)), stayed: Mutex::default() });
    let mut peer = connect_moving("twilio", None, gate(""), "", LetIn::ByToken, Some(api.clone()));
    let to = Some(Pii::new("+15005550001".to_owned()));
    let grant = StreamGrant { provider: "twilio", provider_call_id: "CA1".to_owned(), from: None, to };
    let token = peer.gate.tokens.issue(now(), grant);
    peer.say(json!({"event": "connected", "protocol": "Call"}));
    let parameters = json!({"token": token.expose(), "account": "acc-1"});
    peer.say(json!({"event": "start", "start": {
        "streamSid": "MZ1", "callSid": "CA1", "customParameters": parameters,
    }}));
    settle().await;
    let (_, leg, _) = peer.leg();
    let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
    leg.commands.send(MediaCommand::Transfer(transfer)).await.expect("the driver listens");
    settle().await;
    Leaving { peer, leg, api, answer }
}

/// What is noted about the caller's way.
fn noted(peer: &Peer, what: &str) -> bool {
    match peer.gate.outcomes.known("CA1") {
        Some(StreamOutcome::Transfer(transfer)) => transfer.variables.contains_key(what),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_whom_the_api_has_is_given_away_and_what_was_noted_meanwhile_stays() {
    let Leaving { mut peer, mut leg, api, answer } = leaving().await;
    let asked = api.asked.lock().expect("not poisoned").pop().expect("asked");
    assert_eq!((asked.provider, asked.call_id.as_str(), asked.number.as_str()), ("twilio", "CA1", "+15005550001"));
    assert_eq!((asked.transfer.target.reveal().as_str(), asked.account.as_str()), ("+15005550123", "acc-1"));
    // The provider may ask before it answers us, and the caller is still heard.
    peer.media(1);
    assert!(leg.frames.recv().await.is_some());
    peer.gate.outcomes.note("CA1", "asked", "true");
    answer.send(Moved::Yes).expect("awaited");
    settle().await;
    peer.say(json!({"event": "stop"}));
    let told = leg.events.recv().await;
    assert_eq!(told, Some(MediaEvent::Stopped(StopReason::Hangup)), "we gave the caller away");
    assert!(noted(&peer, "asked"), "what the person was asked is not forgotten");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_the_provider_makes_up_its_mind_is_heard_until_the_stream_is_over() {
    let Leaving { mut peer, leg, answer, .. } = leaving().await;
    let say = async || {
        let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![1_000; 320]);
        leg.commands.send(MediaCommand::Audio(frame)).await.expect("the driver listens");
    };
    say().await;
    assert_eq!(peer.hear_json().await["event"], "media", "nobody has the caller yet");
    answer.send(Moved::Yes).expect("awaited");
    settle().await;
    say().await;
    assert_eq!(peer.hear_json().await["event"], "media", "nor until the provider ends the stream");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_provider_leaves_open_is_closed_by_us() {
    let Leaving { mut peer, mut leg, answer, .. } = leaving().await;
    answer.send(Moved::Yes).expect("awaited");
    settle().await;
    assert!(leg.events.try_recv().is_err(), "the provider has time");
    tokio::time::advance(PARTING_PATIENCE).await;
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)));
    assert_eq!(peer.close_code().await, Some(1000));
}

#[tokio::test(start_paused = true)]
async fn whom_the_api_does_not_move_goes_by_the_closed_stream() {
    for moved in [Moved::No, Moved::Gone] {
        let Leaving { mut peer, mut leg, answer, .. } = leaving().await;
        answer.send(moved).expect("awaited");
        assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)), "{moved:?}");
        assert_eq!(peer.close_code().await, Some(1000), "{moved:?}");
        assert!(!noted(&peer, "asked"), "the provider asks what comes next, and finds the transfer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_on_the_way_is_a_caller_who_left_only_if_the_api_says_so() {
    for (moved, reason) in
        [(Moved::Gone, StopReason::Provider), (Moved::No, StopReason::Hangup), (Moved::Yes, StopReason::Hangup)]
    {
        let Leaving { mut peer, mut leg, answer, .. } = leaving().await;
        peer.say(json!({"event": "stop"}));
        settle().await;
        assert!(leg.events.try_recv().is_err(), "{moved:?}: nobody knows yet");
        answer.send(moved).expect("awaited");
        assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(reason)), "{moved:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_socket_on_the_way_is_no_lost_caller() {
    let Leaving { peer, mut leg, answer, .. } = leaving().await;
    answer.send(Moved::Yes).expect("awaited");
    settle().await;
    drop(peer.send);
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)));
}

#[tokio::test(start_paused = true)]
async fn who_stayed_is_with_us_on_the_same_stream() {
    let Leaving { mut peer, mut leg, api, answer } = leaving().await;
    answer.send(Moved::Stayed).expect("awaited");
    settle().await;
    assert_eq!(*api.stayed.lock().expect("not poisoned"), ["CA1"], "their call is told");
    assert_eq!(peer.gate.outcomes.known("CA1"), None, "nobody is given away any more");
    tokio::time::advance(2 * PARTING_PATIENCE).await;
    settle().await;
    assert!(leg.events.try_recv().is_err(), "the stream goes on");
    let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![1_000; 320]);
    leg.commands.send(MediaCommand::Audio(frame)).await.expect("the driver listens");
    assert_eq!(peer.hear_json().await["event"], "media");
    peer.media(1);
    assert!(leg.frames.recv().await.is_some(), "both ways");
    peer.say(json!({"event": "stop"}));
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Provider)), "and ends as any other");
    assert_eq!(peer.gate.outcomes.known("CA1"), Some(StreamOutcome::Ended));
}
