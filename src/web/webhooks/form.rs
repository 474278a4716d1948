//! Webhooks that are signed forms and are answered with XML: Twilio's way, which others follow with words of their own.
//!
//! ```text
//! incoming ──▶ stream with token ── our socket closes ──▶ after ──▶ hang up, an apology first, or call somebody
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

use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::xml::Element;
use super::{Inner, WebhookState, now};
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
    pub(super) dial: fn(&Transfer, &str) -> Element,
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

/// A call that is taken.
pub(super) struct Offer<'a> {
    /// The provider's name for it.
    pub(super) call_id: &'a str,
    /// Lets its stream in.
    pub(super) token: &'a str,
    /// Where reports go.
    pub(super) status_url: String,
    /// Where the provider asks what comes next.
    pub(super) after_url: String,
}

/// The three routes of a provider.
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
        Ok(token) => {
            let url = |name: &str| inner.url(&format!("{}/{name}", spec.path));
            let (status_url, after_url) = (url("status"), url("after"));
            (spec.stream)(inner, &Offer { call_id, token: token.expose(), status_url, after_url })
        }
        Err(NotTaken::TooOften) => response().child((spec.reject)()),
        Err(NotTaken::Busy) => spec.goodbye(Some(BUSY_SENTENCE)),
    };
    document.answer()
}

/// Our socket is closed and the caller still there: the provider asks what comes next.
fn after(spec: &'static FormProvider, inner: &Inner, form: HashMap<String, String>) -> Response {
    // The transfer has been tried: whoever was called spoke to the caller, or nobody answered.
    if form.contains_key(spec.dialled) {
        return spec.goodbye(None).answer();
    }
    let document = match inner.next(form.get(spec.call_id).map_or("", String::as_str)) {
        Next::Hangup(sentence) => spec.goodbye(sentence),
        Next::Transfer(transfer) => {
            response().child((spec.dial)(&transfer, &inner.url(&format!("{}/after", spec.path))))
        }
    };
    document.answer()
}

/// Reports about calls and streams: only failures are of interest, for the log.
fn status(spec: &'static FormProvider, _: &Inner, form: HashMap<String, String>) -> Response {
    match (spec.failure)(&form) {
        Some(error) => warn!("{} reports a stream error: {error:?}", spec.provider),
        None => debug!("{} reports", spec.provider),
    }
    StatusCode::NO_CONTENT.into_response()
}

impl FormProvider {
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
        Ok(()) => Some(fields.into_iter().collect()),
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
