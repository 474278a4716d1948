//! Webhooks that are signed forms and are answered with XML: Twilio's way, which others follow with words of their own.
//!
//! ```text
//! incoming ──▶ stream with token ── our socket closes ──▶ after ──▶ hang up, an apology first, or call somebody
//!     │                 ▲                                             somebody answers ──▶ whisper ──▶ accept ──▶ joined
//!     │                 └───────── nobody took the call: back with us ◀── after, with a result ◀──┘
//!     └─▶ too many from this number: busy tone · all lines busy: a sentence, hang up
//! ```

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tracing::{debug, warn};

use super::dialled::DialOver;
use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::xml::Element;
use super::{Inner, WebhookState, now};
use crate::call::input::{Missed, TransferNews};
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::SignatureError;

/// What one provider's forms and documents look like.
pub(super) struct FormProvider {
    /// Row name.
    pub(super) provider: &'static str,
    /// Its webhooks are `incoming`, `after` and `status` below this.
    pub(super) path: &'static str,
    /// The key of the configuration that signatures are checked with.
    pub(super) key: &'static str,
    /// The field with the call's name.
    pub(super) call_id: &'static str,
    /// The field that stands in `after` once a transfer was tried.
    pub(super) dialled: &'static str,
    /// Checks a signature.
    pub(super) verify: fn(&Inner, &Signed<'_>) -> Result<(), SignatureError>,
    /// The answer that joins a caller to a stream.
    pub(super) stream: fn(&Inner, &Offer<'_>) -> Element,
    /// The element that speaks.
    pub(super) say: &'static str,
    /// The element that turns a call away with the busy tone.
    pub(super) reject: fn() -> Element,
    /// The element that calls somebody.
    pub(super) dial: fn(&Transfer, &DialUrls) -> Element,
    /// The answer that reads a text to whoever was called, and asks for a key at that address.
    pub(super) whisper: fn(&str, &str) -> Element,
    /// Whether a status report says that caller and person are joined. Only where no key is asked for at `accept`.
    pub(super) joined: fn(&HashMap<String, String>) -> bool,
    /// Whether a machine has answered a call of ours.
    pub(super) machine: fn(&HashMap<String, String>) -> bool,
    /// What went wrong, if a status report says so.
    pub(super) failure: fn(&HashMap<String, String>) -> Option<String>,
}

/// A request whose signature is to be checked.
pub(super) struct Signed<'a> {
    /// As the provider knows it.
    pub(super) url: String,
    /// All fields, in order.
    pub(super) fields: &'a [(String, String)],
    /// The body as it came.
    pub(super) body: &'a [u8],
    headers: &'a HeaderMap,
}

impl Signed<'_> {
    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Where a provider asks while it calls somebody.
pub(super) struct DialUrls {
    /// When the call is over.
    pub(super) over: String,
    /// What the person hears.
    pub(super) whisper: String,
    /// With reports.
    pub(super) status: String,
}

/// A call that is taken.
pub(super) struct Offer<'a> {
    /// The provider's name for it.
    pub(super) call_id: &'a str,
    /// Whose account it came to, where the form says so.
    pub(super) account: &'a str,
    /// Lets its stream in.
    pub(super) token: &'a str,
    /// Where reports go.
    pub(super) status_url: String,
    /// Where the provider asks what comes next.
    pub(super) after_url: String,
}

/// The routes of a provider.
pub(super) fn routes(spec: &'static FormProvider) -> Router<WebhookState> {
    let path = |name: &str| format!("{}/{name}", spec.path);
    let with = |answer: fn(&'static FormProvider, &Inner, HashMap<String, String>) -> Response| {
        post(
            move |State(state): State<WebhookState>, OriginalUri(uri): OriginalUri, headers: HeaderMap, body: Bytes| async move {
                match signed_form(spec, &state.0, &uri, &headers, &body) {
                    Some(form) => answer(spec, &state.0, form),
                    None => StatusCode::FORBIDDEN.into_response(),
                }
            },
        )
    };
    Router::new()
        .route(&path("incoming"), with(incoming))
        .route(&path("after"), with(after))
        .route(&path("whisper"), with(whisper))
        .route(&path("accept"), with(accept))
        .route(&path("answered"), with(answered))
        .route(&path("dialled"), with(dialled))
        .route(&path("status"), with(status))
}

fn incoming(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let call_id = field(spec.call_id);
    if call_id.is_empty() {
        return (StatusCode::BAD_REQUEST, format!("{} is missing", spec.call_id)).into_response();
    }
    let call = Announcement { provider: spec.provider, call_id, from: field("From"), to: field("To") };
    let document = match inner.announce(now(), call) {
        Ok(token) => spec.join(inner, &form, token.expose()),
        Err(NotTaken::TooOften) => response().child((spec.reject)()),
        Err(NotTaken::Busy) => spec.goodbye(Some(BUSY_SENTENCE)),
    };
    document.answer()
}

