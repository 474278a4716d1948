//! PURE. One streamed reply, event by event, in the dialects of OpenAI, llama.cpp's server, vLLM, Ollama and their kin.
//!
//! They agree on `choices[0].delta.content` and on little else. Here is what differs, and `tests/fixtures/llm/` has streams
//! with each of it: a first chunk with a role and nothing to say, usage with no choice at all, text as a list of parts,
//! thoughts beside the text or inside it, tool calls in pieces or whole, an error where text was due, a whole message where
//! a stream was asked for, no `[DONE]`, seven words for the same end.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::openai::shares;
use super::{ChatSummary, Finish, LlmError, ToolCall};

/// Most tool calls of one reply.
const MOST_CALLS: usize = 16;
/// Longest arguments of one tool call, in bytes.
const LONGEST_ARGUMENTS: usize = 64 * 1_024;

/// A reply being read.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// What came so far.
    pub summary: ChatSummary,
    /// Letters that were asked for.
    asked: Vec<char>,
    /// Where it comes from, for errors.
    url: String,
    thoughts: Thoughts,
    calls: Vec<OpenCall>,
    logprob: f32,
    tokens: u32,
    /// Something of the dialect came.
    alive: bool,
}

#[derive(Debug, Default)]
struct OpenCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<Value>,
    /// `error` in vLLM's own kind of error.
    object: Option<String>,
    message: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    delta: Option<Delta>,
    /// The whole, from a server that does not stream.
    message: Option<Delta>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
    /// What tool calls were called before there could be several.
    function_call: Option<FunctionDelta>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<TokenLogprob>>,
}

#[derive(Deserialize)]
struct TokenLogprob {
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<TopLogprob>,
}

/// One of the tokens that might have come.
#[derive(Deserialize)]
pub(super) struct TopLogprob {
    pub token: String,
    pub logprob: f32,
}

impl Reply {
    /// A reply from the server at `url`, one of `asked` if there are any.
    pub fn new(url: &str, asked: &[char]) -> Self {
        Self { asked: asked.to_vec(), url: url.to_owned(), ..Self::default() }
    }

    /// One event's data; gives the text that may be spoken, if it has any. `[DONE]` is the reader's to know.
    pub fn take(&mut self, data: &str) -> Result<Option<String>, LlmError> {
        if data.trim().is_empty() {
            return Ok(None);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| LlmError::Malformed(error.to_string()))?;
        if let Some(message) = error_of(&chunk) {
            return Err(LlmError::Refused { url: self.url.clone(), status: 200, message });
        }
        self.alive = true;
        let Some(choice) = chunk.choices.into_iter().find(|choice| choice.index == 0) else { return Ok(None) };
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.summary.finish = Finish::of(&reason);
        }
        for token in choice.logprobs.and_then(|logprobs| logprobs.content).into_iter().flatten() {
            if self.summary.choices.is_empty() && !self.asked.is_empty() {
                self.summary.choices = shares(&self.asked, &token.top_logprobs);
            }
            if token.logprob.is_finite() {
                self.logprob += token.logprob;
                self.tokens += 1;
            }
        }
        let delta = choice.delta.or(choice.message).unwrap_or_default();
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call)?;
        }
        if let Some(function) = delta.function_call {
            self.call(CallDelta { index: Some(0), id: None, function: Some(function) })?;
        }
        let text = match delta.content {
            Some(Content::Text(text)) => text,
            // Parts of another kind are thoughts.
            Some(Content::Parts(parts)) => {
                parts.into_iter().filter(|part| part.kind != "thinking").filter_map(|part| part.text).collect()
            }
            None => delta.refusal.unwrap_or_default(),
        };
        let text = self.thoughts.spoken(&text);
        self.summary.text.push_str(&text);
        Ok((!text.is_empty()).then_some(text))
    }

    fn call(&mut self, delta: CallDelta) -> Result<(), LlmError> {
        let id = delta.id.unwrap_or_default();
        let known = match delta.index {
            Some(index) => self.calls.iter().position(|call| call.index == Some(index)),
            // Without an index a new id is a new call, and anything else belongs to the last one.
            None => self.calls.iter().rposition(|call| id.is_empty() || call.id == id),
        };
        let at = match known {
            Some(at) => at,
            None if self.calls.len() < MOST_CALLS => {
                self.calls.push(OpenCall { index: delta.index, ..OpenCall::default() });
                self.calls.len() - 1
            }
            None => return Err(LlmError::Malformed(format!("more than {MOST_CALLS} tool calls"))),
        };
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            call.id = id;
        }
        let Some(function) = delta.function else { return Ok(()) };
        // Some say the name once, some with every piece, none in pieces.
        if let Some(name) = function.name.filter(|name| !name.is_empty()) {
            call.name = name;
        }
        match function.arguments {
            Some(Value::String(piece)) => call.arguments.push_str(&piece),
            Some(Value::Null) | None => {}
            // As an object, not as the text of one.
            Some(whole) => call.arguments = whole.to_string(),
        }
        if call.arguments.len() > LONGEST_ARGUMENTS {
            return Err(LlmError::Malformed(format!("arguments of more than {LONGEST_ARGUMENTS} bytes")));
        }
        Ok(())
    }

    /// The stream is over; gives what was held back and may be spoken after all.
    pub fn finish(mut self) -> Result<(ChatSummary, Option<String>), LlmError> {
        let rest = self.thoughts.rest();
        self.summary.text.push_str(&rest);
        for call in std::mem::take(&mut self.calls) {
            self.summary.tool_calls.push(whole(call)?);
        }
        let ended = self.summary.finish != Finish::Unsaid;
        if self.summary.finish == Finish::Withheld {
            return Err(LlmError::Withheld { url: self.url });
        }
        if self.summary.text.is_empty() && self.summary.tool_calls.is_empty() && !ended {
            let what =
                if self.alive { "the stream broke off before a word" } else { "the stream ended without a word" };
            return Err(LlmError::Malformed(what.to_owned()));
        }
        self.summary.avg_logprob = (self.tokens > 0).then(|| self.logprob / self.tokens as f32);
        Ok((self.summary, (!rest.is_empty()).then_some(rest)))
    }
}

