//! A small server on a real socket: webhooks, media driver, and behind them a call that is no dialog but behaves like
//! one. It greets with a tone, answers voice with a tone, stops when spoken over, hangs up on `9`, and puts the caller
//! through on `8`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warmline::audio::frame::AudioFrame;
use warmline::audio::mix::level_dbfs;
use warmline::audio::units::{Millis, SampleRate};
use warmline::call::CallId;
use warmline::call::handle::{AdmitError, CallHandle, CallOpener, LegIo};
use warmline::config::Config;
use warmline::telephony::protocol::{Caption, MarkId, MediaCommand, MediaEvent, Speaker, StreamStart, Transfer};
use warmline::telephony::signature::{TWILIO_HEADER, ed25519, jwt, plivo, sign_twilio, stamped};
use warmline::web::gate::{Gate, unix_s};
use warmline::web::media::{self, MediaState};
use warmline::web::webhooks::{self, Admission, WebhookState};

/// Silence after which the caller is taken to be done: more than a machine stalls within what somebody says.
pub const HANGOVER: Duration = Duration::from_millis(600);
/// Length of the greeting and of each answer, unless told otherwise.
pub const TONE: Millis = Millis(600);

/// Each provider's section of the configuration, and what its side proves itself with.
const CREDENTIALS: &[(&str, &str, &str)] = &[
    ("twilio", "[twilio]\nauth_token = \"12345\"", "12345"),
    (
        "audiohook",
        "[audiohook]\napi_key = \"invented-api-key-1\"\nclient_secret = \"aW52ZW50ZWQtY2xpZW50LXNlY3JldC0wMDAx\"",
        "invented-api-key-1:aW52ZW50ZWQtY2xpZW50LXNlY3JldC0wMDAx",
    ),
    ("jambonz", "[jambonz]\nusername = \"desk\"\npassword = \"secret\"\nwebhook_secret = \"wh-secret\"", "wh-secret"),
    ("audiocodes", "[audiocodes]\ntoken = \"ac-token\"", "ac-token"),
    (
        "vonage",
        "[vonage]\nsignature_secret = \"hush\"\napplication_id = \"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab\"",
        "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab:hush",
    ),
    ("exotel", "[exotel]\nusername = \"warmline\"\npassword = \"hush\"", "warmline:hush"),
    ("bandwidth", "[bandwidth]\nusername = \"warmline\"\npassword = \"hush\"", "warmline:hush"),
    ("asterisk", "[asterisk]\nusername = \"pbx1\"\npassword = \"asterisk-word\"", "pbx1:asterisk-word"),
    ("freeswitch", "[freeswitch]\nusername = \"freeswitch\"\npassword = \"freeswitch-word\"", "freeswitch-word"),
    ("signalwire", "[signalwire]\nsigning_key = \"sw-key\"\ncodec = \"L16@24000h\"", "sw-key"),
    // The key pair of the signature vectors.
    (
        "telnyx",
        "[telnyx]\npublic_key = \"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\"\ncodec = \"G722\"",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ),
    ("plivo", "[plivo]\nauth_token = \"plivo-token\"\ncontent_type = \"audio/x-l16;rate=16000\"", "plivo-token"),
];

/// All sections of the configuration.
pub fn sections() -> String {
    CREDENTIALS.iter().map(|(_, section, _)| *section).collect::<Vec<_>>().join("\n")
}

/// What a provider proves itself with; nothing for a browser.
pub fn secret_of(provider: &str) -> &'static str {
    CREDENTIALS.iter().find(|(name, ..)| *name == provider).map_or("", |(.., secret)| secret)
}

/// The running server. Dropping it stops it.
pub struct House {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    calls: Arc<Calls>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

/// How long the server speaks.
#[derive(Clone, Copy, Debug)]
pub struct Tones {
    pub greeting: Millis,
    pub answer: Millis,
}

struct Calls {
    max: usize,
    tones: Tones,
    live: Arc<AtomicUsize>,
    opened: AtomicUsize,
    tracker: TaskTracker,
}

impl House {
    /// Opens a server for at most `max` calls at once on a free port of the loopback.
    pub async fn open(max: usize) -> Self {
        Self::open_with(max, Tones { greeting: TONE, answer: TONE }).await
    }

