//! `[twilio]` and one section for each other provider: what proves that they are themselves, and how to ask them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::audio::byte_order::ByteOrder;
use crate::said::Said;
use crate::telemetry::Secret;

/// All providers' sections.
#[derive(Clone, Debug, Default)]
pub struct ProvidersConfig {
    /// `[twilio]`
    pub twilio: TwilioConfig,
    /// `[signalwire]`
    pub signalwire: SignalwireConfig,
    /// `[telnyx]`
    pub telnyx: TelnyxConfig,
    /// `[plivo]`
    pub plivo: PlivoConfig,
    /// `[vonage]`
    pub vonage: VonageConfig,
    /// `[exotel]`
    pub exotel: ExotelConfig,
    /// `[asterisk]`
    pub asterisk: AsteriskConfig,
    /// `[audiohook]`
    pub audiohook: AudiohookConfig,
    /// `[jambonz]`
    pub jambonz: JambonzConfig,
    /// `[audiocodes]`
    pub audiocodes: AudiocodesConfig,
    /// `[freeswitch]`
    pub freeswitch: FreeswitchConfig,
    /// `[bandwidth]`
    pub bandwidth: BandwidthConfig,
}

/// A user name without its password, or the other way round, lets nobody in.
fn check_pair(problems: &mut Problems, section: &str, username: &str, password: &Secret<String>) {
    if username.is_empty() != password.expose().is_empty() {
        problems.add(
            &format!("{section}.username"),
            username,
            Said::new("pair", "username and password are set together or not at all"),
        );
    }
}

/// Twilio.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwilioConfig {
    /// The account's Auth Token, which signs webhooks. Without it Twilio's webhooks are refused.
    pub auth_token: Secret<String>,
    /// The account's SID, as which Twilio's API is asked. Without it callers are moved by closing their stream, and nobody is
    /// called: callbacks wait for an agent to dial.
    pub account_sid: String,
    /// The number people are called from, one of the account's.
    pub number: String,
    /// Where Twilio's API is.
    pub api_url: String,
}

impl Default for TwilioConfig {
    fn default() -> Self {
        Self {
            auth_token: Secret::default(),
            account_sid: String::new(),
            number: String::new(),
            api_url: "https://api.twilio.com".to_owned(),
        }
    }
}

impl Section for TwilioConfig {
    const NAME: &'static str = "twilio";
    const SECRETS: &'static [&'static str] = &["auth_token"];
    fn check(&self, problems: &mut Problems) {
        check_url(problems, "twilio.api_url", &self.api_url);
        if !self.account_sid.chars().all(|c| c.is_ascii_alphanumeric()) {
            problems.add(
                "twilio.account_sid",
                &self.account_sid,
                Said::new("letters_digits", "must be letters and digits"),
            );
        }
    }
}

/// Audio on SignalWire's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalwireCodec {
    /// G.711 µ-law.
    #[default]
    #[serde(rename = "PCMU@8000h")]
    Pcmu,
    /// Linear, wideband.
    #[serde(rename = "L16@16000h")]
    L16,
    /// Linear, 24 kHz.
    #[serde(rename = "L16@24000h")]
    L16At24,
}

impl SignalwireCodec {
    /// As the stream's `codec` attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU@8000h",
            Self::L16 => "L16@16000h",
            Self::L16At24 => "L16@24000h",
        }
    }
}

/// SignalWire.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalwireConfig {
    /// The project's signing key, which signs webhooks. Without it SignalWire's webhooks are refused.
    pub signing_key: Secret<String>,
    /// The project's id, as which the API is asked.
    pub project_id: String,
    /// An API token of the project with the scope Voice.
    pub api_token: Secret<String>,
    /// The space, `https://NAME.signalwire.com`, where the API is. Without it, project or token callers are moved by closing
    /// their stream, and nobody is called.
    pub api_url: String,
    /// The number people are called from, one of the project's.
    pub number: String,
    /// Audio both ways: `PCMU@8000h`, `L16@16000h` or `L16@24000h`.
    pub codec: SignalwireCodec,
    /// Which way round L16 samples are: `auto` (the audio tells), `big` or `little`.
    pub l16_byte_order: ByteOrder,
}

