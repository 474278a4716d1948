//! The driver between a socket and a call that are both made up, on a clock that stands still unless told.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use futures::channel::mpsc as pipe;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};

use super::*;
use crate::audio::frame::AudioFrame;
use crate::audio::units::Millis;
use crate::call::CallId;
use crate::call::handle::CallHandle;
use crate::config::Config;
use crate::telemetry::{Pii, Secret};
use crate::telephony::protocol::{Digit, MarkId, Transfer};
use crate::telephony::providers::find;
use crate::web::tokens::TOKEN_LIFETIME;

mod departing;

/// Our end of a socket: what the peer sent, and a narrow pipe towards it.
struct Socket {
    incoming: pipe::Receiver<Result<Message, String>>,
    outgoing: pipe::Sender<Message>,
}

impl Stream for Socket {
    type Item = Result<Message, String>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Socket {
    type Error = String;
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.outgoing.poll_ready(cx).map_err(|error| error.to_string())
    }
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), String> {
        self.outgoing.start_send(message).map_err(|error| error.to_string())
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }
}

/// Opens calls that do nothing and keeps their legs for the test; or refuses.
#[derive(Default)]
struct Opener {
    refuse: Option<AdmitError>,
    opened: Mutex<VecDeque<(StreamStart, LegIo, CancellationToken)>>,
}

impl CallOpener for Opener {
    fn open(&self, _: &'static str, start: StreamStart, leg: LegIo) -> Result<CallHandle, AdmitError> {
        if let Some(error) = self.refuse {
            return Err(error);
        }
        let cancel = CancellationToken::new();
        self.opened.lock().expect("not poisoned").push_back((start, leg, cancel.clone()));
        Ok(CallHandle { id: CallId::generate(), cancel })
    }
}

/// The peer's end of the socket, and everything around the driver.
struct Peer {
    send: pipe::Sender<Result<Message, String>>,
    receive: pipe::Receiver<Message>,
    opener: Arc<Opener>,
    gate: Arc<Gate>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    metrics: PrometheusHandle,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

fn connect(provider: &str, refuse: Option<AdmitError>) -> Peer {
    connect_with(provider, refuse, gate(""))
}

fn gate(configuration: &str) -> Arc<Gate> {
    Arc::new(Gate::new(&Config::parse(configuration, std::iter::empty()).expect("valid")))
}

fn connect_with(provider: &str, refuse: Option<AdmitError>, gate: Arc<Gate>) -> Peer {
    connect_through(provider, refuse, gate, "", LetIn::ByToken)
}

/// `rest` follows the row's path in the handshake.
fn connect_through(provider: &str, refuse: Option<AdmitError>, gate: Arc<Gate>, rest: &str, let_in: LetIn) -> Peer {
    connect_moving(provider, refuse, gate, rest, let_in, None)
}

fn connect_moving(
    provider: &str,
    refuse: Option<AdmitError>,
    gate: Arc<Gate>,
    rest: &str,
    let_in: LetIn,
    mover: Option<Arc<dyn Mover>>,
) -> Peer {
    let spec = find(provider).expect("a provider of the table");
    let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
    let metrics = recorder.handle();
    let guard = metrics::set_default_local_recorder(recorder);
    let (send, incoming) = pipe::channel(1_000);
    let (outgoing, receive) = pipe::channel(4);
    let opener = Arc::new(Opener { refuse, ..Opener::default() });
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let state = MediaState::new(gate.clone(), opener.clone(), tracker.clone(), cancel.clone());
    let state = mover.into_iter().fold(state, MediaState::with_mover);
    let permit = state.waiting.clone().try_acquire_owned().expect("nobody else waits");
    let handshake = Handshake::to(spec.path, &format!("{}{rest}", spec.path));
    tracker.spawn(drive(spec, Socket { incoming, outgoing }, state, Door { handshake, let_in, permit }));
    tracker.close();
    Peer { send, receive, opener, gate, cancel, tracker, metrics, _recorder: guard }
}

impl Peer {
    fn say(&mut self, message: Value) {
        self.send_raw(Message::Text(message.to_string().into()));
    }

