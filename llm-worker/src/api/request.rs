//! `POST /v1/chat/completions`, from JSON to a request that is valid.
//!
//! Pure. Fields that only tune (`user`, `metadata`, …) are ignored like any unknown field; fields whose effect a client
//! would miss (`tools`, `n` > 1, penalties) are refused, because silence would be a lie.

use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use crate::model::ConstraintSpec;

/// Reply length when the request names none.
pub const DEFAULT_MAX_TOKENS: usize = 256;
const MAX_MESSAGES: usize = 512;
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 256;
const MAX_TOP_LOGPROBS: u64 = 20;
/// Grammars and schemas are parsed by recursive native code: neither long nor deeply nested ones get there.
const MAX_GRAMMAR_BYTES: usize = 64 * 1024;
const MAX_GRAMMAR_DEPTH: usize = 64;

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    /// The name chat templates use.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

/// A valid chat request.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    pub messages: Vec<Message>,
    /// 0 warms the prompt instead of replying.
    pub max_tokens: usize,
    /// 0 to 2; 0 unless given, so that answers to callers are repeatable.
    pub temperature: f32,
    /// Above 0, at most 1.
    pub top_p: f32,
    pub seed: Option<u64>,
    pub stop: Vec<String>,
    /// `Some(n)`: log-probabilities with `n` alternatives.
    pub logprobs: Option<usize>,
    pub constraint: Option<ConstraintSpec>,
    pub stream: bool,
    pub include_usage: bool,
    /// `warmline.background`
    pub background: bool,
    /// `warmline.pin`
    pub pin: Option<bool>,
}

#[derive(Deserialize)]
struct Raw {
    messages: Vec<RawMessage>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    #[serde(default)]
    logprobs: Option<bool>,
    top_logprobs: Option<u64>,
    response_format: Option<Value>,
    grammar: Option<String>,
    stream: Option<bool>,
    stream_options: Option<RawStreamOptions>,
    warmline: Option<RawWarmline>,
    n: Option<u64>,
    tools: Option<Vec<Value>>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    logit_bias: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: String,
    content: Option<RawContent>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawContent {
    Text(String),
    Parts(Vec<RawPart>),
}

#[derive(Deserialize)]
struct RawPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct RawStreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// Ours alone, so a misspelt field is an error rather than a caller waiting behind a "background" request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWarmline {
    #[serde(default)]
    background: bool,
    pin: Option<bool>,
}

impl ChatRequest {
    /// Parses a request body; any bytes are either a valid request or an error that names the field.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let raw: Raw = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid(None, format!("the body is no chat request: {error}")))?;
        raw.refuse_unsupported()?;
        let max_tokens = raw.max_completion_tokens.or(raw.max_tokens);
        let warmline = raw.warmline.unwrap_or(RawWarmline { background: false, pin: None });
        let request = Self {
            messages: messages(raw.messages)?,
            max_tokens: max_tokens.map_or(DEFAULT_MAX_TOKENS, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            temperature: in_range("temperature", raw.temperature.unwrap_or(0.0), 0.0, 2.0)?,
            top_p: in_range("top_p", raw.top_p.unwrap_or(1.0), 1e-6, 1.0)?,
            seed: raw.seed.map(i64::cast_unsigned),
            stop: stops(raw.stop)?,
            logprobs: logprobs(raw.logprobs.unwrap_or(false), raw.top_logprobs)?,
            constraint: constraint(raw.response_format, raw.grammar)?,
            stream: raw.stream.unwrap_or(false),
            include_usage: raw.stream_options.is_some_and(|options| options.include_usage),
            background: warmline.background,
            pin: warmline.pin,
        };
        if request.pin.is_some() && request.max_tokens != 0 {
            return Err(ApiError::invalid(Some("warmline.pin"), "`pin` needs `max_tokens` 0".into()));
        }
        Ok(request)
    }
}

impl Raw {
    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let unsupported = [
            ("n", self.n.is_some_and(|n| n != 1)),
            ("tools", self.tools.as_ref().is_some_and(|tools| !tools.is_empty())),
            ("frequency_penalty", self.frequency_penalty.is_some_and(|p| p != 0.0)),
            ("presence_penalty", self.presence_penalty.is_some_and(|p| p != 0.0)),
            ("logit_bias", self.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty())),
        ];
        match unsupported.into_iter().find(|(_, used)| *used) {
            Some((field, _)) => Err(ApiError::invalid(Some(field), format!("`{field}` is not supported here"))),
            None => Ok(()),
        }
    }
}