impl Section for SignalwireConfig {
    const NAME: &'static str = "signalwire";
    const SECRETS: &'static [&'static str] = &["signing_key", "api_token"];
    fn check(&self, problems: &mut Problems) {
        check_optional_url(problems, "signalwire.api_url", &self.api_url);
        check_id(problems, "signalwire.project_id", &self.project_id);
    }
}

/// Audio on Telnyx' streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TelnyxCodec {
    /// G.711 µ-law.
    #[default]
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722, wideband.
    G722,
    /// Linear, wideband.
    L16,
}

impl TelnyxCodec {
    /// As Telnyx' API has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::L16 => "L16",
        }
    }
}

/// Telnyx.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelnyxConfig {
    /// The account's public key in base64, against which webhooks are checked. Without it they are refused.
    pub public_key: String,
    /// An API key, for Call Control applications; callers of TeXML applications are moved by it.
    pub api_key: Secret<String>,
    /// Where Telnyx' API is.
    pub api_url: String,
    /// The Call Control application people are called by. Without it, key or number nobody is called back.
    pub connection_id: String,
    /// The number people are called from, one of the account's.
    pub number: String,
    /// Audio both ways: `PCMU`, `PCMA`, `G722` or `L16`.
    pub codec: TelnyxCodec,
    /// Which way round L16 samples are: `auto` (the audio tells), `big` or `little`.
    pub l16_byte_order: ByteOrder,
}

impl Default for TelnyxConfig {
    fn default() -> Self {
        Self {
            public_key: String::new(),
            api_key: Secret::default(),
            api_url: "https://api.telnyx.com".to_owned(),
            connection_id: String::new(),
            number: String::new(),
            codec: TelnyxCodec::default(),
            l16_byte_order: ByteOrder::default(),
        }
    }
}

impl Section for TelnyxConfig {
    const NAME: &'static str = "telnyx";
    const SECRETS: &'static [&'static str] = &["api_key"];
    fn check(&self, problems: &mut Problems) {
        if !self.public_key.is_empty() && !crate::telephony::signature::ed25519::is_public_key(&self.public_key) {
            problems.add("telnyx.public_key", &self.public_key, Said::new("key_base64", "must be 32 bytes in base64"));
        }
        check_url(problems, "telnyx.api_url", &self.api_url);
        check_id(problems, "telnyx.connection_id", &self.connection_id);
    }
}

/// An address of a provider's API: `https://…` (`http://` for tests), no slash at the end.
fn check_url(problems: &mut Problems, key: &str, url: &str) {
    if !(url.starts_with("https://") || url.starts_with("http://")) || url.ends_with('/') {
        problems.add(
            key,
            url,
            Said::new("https_no_slash", "must start with https:// (or http:// for tests) and end without a slash"),
        );
    }
}

/// The same where the API need not be known.
fn check_optional_url(problems: &mut Problems, key: &str, url: &str) {
    if !url.is_empty() {
        check_url(problems, key, url);
    }
}

/// An id becomes part of a path.
fn check_id(problems: &mut Problems, key: &str, id: &str) {
    if !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        problems.add(key, id, Said::new("letters_digits_dashes", "must be letters, digits and dashes"));
    }
}

/// Audio on Plivo's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlivoAudio {
    /// G.711 µ-law.
    #[default]
    #[serde(rename = "audio/x-mulaw;rate=8000")]
    Pcmu,
    /// Linear, narrowband.
    #[serde(rename = "audio/x-l16;rate=8000")]
    L16At8,
    /// Linear, wideband.
    #[serde(rename = "audio/x-l16;rate=16000")]
    L16,
}

impl PlivoAudio {
    /// As the stream's `contentType` attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "audio/x-mulaw;rate=8000",
            Self::L16At8 => "audio/x-l16;rate=8000",
            Self::L16 => "audio/x-l16;rate=16000",
        }
    }
}

