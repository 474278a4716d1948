//! The provider's and the page's side of the dialects: how a call is announced, and how messages are written and read.
//!
//! One file for each provider: an `announce` that asks the webhook as the provider does, and its [`Dialect`].

mod asterisk;
mod audiocodes;
mod audiohook;
mod bandwidth;
mod browser;
mod exotel;
mod freeswitch;
mod instructions;
mod jambonz;
mod pbx;
mod plivo;
mod telnyx;
mod twilio;
mod voice;
mod vonage;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::Uri;

use self::twilio::Brand;
use super::CallError;
use super::player::Dial;
use crate::audio::units::Millis;
use crate::config::{AudiohookConfig, ProvidersConfig};
use crate::engine::llm::openai::install_crypto;
use crate::telemetry::Secret;
use crate::telephony::protocol::{Caption, Digit};

/// Answers of webhooks are short.
const MAX_ANSWER: usize = 256 * 1024;

/// What the server said over the socket.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// The call is open.
    Started,
    /// 16 kHz mono.
    Audio(Vec<i16>),
    /// Return this when playback reaches it.
    Mark(String),
    /// Drop what is queued.
    Clear,
    /// Stop playing for a while, or go on.
    Pause(bool),
    /// Keys towards the caller.
    Dtmf(String),
    /// A line to read.
    Caption(Caption),
    /// The dialect answers this by itself.
    Reply(Message),
    /// The server says goodbye, and closes next.
    Ended(String),
    /// The server asks us to end the call: we say goodbye and close.
    HangUp(String),
    /// Not understood: a fault of the server.
    Unknown(String),
}

/// One dialect as its provider speaks it.
pub trait Dialect: Send {
    /// Whether the provider would go on after this answer to its handshake; if not, why.
    fn accepts(&self, response: &Response) -> Result<(), String> {
        let _ = response;
        Ok(())
    }
    /// The first messages on the socket.
    fn hello(&mut self) -> Vec<Message>;
    /// 20 ms of caller audio, 16 kHz: the messages that are due now. Providers with longer messages collect.
    fn audio(&mut self, pcm: &[i16]) -> Vec<Message>;
    /// A key; nothing where the dialect has none.
    fn dtmf(&mut self, digit: Digit) -> Vec<Message>;
    /// Playback has reached a mark, or a clear has flushed it; nothing where the provider does not say.
    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message>;
    /// The queue was thrown away, after its marks.
    fn cleared(&mut self) -> Vec<Message> {
        Vec::new()
    }
    /// Playback begins after silence, or has run out: for providers that tell.
    fn playing(&mut self, playing: bool) -> Vec<Message> {
        let _ = playing;
        Vec::new()
    }
    /// The caller hangs up.
    fn goodbye(&mut self) -> Vec<Message>;
    /// Whether the socket may be closed after our goodbye; else the server has to answer it first.
    fn is_over(&self) -> bool {
        true
    }
    /// What a message means, in order; nothing for those without meaning here.
    fn read(&mut self, message: Message) -> Vec<Incoming>;
    /// More audio than this is not kept: the provider drops the newest.
    fn longest_queue(&self) -> Millis {
        Millis(60_000)
    }
}

/// What a provider asks once our server closed the socket: the sentences the caller still on the line is told, if any.
pub type Afterwards = BoxFuture<'static, Result<String, CallError>>;

/// A call that may connect now.
pub struct Announced {
    /// The upgrade to send.
    pub request: Request,
    /// How to speak on the socket.
    pub dialect: Box<dyn Dialect>,
    /// Asked when the server closed the socket.
    pub afterwards: Option<Afterwards>,
}

/// Announces the call the way its provider does.
pub async fn announce(dial: &Dial) -> Result<Announced, CallError> {
    if let Some(socket) = &dial.socket {
        // Whoever names the socket itself has no webhook for us.
        let token = dial.token.clone().unwrap_or_else(|| Secret::new(String::new()));
        let base = origin(socket).ok_or_else(|| CallError::Provider { name: socket.clone() })?;
        let direct = Dial { base, socket: None, token: Some(token), ..dial.clone() };
        let mut announced = Box::pin(announce(&direct)).await?;
        announced.afterwards = None;
        *announced.request.uri_mut() = redirected(announced.request.uri(), socket)?;
        return Ok(announced);
    }
    install_crypto();
    let http = reqwest::Client::builder().no_proxy().timeout(dial.patience).build();
    let http = http.map_err(|source| CallError::Http { url: dial.base.clone(), source })?;
    match dial.provider.as_str() {
        "audiohook" => audiohook::announce(dial),
        "jambonz" => jambonz::announce(http, dial).await,
        "audiocodes" => audiocodes::announce(dial),
        "vonage" => vonage::announce(http, dial).await,
        "exotel" => exotel::announce(http, dial).await,
        "bandwidth" => bandwidth::announce(http, dial).await,
        "asterisk" => asterisk::announce(http, dial).await,
        "freeswitch" => freeswitch::announce(http, dial).await,
        "twilio" => twilio::announce(http, dial, Brand::Twilio).await,
        "signalwire" => twilio::announce(http, dial, Brand::Signalwire).await,
        "telnyx" => telnyx::announce(http, dial).await,
        "plivo" => plivo::announce(http, dial).await,
        "browser" => browser::announce(http, dial).await,
        other => Err(CallError::Provider { name: other.to_owned() }),
    }
}

