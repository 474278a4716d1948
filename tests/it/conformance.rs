//! `warmline conformance`, against our own server through every provider, and against servers that are wrong on purpose.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use warmline::audio::units::Millis;
use warmline::cli::call::dialect::variants;
use warmline::cli::call::player::Dial;
use warmline::cli::conformance::rules::{Finding, Rule, Verdict};
use warmline::cli::conformance::scenario::{Subject, play, tone};
use warmline::telemetry::Secret;
use warmline::telephony::providers::PROVIDERS;

use crate::support::front_desk::PATIENCE;
use crate::support::house::{House, TONE, Tones, secret_of};

async fn findings(dial: Dial) -> Vec<Finding> {
    // Many of them are joined: on the heap, or they would not fit on a thread's stack.
    Box::pin(play(&Subject { dial, question: tone() })).await
}

fn rules(findings: &[Finding], verdict: Verdict) -> BTreeSet<&'static str> {
    findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.rule.name()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_server_keeps_every_rule_for_every_provider() {
    // Answers long enough to be spoken over, however late that is noticed.
    let house = House::open_with(64, Tones { greeting: TONE, answer: Millis(2_000) }).await;
    let all = PROVIDERS.iter().flat_map(|spec| {
        let forms = variants(spec.name).iter().map(|form| Some((*form).to_owned())).collect::<Vec<_>>();
        let forms = if forms.is_empty() { vec![None] } else { forms };
        forms.into_iter().map(move |variant| (spec, variant))
    });
    let base = house.base.as_str();
    let tried = join_all(all.map(|(spec, variant)| async move {
        let auth_token = Secret::new(secret_of(spec.name).to_owned());
        let dial = Dial { auth_token, variant: variant.clone(), patience: PATIENCE, ..Dial::new(base, spec.name) };
        (spec, variant, findings(dial).await)
    }));
    for (spec, variant, findings) in tried.await {
        // Half a second a message: the reply is sent before the caller can speak over it.
        let slow = matches!(variant.as_deref(), Some("fork" | "stream-json"));
        let name = format!("{} {}", spec.name, variant.unwrap_or_default());
        let broken: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Broken).collect();
        assert!(broken.is_empty(), "{name}: {broken:#?}");
        assert_eq!(findings.len(), Rule::ALL.len());
        let kept = rules(&findings, Verdict::Kept);
        let tokens = spec.webhook.map(|_| "credential.used");
        let always = ["credential.missing", "credential.wrong", "audio.answer", "audio.paced", "stop.code"];
        for rule in always.into_iter().chain(tokens) {
            assert!(kept.contains(rule), "{name} left `{rule}` untried: {findings:#?}");
        }
        assert!(slow || kept.contains("barge-in.clear") == spec.clear, "{name}: {findings:#?}");
    }
    house.close().await;
}

/// What a server does wrong. It speaks Twilio's dialect, or at least in its direction.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    takes_extensions: bool,
    speaks_first: bool,
    forgets_ids: bool,
    floods: bool,
    never_clears: bool,
    ignores_caller: bool,
    dies_of_malformed: bool,
    dies_of_second_start: bool,
    dies_of_keys: bool,
    ignores_stop: bool,
    closes_with_1011: bool,
    /// Deaf, it speaks by itself after a silence, for longer than a clear may take.
    talks_to_itself: bool,
    /// Its first answer has to be heard.
    insists_once: bool,
}

/// A server with these faults, which lets in everybody.
struct BadServer {
    url: String,
    _tasks: JoinSet<()>,
}