fn whole(call: OpenCall) -> Result<ToolCall, LlmError> {
    let arguments = match call.arguments.trim() {
        "" => Map::new(),
        text => match serde_json::from_str(text) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(Value::Null) => Map::new(),
            // What it says stays out of the error: it may be the caller's.
            _ => return Err(LlmError::Malformed("the arguments of a tool call are no JSON object".to_owned())),
        },
    };
    if call.name.is_empty() {
        return Err(LlmError::Malformed("a tool call without a name".to_owned()));
    }
    Ok(ToolCall { id: call.id, name: call.name, arguments })
}

fn error_of(chunk: &Chunk) -> Option<String> {
    let of = |error: &Value| match error {
        Value::String(text) => text.clone(),
        error => error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned),
    };
    match (&chunk.error, chunk.object.as_deref()) {
        (Some(error), _) if !error.is_null() => Some(super::openai::shorten(&of(error))),
        (_, Some("error")) => Some(super::openai::shorten(&chunk.message.as_ref().map(of).unwrap_or_default())),
        _ => None,
    }
}

const OPENS: &str = "<think>";
const CLOSES: &str = "</think>";

/// Takes out what a model thinks aloud: `<think>…</think>` at the beginning of its text, wherever the pieces are cut.
#[derive(Debug, Default)]
struct Thoughts {
    stage: Stage,
    held: String,
    /// There were some: space before the first word is theirs.
    any: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing but space yet: it may still begin to think.
    #[default]
    Start,
    Thinking,
    Speaking,
}

