//! The worker as a process, with a real (very small) model: what a supervisor and a client see.
//!
//! Skipped, with a line that says so, when the model is not there.

mod support;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::Worker;

const SYSTEM: &str = "You answer the phone of Larkfield, a furniture shop. Answer in one short sentence, from these notes \
    only. Delivery inside the city takes two days and costs nothing. Returns are free for thirty days. Lamps have a \
    guarantee of twelve months. The shop is open from nine to six, Monday to Saturday, and closed on Sunday.";

fn chat(user: &str, extra: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}],
        "max_tokens": 24,
    });
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

fn cached(answer: &Value) -> u64 {
    answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a count")
}

#[test]
fn it_answers_whole_and_streamed_alike() {
    let Some(worker) = Worker::start(&[]) else { return };
    let models = worker.get("/v1/models").json();
    assert_eq!(models["data"].as_array().map(Vec::len), Some(1));

    // A prompt in one batch and the same from the cache differ in the last bits; after this both come from the cache.
    worker.chat(&chat("Until when are you open?", json!({"max_tokens": 1})));
    let whole = worker.chat(&chat("Until when are you open?", json!({"logprobs": true})));
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    let text = whole["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(!text.is_empty());
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().expect("log-probabilities");
    assert!(tokens.iter().all(|token| token["logprob"].as_f64().is_some_and(|p| p <= 0.0)));
    let joined: String = tokens.iter().filter_map(|token| token["token"].as_str()).collect();
    assert_eq!(joined, text, "the tokens make up the text");

    let fields = json!({"stream": true, "stream_options": {"include_usage": true}, "logprobs": true});
    let events = worker.open(&chat("Until when are you open?", fields)).events();
    let streamed: String = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(streamed, text, "greedy, so the same words");
    let [.., end, usage] = &events[..] else { panic!("too few events") };
    assert!(matches!(end["choices"][0]["finish_reason"].as_str(), Some("stop" | "length")));
    assert!(end["timings"]["predicted_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(usage["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
}

#[test]
fn a_pinned_prefix_leaves_only_the_tail_to_evaluate() {
    let Some(worker) = Worker::start(&["--context", "1024"]) else { return };
    let warm = json!({
        "messages": [{"role": "system", "content": SYSTEM}], "max_tokens": 0, "warmline": {"pin": true},
    });
    let warmed = worker.chat(&warm).json();
    assert_eq!(warmed["warmline"]["pinned"], true);
    let prefix = warmed["usage"]["prompt_tokens"].as_u64().expect("a count");
    for user in ["Do you deliver?", "What about lamps?"] {
        let answer = worker.chat(&chat(user, json!({}))).json();
        assert!(cached(&answer) >= prefix, "{answer}");
        assert!(answer["timings"]["prompt_n"].as_u64().is_some_and(|n| n < 20), "{answer}");
    }
    // Other prompts fill the cache several times over; the pinned one stays.
    for i in 0..12 {
        let other = json!({
            "messages": [{"role": "user", "content": format!("{i} {}", "many different words ".repeat(60))}],
            "max_tokens": 4,
        });
        assert_eq!(worker.chat(&other).status, 200);
    }
    assert!(cached(&worker.chat(&chat("Do you deliver?", json!({}))).json()) >= prefix);
    let health = worker.get("/health").json();
    assert_eq!(health["context"]["pinned"], prefix);
    assert!(health["context"]["used"].as_u64() <= health["context"]["tokens"].as_u64());
    assert_eq!(worker.request("DELETE", "/v1/prefixes", "").status, 200);
    assert_eq!(worker.get("/health").json()["context"]["pinned"], 0);
}

#[test]
fn a_conversation_continues_where_it_was() {
    let Some(worker) = Worker::start(&[]) else { return };
    let first = worker.chat(&chat("Do you deliver?", json!({}))).json();
    let reply = first["choices"][0]["message"]["content"].as_str().expect("text");
    let next = json!({
        "messages": [
            {"role": "system", "content": SYSTEM}, {"role": "user", "content": "Do you deliver?"},
            {"role": "assistant", "content": reply}, {"role": "user", "content": "And what does it cost?"},
        ],
        "max_tokens": 8,
    });
    let next = worker.chat(&next).json();
    let before = first["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert!(cached(&next) > before, "the reply's own tokens are reused too: {next}");
}

#[test]
fn a_reply_keeps_to_its_schema_grammar_and_opening() {
    let Some(worker) = Worker::start(&[]) else { return };
    let schema = json!({
        "type": "object",
        "properties": {"handoff": {"type": "boolean"}, "intent": {"enum": ["delivery", "returns", "other"]}},
        "required": ["handoff", "intent"], "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "decision", "schema": schema}});
    let fields = json!({"response_format": format, "max_tokens": 60});
    let answer = worker.chat(&chat("My parcel is late.", fields)).json();
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    let decision: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text:?}"));
    assert!(decision["handoff"].is_boolean() && decision["intent"].is_string(), "{decision}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");

    let opened = json!({
        "messages": [
            {"role": "user", "content": "Get me a human. Answer with JSON."},
            {"role": "assistant", "content": "{\"handoff\":"},
        ],
        "grammar": "root ::= \" true\" | \" false\"", "logprobs": true, "top_logprobs": 5, "max_tokens": 3,
    });
    let answer = worker.chat(&opened).json();
    let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
    assert!([" true", " false"].contains(&text), "{answer}");
    assert_eq!(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"].as_array().map(Vec::len), Some(5));

    for wrong in [json!({"grammar": "root ::= ("}), json!({"grammar": "nothing"})] {
        let refused = worker.chat(&chat("x", wrong));
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("grammar")));
    }
    assert_eq!(worker.chat(&chat("Still there?", json!({}))).status, 200);
}

#[test]
fn a_caller_cannot_write_control_tokens() {
    let Some(worker) = Worker::start(&[]) else { return };
    let count = |text: &str| {
        let body = json!({"messages": [{"role": "user", "content": text}], "max_tokens": 1});
        worker.chat(&body).json()["usage"]["prompt_tokens"].as_u64().expect("a count")
    };
    let plain = count("");
    assert!(count(&"<|im_end|>".repeat(10)) >= plain + 40, "as control tokens they would be 10");
}

#[test]
fn prompts_beyond_the_context_are_refused() {
    let Some(worker) = Worker::start(&["--context", "256"]) else { return };
    let long = worker.chat(&chat(&"word ".repeat(300), json!({})));
    assert_eq!((long.status, long.json()["error"]["code"].as_str()), (400, Some("context_length_exceeded")));
    let endless = json!({
        "messages": [{"role": "user", "content": "Count."}], "max_tokens": 5_000, "grammar": "root ::= [0-9 ] root",
    });
    let answer = worker.chat(&endless).json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 256);
    assert_eq!(worker.chat(&chat("Short.", json!({}))).status, 200);
}

/// A streamed request that ends with its budget only: the grammar has no end, so that no model may stop of itself.
fn endless(extra: Value) -> Value {
    chat("Count.", json!({"max_tokens": 4_000, "grammar": "root ::= [0-9 ] root", "stream": true})).tap(extra)
}

trait Tap {
    fn tap(self, extra: Value) -> Value;
}

impl Tap for Value {
    fn tap(mut self, extra: Value) -> Value {
        self.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        self
    }
}

#[test]
fn a_client_that_hangs_up_stops_the_work() {
    let Some(worker) = Worker::start(&[]) else { return };
    let mut stream = worker.open(&endless(json!({})));
    for _ in 0..5 {
        stream.next_event().expect("it is streaming");
    }
    drop(stream);
    let ended = |health: &Value| health["requests"]["cancelled"] == 1 && health["busy"] == false;
    worker.wait_for("the end of the generation", ended);

    // The same in the middle of a long prompt, with one batch for all of it.
    let long = json!({"messages": [{"role": "user", "content": "some words ".repeat(900)}], "stream": true});
    let mut stream = worker.open(&long);
    stream.next_event().expect("the engine has begun");
    drop(stream);
    worker.wait_for("the end of the prompt", |health| health["requests"]["cancelled"] == 2);
    let health = worker.get("/health").json();
    assert!(health["context"]["used"].as_u64().is_some_and(|used| used < 1_800), "{health}");
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let Some(worker) = Worker::start(&["--queue", "1"]) else { return };
    let mut running = worker.open(&endless(json!({})));
    running.next_event().expect("it is streaming");
    let waiting = worker.open(&chat("Second.", json!({"stream": true})));
    worker.wait_for("the second in the queue", |health| health["queue"]["waiting"] == 1);
    let refused = worker.chat(&chat("Third.", json!({})));
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (503, Some("queue_full")));
    assert!(refused.headers.iter().any(|header| header == "retry-after: 1"), "{:?}", refused.headers);
    drop(running);
    assert!(!waiting.events().is_empty(), "the second is served");
}

#[test]
fn a_caller_goes_before_background_work() {
    let Some(worker) = Worker::start(&[]) else { return };
    let fields = json!({"warmline": {"background": true}, "max_tokens": 120});
    let mut background = worker.open(&endless(fields));
    for _ in 0..4 {
        background.next_event().expect("it is streaming");
    }
    let urgent = worker.chat(&chat("Do you deliver?", json!({})));
    assert_eq!(urgent.status, 200);
    let health = worker.get("/health").json();
    assert_eq!(health["requests"]["served"], 1, "the caller's is the first to end: {health}");
    let rest = background.events();
    assert!(rest.len() > 20, "the background work was paused, not ended: {} more events", rest.len());
    let end = rest.last().expect("an end");
    assert_eq!((&end["timings"]["predicted_n"], &end["choices"][0]["finish_reason"]), (&json!(120), &json!("length")));
}

#[test]
fn the_token_is_needed_where_it_is_set() {
    let Some(mut worker) = Worker::start_with(&[], Some("a-secret")) else { return };
    assert_eq!(worker.get("/v1/models").status, 200);
    worker.forget_token();
    assert_eq!(worker.get("/v1/models").status, 401);
    assert_eq!(worker.get("/health").status, 200);
}

#[test]
fn it_ends_with_a_signal_even_while_generating() {
    let Some(mut worker) = Worker::start(&[]) else { return };
    let mut stream = worker.open(&endless(json!({})));
    stream.next_event().expect("it is streaming");
    worker.signal(Signal::TERM);
    let mut last = None;
    while let Some(event) = stream.next_event() {
        last = Some(event);
    }
    let last: Value = serde_json::from_str(&last.expect("events")).expect("JSON");
    assert_eq!(last["error"]["code"], "shutting_down");
    assert!(worker.ended().success());
}

#[test]
fn it_ends_with_its_parent() {
    // A pipe as standard input is a line to whoever holds its other end, with or without the flag.
    let Some(mut worker) = Worker::launch(&[], None) else { return };
    drop(worker.child.stdin.take());
    assert!(worker.ended().success());
    drop(worker);

    let pid = std::process::id().to_string();
    let Some(mut worker) = Worker::launch(&["--parent-pid", &pid], None) else { return };
    let mut input = worker.child.stdin.take().expect("a pipe");
    input.write_all(b"noise is ignored").expect("it reads");
    worker.wait_for("health", |health| health["status"] == "ok");
    worker.signal(Signal::HUP); // our thread would have ended, but we live
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(worker.get("/health").status, 200);
    drop(input);
    assert!(worker.ended().success());
    drop(worker);

    let Some(mut orphan) = Worker::launch(&["--parent-pid", "1"], None) else { return };
    assert!(orphan.ended().success(), "its parent is not process 1");
}

#[test]
fn wrong_usage_and_broken_models_have_their_exit_codes() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_warmline-llm-worker")).args(args).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let this = file!();
    let (code, log) = run(&["--model", this, "--listen", "0.0.0.0:0"]);
    assert!(code == Some(2) && log.contains("loopback"), "{log}");
    let (code, log) = run(&["--model", "/nothing.gguf"]);
    assert!(code == Some(2) && log.contains("/nothing.gguf"), "{log}");
    let (code, log) = run(&["--model", this]);
    assert!(code == Some(1) && log.contains("cannot be loaded"), "{log}");
}
