//! Calls over real sockets: the player of `warmline call` on one side, webhooks and media driver on the other.

use std::time::Duration;

use futures::future::join_all;
use warmline::audio::units::{Millis, SampleRate};
use warmline::audio::wav;
use warmline::cli::call::CallError;
use warmline::cli::call::dialect::variants;
use warmline::cli::call::network::Conditions;
use warmline::cli::call::player::{CallPlayer, Dial, Event, Reply, TimedEvent};
use warmline::engine::llm::openai::install_crypto;
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;
use warmline::telephony::providers::{PROVIDERS, ProviderSpec};

use crate::support::front_desk::{PATIENCE, until};
use crate::support::house::{HANGOVER, House, TONE, Tones, secret_of};
use crate::support::tones::voiced_ms;

const PAUSE: Duration = Duration::from_millis(1_000);
/// A greeting that goes on until somebody speaks over it.
const ENDLESS: Tones = Tones { greeting: Millis(60_000), answer: TONE };

fn dial(house: &House, provider: &str) -> Dial {
    let auth_token = Secret::new(secret_of(provider).to_owned());
    Dial { auth_token, patience: PATIENCE, ..Dial::new(house.base.as_str(), provider) }
}

/// An answer comes after the hangover; a player that was held up while it spoke counts from later than the server does.
const FASTEST: u64 = HANGOVER.as_millis() as u64 / 2;

/// The reply to what was said last, which is one tone. Where the machine stalls there are holes in it.
async fn hears_a_tone(player: &mut CallPlayer, since: usize) -> Reply {
    let heard = |player: &CallPlayer| voiced_ms(&player.captured_audio().reply[since..]);
    until("a tone is heard", async || heard(player) >= u64::from(TONE.0) - 20).await;
    let reply = player.wait_reply_end(PAUSE, PATIENCE).await.expect("a reply");
    assert!(reply.finished && heard(player) < 2 * u64::from(TONE.0), "{} ms, {reply:?}", heard(player));
    reply
}

/// The caller says this much, and hears the answer.
async fn asks(player: &mut CallPlayer, millis: usize) -> Reply {
    let since = player.captured_audio().reply.len();
    player.play("question", &voice(millis)).await.expect("heard");
    let reply = hears_a_tone(player, since).await;
    assert!(reply.response_ms >= FASTEST, "{reply:?}");
    reply
}

/// Something a voice activity detector by loudness takes for speech, at 16 kHz.
fn voice(millis: usize) -> Vec<i16> {
    (0..16 * millis).map(|n| (5_000.0 * (n as f64 * std::f64::consts::TAU / 53.0).sin()) as i16).collect()
}