fn messages(raw: Vec<RawMessage>) -> Result<Vec<Message>, ApiError> {
    if raw.is_empty() || raw.len() > MAX_MESSAGES {
        let message = format!("between 1 and {MAX_MESSAGES} messages are needed, {} given", raw.len());
        return Err(ApiError::invalid(Some("messages"), message));
    }
    raw.into_iter().enumerate().map(|(index, message)| message.check(index)).collect()
}

impl RawMessage {
    fn check(self, index: usize) -> Result<Message, ApiError> {
        let wrong = |what: String| ApiError::invalid(Some("messages"), format!("message {index}: {what}"));
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(wrong(format!("role `{other}` is none of system, developer, user, assistant"))),
        };
        let text = match self.content {
            None => String::new(),
            Some(RawContent::Text(text)) => text,
            Some(RawContent::Parts(parts)) => {
                let mut all = String::new();
                for part in parts {
                    match (part.kind.as_str(), part.text) {
                        ("text", Some(text)) => all.push_str(&text),
                        (kind, _) => return Err(wrong(format!("content of type `{kind}` is not supported"))),
                    }
                }
                all
            }
        };
        Ok(Message { role, text })
    }
}

fn in_range(field: &'static str, value: f64, min: f64, max: f64) -> Result<f32, ApiError> {
    if (min..=max).contains(&value) {
        return Ok(value as f32);
    }
    Err(ApiError::invalid(Some(field), format!("`{field}` is {value}, allowed is {min} to {max}")))
}

fn stops(raw: Option<OneOrMany>) -> Result<Vec<String>, ApiError> {
    let stops = match raw {
        None => Vec::new(),
        Some(OneOrMany::One(stop)) => vec![stop],
        Some(OneOrMany::Many(stops)) => stops,
    };
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES) {
        let message = format!("`stop` takes up to {MAX_STOPS} strings of 1 to {MAX_STOP_BYTES} bytes");
        return Err(ApiError::invalid(Some("stop"), message));
    }
    Ok(stops)
}