/// The forms a provider's dialect has, the usual one first; none for most.
pub fn variants(provider: &str) -> &'static [&'static str] {
    match provider {
        "asterisk" => asterisk::VARIANTS,
        "freeswitch" => freeswitch::VARIANTS,
        _ => &[],
    }
}

/// What the provider signs with, by the server's own configuration; `USER:PASSWORD` for Basic authentication, nothing
/// where a server knows a public key only.
pub fn secret_of(provider: &str, providers: &ProvidersConfig) -> Secret<String> {
    match provider {
        "asterisk" => pair(&providers.asterisk.username, &providers.asterisk.password),
        "freeswitch" => pair(&providers.freeswitch.username, &providers.freeswitch.password),
        "twilio" => providers.twilio.auth_token.clone(),
        "audiohook" => {
            let AudiohookConfig { api_key, client_secret } = &providers.audiohook;
            Secret::new(format!("{}:{}", api_key.expose(), client_secret.expose()))
        }
        "jambonz" if providers.jambonz.webhook_secret.expose().is_empty() => {
            Secret::new(format!("{}:{}", providers.jambonz.username, providers.jambonz.password.expose()))
        }
        "jambonz" => providers.jambonz.webhook_secret.clone(),
        "audiocodes" => providers.audiocodes.token.clone(),
        "vonage" if providers.vonage.application_id.is_empty() => providers.vonage.signature_secret.clone(),
        "vonage" => pair(&providers.vonage.application_id, &providers.vonage.signature_secret),
        "exotel" => pair(&providers.exotel.username, &providers.exotel.password),
        "bandwidth" => pair(&providers.bandwidth.username, &providers.bandwidth.password),
        "signalwire" => providers.signalwire.signing_key.clone(),
        "plivo" => providers.plivo.auth_token.clone(),
        _ => Secret::new(String::new()),
    }
}

/// Two that belong together, as `--auth-token` has them.
fn pair(name: &str, secret: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{name}:{}", secret.expose()))
}

/// `http://host:port` of `ws://host:port/path`, and with an s.
fn origin(socket: &str) -> Option<String> {
    let (scheme, rest) = socket.split_once("://")?;
    let scheme = if matches!(scheme, "wss" | "https") { "https" } else { "http" };
    Some(format!("{scheme}://{}", rest.split(['/', '?']).next()?))
}

/// `socket`, with the query a dialect gave its own path.
fn redirected(own: &Uri, socket: &str) -> Result<Uri, CallError> {
    let joint = if socket.contains('?') { '&' } else { '?' };
    let url = own.query().map_or(socket.to_owned(), |query| format!("{socket}{joint}{query}"));
    let uri = request(&url)?.uri().clone();
    Ok(uri)
}

fn request(url: &str) -> Result<Request, CallError> {
    url.into_client_request().map_err(|source| CallError::Socket { url: url.to_owned(), source: Box::new(source) })
}

/// Adds a header to an upgrade; a subprotocol is the header `sec-websocket-protocol`.
fn add_header(request: &mut Request, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        request.headers_mut().insert(name, value);
    }
}

/// Posts a form with these headers; the body of a 200.
async fn post_form(
    http: &reqwest::Client,
    url: String,
    headers: &[(&str, String)],
    form: &[(&str, &str)],
) -> Result<String, CallError> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http.post(&url).header("content-type", "application/x-www-form-urlencoded; charset=UTF-8").body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    match answer(request, &url).await? {
        (StatusCode::OK, body) => Ok(body),
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => Err(CallError::Signature { url }),
        (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
    }
}

/// Posts JSON with that `Authorization`; the body of a 200, and nothing of a 204.
async fn post_json(
    http: &reqwest::Client,
    url: String,
    authorization: String,
    body: String,
) -> Result<String, CallError> {
    let request = http.post(&url).header("content-type", "application/json").header("authorization", authorization);
    match answer(request.body(body), &url).await? {
        (StatusCode::OK | StatusCode::NO_CONTENT, body) => Ok(body),
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => Err(CallError::Signature { url }),
        (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
    }
}

async fn answer(request: reqwest::RequestBuilder, url: &str) -> Result<(StatusCode, String), CallError> {
    let failed = |source| CallError::Http { url: url.to_owned(), source };
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok((response.status(), String::from_utf8_lossy(&body).into_owned()))
}

fn unknown(what: impl Into<String>) -> Vec<Incoming> {
    vec![Incoming::Unknown(what.into())]
}