/// Every provider, in every form its dialect has.
fn forms() -> impl Iterator<Item = (&'static ProviderSpec, Option<&'static str>)> {
    PROVIDERS.iter().flat_map(|spec| {
        let forms: Vec<_> = variants(spec.name).iter().copied().map(Some).collect();
        let forms = if forms.is_empty() { vec![None] } else { forms };
        forms.into_iter().map(move |form| (spec, form))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_played_heard_and_measured_through_each_provider() {
    join_all(forms().map(|(spec, variant)| hold_a_conversation(spec, variant))).await;
}

async fn hold_a_conversation(spec: &ProviderSpec, variant: Option<&str>) {
    let provider = spec.name;
    let house = House::open(4).await;
    let dial = Dial { variant: variant.map(str::to_owned), ..dial(&house, provider) };
    let mut player = CallPlayer::connect(&dial).await.expect("connected");
    hears_a_tone(&mut player, 0).await;
    for _ in 0..2 {
        asks(&mut player, 500).await;
    }
    // Asterisk before 20.18 has none, whatever the row says.
    let marks = if spec.marks && variant != Some("plain-20.16") { 3 } else { 0 };
    let returned = |events: &[TimedEvent]| {
        events.iter().filter(|timed| matches!(timed.event, Event::MarkReturned { cleared: false, .. })).count()
    };
    until("all marks are back", async || returned(&player.events(0)) >= marks).await;
    player.dtmf(Digit::new('9').expect("a key")).await.expect("pressed");
    let end = player.wait_end(PATIENCE).await.expect("the server hangs up");
    let Event::Ended { by, code, reason } = end.event else { panic!("{end:?}") };
    assert_eq!((by, code), ("server", Some(1000)), "{provider}");
    assert_eq!(reason, if provider == "browser" { "hangup" } else { "" }, "nothing to apologise for");
    let (events, captured) = player.hangup().await;
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|timed| wanted(&timed.event)).count();
    assert_eq!(returned(&events), marks, "{provider} {variant:?}");
    assert_eq!(count(|event| matches!(event, Event::Responded { .. })), 3);
    assert_eq!(count(|event| matches!(event, Event::Misunderstood { .. })), 0, "{provider}: {events:?}");
    assert_eq!(count(|event| matches!(event, Event::Caption { .. })), usize::from(provider == "browser"));
    assert_eq!(captured.caller.len(), captured.reply.len());
    let (heard, spoken) = (voiced_ms(&captured.reply), voiced_ms(&captured.caller));
    assert!(heard >= 3 * (u64::from(TONE.0) - 20) && spoken >= 2 * 480, "{provider}: {heard} ms, {spoken} ms");
    house.close().await;
}

#[tokio::test]
async fn callers_are_put_through_in_the_dialects_own_way() {
    let ways = [
        ("audiohook", secret_of("audiohook"), "+15005550123"),
        ("jambonz", secret_of("jambonz"), "+15005550123"),
        // Over the application websocket.
        ("jambonz", "desk:secret", "+15005550123"),
        ("audiocodes", secret_of("audiocodes"), "tel:+15005550123"),
    ];
    for (provider, secret, target) in ways {
        let house = House::open(4).await;
        let dial = Dial { auth_token: Secret::new(secret.to_owned()), ..dial(&house, provider) };
        let mut player = CallPlayer::connect(&dial).await.expect("connected");
        player.wait_reply_end(PAUSE, PATIENCE).await.expect("a greeting");
        player.dtmf(Digit::new('8').expect("a key")).await.expect("pressed");
        let end = player.wait_end(PATIENCE).await.expect("put through");
        let Event::Ended { by, reason, .. } = &end.event else { panic!("{end:?}") };
        assert_eq!((*by, reason.as_str()), ("server", format!("put through to {target}").as_str()), "{provider}");
        house.close().await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_let_go_in_every_dialect() {
    for spec in PROVIDERS {
        let house = House::open(1).await;
        let mut player = CallPlayer::connect(&dial(&house, spec.name)).await.expect("connected");
        player.wait_reply_start(PATIENCE).await.expect("a greeting");
        let (events, _) = player.hangup().await;
        let ended = events.last().map(|timed| &timed.event);
        assert!(matches!(ended, Some(Event::Ended { by: "caller", .. })), "{}: {ended:?}", spec.name);
        assert!(!events.iter().any(|timed| matches!(timed.event, Event::Misunderstood { .. })), "{events:?}");
        house.close().await;
    }
}

#[tokio::test]
async fn speaking_over_the_reply_silences_it_in_the_newer_dialects_too() {
    for provider in ["audiohook", "jambonz", "audiocodes"] {
        let house = House::open_with(4, ENDLESS).await;
        let mut player = CallPlayer::connect(&dial(&house, provider)).await.expect("connected");
        player.wait_reply_start(PATIENCE).await.expect("a greeting");
        player.begin("interruption", &voice(400)).await.expect("heard");
        player.wait_event(0, PATIENCE, |event| *event == Event::Cleared).await.expect("a clear");
        player.wait_reply_end(PAUSE, PATIENCE).await.expect("an answer to the interruption");
        let (events, _) = player.hangup().await;
        assert!(
            !events.iter().any(|timed| matches!(timed.event, Event::Misunderstood { .. })),
            "{provider} {events:?}"
        );
        house.close().await;
    }
}

#[tokio::test]
async fn speaking_over_the_reply_silences_it_at_once() {
    let house = House::open_with(4, ENDLESS).await;
    let mut player = CallPlayer::connect(&dial(&house, "twilio")).await.expect("connected");
    player.wait_reply_start(PATIENCE).await.expect("a greeting");
    player.begin("interruption", &voice(400)).await.expect("heard");
    let cleared = player.wait_event(0, PATIENCE, |event| *event == Event::Cleared).await.expect("a clear");
    let spoke = player.wait_event(0, PATIENCE, |event| matches!(event, Event::CallerStarted { .. })).await;
    assert!(cleared.at_ms >= spoke.expect("spoken").at_ms, "by what the caller said");
    let reply = player.wait_reply_end(PAUSE, PATIENCE).await.expect("an answer to the interruption");
    assert!(reply.response_ms >= FASTEST, "the rest of the greeting is no answer: {reply:?}");
    player.hangup().await;
    house.close().await;
}

#[tokio::test]
async fn a_bad_network_is_heard_through() {
    let house = House::open(4).await;
    for provider in ["telnyx", "plivo"] {
        let conditions = Conditions { loss: 0.05, jitter: Duration::from_millis(60) };
        let dial = Dial { conditions, ..dial(&house, provider) };
        let mut player = CallPlayer::connect(&dial).await.expect("connected");
        player.wait_reply_end(PAUSE, PATIENCE).await.expect("a greeting");
        asks(&mut player, 600).await;
        player.hangup().await;
    }
    house.close().await;
}

#[tokio::test]
async fn callers_beyond_the_cap_are_told_and_calls_in_progress_go_on() {
    let house = House::open(1).await;
    let mut first = CallPlayer::connect(&dial(&house, "twilio")).await.expect("connected");
    first.wait_reply_start(PATIENCE).await.expect("a greeting");
    for provider in ["twilio", "browser"] {
        let refused = CallPlayer::connect(&dial(&house, provider)).await.expect_err("all lines are busy");
        let CallError::Refused { said } = refused else { panic!("{refused}") };
        assert!(said.contains("lines are busy"), "{said}");
    }
    first.play("question", &voice(300)).await.expect("heard");
    first.wait_reply_end(PAUSE, PATIENCE).await.expect("an answer");
    first.hangup().await;
    house.close().await;
}

#[tokio::test]
async fn two_calls_at_the_last_line_one_hears_why() {
    // Both webhooks find room, then one stream takes it.
    let house = House::open(1).await;
    let token = |body: serde_json::Value| Secret::new(body["token"].as_str().expect("a token").to_owned());
    install_crypto();
    let ask = || async {
        let url = format!("{}/api/v1/browser-call", house.base);
        let response = reqwest::Client::builder().no_proxy().build().expect("a client").post(url).send().await;
        token(response.expect("asked").json().await.expect("JSON"))
    };
    let (one, two) = (ask().await, ask().await);
    let with = |token: &Secret<String>| Dial { token: Some(token.clone()), ..dial(&house, "browser") };
    let mut winner = CallPlayer::connect(&with(&one)).await.expect("connected");
    winner.wait_event(0, PATIENCE, |event| *event == Event::Started).await.expect("open");
    for (token, expected) in [(&two, "busy"), (&two, "unauthorized"), (&Secret::new("x".to_owned()), "unauthorized")] {
        let mut loser = CallPlayer::connect(&with(token)).await.expect("connected");
        let end = loser.wait_end(PATIENCE).await.expect("turned away");
        let Event::Ended { by: "server", reason, .. } = &end.event else { panic!("{end:?}") };
        assert_eq!(reason, expected);
    }
    assert_eq!(house.opened(), 1);
    winner.hangup().await;
    house.close().await;
}

#[tokio::test]
async fn a_wrong_secret_and_an_absent_server_are_named() {
    let house = House::open(1).await;
    let wrong = Dial { auth_token: Secret::new("guess".to_owned()), ..dial(&house, "twilio") };
    let error = CallPlayer::connect(&wrong).await.expect_err("403");
    assert!(matches!(error, CallError::Signature { .. }), "{error}");
    let unknown = CallPlayer::connect(&dial(&house, "fax")).await.expect_err("no such dialect");
    assert_eq!(unknown.to_string(), "provider `fax` is not known here");
    let base = house.base.clone();
    house.close().await;
    let error = CallPlayer::connect(&Dial::new(base.as_str(), "twilio")).await.expect_err("nobody is there");
    assert_eq!(error.to_string(), format!("`{base}/voice/twilio/incoming` can't be asked"));
}

/// Runs the command line as a person would; returns exit code, stdout, stderr.
async fn warmline_call(base: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_warmline"));
    command.current_dir(folder.path()).args(["call", base, "--auth-token", "12345"]).args(arguments);
    let output = command.kill_on_drop(true).output().await.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_prints_a_call_and_saves_it() {
    let house = House::open(2).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (question, reply, both) = (file("question.wav"), file("reply.wav"), file("both.wav"));
    wav::write(question.as_ref(), SampleRate::WIDEBAND, &voice(400)).expect("written");
    let arguments = ["--provider", "twilio", "--audio", &question, &question, "--dtmf", "9", "--pause", "1s"];
    let rest = ["--stay", "60s", "--save", &reply, "--save-stereo", &both, "--json"];
    let (code, stdout, stderr) = warmline_call(&house.base, &[&arguments[..], &rest[..]].concat()).await;
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let summary = lines.last().expect("a summary");
    assert_eq!(
        (&summary["event"], &summary["turns"], &summary["ended_by"]),
        (&"summary".into(), &2.into(), &"server".into())
    );
    assert!(summary["response_ms"].as_array().is_some_and(|times| times.len() == 2));
    assert!(lines.iter().any(|line| line["event"] == "responded" && line["name"] == "question.wav"));
    let heard = voiced_ms(&wav::read(reply.as_ref()).expect("saved"));
    assert!(heard >= 3 * (u64::from(TONE.0) - 20), "{heard} ms");
    assert!(std::fs::metadata(&both).expect("saved").len() > 2 * std::fs::metadata(&reply).expect("saved").len() - 100);

    let (code, stdout, _) = warmline_call(&house.base, &["--provider", "browser", "--pause", "1s"]).await;
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("assistant: Hello") && stdout.contains("response_ms"), "{stdout}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_what_went_wrong_and_exits_with_one_or_two() {
    let house = House::open(0).await;
    let (code, _, stderr) = warmline_call(&house.base, &["--provider", "twilio"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the call was not taken: All our lines are busy"), "{stderr}");
    let (code, _, stderr) = warmline_call(&house.base, &["--provider", "twilio", "--auth-token", "x"]).await;
    assert_eq!(code, Some(2), "given twice: {stderr}");
    let (code, _, stderr) = warmline_call(&house.base, &["--provider", "twilio", "--audio", "no-such.wav"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("can't open `no-such.wav`"), "{stderr}");
    let (code, _, stderr) = warmline_call(&house.base, &["--provider", "fax"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("must be one of twilio, "), "{stderr}");
    let base = house.base.clone();
    house.close().await;
    let (code, _, stderr) = warmline_call(&base, &["--provider", "browser"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("Is `warmline serve` running there?"), "{stderr}");
}

/// What `res_http_websocket` reads before it goes on, byte by byte: it breaks off at anything it does not expect.
#[tokio::test]
async fn the_answer_to_asterisks_handshake_is_the_one_it_insists_on() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let house = House::open(1).await;
    let address = house.base.trim_start_matches("http://").to_owned();
    let ask = async |authorization: &str| {
        let mut socket = tokio::net::TcpStream::connect(&address).await.expect("connected");
        let request = format!(
            "GET /media/asterisk?uid=pbx1-1.1 HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nHost: {address}\r\n{authorization}Sec-WebSocket-Protocol: media\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.expect("a whole answer"));
        }
        let answer = String::from_utf8(answer).expect("text");
        let (status, headers) = answer.split_once("\r\n").expect("a status line");
        let mut headers: Vec<_> = headers.trim().lines().map(str::to_ascii_lowercase).collect();
        headers.retain(|line| !line.starts_with("date:"));
        headers.sort();
        (status.to_owned(), headers)
    };
    // `pbx1:asterisk-word`.
    let (status, headers) = ask("Authorization: Basic cGJ4MTphc3Rlcmlzay13b3Jk\r\n").await;
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
    let expected = [
        "connection: upgrade",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
        "sec-websocket-protocol: media",
        "upgrade: websocket",
    ];
    assert_eq!(headers, expected, "nothing else, and each once");
    assert_eq!(ask("").await.0, "HTTP/1.1 401 Unauthorized");
    assert_eq!(ask("Authorization: Basic eDp5\r\n").await.0, "HTTP/1.1 403 Forbidden");
    house.close().await;
}