    /// The same, speaking for as long as told.
    pub async fn open_with(max: usize, tones: Tones) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = format!("[server]\nlisten = \"{address}\"\ncalls_per_minute_per_caller = 1000\n");
        let text = server + &sections();
        let config = Config::parse(&text, std::iter::empty()).expect("valid");
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let live = Arc::default();
        let calls = Arc::new(Calls { max, tones, live, opened: AtomicUsize::new(0), tracker: tracker.clone() });
        let gate = Arc::new(Gate::new(&config));
        let media = MediaState::new(gate.clone(), calls.clone(), tracker.clone(), cancel.clone());
        let hooks = WebhookState::new(&config, gate, calls.clone()).with_sockets(tracker.clone(), cancel.clone());
        let routes = media::routes(media).merge(webhooks::routes(hooks));
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let stop = cancel.clone().cancelled_owned();
        tracker.spawn(async move {
            let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
            let _ = axum::serve(listener, service).with_graceful_shutdown(stop).await;
        });
        Self { base: format!("http://{address}"), calls, cancel, tracker }
    }

    /// How many calls were opened so far.
    pub fn opened(&self) -> usize {
        self.calls.opened.load(Ordering::SeqCst)
    }

    /// Hangs up everybody and waits until nothing runs any more.
    pub async fn close(self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        assert_eq!(self.calls.live.load(Ordering::SeqCst), 0, "a call outlived its server");
    }
}

impl Admission for Calls {
    fn admit(&self) -> Result<(), AdmitError> {
        if self.live.load(Ordering::SeqCst) < self.max { Ok(()) } else { Err(AdmitError::Busy) }
    }
}