/// Our socket is closed and the caller still there: the provider asks what comes next.
fn after(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let call_id = field(spec.call_id);
    if form.contains_key(spec.dialled) {
        let mut over = DialOver::of(field(spec.dialled));
        // The state of the caller's own call.
        over.caller_left |= field("CallStatus") == "completed";
        if !inner.dial_over(spec.provider, call_id, over) {
            return spec.goodbye(None).answer();
        }
        let call = Announcement { provider: spec.provider, call_id, from: field("From"), to: field("To") };
        return spec.join(inner, &form, inner.take_back(now(), call).expose()).answer();
    }
    if inner.admission.is_returning(spec.provider, call_id) {
        // We were away and they are still there.
        let call = Announcement { provider: spec.provider, call_id, from: field("From"), to: field("To") };
        return spec.join(inner, &form, inner.take_back(now(), call).expose()).answer();
    }
    let document = match inner.next(call_id) {
        Next::Hangup(sentence) => spec.goodbye(sentence),
        Next::Transfer(transfer) => {
            let urls = DialUrls {
                over: inner.url(&format!("{}/after", spec.path)),
                whisper: spec.about(inner, "whisper", call_id),
                status: spec.about(inner, "status", call_id),
            };
            response().child((spec.dial)(&transfer, &urls))
        }
    };
    document.answer()
}

/// Somebody who was called has answered, and hears what it is about.
fn whisper(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let call_id = form.get(CALL).map_or("", String::as_str);
    match inner.whisper(call_id) {
        Some(text) => (spec.whisper)(&text, &spec.about(inner, "accept", call_id)).answer(),
        None => spec.goodbye(None).answer(),
    }
}

/// They have pressed a key: an empty answer joins them.
fn accept(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if inner.answered_with(spec.provider, field(CALL), field("Digits")) {
        response().answer()
    } else {
        spec.goodbye(None).answer()
    }
}

/// Somebody whom we call has answered, or a machine has.
fn answered(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let (key, call_id) = (field(CALL), field(spec.call_id));
    if (spec.machine)(&form) {
        inner.admission.transferred(spec.provider, key, TransferNews::Missed(Missed::Voicemail));
        return spec.goodbye(None).answer();
    }
    if call_id.is_empty() || !inner.admission.answered(spec.provider, key, call_id) {
        // Whoever called them has given up.
        return spec.goodbye(None).answer();
    }
    // They are the one we speak with, though it was us who called.
    let call = Announcement { provider: spec.provider, call_id, from: field("To"), to: field("From") };
    spec.join(inner, &form, inner.grant(now(), call).expose()).answer()
}

/// A call of ours is over. Of interest only while nobody has answered.
fn dialled(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let over = DialOver::of(field("CallStatus"));
    let missed = if (spec.machine)(&form) { Missed::Voicemail } else { over.missed };
    inner.admission.transferred(spec.provider, field(CALL), TransferNews::Missed(missed));
    StatusCode::NO_CONTENT.into_response()
}

/// Reports about calls and streams: only failures are of interest, for the log.
fn status(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    if (spec.joined)(&form) {
        inner.taken(spec.provider, form.get(CALL).map_or("", String::as_str));
    }
    match (spec.failure)(&form) {
        Some(error) => warn!("{} reports a stream error: {error:?}", spec.provider),
        None => debug!("{} reports", spec.provider),
    }
    StatusCode::NO_CONTENT.into_response()
}

/// The caller's call, in the address of requests that concern another leg.
const CALL: &str = "call";

impl FormProvider {
    /// Joins the call of this form to a stream.
    fn join(&self, inner: &Inner, form: &HashMap<String, String>, token: &str) -> Element {
        let url = |name: &str| inner.url(&format!("{}/{name}", self.path));
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let (call_id, account) = (field(self.call_id), field("AccountSid"));
        (self.stream)(inner, &Offer { call_id, account, token, status_url: url("status"), after_url: url("after") })
    }

    /// The address of a request that concerns the caller and comes from another leg.
    fn about(&self, inner: &Inner, name: &str, call_id: &str) -> String {
        let call: String = form_urlencoded::byte_serialize(call_id.as_bytes()).collect();
        inner.url(&format!("{}/{name}?{CALL}={call}", self.path))
    }

    fn goodbye(&self, sentence: Option<&str>) -> Element {
        let said = sentence.map(|sentence| Element::new(self.say).text(sentence));
        response().children(said).child(Element::new("Hangup"))
    }
}

/// An empty document.
pub(super) fn response() -> Element {
    Element::new("Response")
}

/// The form, if the provider signed it.
fn signed_form(
    spec: &'static FormProvider,
    inner: &Inner,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<HashMap<String, String>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let signed = Signed { url: inner.url(path), fields: &fields, body, headers };
    match (spec.verify)(inner, &signed) {
        Ok(()) => {
            // The address is signed too.
            let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
            let named = query.filter(|(name, _)| name == CALL);
            Some(fields.into_iter().chain(named).collect())
        }
        Err(error) => {
            inner.not_signed(spec.provider, spec.key, error);
            None
        }
    }
}

/// Twilio's signature, in one of these headers.
pub(super) fn verify_hmac_sha1(secret: &str, signed: &Signed<'_>, headers: &[&str]) -> Result<(), SignatureError> {
    if secret.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    let given = headers.iter().map(|name| signed.header(name)).find(|value| !value.is_empty());
    let given = given.ok_or(SignatureError::Missing)?;
    let good = crate::telephony::signature::verify_twilio(secret, &signed.url, signed.fields, given);
    if good { Ok(()) } else { Err(SignatureError::Wrong) }
}