/// Plivo.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlivoConfig {
    /// The account's Auth Token, which signs webhooks. Without it Plivo's webhooks are refused.
    pub auth_token: Secret<String>,
    /// The account's Auth ID, as which the API is asked. Without it callers are moved by closing their stream, and nobody is
    /// called.
    pub auth_id: String,
    /// The number people are called from, one of the account's.
    pub number: String,
    /// Where Plivo's API is.
    pub api_url: String,
    /// Audio both ways: `audio/x-mulaw;rate=8000`, `audio/x-l16;rate=8000` or `audio/x-l16;rate=16000`.
    pub content_type: PlivoAudio,
}

impl Default for PlivoConfig {
    fn default() -> Self {
        Self {
            auth_token: Secret::default(),
            auth_id: String::new(),
            number: String::new(),
            api_url: "https://api.plivo.com".to_owned(),
            content_type: PlivoAudio::default(),
        }
    }
}

impl Section for PlivoConfig {
    const NAME: &'static str = "plivo";
    const SECRETS: &'static [&'static str] = &["auth_token"];
    fn check(&self, problems: &mut Problems) {
        check_url(problems, "plivo.api_url", &self.api_url);
        check_id(problems, "plivo.auth_id", &self.auth_id);
    }
}

/// Vonage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VonageConfig {
    /// The account's signature secret, which signs webhooks and sockets. Without it they are refused.
    pub signature_secret: Secret<String>,
    /// The application whose calls are taken; empty: any of the account.
    pub application_id: String,
    /// The application's private key in PEM, with which the API is asked. Without it or `application_id` callers are moved by
    /// closing their stream, a person is joined without a question, and nobody is called.
    pub private_key: Secret<String>,
    /// The number people are called from, one of the application's.
    pub number: String,
    /// Where Vonage's API is.
    pub api_url: String,
}

impl Default for VonageConfig {
    fn default() -> Self {
        Self {
            signature_secret: Secret::default(),
            application_id: String::new(),
            private_key: Secret::default(),
            number: String::new(),
            api_url: "https://api.nexmo.com".to_owned(),
        }
    }
}

impl Section for VonageConfig {
    const NAME: &'static str = "vonage";
    const SECRETS: &'static [&'static str] = &["signature_secret", "private_key"];
    fn check(&self, problems: &mut Problems) {
        check_url(problems, "vonage.api_url", &self.api_url);
        let key = self.private_key.expose();
        if !key.is_empty() && rsa_key(key).is_none() {
            problems.add(
                "vonage.private_key",
                "<secret>",
                Said::new("rsa_key", "must be an RSA private key of 2048 bits or more in PEM"),
            );
        }
        if !key.is_empty() && self.application_id.is_empty() {
            problems.add(
                "vonage.private_key",
                "<secret>",
                Said::new("only_with", "is of use with `vonage.application_id` only")
                    .with("name", "vonage.application_id"),
            );
        }
    }
}

/// The key in a PEM document, `BEGIN PRIVATE KEY` or `BEGIN RSA PRIVATE KEY`. Environments that can't hold line ends have
/// `\n` instead.
pub fn rsa_key(pem: &str) -> Option<KeyPair> {
    match PrivateKeyDer::from_pem_slice(pem.replace("\\n", "\n").as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// Exotel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExotelConfig {
    /// User name in the stream's URL, `wss://USERNAME:PASSWORD@…`.
    pub username: String,
    /// Its password. Without it Exotel's streams are refused.
    pub password: Secret<String>,
}

impl Section for ExotelConfig {
    const NAME: &'static str = "exotel";
    const SECRETS: &'static [&'static str] = &["password"];
    fn check(&self, problems: &mut Problems) {
        check_pair(problems, Self::NAME, &self.username, &self.password);
    }
}

/// What stands for the number in `asterisk.dial`.
pub const DIALLED: &str = "NUMBER";

/// Where ARI sends a caller who is to be given to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AriMove {
    /// On in the dialplan, which asks `after`.
    #[default]
    Continue,
    /// Away, to the target's own endpoint, if their telephone lets itself be sent.
    Redirect,
}