impl CallOpener for Calls {
    fn open(&self, _: &'static str, start: StreamStart, leg: LegIo) -> Result<CallHandle, AdmitError> {
        self.admit()?;
        assert!(start.token.is_none() && !start.provider_call_id.is_empty());
        self.live.fetch_add(1, Ordering::SeqCst);
        self.opened.fetch_add(1, Ordering::SeqCst);
        let handle = CallHandle { id: CallId::generate(), cancel: CancellationToken::new() };
        let (live, cancel, tones) = (self.live.clone(), handle.cancel.clone(), self.tones);
        self.tracker.spawn(async move {
            tokio::select! {
                () = answer(leg, tones) => {}
                () = cancel.cancelled() => {}
            }
            live.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(handle)
    }
}

/// The call.
async fn answer(mut leg: LegIo, tones: Tones) {
    let mut pace = interval(Millis::FRAME.duration());
    // Between two tones nobody looks at it: what was missed must not come all at once.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut to_play, mut mark) = (frames(tones.greeting), 0);
    let (mut voiced_ms, mut done_at): (u32, Option<Instant>) = (0, None);
    let caption = Caption { who: Speaker::Assistant, text: "Hello".to_owned(), is_final: true };
    let _ = leg.commands.send(MediaCommand::Caption(caption)).await;
    loop {
        tokio::select! {
            frame = leg.frames.recv() => match frame {
                None => return,
                Some(frame) if level_dbfs(&frame.pcm) > -40.0 => {
                    voiced_ms += 20;
                    done_at = (voiced_ms >= 100).then(|| Instant::now() + HANGOVER);
                    if to_play > 0 && voiced_ms >= 100 {
                        to_play = 0;
                        let _ = leg.commands.send(MediaCommand::Clear).await;
                    }
                }
                Some(_) => {}
            },
            event = leg.events.recv() => match event {
                None | Some(MediaEvent::Stopped(_)) => return,
                Some(MediaEvent::Dtmf(digit)) if digit.get() == '9' => {
                    let _ = leg.commands.send(MediaCommand::Hangup).await;
                }
                Some(MediaEvent::Dtmf(digit)) if digit.get() == '8' => {
                    let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
                    let transfer = Transfer { target: "+15005550123".to_owned().into(), variables };
                    let _ = leg.commands.send(MediaCommand::Transfer(transfer)).await;
                }
                Some(_) => {}
            },
            () = sleep_until(done_at.unwrap_or_else(far)), if done_at.is_some() => {
                (done_at, voiced_ms, to_play) = (None, 0, frames(tones.answer));
            }
            _ = pace.tick(), if to_play > 0 => {
                to_play -= 1;
                let _ = leg.commands.send(MediaCommand::Audio(tone())).await;
                if to_play == 0 {
                    mark += 1;
                    let _ = leg.commands.send(MediaCommand::Mark(MarkId(mark))).await;
                }
            }
        }
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

fn frames(span: Millis) -> u32 {
    span.0 / Millis::FRAME.0
}

/// 20 ms of 400 Hz, which begins and ends at zero.
fn tone() -> AudioFrame {
    let pcm: Vec<i16> =
        (0..320).map(|n| (6_000.0 * (f64::from(n) * std::f64::consts::TAU / 40.0).sin()) as i16).collect();
    AudioFrame::new(Millis(0), SampleRate::WIDEBAND, pcm)
}

/// Asks the server at `base` as Twilio does, signed.
pub async fn twilio(http: &reqwest::Client, base: &str, path: &str, form: &[(&str, &str)]) -> String {
    signed_form(http, base, "twilio", path, form).await
}

/// Asks as a provider does whose webhooks are forms.
pub async fn signed_form(
    http: &reqwest::Client,
    base: &str,
    provider: &str,
    path: &str,
    form: &[(&str, &str)],
) -> String {
    let url = format!("{base}/voice/{provider}/{path}");
    let fields: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let secret = secret_of(provider);
    let headers = match provider {
        "plivo" => {
            let nonce = uuid::Uuid::new_v4().simple().to_string();
            vec![
                (plivo::SIGNATURE_HEADER, plivo::sign(secret, &url, Some(&fields), &nonce)),
                (plivo::NONCE_HEADER, nonce),
            ]
        }
        _ => vec![(TWILIO_HEADER, sign_twilio(secret, &url, &fields))],
    };
    let request = http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    said_to(path, headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await
}

/// Tells of an event as Telnyx' Call Control does.
pub async fn telnyx_event(http: &reqwest::Client, base: &str, event: &str, payload: Value) {
    let id = uuid::Uuid::new_v4().to_string();
    let body = json!({"data": {"id": id, "event_type": event, "payload": payload}}).to_string();
    let stamp = unix_s().to_string();
    let key = ed25519::SigningKey::from_seed(secret_of("telnyx")).expect("a seed");
    let signature = key.sign(&stamp, body.as_bytes());
    let request = http.post(format!("{base}/voice/telnyx/incoming")).header("content-type", "application/json");
    let request = request.header(ed25519::TIMESTAMP_HEADER, stamp).header(ed25519::SIGNATURE_HEADER, signature);
    said_to(event, request.body(body)).await;
}

/// Posts JSON as Vonage does.
pub async fn vonage_json(http: &reqwest::Client, base: &str, path: &str, body: &Value) -> String {
    let (application, secret) = secret_of("vonage").split_once(':').expect("an application and its secret");
    let body = body.to_string();
    let claims = jwt::Claims {
        iat: unix_s(),
        jti: uuid::Uuid::new_v4().to_string(),
        iss: "Vonage".to_owned(),
        payload_hash: Some(jwt::payload_hash(body.as_bytes())),
        api_key: None,
        application_id: Some(application.to_owned()),
    };
    let request = http.post(format!("{base}/voice/vonage/{path}")).bearer_auth(jwt::sign(secret, &claims));
    said_to(path, request.header("content-type", "application/json").body(body)).await
}

/// Posts JSON as jambonz does, signed.
pub async fn jambonz_json(http: &reqwest::Client, base: &str, path: &str, body: &Value) -> String {
    let body = body.to_string();
    let signature = stamped::sign(secret_of("jambonz"), unix_s(), body.as_bytes());
    let request = http.post(format!("{base}/voice/jambonz/{path}")).header(stamped::JAMBONZ_HEADER, signature);
    said_to(path, request.header("content-type", "application/json").body(body)).await
}

/// Posts as those do who bring a name and a password.
pub async fn with_password(http: &reqwest::Client, base: &str, provider: &str, path: &str, body: String) -> String {
    let (user, password) = secret_of(provider).split_once(':').expect("a name and a password");
    let request = http.post(format!("{base}/voice/{provider}/{path}")).basic_auth(user, Some(password));
    said_to(path, request.body(body)).await
}

async fn said_to(path: &str, request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.expect("answers");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.text().await.expect("text")
}