    fn send_raw(&mut self, message: Message) {
        self.send.try_send(Ok(message)).expect("room in the test's pipe");
    }

    fn token(&self, provider: &'static str, call: &str) -> Secret<String> {
        let from = Some(Pii::new("+15005550006".to_owned()));
        self.gate.tokens.issue(now(), StreamGrant { provider, provider_call_id: call.to_owned(), from, to: None })
    }

    fn start_twilio(&mut self, token: Option<&Secret<String>>) {
        let parameters = token.map_or(json!({}), |token| json!({"token": token.expose()}));
        self.say(json!({"event": "connected", "protocol": "Call"}));
        self.say(json!({"event": "start", "start": {
            "streamSid": "MZ1", "callSid": "CA1", "customParameters": parameters,
        }}));
    }

    fn media(&mut self, chunk: u32) {
        let payload = "/".repeat(212) + "/w==";
        let timestamp = chunk * 20;
        self.say(json!({"event": "media", "media": {"chunk": chunk, "timestamp": timestamp, "payload": payload}}));
    }

    /// An open Twilio call and its leg.
    async fn open() -> (Self, StreamStart, LegIo, CancellationToken) {
        let mut peer = connect("twilio", None);
        let token = peer.token("twilio", "CA1");
        peer.start_twilio(Some(&token));
        settle().await;
        let (start, leg, cancel) = peer.leg();
        (peer, start, leg, cancel)
    }

    fn leg(&self) -> (StreamStart, LegIo, CancellationToken) {
        self.opener.opened.lock().expect("not poisoned").pop_front().expect("a call was opened")
    }

    async fn hear(&mut self) -> Message {
        self.receive.next().await.expect("the socket is open")
    }

    async fn hear_json(&mut self) -> Value {
        let message = self.hear().await;
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    async fn close_code(&mut self) -> Option<u16> {
        while let Some(message) = self.receive.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code);
            }
        }
        None
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let series = format!("{name}{{{}}} ", labels.join(","));
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0, |value| value.parse().expect("a count"))
    }
}

/// Lets every task run as far as it can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_heard_answered_and_hung_up() {
    let (mut peer, start, mut leg, _) = Peer::open().await;
    assert_eq!((start.token, start.from), (None, Some(Pii::new("+15005550006".to_owned()))), "told by the webhook");
    for chunk in 1..=10 {
        peer.media(chunk);
    }
    peer.say(json!({"event": "dtmf", "dtmf": {"digit": "0"}}));
    for n in 1..=10 {
        let frame = leg.frames.recv().await.expect("a frame for each message");
        assert_eq!((frame.at, frame.rate, frame.pcm.len()), (Millis(20 * n), SampleRate::WIDEBAND, 320));
    }
    assert_eq!(leg.events.recv().await, Digit::new('0').map(MediaEvent::Dtmf));

    let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![1_000; 320]);
    leg.commands.send(MediaCommand::Audio(frame)).await.expect("the driver listens");
    leg.commands.send(MediaCommand::Mark(MarkId(7))).await.expect("the driver listens");
    let media = peer.hear_json().await;
    assert_eq!((&media["event"], &media["streamSid"]), (&json!("media"), &json!("MZ1")));
    assert_eq!(media["media"]["payload"].as_str().map(str::len), Some(216), "160 bytes in base64");
    assert_eq!(peer.hear_json().await["mark"]["name"], "7");
    peer.say(json!({"event": "mark", "mark": {"name": "7"}}));
    assert_eq!(leg.events.recv().await, Some(MediaEvent::MarkPlayed(MarkId(7))));

    leg.commands.send(MediaCommand::Hangup).await.expect("the driver listens");
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)));
    assert_eq!(leg.events.recv().await, None, "nothing follows");
    assert_eq!(peer.close_code().await, Some(1000));
    assert_eq!(peer.gate.outcomes.look_up("CA1"), StreamOutcome::Ended);
    drop(peer.send);
    peer.tracker.wait().await;
}