impl Thoughts {
    fn spoken(&mut self, piece: &str) -> String {
        if self.stage == Stage::Speaking {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if self.stage == Stage::Start {
            let text = self.held.trim_start();
            if OPENS.starts_with(text) {
                return String::new();
            }
            let Some(rest) = text.strip_prefix(OPENS) else {
                let words = if self.any { text.to_owned() } else { self.held.clone() };
                self.held.clear();
                self.stage = Stage::Speaking;
                return words;
            };
            self.held = rest.to_owned();
            (self.stage, self.any) = (Stage::Thinking, true);
        }
        match self.held.split_once(CLOSES) {
            Some((_, after)) => {
                let after = after.trim_start().to_owned();
                self.held.clear();
                // There may be space before the words, and more thoughts.
                self.stage = Stage::Start;
                if after.is_empty() { String::new() } else { self.spoken(&after) }
            }
            None => {
                // Only what may be the beginning of the end is kept.
                let keep = (0..CLOSES.len()).rev().find(|n| self.held.ends_with(&CLOSES[..*n])).unwrap_or(0);
                self.held = CLOSES[..keep].to_owned();
                String::new()
            }
        }
    }

    /// What was taken for the beginning of a thought and was none.
    fn rest(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if self.stage == Stage::Start && !held.trim().is_empty() { held.trim_start().to_owned() } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &[&str]) -> Result<(Vec<String>, ChatSummary), LlmError> {
        let mut reply = Reply::new("http://x/v1", &[]);
        let mut pieces = Vec::new();
        for event in events {
            pieces.extend(reply.take(event)?);
        }
        let (summary, rest) = reply.finish()?;
        pieces.extend(rest);
        Ok((pieces, summary))
    }

    fn content(text: &str) -> String {
        serde_json::json!({"choices": [{"delta": {"content": text}}]}).to_string()
    }

    #[test]
    fn thoughts_are_not_spoken_wherever_they_are_cut() {
        for (text, spoken) in [
            ("<think>nine or ten?</think>\n\nAt nine.", "At nine."),
            ("\n<think>\n</think>At nine.", "At nine."),
            ("<think>a < b </th </think><think>x</think> At nine.", "At nine."),
            ("At <think>nine</think>.", "At <think>nine</think>."),
            ("<thin ice>", "<thin ice>"),
            ("<thi", "<thi"),
            ("<think>never ends", ""),
        ] {
            for size in 1..text.len() {
                let chars: Vec<char> = text.chars().collect();
                let pieces: Vec<String> =
                    chars.chunks(size).map(|chunk| content(&chunk.iter().collect::<String>())).collect();
                let mut events: Vec<&str> = pieces.iter().map(String::as_str).collect();
                events.push(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
                let (pieces, summary) = read(&events).expect("a reply");
                assert_eq!((pieces.concat().as_str(), summary.text.as_str()), (spoken, spoken), "{text} by {size}");
            }
        }
    }

    #[test]
    fn tool_calls_are_put_together() {
        let call = |name: &str, arguments: &str| ToolCall {
            id: "c1".to_owned(),
            name: name.to_owned(),
            arguments: serde_json::from_str(arguments).expect("an object"),
        };
        for (what, events, wanted) in [
            (
                "in pieces",
                &[
                    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"order","arguments":""}}]}}]}"#,
                    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"n\":\"4"}}]}}]}"#,
                    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":null,"arguments":"8\"}"}}]}}]}"#,
                    r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
                ][..],
                vec![call("order", r#"{"n":"48"}"#)],
            ),
            (
                "whole, as an object, without an index",
                &[
                    r#"{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"order","arguments":{"n":"48"}}}]},"finish_reason":"stop"}]}"#,
                ],
                vec![call("order", r#"{"n":"48"}"#)],
            ),
            (
                "the name with every piece, no arguments",
                &[
                    r#"{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"order"}}]}}]}"#,
                    r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"order","arguments":""}}]},"finish_reason":"tool_calls"}]}"#,
                ],
                vec![call("order", "{}")],
            ),
        ] {
            let (pieces, summary) = read(events).expect(what);
            assert_eq!((pieces, summary.tool_calls), (Vec::<String>::new(), wanted), "{what}");
        }
        let two = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"y","arguments":"{}"}}]}}]}"#;
        assert_eq!(read(&[two]).expect("two").1.tool_calls.len(), 2);
        let old = r#"{"choices":[{"delta":{"function_call":{"name":"x","arguments":"{\"a\":1}"}},"finish_reason":"function_call"}]}"#;
        let (_, summary) = read(&[old]).expect("one");
        assert_eq!((summary.tool_calls.len(), summary.finish), (1, Finish::Tools));
        for broken in [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"x","arguments":"{\"a\":"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
        ] {
            assert!(matches!(read(&[broken]), Err(LlmError::Malformed(_))), "{broken}");
        }
    }

    #[test]
    fn errors_where_text_was_due_are_errors() {
        for event in [
            r#"{"error":{"message":"queue full","code":503}}"#,
            r#"{"error":"queue full"}"#,
            r#"{"object":"error","message":"queue full","code":503}"#,
        ] {
            let error = read(&[&content("We"), event]).expect_err("an error");
            assert!(matches!(&error, LlmError::Refused { message, .. } if message == "queue full"), "{error}");
        }
        let filtered = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
        assert!(matches!(read(&[&content("We"), filtered]), Err(LlmError::Withheld { .. })));
        assert!(matches!(read(&[]), Err(LlmError::Malformed(_))));
        assert!(matches!(read(&[r#"{"choices":[],"usage":{}}"#]), Err(LlmError::Malformed(_))));
    }

    #[test]
    fn text_comes_in_several_forms() {
        for (event, text) in [
            (content("At nine."), "At nine."),
            (r#"{"choices":[{"message":{"role":"assistant","content":"At nine."},"finish_reason":"stop"}]}"#.to_owned(), "At nine."),
            (r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"At nine."}]}}]}"#.to_owned(), "At nine."),
            (r#"{"choices":[{"delta":{"content":null,"refusal":"I can't."}}]}"#.to_owned(), "I can't."),
            (r#"{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"At nine."}}]}"#.to_owned(), "At nine."),
        ] {
            assert_eq!(read(&[&event]).expect("a reply").1.text, text, "{event}");
        }
        let thought = r#"{"choices":[{"delta":{"content":"","reasoning_content":"hm","reasoning":"hm"}}]}"#;
        assert_eq!(read(&[thought, &content("At nine.")]).expect("a reply").0, ["At nine."]);
    }

    #[test]
    fn every_word_for_an_end_is_known() {
        for (word, finish) in [
            ("stop", Finish::Stop),
            ("eos", Finish::Stop),
            ("eos_token", Finish::Stop),
            ("stop_sequence", Finish::Stop),
            ("length", Finish::Length),
            ("max_tokens", Finish::Length),
            ("tool_calls", Finish::Tools),
            ("content_filter", Finish::Withheld),
            ("abort", Finish::Other),
        ] {
            assert_eq!(Finish::of(word), finish, "{word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(data in ".{0,200}", json in proptest::option::of("[\\[\\]{}\",:a-z0-9 ]{0,120}")) {
            let mut reply = Reply::new("x", &['A']);
            let _ = reply.take(&data);
            let _ = json.map(|json| reply.take(&format!("{{\"choices\":[{{\"delta\":{{{json}}}}}]}}")));
            let _ = reply.finish();
        }
    }
}