fn logprobs(wanted: bool, top: Option<u64>) -> Result<Option<usize>, ApiError> {
    match (wanted, top) {
        (true, top) if top.unwrap_or(0) <= MAX_TOP_LOGPROBS => Ok(Some(top.unwrap_or(0) as usize)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(ApiError::invalid(Some("top_logprobs"), "`top_logprobs` needs `logprobs`".into())),
        (true, _) => {
            let message = format!("`top_logprobs` is at most {MAX_TOP_LOGPROBS}");
            Err(ApiError::invalid(Some("top_logprobs"), message))
        }
    }
}

fn constraint(format: Option<Value>, grammar: Option<String>) -> Result<Option<ConstraintSpec>, ApiError> {
    let wrong = |message: &str| ApiError::invalid(Some("response_format"), message.to_owned());
    let format = match format.as_ref().map(|format| format.get("type").and_then(Value::as_str)) {
        None | Some(Some("text")) => None,
        Some(Some("json_object")) => Some(ConstraintSpec::JsonSchema(r#"{"type":"object"}"#.to_owned())),
        Some(Some("json_schema")) => {
            let schema = format.as_ref().and_then(|format| format.pointer("/json_schema/schema"));
            let schema = schema.filter(|schema| schema.is_object());
            let schema = schema.ok_or_else(|| wrong("`json_schema.schema` must be an object"))?;
            Some(ConstraintSpec::JsonSchema(schema.to_string()))
        }
        Some(_) => return Err(wrong("`type` must be text, json_object or json_schema")),
    };
    let spec = match (format, grammar) {
        (Some(_), Some(_)) => return Err(wrong("give either `response_format` or `grammar`")),
        (Some(schema), None) => schema,
        (None, Some(grammar)) => ConstraintSpec::Grammar(grammar),
        (None, None) => return Ok(None),
    };
    let (ConstraintSpec::Grammar(text) | ConstraintSpec::JsonSchema(text)) = &spec;
    if text.len() > MAX_GRAMMAR_BYTES || depth(text) > MAX_GRAMMAR_DEPTH {
        let message =
            format!("a grammar or schema has at most {MAX_GRAMMAR_BYTES} bytes and {MAX_GRAMMAR_DEPTH} levels");
        return Err(ApiError::invalid(None, message));
    }
    Ok(Some(spec))
}

/// An upper bound of how deeply brackets nest; ones in strings count too, which only errs on the safe side.
fn depth(text: &str) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(value: &Value) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(value.to_string().as_bytes())
    }

    /// A minimal request with `field` set to `value`.
    fn with(field: &str, value: Value) -> Value {
        let mut request = json!({"messages": [{"role": "user", "content": "hello"}]});
        request[field] = value;
        request
    }

    #[track_caller]
    fn refused(field: &str, value: Value) -> String {
        let error = parse(&with(field, value)).expect_err("it should be refused");
        assert_eq!(error.status.as_u16(), 400);
        error.message
    }

    #[test]
    fn defaults() {
        let request = parse(&with("model", json!("anything"))).expect("valid");
        assert_eq!(request.max_tokens, DEFAULT_MAX_TOKENS);
        assert_eq!((request.temperature, request.top_p, request.seed), (0.0, 1.0, None));
        assert!(!request.stream && !request.background && request.pin.is_none() && request.constraint.is_none());
        assert_eq!(request.messages, [Message { role: Role::User, text: "hello".into() }]);
    }

    #[test]
    fn every_field() {
        let request = parse(&json!({
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}]},
                {"role": "assistant", "content": null},
            ],
            "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": -1,
            "stop": ["a", "b"], "logprobs": true, "top_logprobs": 3, "stream": true,
            "stream_options": {"include_usage": true}, "warmline": {"background": true}, "user": "x", "n": 1,
        }))
        .expect("valid");
        assert_eq!(request.messages[0], Message { role: Role::System, text: "be kind".into() });
        assert_eq!(request.messages[1], Message { role: Role::Assistant, text: String::new() });
        assert_eq!((request.max_tokens, request.temperature, request.top_p), (7, 0.5, 0.9));
        assert_eq!((request.seed, request.logprobs), (Some(u64::MAX), Some(3)));
        assert_eq!(request.stop, ["a", "b"]);
        assert!(request.stream && request.include_usage && request.background);
    }

    #[test]
    fn constraints() {
        let schema = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string"}}});
        let request = parse(&with("response_format", schema)).expect("valid");
        assert_eq!(request.constraint, Some(ConstraintSpec::JsonSchema(r#"{"type":"string"}"#.into())));
        assert!(parse(&with("response_format", json!({"type": "text"}))).expect("valid").constraint.is_none());
        assert!(parse(&with("response_format", json!({"type": "json_object"}))).expect("valid").constraint.is_some());
        let request = parse(&with("grammar", json!("root ::= \"a\""))).expect("valid");
        assert_eq!(request.constraint, Some(ConstraintSpec::Grammar("root ::= \"a\"".into())));
        refused("response_format", json!({"type": "json_schema"}));
        refused("response_format", json!({"type": "yaml"}));
        refused("response_format", json!("json"));
        refused("grammar", json!(format!("root ::= {}\"a\"{}", "(".repeat(65), ")".repeat(65))));
        refused("grammar", json!("x".repeat(MAX_GRAMMAR_BYTES + 1)));
    }

    #[test]
    fn what_is_refused_names_its_field() {
        for (field, value) in [
            ("temperature", json!(2.5)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(0)),
            ("stop", json!([""])),
            ("stop", json!(vec!["x"; 17])),
            ("top_logprobs", json!(2)),
            ("n", json!(2)),
            ("tools", json!([{}])),
            ("frequency_penalty", json!(0.5)),
            ("logit_bias", json!({"5": 1})),
        ] {
            let message = refused(field, value);
            assert!(message.contains(field), "{message}");
        }
        refused("messages", json!([]));
        refused("messages", json!([{"role": "tool", "content": "x"}]));
        refused("messages", json!([{"role": "user", "content": [{"type": "image_url"}]}]));
        refused("warmline", json!({"backgruond": true}));
        refused("warmline", json!({"pin": true}));
        refused("max_tokens", json!(-1));
    }

    /// JSON that often looks like a request.
    fn almost_request() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof![Just("user"), Just("text"), Just("json_schema"), Just("(((")].prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        let key = prop::sample::select(vec![
            "messages",
            "role",
            "content",
            "type",
            "text",
            "max_tokens",
            "temperature",
            "top_p",
            "seed",
            "stop",
            "logprobs",
            "top_logprobs",
            "response_format",
            "json_schema",
            "schema",
            "grammar",
            "stream",
            "stream_options",
            "include_usage",
            "warmline",
            "pin",
            "background",
            "n",
            "tools",
            "logit_bias",
        ]);
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..8)
                    .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChatRequest::parse(&body);
        }

        #[test]
        fn arbitrary_json_is_valid_or_refused(value in almost_request(), messages in any::<bool>()) {
            let mut value = value;
            if messages && value.is_object() {
                value["messages"] = json!([{"role": "user", "content": "hello"}]);
            }
            match parse(&value) {
                Ok(request) => prop_assert!(!request.messages.is_empty() && request.top_p > 0.0),
                Err(error) => prop_assert_eq!(error.status.as_u16(), 400),
            }
        }
    }
}