#[tokio::test(start_paused = true)]
async fn streams_without_a_good_token_are_turned_away() {
    for reason in ["token_missing", "token_unknown", "token_expired", "token_mismatch"] {
        let mut peer = connect("twilio", None);
        let token = match reason {
            "token_missing" => None,
            "token_unknown" => Some(Secret::new("guessed".to_owned())),
            "token_expired" => {
                let token = peer.token("twilio", "CA1");
                tokio::time::advance(TOKEN_LIFETIME).await;
                let gate = peer.gate.clone();
                drop(peer); // its recorder steps back before the next one steps in
                peer = connect_with("twilio", None, gate);
                Some(token)
            }
            _ => Some(peer.token("twilio", "CA2")),
        };
        peer.start_twilio(token.as_ref());
        assert_eq!(peer.close_code().await, Some(1008), "{reason}");
        assert!(peer.opener.opened.lock().expect("not poisoned").is_empty());
        assert_eq!(peer.count("warmline_calls_refused_total", &[("provider", "twilio"), ("reason", reason)]), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_lets_in_one_stream() {
    let (peer, ..) = Peer::open().await;
    let token = peer.token("twilio", "CA1");
    let mut second = connect_with("twilio", None, peer.gate.clone());
    second.start_twilio(Some(&token));
    settle().await;
    second.leg();
    let mut third = connect_with("twilio", None, peer.gate.clone());
    third.start_twilio(Some(&token));
    assert_eq!(third.close_code().await, Some(1008));
}

#[tokio::test(start_paused = true)]
async fn a_full_house_closes_as_busy_and_remembers_for_the_webhook() {
    let mut peer = connect("twilio", Some(AdmitError::Busy));
    let token = peer.token("twilio", "CA1");
    peer.start_twilio(Some(&token));
    assert_eq!(peer.close_code().await, Some(1013));
    assert_eq!(peer.gate.outcomes.look_up("CA1"), StreamOutcome::Busy);
    assert_eq!(peer.count("warmline_calls_refused_total", &[("provider", "twilio"), ("reason", "busy")]), 1);

    let mut tab = connect("browser", Some(AdmitError::Draining));
    let token = tab.token("browser", "tab-1");
    tab.say(json!({"type": "start", "rate": 16_000, "version": 1, "token": token.expose()}));
    assert_eq!(tab.hear_json().await, json!({"type": "ended", "reason": "busy"}), "and no `started` before it");
    assert_eq!(tab.close_code().await, Some(1013));
}

#[tokio::test(start_paused = true)]
async fn a_tab_is_a_caller_too() {
    let mut tab = connect("browser", None);
    let token = tab.token("browser", "tab-1");
    tab.say(json!({"type": "start", "rate": 16_000, "version": 1, "token": token.expose()}));
    assert_eq!(tab.hear_json().await["type"], "started");
    let (start, mut leg, _) = tab.leg();
    assert_eq!((start.provider_call_id.as_str(), start.stream_id.as_str()), ("tab-1", "tab-1"));
    tab.send_raw(Message::Binary(vec![1; 200].into()));
    tab.send_raw(Message::Binary(vec![1; 540].into()));
    let frame = leg.frames.recv().await.expect("740 bytes hold one frame of 640");
    assert_eq!((frame.at, frame.pcm.len(), frame.pcm[0]), (Millis(0), 320, 257));
    let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![1; 320]);
    leg.commands.send(MediaCommand::Audio(frame)).await.expect("the driver listens");
    assert_eq!(tab.hear().await, Message::Binary([1, 0].repeat(320).into()));
    tab.say(json!({"type": "stop"}));
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Provider)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_listen_loses_audio_but_no_key() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    for chunk in 1..=60 {
        peer.media(chunk);
    }
    peer.say(json!({"event": "dtmf", "dtmf": {"digit": "0"}}));
    assert_eq!(leg.events.recv().await, Digit::new('0').map(MediaEvent::Dtmf));
    assert_eq!(peer.count("warmline_frames_dropped_total", &[("leg", "caller"), ("reason", "full")]), 40);
    let mut places = Vec::new();
    while let Ok(frame) = leg.frames.try_recv() {
        places.push(frame.at.0);
    }
    assert_eq!(places, (1..=20).map(|n| n * 20).collect::<Vec<_>>(), "the newest are dropped");
    peer.media(61);
    assert_eq!(leg.frames.recv().await.map(|frame| frame.at), Some(Millis(61 * 20)), "and the gap is visible");
}

#[tokio::test(start_paused = true)]
async fn lost_audio_is_a_gap_in_the_frames() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    for chunk in [1, 2, 6] {
        peer.media(chunk);
    }
    let places: Vec<_> = [leg.frames.recv().await, leg.frames.recv().await, leg.frames.recv().await]
        .into_iter()
        .map(|frame| frame.expect("three frames").at)
        .collect();
    assert_eq!(places, [Millis(20), Millis(40), Millis(120)]);
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Gap(3)));
    assert_eq!(peer.count("warmline_frames_dropped_total", &[("leg", "caller"), ("reason", "gap")]), 3);
}