/// Asterisk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsteriskConfig {
    /// `username` of the connection in websocket_client.conf.
    pub username: String,
    /// Its `password`. Without it Asterisk's streams are refused.
    pub password: Secret<String>,
    /// Where ARI is, `http://HOST:8088/ari`, for callers who are in a Stasis application. Without it they are moved by ending
    /// their stream.
    pub ari_url: String,
    /// A user of `ari.conf`.
    pub ari_username: String,
    /// Its password.
    pub ari_password: Secret<String>,
    /// `continue` in the dialplan, or `redirect` to the target's endpoint.
    pub ari_move: AriMove,
    /// The context `continue` goes to, at `s`, priority 1; empty: on behind `Stasis`.
    pub ari_context: String,
    /// How long a telephone may take to follow a `redirect`: ARI says yes to all, so whoever is there after that has stayed, and
    /// is told so. 1 to 60.
    pub redirect_patience_s: u32,
    /// How people are called by ARI, `PJSIP/NUMBER@trunk`: `NUMBER` stands for theirs. Empty: nobody is.
    pub dial: String,
    /// The context of the dialplan that calls them (docs/providers/asterisk.md has it).
    pub dial_context: String,
    /// The number people are called from.
    pub number: String,
}

impl Default for AsteriskConfig {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: Secret::default(),
            ari_url: String::new(),
            ari_username: String::new(),
            ari_password: Secret::default(),
            ari_move: AriMove::default(),
            ari_context: String::new(),
            // What we let a telephone ring, and a little.
            redirect_patience_s: 30,
            dial: String::new(),
            dial_context: "warmline-out".to_owned(),
            number: String::new(),
        }
    }
}

impl Section for AsteriskConfig {
    const NAME: &'static str = "asterisk";
    const SECRETS: &'static [&'static str] = &["password", "ari_password"];
    fn check(&self, problems: &mut Problems) {
        check_pair(problems, Self::NAME, &self.username, &self.password);
        if self.ari_username.is_empty() != self.ari_password.expose().is_empty() {
            problems.add(
                "asterisk.ari_username",
                &self.ari_username,
                Said::new("pair", "name and password are set together or not at all"),
            );
        }
        check_optional_url(problems, "asterisk.ari_url", &self.ari_url);
        let is_whole = self.dial.contains('/') && self.dial.contains(DIALLED);
        if !(is_whole || self.dial.is_empty()) {
            problems.add(
                "asterisk.dial",
                &self.dial,
                Said::new("dial_string", "must name a technology and have NUMBER in it, as PJSIP/NUMBER@trunk"),
            );
        }
        if !self.dial_context.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            problems.add(
                "asterisk.dial_context",
                &self.dial_context,
                Said::new("letters_digits_dashes_underscores", "must be letters, digits, dashes and underscores"),
            );
        }
        problems.range("asterisk.redirect_patience_s", self.redirect_patience_s, 1..=60);
    }
}

/// Genesys Cloud AudioHook.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudiohookConfig {
    /// The integration's API key. Without it AudioHook's streams are refused.
    pub api_key: Secret<String>,
    /// The integration's client secret in base64, which signs handshakes.
    pub client_secret: Secret<String>,
}

impl Section for AudiohookConfig {
    const NAME: &'static str = "audiohook";
    const SECRETS: &'static [&'static str] = &["api_key", "client_secret"];
    fn check(&self, problems: &mut Problems) {
        if BASE64.decode(self.client_secret.expose().trim()).is_err() {
            problems.add("audiohook.client_secret", "<secret>", Said::new("base64", "must be base64"));
        }
    }
}

