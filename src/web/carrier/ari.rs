//! Asterisk's REST interface, for channels in a Stasis application. Source: Asterisk `rest-api/api-docs/channels.json`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::{AriMove, AsteriskConfig, DIALLED};

/// Where a target is taken to be that names no technology.
const TECHNOLOGY: &str = "PJSIP";

/// What the dialplan may take besides the ringing, in seconds.
const DIALPLAN_S: u32 = 5;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Ari<'a>(&'a AsteriskConfig);

impl<'a> Ari<'a> {
    /// The interface, if it is configured.
    pub fn of(settings: &'a AsteriskConfig) -> Option<Self> {
        let whole = !(settings.ari_url.is_empty() || settings.ari_username.is_empty());
        whole.then_some(Self(settings))
    }

    /// Whether people can be called.
    pub fn can_call(self) -> bool {
        !(self.0.dial.is_empty() || self.0.number.is_empty())
    }

    /// The dialplan calls `to` and asks us what to do with who answers; `to` is made of what numbers are made of. Two channels
    /// of Asterisk's own stand between: the dialplan's, which dials and tells how that ended, and the one that comes to us.
    pub fn call(self, to: &str, ring_s: u32, key: &str) -> Ask<'a> {
        let settings = self.0;
        let context = &settings.dial_context;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("endpoint", &format!("Local/call@{context}/n"))
            .append_pair("context", context)
            .append_pair("extension", "talk")
            .append_pair("priority", "1")
            .append_pair("callerId", &settings.number)
            .append_pair("timeout", &(ring_s + DIALPLAN_S).to_string())
            .append_pair("channelId", &channel(key))
            .finish();
        let variables = json!({
            "WARMLINE_KEY": key,
            "WARMLINE_DIAL": settings.dial.replace(DIALLED, to),
            "WARMLINE_RING": ring_s.to_string(),
            "WARMLINE_TO": to,
            "WARMLINE_FROM": settings.number,
        });
        Ask {
            method: Method::POST,
            url: format!("{}/channels?{query}", settings.ari_url),
            credentials: Credentials::Basic(&settings.ari_username, &settings.ari_password),
            content: Content::Json(json!({"variables": variables})),
            // A second channel of the same name is refused, though the first may ring.
            repeatable: false,
        }
    }

    /// Ends a call, answered or not.
    pub fn end(self, channel: &str) -> Ask<'a> {
        Ask { method: Method::DELETE, repeatable: true, ..self.look(channel) }
    }

    /// How the channel leaves, and how long its telephone may take where that is not ours to do.
    pub fn redirects_within(self) -> Option<Duration> {
        let patience = Duration::from_secs(self.0.redirect_patience_s.into());
        (self.0.ari_move == AriMove::Redirect).then_some(patience)
    }

    /// Whether there is such a channel.
    pub fn look(self, channel: &str) -> Ask<'a> {
        Ask {
            method: Method::GET,
            url: format!("{}/channels/{}", self.0.ari_url, segment(channel)),
            credentials: Credentials::Basic(&self.0.ari_username, &self.0.ari_password),
            content: Content::Empty,
            // Whoever looks will look again.
            repeatable: false,
        }
    }

    /// The channel leaves its application for the dialplan, or for the target itself.
    pub fn leave(self, channel: &str, target: &str) -> Ask<'a> {
        let settings = self.0;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let action = match settings.ari_move {
            AriMove::Continue => {
                if !settings.ari_context.is_empty() {
                    query.append_pair("context", &settings.ari_context);
                    query.append_pair("extension", "s").append_pair("priority", "1");
                }
                "continue"
            }
            AriMove::Redirect => {
                let own = target.contains('/');
                let endpoint = if own { target.to_owned() } else { format!("{TECHNOLOGY}/{target}") };
                query.append_pair("endpoint", &endpoint);
                "redirect"
            }
        };
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        Ask {
            method: Method::POST,
            url: format!("{}/channels/{}/{action}{mark}{query}", settings.ari_url, segment(channel)),
            credentials: Credentials::Basic(&settings.ari_username, &settings.ari_password),
            content: Content::Empty,
            // A channel that has gone on must not go on once more.
            repeatable: false,
        }
    }
}

/// The name of the channel of a call that is ours.
fn channel(key: &str) -> String {
    format!("warmline-{key}")
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["id"].as_str()
}