#[tokio::test(start_paused = true)]
async fn bad_messages_are_counted_and_end_nothing() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    for _ in 0..500 {
        peer.send_raw(Message::Text("{".into()));
    }
    peer.send_raw(Message::Binary(vec![0; 7].into()));
    peer.media(1);
    assert!(leg.frames.recv().await.is_some());
    let skipped = |reason| [("provider", "twilio"), ("reason", reason)];
    assert_eq!(peer.count("warmline_messages_skipped_total", &skipped("malformed")), 500);
    assert_eq!(peer.count("warmline_messages_skipped_total", &skipped("kind")), 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_given_up_while_reading_goes_on() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    let began = now();
    let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![0; 320]);
    // Four fit the pipe, then the outbox fills and commands wait: the actor feels it as a full channel.
    while leg.commands.try_send(MediaCommand::Audio(frame.clone())).is_ok() {
        settle().await;
    }
    peer.media(1);
    assert!(leg.frames.recv().await.is_some(), "the caller is still heard");
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::SocketLost)));
    assert_eq!(now() - began, WRITE_PATIENCE);
    assert_eq!(peer.gate.outcomes.look_up("CA1"), StreamOutcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_slow_socket_is_not_a_lost_one() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    let frame = AudioFrame::new(Millis(0), SampleRate::WIDEBAND, vec![0; 320]);
    for chunk in 1..=30 {
        while leg.commands.try_send(MediaCommand::Audio(frame.clone())).is_ok() {
            settle().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.media(chunk);
        peer.hear().await;
    }
    while let Ok(event) = leg.events.try_recv() {
        assert!(matches!(event, MediaEvent::Gap(_)), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_then_lost() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    let began = now();
    assert_eq!(peer.hear().await, Message::Ping(Vec::new().into()));
    assert_eq!(now() - began, PING_AFTER);
    peer.send_raw(Message::Pong(Vec::new().into()));
    assert_eq!(peer.hear().await, Message::Ping(Vec::new().into()));
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::SocketLost)));
    assert_eq!(now() - began, PING_AFTER + LOST_AFTER);
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_a_start_is_closed() {
    let began = now();
    let mut peer = connect("twilio", None);
    assert_eq!(peer.close_code().await, Some(1008));
    assert_eq!(now() - began, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_dies_hangs_up_and_counts_as_failed() {
    let (mut peer, _, leg, _) = Peer::open().await;
    drop(leg);
    assert_eq!(peer.close_code().await, Some(1000));
    assert_eq!(
        peer.gate.outcomes.look_up("CA1"),
        StreamOutcome::Failed,
        "the caller still on the line hears an apology"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_no_events_is_ended() {
    let (mut peer, _, leg, cancel) = Peer::open().await;
    for _ in 0..=LEG_EVENTS {
        peer.say(json!({"event": "dtmf", "dtmf": {"digit": "0"}}));
    }
    cancel.cancelled().await;
    assert_eq!(peer.close_code().await, Some(1000));
    assert_eq!(peer.gate.outcomes.look_up("CA1"), StreamOutcome::Failed);
    drop(leg);
}

#[tokio::test(start_paused = true)]
async fn cancelling_hangs_up_everybody() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    peer.cancel.cancel();
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)));
    assert_eq!(peer.close_code().await, Some(1000));
    let mut waiting = connect("twilio", None);
    waiting.cancel.cancel();
    assert_eq!(waiting.close_code().await, Some(1013));
}

#[tokio::test(start_paused = true)]
async fn a_broken_socket_ends_the_call_once() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    peer.send.try_send(Err("reset by peer".to_owned())).expect("room in the test's pipe");
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::SocketLost)));
    assert_eq!(leg.events.recv().await, None);
    peer.tracker.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_may_come_with_the_handshake() {
    for place in ["/", "?token="] {
        let gate = gate("");
        let grant = StreamGrant { provider: "twilio", provider_call_id: "CA1".to_owned(), from: None, to: None };
        let token = gate.tokens.issue(now(), grant);
        let rest = format!("{place}{}", token.expose());
        let mut peer = connect_through("twilio", None, gate, &rest, LetIn::ByToken);
        peer.start_twilio(None);
        settle().await;
        peer.leg();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_proved_itself_needs_no_token_but_may_not_bring_a_bad_one() {
    let gate = gate("[server]\ncalls_per_minute_per_caller = 2");
    let connect = |rest| {
        let mut peer = connect_through("twilio", None, gate.clone(), rest, LetIn::ByHandshake);
        let parameters = json!({"from": "+15005550006"});
        peer.say(json!({"event": "start", "start": {
            "streamSid": "MZ1", "callSid": "CA1", "customParameters": parameters,
        }}));
        peer
    };
    let peer = connect("/some/bot");
    settle().await;
    let (start, ..) = peer.leg();
    assert_eq!(start.provider_call_id, "CA1", "as the stream names it");
    drop(peer);
    let mut peer = connect("?token=guessed");
    assert_eq!(peer.close_code().await, Some(1008));
    drop(peer);
    let peer = connect("");
    settle().await;
    peer.leg();
    drop(peer);
    let mut peer = connect("");
    assert_eq!(peer.close_code().await, Some(1013), "one caller, three calls within a minute");
}

#[tokio::test(start_paused = true)]
async fn a_transfer_is_remembered_for_the_webhook_before_the_stream_ends() {
    let (mut peer, _, mut leg, _) = Peer::open().await;
    let transfer = Transfer { target: Pii::new("+15005550123".to_owned()), ..Transfer::default() };
    leg.commands.send(MediaCommand::Transfer(transfer.clone())).await.expect("the driver listens");
    assert_eq!(leg.events.recv().await, Some(MediaEvent::Stopped(StopReason::Hangup)));
    assert_eq!(peer.close_code().await, Some(1000));
    assert_eq!(peer.gate.outcomes.look_up("CA1"), StreamOutcome::Transfer(transfer));
}

#[tokio::test]
async fn refusals_come_before_the_socket() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let gate = gate("");
    let spec = find("twilio").expect("a row");
    for (refusal, status) in [
        (Refusal::Missing, StatusCode::UNAUTHORIZED),
        (Refusal::Wrong("credentials"), StatusCode::FORBIDDEN),
        (Refusal::Unconfigured("x.password"), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(refuse(spec, &gate, refusal).status(), status);
        let line = format!("warmline_calls_refused_total{{provider=\"twilio\",reason=\"{}\"}} 1", refusal.label());
        assert!(recorder.handle().render().contains(&line));
    }
    assert!(!gate.first_warning("x.password"), "said already");
}