impl BadServer {
    async fn open(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}/stream", listener.local_addr().expect("bound"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                calls.spawn(async move { drop(bad_call(faults, socket).await) });
            }
        });
        Self { url, _tasks: tasks }
    }

    fn dial(&self) -> Dial {
        Dial {
            socket: Some(self.url.clone()),
            patience: Duration::from_secs(4),
            ..Dial::new(self.url.as_str(), "twilio")
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::result_large_err, reason = "the library's own signature")]
async fn bad_call(faults: Faults, socket: TcpStream) -> Result<(), Failure> {
    let answer = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let headers = response.headers_mut();
        if faults.takes_extensions {
            headers.insert("sec-websocket-extensions", "permessage-deflate".parse().expect("a header"));
        }
        Ok(response)
    };
    let mut socket = accept_hdr_async(socket, answer).await?;
    if faults.speaks_first {
        socket.send(Message::text(r#"{"event":"hello"}"#)).await?;
    }
    let mut sid: Option<String> = None;
    // In frames: one goes out for each that comes in, so that a caller who is held up by the machine misses nothing.
    let (mut to_play, mut loud, mut answers, mut silence) = (0, 0, 0, 0);
    while let Some(message) = socket.next().await {
        let message = message?;
        let Some(text) = message.to_text().ok().filter(|text| message.is_text() && !text.is_empty()) else { continue };
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            if faults.dies_of_malformed {
                socket.close(None).await?;
                return Ok(());
            }
            continue;
        };
        match message["event"].as_str().unwrap_or_default() {
            "start" if sid.is_some() && faults.dies_of_second_start => return Ok(()),
            "start" => {
                let named = message["start"]["streamSid"].as_str().unwrap_or_default().to_owned();
                if faults.floods {
                    speak(&mut socket, faults, &named, 250).await?;
                } else {
                    to_play = 10;
                }
                sid = Some(named);
            }
            "dtmf" if faults.dies_of_keys => return Ok(()),
            "stop" if faults.ignores_stop => {}
            "stop" => {
                let code = if faults.closes_with_1011 { 1011 } else { 1000 };
                let frame =
                    tokio_tungstenite::tungstenite::protocol::CloseFrame { code: code.into(), reason: "".into() };
                socket.close(Some(frame)).await?;
            }
            "media" => {
                let Some(sid) = &sid else { continue };
                let is_loud = is_loud(&message)?;
                if faults.talks_to_itself {
                    silence = if is_loud || to_play > 0 { 0 } else { silence + 1 };
                    if silence == 150 {
                        to_play = 200;
                    }
                } else if is_loud && !faults.ignores_caller {
                    loud += 1;
                    let insists = faults.never_clears || (faults.insists_once && answers == 1);
                    if loud == 5 && to_play > 0 && !insists {
                        socket.send(Message::text(json!({"event": "clear", "streamSid": sid}).to_string())).await?;
                        to_play = 0;
                    }
                } else if std::mem::take(&mut loud) >= 10 {
                    answers += 1;
                    to_play = if faults.never_clears || faults.insists_once { 200 } else { 100 };
                }
                if to_play > 0 {
                    to_play -= 1;
                    speak(&mut socket, faults, sid, 1).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a message of audio holds voice.
fn is_loud(message: &Value) -> Result<bool, Failure> {
    let audio = BASE64.decode(message["media"]["payload"].as_str().unwrap_or_default())?;
    Ok(audio.iter().filter(|byte| **byte & 0x7f < 0x30).count() > 40)
}

/// So many frames of a tone.
async fn speak(
    socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>,
    faults: Faults,
    sid: &str,
    frames: usize,
) -> Result<(), Failure> {
    let frame = BASE64.encode([[0x10; 8], [0x90; 8]].concat().repeat(10));
    for _ in 0..frames {
        let mut media = json!({"event": "media", "streamSid": sid, "media": {"payload": frame}});
        if faults.forgets_ids {
            media.as_object_mut().expect("an object").remove("streamSid");
        }
        socket.send(Message::text(media.to_string())).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_breaks_its_rule() {
    let ok = Faults::default();
    let cases: [(&str, Faults, &[&str]); 13] = [
        ("none", ok, &[]),
        ("deaf", Faults { talks_to_itself: true, ..ok }, &[]),
        ("insists", Faults { insists_once: true, ..ok }, &[]),
        ("extensions", Faults { takes_extensions: true, ..ok }, &["handshake.no-extensions"]),
        ("speaks first", Faults { speaks_first: true, ..ok }, &["start.silence", "audio.well-formed"]),
        ("forgets ids", Faults { forgets_ids: true, ..ok }, &["audio.well-formed", "audio.first"]),
        ("never clears", Faults { never_clears: true, ..ok }, &["barge-in.clear"]),
        ("floods", Faults { floods: true, ..ok }, &["audio.paced"]),
        ("malformed", Faults { dies_of_malformed: true, ..ok }, &["robust.malformed"]),
        ("second start", Faults { dies_of_second_start: true, ..ok }, &["robust.duplicate-start"]),
        ("keys", Faults { dies_of_keys: true, ..ok }, &["dtmf.accepted"]),
        ("stop", Faults { ignores_stop: true, ..ok }, &["stop.closes"]),
        ("code", Faults { closes_with_1011: true, ..ok }, &["stop.code"]),
    ];
    let tried = join_all(cases.map(|(name, faults, expected)| async move {
        let server = BadServer::open(faults).await;
        (name, expected, findings(server.dial()).await)
    }));
    for (name, expected, findings) in tried.await {
        let broken = rules(&findings, Verdict::Broken);
        // It asks nobody who they are.
        for rule in ["credential.missing", "credential.wrong"].iter().chain(expected) {
            assert!(broken.contains(rule), "{name}: `{rule}` should be broken: {findings:#?}");
        }
        let (kept, skipped) = (rules(&findings, Verdict::Kept), rules(&findings, Verdict::Skipped));
        match name {
            // What it says was no answer: nothing shows that it could have heard the interruption.
            "deaf" => assert!(skipped.contains("barge-in.clear") && skipped.contains("audio.answer"), "{findings:#?}"),
            "insists" => assert!(kept.contains("barge-in.clear"), "{findings:#?}"),
            _ => {}
        }
        if name == "none" {
            assert_eq!(broken.len(), 2, "{broken:?} {findings:#?}");
            assert!(kept.contains("barge-in.clear"), "{findings:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_each_rule_and_fails_for_one_that_is_broken() {
    let server = BadServer::open(Faults { ignores_stop: true, ignores_caller: true, ..Faults::default() }).await;
    let run = async |arguments: &[&str]| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_warmline"));
        command.current_dir(folder.path()).arg("conformance").args(arguments);
        let output = command.kill_on_drop(true).output().await.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, stderr) = run(&[&server.url, "--provider", "twilio", "--patience", "6s", "--json"]).await;
    assert_eq!(code, Some(1), "{stdout}\n{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!(lines.len(), Rule::ALL.len() + 1);
    let verdict = |rule: &str| lines.iter().find(|line| line["rule"] == rule).expect("told")["verdict"].clone();
    assert_eq!((verdict("stop.closes"), verdict("audio.first")), (json!("broken"), json!("kept")));
    assert_eq!(verdict("audio.answer"), "skipped", "a tone may be no question to it");
    assert!(lines.last().is_some_and(|line| line["rule"] == "summary" && line["broken"] == json!(3)), "{stdout}");
    assert!(stderr.contains("rules are broken"), "{stderr}");

    let (code, _, stderr) = run(&[&server.url, "--provider", "asterisk", "--variant", "loud"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("One of json, plain, plain-20.16."), "{stderr}");
    let (code, stdout, _) = run(&["ws://127.0.0.1:9/x", "--provider", "twilio"]).await;
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.starts_with("BROKEN  handshake.accepted"), "{stdout}");
}
