//! Telephone systems that ask by themselves: Asterisk's dialplan and FreeSWITCH's, with Basic authentication, answered
//! in one plain word that a dialplan can compare.
//!
//! ```text
//! incoming ──▶ a token, or `busy` ── our socket closes ──▶ after ──▶ `hangup`, `busy`, `sorry` or `dial TARGET`
//!                        ▲                          answered: brief, a key, accept ──▶ `join` or `release` ◀──┤
//!                        └── a token: nobody took the call, stream again ◀── dialled ◀─────────────────────────┘
//! ```
//!
//! `brief` is a recording in our own voice: a dialplan has none. Asterisk plays it to whoever answers and asks for the key;
//! FreeSWITCH's application gets the caller by a message and is not asked.
//!
//! Both are optional: a telephone system with the right password may stream without a token.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tracing::warn;

use super::dialled::DialOver;
use super::incoming::{Announcement, BUSY_SENTENCE, Next};
use super::trusted::{Refused, Trusted, Untrusted, Webhook, parameter};
use super::{Inner, WebhookState, now};
use crate::audio::resample::resample_all;
use crate::audio::units::SampleRate;
use crate::audio::wav;
use crate::call::input::{Missed, TransferNews};
use crate::config::ProvidersConfig;
use crate::dialog::speakable::speakable;
use crate::engine::cpu::Priority;
use crate::telemetry::Secret;

/// A telephone system that asks.
struct Pbx {
    /// Row name.
    provider: &'static str,
    /// Before all its paths.
    path: &'static str,
    /// The key of its password.
    key: &'static str,
    /// User name and password.
    credentials: fn(&ProvidersConfig) -> (&str, &Secret<String>),
}

static ALL: [Pbx; 2] = [
    Pbx {
        provider: "asterisk",
        path: "/voice/asterisk/",
        key: "asterisk.password",
        credentials: |all| (&all.asterisk.username, &all.asterisk.password),
    },
    Pbx {
        provider: "freeswitch",
        path: "/voice/freeswitch/",
        key: "freeswitch.password",
        credentials: |all| (&all.freeswitch.username, &all.freeswitch.password),
    },
];

pub(super) fn routes() -> Router<WebhookState> {
    let asked = Router::new()
        .route("/voice/asterisk/brief/{call}", get(brief))
        .route("/voice/asterisk/accept", post(accept))
        .route("/voice/asterisk/answered", post(answered))
        .route("/voice/asterisk/unanswered", post(unanswered));
    ALL.iter().fold(asked, |router, pbx| {
        let path = |name: &str| format!("{}{name}", pbx.path);
        router
            .route(&path("incoming"), post(incoming))
            .route(&path("after"), post(after))
            .route(&path("dialled"), post(dialled))
    })
}

/// A telephone system's question, and its form.
struct Asked {
    pbx: &'static Pbx,
    form: Vec<(String, String)>,
}

impl Asked {
    /// A field, or nothing.
    fn field(&self, name: &str) -> &str {
        parameter(&self.form, name)
    }
}

impl Webhook for Asked {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let pbx = ALL.iter().find(|pbx| request.uri.path().starts_with(pbx.path));
        let pbx = pbx.ok_or_else(|| Refused::with(StatusCode::NOT_FOUND))?;
        inner.basic(pbx.provider, &request.headers, (pbx.credentials)(&inner.gate.providers), pbx.key)?;
        Ok(Self { pbx, form: form_urlencoded::parse(&request.body).into_owned().collect() })
    }
}

/// A call is about to be streamed: `call`, and `from` and `to` if they are known.
async fn incoming(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let field = |name: &str| asked.field(name);
    if field("call").is_empty() {
        return (StatusCode::BAD_REQUEST, "`call` is missing").into_response();
    }
    let (provider, call_id) = (asked.pbx.provider, field("call"));
    let call = Announcement { provider, call_id, from: field("from"), to: field("to") };
    match inner.announce(now(), call) {
        Ok(token) => word(token.expose()),
        Err(_) => word("busy"),
    }
}

