//! What Asterisk's and FreeSWITCH's dialplans do beside the stream: Basic authentication, a token first, a question after.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;

use super::{Afterwards, CallError, Dial, post_form};

/// `Authorization` for whoever is called; without a colon the secret is the password of a user named like the provider.
pub(super) fn basic(dial: &Dial) -> String {
    let secret = dial.auth_token.expose();
    let pair = if secret.contains(':') { secret.clone() } else { format!("{}:{secret}", dial.provider) };
    format!("Basic {}", BASE64.encode(pair))
}

/// The token for the stream: the one that is given, or what the server's webhook answers if it has one.
pub(super) async fn token(http: &reqwest::Client, dial: &Dial, call: &str) -> Result<Option<String>, CallError> {
    if let Some(token) = &dial.token {
        return Ok(Some(token.expose().clone()).filter(|token| !token.is_empty()));
    }
    let form = [("call", call), ("from", &dial.from), ("to", &dial.to)];
    match ask(http, dial, "incoming", &form).await? {
        None => Ok(None),
        Some(word) if word == "busy" => Err(CallError::Refused { said: "all lines are busy".to_owned() }),
        Some(token) => Ok(Some(token)),
    }
}

/// The dialplan's question once the stream is over, for a caller still on the line.
pub(super) fn afterwards(http: reqwest::Client, dial: &Dial, call: String) -> Option<Afterwards> {
    let dial = dial.clone();
    let question = async move {
        let word = ask(&http, &dial, "after", &[("call", &call)]).await?.unwrap_or_default();
        Ok(match word.split_once(' ') {
            Some(("dial", target)) => format!("put through to {target}"),
            _ if word == "hangup" => String::new(),
            _ => word,
        })
    };
    Some(question.boxed())
}

/// Asks the webhook; `None` when the server has none, as servers that are not Warmline.
async fn ask(
    http: &reqwest::Client,
    dial: &Dial,
    what: &str,
    form: &[(&str, &str)],
) -> Result<Option<String>, CallError> {
    let url = format!("{}/voice/{}/{what}", dial.base, dial.provider);
    match post_form(http, url, &[("authorization", basic(dial))], form).await {
        Ok(word) => Ok(Some(word)),
        Err(CallError::Status { status: 404 | 405, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
