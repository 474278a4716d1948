//! Asterisk's REST interface, for channels in a Stasis application. Source: Asterisk `rest-api/api-docs/channels.json`.

use reqwest::Method;

use super::{Ask, Content, Credentials, segment};
use crate::config::{AriMove, AsteriskConfig};

/// Where a target is taken to be that names no technology.
const TECHNOLOGY: &str = "PJSIP";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Ari<'a>(&'a AsteriskConfig);

impl<'a> Ari<'a> {
    /// The interface, if it is configured.
    pub fn of(settings: &'a AsteriskConfig) -> Option<Self> {
        let whole = !(settings.ari_url.is_empty() || settings.ari_username.is_empty());
        whole.then_some(Self(settings))
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