/// The stream of `call` is over and the caller still there.
async fn after(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    match inner.next(asked.field("call")) {
        Next::Hangup(None) => word("hangup"),
        Next::Hangup(Some(sentence)) if sentence == BUSY_SENTENCE => word("busy"),
        Next::Hangup(Some(_)) => word("sorry"),
        Next::Transfer(transfer) => match dialable(transfer.target.reveal()) {
            target if target.is_empty() => word("sorry"),
            target => word(&format!("dial {target}")),
        },
    }
}

/// Somebody answered: what they hear, as a recording of 8 kHz. Nothing when the caller is not to be had any more, or when
/// our voice fails; the dialplan joins them without a question then.
async fn brief(State(state): State<WebhookState>, Path(call): Path<String>, _: Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let Some(text) = inner.whisper(&call) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(voice) = &inner.voice else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let narrow = match voice.whole(speakable(&text), Priority::FirstAudio).await {
        Ok(pcm) => resample_all(&pcm, SampleRate::WIDEBAND, SampleRate::NARROWBAND).unwrap_or_default(),
        Err(error) => {
            warn!("A brief could not be spoken: {error}");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("audio/wav")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, wav::bytes(SampleRate::NARROWBAND, &narrow)).into_response()
}

/// The person has pressed these keys, or none: `join`, or `release` their call.
async fn accept(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let joins = inner.answered_with(asked.pbx.provider, asked.field("call"), asked.field("keys"));
    word(if joins { "join" } else { "release" })
}

/// Whoever was called has hung up, or nobody took the call; `status` is Asterisk's `DIALSTATUS`.
async fn dialled(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let field = |name: &str| asked.field(name);
    let (provider, call_id) = (asked.pbx.provider, field("call"));
    if !inner.dial_over(provider, call_id, DialOver::of(field("status"))) {
        return word("hangup");
    }
    let call = Announcement { provider, call_id, from: field("from"), to: field("to") };
    word(inner.take_back(now(), call).expose())
}

/// Somebody whom we call, under `key`, has answered on the channel `call`: a token for their stream, or `hangup`.
async fn answered(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let field = |name: &str| asked.field(name);
    let (provider, call_id) = (asked.pbx.provider, field("call"));
    if call_id.is_empty() || !inner.admission.answered(provider, field("key"), call_id) {
        // Whoever called them has given up.
        return word("hangup");
    }
    // They are the one we speak with, though it was us who called.
    let call = Announcement { provider, call_id, from: field("to"), to: field("from") };
    word(inner.grant(now(), call).expose())
}

/// Nobody has answered, a machine has, or they have hung up; `status` is Asterisk's `DIALSTATUS`, or `VOICEMAIL`. Of no interest in
/// the last case.
async fn unanswered(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let missed = match asked.field("status") {
        "VOICEMAIL" => Missed::Voicemail,
        status => DialOver::of(status).missed,
    };
    state.0.admission.transferred(asked.pbx.provider, asked.field("key"), TransferNews::Missed(missed));
    word("hangup")
}

/// Only what numbers and addresses are made of: the answer lands in the middle of somebody's dialplan.
pub(in crate::web) fn dialable(target: &str) -> String {
    target.chars().filter(|c| c.is_ascii_alphanumeric() || "+*#@.:/_-".contains(*c)).take(128).collect()
}

fn word(text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use tower::ServiceExt as _;

    use super::*;
    use crate::call::handle::AdmitError;
    use crate::config::Config;
    use crate::engine::cpu::CpuBudget;
    use crate::engine::tts::fake::FakeVoice;
    use crate::engine::tts::voice::{Voice, VoiceOptions};
    use crate::telephony::protocol::Transfer;
    use crate::web::gate::Gate;
    use crate::web::webhooks::outcomes::StreamOutcome;
    use crate::web::webhooks::{Admission, WebhookState, routes};

    struct House(Result<(), AdmitError>);

    impl Admission for House {
        fn admit(&self) -> Result<(), AdmitError> {
            self.0
        }
    }

    fn voice() -> Voice {
        let options = VoiceOptions { workers: 1, cache_bytes: 0, patience: std::time::Duration::from_secs(60) };
        Voice::new(Arc::new(FakeVoice::new()), CpuBudget::new(1), options)
    }

    /// Keeps the news of callers who were given away.
    #[derive(Default)]
    struct Told(Mutex<Vec<TransferNews>>);

    impl Told {
        fn take(&self) -> Vec<TransferNews> {
            std::mem::take(&mut *self.0.lock().expect("not poisoned"))
        }
    }

    impl Admission for Told {
        fn admit(&self) -> Result<(), AdmitError> {
            Ok(())
        }

        fn transferred(&self, _: &'static str, call_id: &str, news: TransferNews) {
            assert_eq!(call_id, "17.4");
            self.0.lock().expect("not poisoned").push(news);
        }
    }

    fn server(room: Result<(), AdmitError>) -> (Router, Arc<Gate>) {
        server_with(Arc::new(House(room)), None)
    }

    fn server_with(admission: Arc<dyn Admission>, voice: Option<Voice>) -> (Router, Arc<Gate>) {
        let text = "[asterisk]\nusername = \"pbx1\"\npassword = \"secret\"\n";
        let config = Config::parse(text, std::iter::empty()).expect("valid");
        let gate = Arc::new(Gate::new(&config));
        let state = WebhookState::new(&config, gate.clone(), admission);
        let state = voice.into_iter().fold(state, WebhookState::with_voice);
        (routes(state), gate)
    }

    async fn get(router: &Router, path: &str, credentials: &str) -> (u16, Vec<u8>) {
        let request = Request::get(path).header("authorization", format!("Basic {}", BASE64.encode(credentials)));
        let response = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("answers");
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), 10_000_000).await.expect("a body").to_vec())
    }

    async fn ask(router: &Router, path: &str, credentials: &str, body: &str) -> (u16, String) {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let request = match credentials {
            "" => request,
            pair => request.header("authorization", format!("Basic {}", BASE64.encode(pair))),
        };
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = router.clone().oneshot(request).await.expect("routes never fail");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.expect("a short body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_dialplan_gets_a_token_and_learns_what_comes_next() {
        let (router, gate) = server(Ok(()));
        let (status, token) = ask(&router, "/voice/asterisk/incoming", "pbx1:secret", "call=17.4&from=%2B1500").await;
        assert_eq!(status, 200);
        let grant = gate.tokens.redeem(now(), "asterisk", "17.4", &Secret::new(token)).expect("a good token");
        assert_eq!(grant.from, Some("+1500".to_owned().into()));
        let next = async || ask(&router, "/voice/asterisk/after", "pbx1:secret", "call=17.4").await.1;
        assert_eq!(next().await, "sorry", "its stream never came");
        let told = |target: &str| {
            StreamOutcome::Transfer(Transfer { target: target.to_owned().into(), ..Transfer::default() })
        };
        for (outcome, expected) in [
            (StreamOutcome::Ended, "hangup"),
            (StreamOutcome::Busy, "busy"),
            (StreamOutcome::Failed, "sorry"),
            (told("PJSIP/1001"), "dial PJSIP/1001"),
            (told("1001,,g)\n${SHELL(x)}&2"), "dial 1001gSHELLx2"),
            (told("$()"), "sorry"),
        ] {
            gate.outcomes.record(now(), "17.4", outcome);
            assert_eq!(next().await, expected);
        }
    }

    #[tokio::test]
    async fn a_caller_nobody_took_streams_again() {
        let (router, gate) = server(Ok(()));
        for (status, is_back) in
            [("BUSY", true), ("NOANSWER", true), ("CHANUNAVAIL", true), ("ANSWER", false), ("CANCEL", false)]
        {
            let transfer = Transfer { target: "PJSIP/1001".to_owned().into(), ..Transfer::default() };
            gate.outcomes.record(now(), "17.4", StreamOutcome::Transfer(transfer));
            let body = format!("call=17.4&status={status}");
            let told = ask(&router, "/voice/asterisk/dialled", "pbx1:secret", &body).await.1;
            let is_let_in = gate.tokens.redeem(now(), "asterisk", "17.4", &Secret::new(told.clone())).is_ok();
            assert_eq!((is_let_in, told == "hangup"), (is_back, !is_back), "{status}");
        }
        assert_eq!(ask(&router, "/voice/asterisk/dialled", "", "call=1").await, (401, String::new()));
    }

    #[tokio::test]
    async fn whoever_answers_hears_a_recording_and_takes_the_call_with_a_key() {
        let told = Arc::new(Told::default());
        let (router, gate) = server_with(told.clone(), Some(voice()));
        let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
        let transfer = Transfer { target: "PJSIP/1001".to_owned().into(), variables };
        for (keys, word, news, back) in [
            ("1", "join", vec![TransferNews::Taken], false),
            ("2", "release", vec![TransferNews::Missed(Missed::Declined)], true),
            ("", "release", vec![TransferNews::Missed(Missed::NoAnswer)], true),
        ] {
            gate.outcomes.record(now(), "17.4", StreamOutcome::Transfer(transfer.clone()));
            let (status, wav) = get(&router, "/voice/asterisk/brief/17.4", "pbx1:secret").await;
            let mut reader = hound::WavReader::new(std::io::Cursor::new(wav)).expect("a WAV file");
            assert_eq!((status, reader.spec().sample_rate, reader.spec().channels), (200, 8_000, 1));
            assert!(reader.samples::<i16>().any(|sample| sample.expect("readable").abs() > 500), "something is said");
            let body = format!("call=17.4&keys={keys}");
            let answer = ask(&router, "/voice/asterisk/accept", "pbx1:secret", &body).await;
            assert_eq!(answer, (200, word.to_owned()), "{keys}");
            // Asterisk says that somebody answered, whatever they pressed.
            let over = ask(&router, "/voice/asterisk/dialled", "pbx1:secret", "call=17.4&status=ANSWER").await.1;
            assert_eq!((over != "hangup", told.take()), (back, news), "{keys}");
        }
        gate.outcomes.record(now(), "17.4", StreamOutcome::Ended);
        assert_eq!(get(&router, "/voice/asterisk/brief/17.4", "pbx1:secret").await.0, 404, "nobody is given away");
        assert_eq!(ask(&router, "/voice/asterisk/accept", "pbx1:secret", "call=17.4&keys=1").await.1, "release");
        for credentials in ["pbx1:guess", ""] {
            assert!(matches!(get(&router, "/voice/asterisk/brief/17.4", credentials).await.0, 401 | 403));
            assert!(matches!(ask(&router, "/voice/asterisk/accept", credentials, "call=17.4").await.0, 401 | 403));
        }
        // Without a voice nobody is asked: the dialplan finds no recording.
        let (mute, gate) = server_with(told, None);
        gate.outcomes.record(now(), "17.4", StreamOutcome::Transfer(transfer));
        assert_eq!(get(&mute, "/voice/asterisk/brief/17.4", "pbx1:secret").await, (503, Vec::new()));
    }

    #[tokio::test]
    async fn a_caller_who_hung_up_while_it_rang_is_not_waited_for() {
        let told = Arc::new(Told::default());
        let (router, gate) = server_with(told.clone(), None);
        let transfer = Transfer { target: "PJSIP/1001".to_owned().into(), ..Transfer::default() };
        gate.outcomes.record(now(), "17.4", StreamOutcome::Transfer(transfer));
        let over = async || ask(&router, "/voice/asterisk/dialled", "pbx1:secret", "call=17.4&status=CANCEL").await.1;
        assert_eq!((over().await, told.take()), ("hangup".to_owned(), vec![TransferNews::CallerLeft]));
        assert_eq!((over().await, told.take()), ("hangup".to_owned(), vec![]), "told once");
    }

    #[tokio::test]
    async fn a_full_house_is_busy_and_strangers_learn_nothing() {
        let (router, _) = server(Err(AdmitError::Busy));
        let incoming = "/voice/asterisk/incoming";
        assert_eq!(ask(&router, incoming, "pbx1:secret", "call=1").await, (200, "busy".to_owned()));
        assert_eq!(ask(&router, incoming, "pbx1:secret", "").await.0, 400);
        assert_eq!(ask(&router, incoming, "pbx1:guess", "call=1").await, (403, String::new()));
        assert_eq!(ask(&router, "/voice/asterisk/after", "", "call=1").await, (401, String::new()));
        assert_eq!(ask(&router, "/voice/freeswitch/after", "x:", "call=1").await.0, 403, "not configured");
    }
}
