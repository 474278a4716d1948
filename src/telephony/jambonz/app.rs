//! jambonz' websocket application API: one socket for a call's control, messages counted and acknowledged by name.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::telephony::json::{Text, given, parse};
use crate::telephony::protocol::ProtocolError;

/// Where its own words are spoken, and which subprotocol must be echoed.
pub const SUBPROTOCOL: &str = "ws.jambonz.org";
/// jambonz takes no larger message.
pub const MAX_SENT: usize = 24 * 1024;

/// What jambonz says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromJambonz {
    /// A call comes in: what to do with it?
    New {
        /// To be acknowledged.
        msgid: String,
        /// The call.
        data: Value,
    },
    /// The socket is new, the call is not; or something else happened that only wants an acknowledgement.
    Continue {
        /// To be acknowledged.
        msgid: String,
        /// The call.
        call_sid: String,
    },
    /// A verb is over, or asks: what comes next?
    Hook {
        /// To be acknowledged.
        msgid: String,
        /// As the verb named it.
        hook: String,
        /// What there is to know.
        data: Value,
    },
    /// The call's state, to be noted.
    Status(Value),
    /// Something went wrong there.
    Error(String),
    /// Nothing to answer.
    Told,
}

/// Reads a message.
pub fn read(text: &str) -> Result<FromJambonz, ProtocolError> {
    let message: Message = parse(text, "control")?;
    let data = || message.data.clone().unwrap_or_default();
    let msgid = |event| given(message.msgid.clone()).ok_or(ProtocolError::Field { event, field: "msgid" });
    Ok(match message.kind.as_str() {
        "session:new" => FromJambonz::New { msgid: msgid("session:new")?, data: data() },
        "session:reconnect" | "session:redirect" | "session:adulting" | "queue:status" => {
            let call_sid = given(message.call_sid.clone()).unwrap_or_default();
            FromJambonz::Continue { msgid: msgid("session")?, call_sid }
        }
        "verb:hook" | "dial:confirm" => {
            let hook = given(message.hook.clone()).ok_or(ProtocolError::Field { event: "hook", field: "hook" })?;
            FromJambonz::Hook { msgid: msgid("hook")?, hook, data: data() }
        }
        "call:status" => FromJambonz::Status(data()),
        "jambonz:error" => FromJambonz::Error(data().to_string().chars().take(200).collect()),
        _ => FromJambonz::Told,
    })
}

/// The answer to a message, with what comes next if anything does.
pub fn ack(msgid: &str, verbs: Option<Value>) -> String {
    let mut ack = json!({"type": "ack", "msgid": msgid});
    if let Some(verbs) = verbs {
        ack["data"] = verbs;
    }
    ack.to_string()
}

/// Leaves whatever the call does now and does this.
pub fn redirect(verbs: Value) -> String {
    json!({"type": "command", "command": "redirect", "queueCommand": false, "data": verbs}).to_string()
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    msgid: Option<Text>,
    #[serde(default)]
    call_sid: Option<Text>,
    #[serde(default)]
    hook: Option<Text>,
    #[serde(default)]
    data: Option<Value>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_and_written() {
        let new = r#"{"type":"session:new","msgid":"m1","call_sid":"c","b3":"0","data":{"call_sid":"c","from":"+1"}}"#;
        let data = json!({"call_sid": "c", "from": "+1"});
        assert_eq!(read(new).ok(), Some(FromJambonz::New { msgid: "m1".to_owned(), data }));
        let hook = read(r#"{"type":"verb:hook","msgid":2,"hook":"/x","data":{"a":1}}"#).ok();
        let expected = FromJambonz::Hook { msgid: "2".to_owned(), hook: "/x".to_owned(), data: json!({"a": 1}) };
        assert_eq!(hook, Some(expected));
        let again = read(r#"{"type":"session:reconnect","msgid":"m","call_sid":"c"}"#).ok();
        assert_eq!(again, Some(FromJambonz::Continue { msgid: "m".to_owned(), call_sid: "c".to_owned() }));
        for told in ["verb:status", "llm:event", "something:new"] {
            assert_eq!(read(&json!({"type": told}).to_string()).ok(), Some(FromJambonz::Told), "no answer to these");
        }
        for bad in ["", "{}", r#"{"type":"session:new"}"#, r#"{"type":"verb:hook","msgid":"m"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(ack("m", None), r#"{"msgid":"m","type":"ack"}"#);
        let command: Value = serde_json::from_str(&redirect(json!([{"verb": "hangup"}]))).expect("JSON");
        assert_eq!((&command["command"], &command["queueCommand"]), (&json!("redirect"), &json!(false)));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = read(&text);
        }
    }
}