/// jambonz.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JambonzConfig {
    /// User name of the application's websocket.
    pub username: String,
    /// Its password. Without it jambonz' application websocket is refused.
    pub password: Secret<String>,
    /// The account's webhook secret, which signs webhooks. Without it jambonz' webhooks are refused.
    pub webhook_secret: Secret<String>,
    /// Samples a second of the audio both ways: 8000, 16000 or 24000. At the call's own rate marks are exact.
    pub sample_rate: u32,
    /// Where jambonz' API is, `https://jambonz.cloud/api`. Without it, account, key, application or number nobody is called.
    pub api_url: String,
    /// The account's SID.
    pub account_sid: String,
    /// An API key of the account.
    pub api_key: Secret<String>,
    /// The application whose calling webhook is ours.
    pub application_sid: String,
    /// The number people are called from, one of the account's.
    pub number: String,
}

impl Default for JambonzConfig {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: Secret::default(),
            webhook_secret: Secret::default(),
            sample_rate: 8_000,
            api_url: String::new(),
            account_sid: String::new(),
            api_key: Secret::default(),
            application_sid: String::new(),
            number: String::new(),
        }
    }
}

impl Section for JambonzConfig {
    const NAME: &'static str = "jambonz";
    const SECRETS: &'static [&'static str] = &["password", "webhook_secret", "api_key"];
    fn check(&self, problems: &mut Problems) {
        check_optional_url(problems, "jambonz.api_url", &self.api_url);
        check_id(problems, "jambonz.account_sid", &self.account_sid);
        if ![8_000, 16_000, 24_000].contains(&self.sample_rate) {
            problems.add(
                "jambonz.sample_rate",
                &self.sample_rate.to_string(),
                Said::new("one_of", "must be 8000, 16000 or 24000").with("allowed", "8000, 16000, 24000"),
            );
        }
        check_pair(problems, Self::NAME, &self.username, &self.password);
    }
}

/// AudioCodes VoiceAI Connect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudiocodesConfig {
    /// The bot connection's permanent token. Without it AudioCodes' sockets are refused.
    pub token: Secret<String>,
}

impl Section for AudiocodesConfig {
    const NAME: &'static str = "audiocodes";
    const SECRETS: &'static [&'static str] = &["token"];
    fn check(&self, _: &mut Problems) {}
}

/// FreeSWITCH.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeswitchConfig {
    /// User name for Basic authentication.
    pub username: String,
    /// Its password. Without it FreeSWITCH's streams are refused.
    pub password: Secret<String>,
}

impl Section for FreeswitchConfig {
    const NAME: &'static str = "freeswitch";
    const SECRETS: &'static [&'static str] = &["password"];
    fn check(&self, problems: &mut Problems) {
        check_pair(problems, Self::NAME, &self.username, &self.password);
    }
}

/// Bandwidth.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandwidthConfig {
    /// User name of the application's callbacks.
    pub username: String,
    /// Its password. Without it Bandwidth's webhooks are refused.
    pub password: Secret<String>,
    /// The account's number, as which the API is asked. Without it, the API's credentials, application or number nobody is called.
    pub account_id: String,
    /// A user of the account who may use the Voice API.
    pub api_username: String,
    /// Their password.
    pub api_password: Secret<String>,
    /// The voice application the number belongs to.
    pub application_id: String,
    /// The number people are called from, one of the application's.
    pub number: String,
    /// Where Bandwidth's API is.
    pub api_url: String,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: Secret::default(),
            account_id: String::new(),
            api_username: String::new(),
            api_password: Secret::default(),
            application_id: String::new(),
            number: String::new(),
            api_url: "https://voice.bandwidth.com/api/v2".to_owned(),
        }
    }
}

impl Section for BandwidthConfig {
    const NAME: &'static str = "bandwidth";
    const SECRETS: &'static [&'static str] = &["password", "api_password"];
    fn check(&self, problems: &mut Problems) {
        check_pair(problems, Self::NAME, &self.username, &self.password);
        if self.api_username.is_empty() != self.api_password.expose().is_empty() {
            problems.add(
                "bandwidth.api_username",
                &self.api_username,
                Said::new("pair", "name and password are set together or not at all"),
            );
        }
        check_id(problems, "bandwidth.account_id", &self.account_id);
        check_url(problems, "bandwidth.api_url", &self.api_url);
    }
}
