//! The answers' JSON, in OpenAI's shapes. Pure.

use serde_json::{Value, json};
use std::time::Duration;

use crate::engine::job::TokenLogProb;
use crate::engine::{Finish, Snapshot, Summary};

/// What all parts of one answer repeat.
#[derive(Clone, Debug)]
pub struct Head {
    /// `chatcmpl-…`
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    pub model: String,
}

impl Head {
    /// A whole answer at once.
    pub fn completion(&self, text: &str, logprobs: Option<&[TokenLogProb]>, summary: &Summary, warm: bool) -> Value {
        let mut body = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": logprobs.map(log_probs),
                "finish_reason": finish(summary.finish),
            }],
            "usage": usage(summary),
            "timings": timings(summary),
        });
        if warm {
            body["warmline"] = json!({"pinned": summary.pinned});
        }
        body
    }

    /// The first chunk of a stream.
    pub fn role_chunk(&self) -> Value {
        self.chunk(json!({"role": "assistant", "content": ""}), None, None)
    }

    /// A piece of text.
    pub fn text_chunk(&self, text: &str, logprobs: Option<&[TokenLogProb]>) -> Value {
        self.chunk(json!({"content": text}), logprobs, None)
    }

    /// The end of the text, with our timings.
    pub fn finish_chunk(&self, summary: &Summary, warm: bool) -> Value {
        let mut chunk = self.chunk(json!({}), None, Some(summary.finish));
        chunk["timings"] = timings(summary);
        if warm {
            chunk["warmline"] = json!({"pinned": summary.pinned});
        }
        chunk
    }

    /// The last chunk if `stream_options.include_usage` was set: no choices, only counts.
    pub fn usage_chunk(&self, summary: &Summary) -> Value {
        let mut chunk = self.chunk(json!({}), None, None);
        chunk["choices"] = json!([]);
        chunk["usage"] = usage(summary);
        chunk
    }

    fn chunk(&self, delta: Value, logprobs: Option<&[TokenLogProb]>, end: Option<Finish>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0,
                "delta": delta,
                "logprobs": logprobs.map(log_probs),
                "finish_reason": end.map(finish),
            }],
        })
    }
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

fn log_probs(tokens: &[TokenLogProb]) -> Value {
    let token = |piece: &[u8], logprob: f32| {
        json!({
            "token": String::from_utf8_lossy(piece),
            // JSON has no infinity; this is what OpenAI sends for "practically never".
            "logprob": logprob.max(-9999.0),
            "bytes": piece,
        })
    };
    let content: Vec<Value> = tokens
        .iter()
        .map(|it| {
            let mut entry = token(&it.piece, it.logprob);
            entry["top_logprobs"] = it.top.iter().map(|(piece, logprob)| token(piece, *logprob)).collect();
            entry
        })
        .collect();
    json!({"content": content})
}

fn usage(summary: &Summary) -> Value {
    json!({
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
        "total_tokens": summary.prompt_tokens + summary.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": summary.cached_tokens},
    })
}

/// The names llama.cpp's server uses, and `queued_ms`.
fn timings(summary: &Summary) -> Value {
    let evaluated = summary.prompt_tokens - summary.cached_tokens;
    json!({
        "queued_ms": millis(summary.queued),
        "cached_n": summary.cached_tokens,
        "prompt_n": evaluated,
        "prompt_ms": millis(summary.prompt),
        "prompt_per_second": rate(evaluated, summary.prompt),
        "predicted_n": summary.completion_tokens,
        "predicted_ms": millis(summary.generation),
        "predicted_per_second": rate(summary.completion_tokens, summary.generation),
    })
}

fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e5).round() / 100.0
}

fn rate(count: usize, span: Duration) -> Option<f64> {
    (count > 0 && !span.is_zero()).then(|| (count as f64 / span.as_secs_f64() * 100.0).round() / 100.0)
}

/// `GET /health` of a loaded model.
pub fn health(model: &str, limit: usize, snapshot: &Snapshot, waiting: usize, room: usize, busy: bool) -> Value {
    let prefixes: Vec<Value> =
        snapshot.prefixes.iter().map(|it| json!({"tokens": it.tokens, "pinned": it.pinned, "hits": it.hits})).collect();
    json!({
        "status": "ok",
        "model": model,
        "busy": busy,
        "queue": {"waiting": waiting, "capacity": room},
        "context": {
            "tokens": snapshot.capacity, "used": snapshot.used, "pinned": snapshot.pinned, "request_limit": limit,
        },
        "prefixes": prefixes,
        "requests": {"served": snapshot.served, "failed": snapshot.failed, "cancelled": snapshot.cancelled},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { id: "chatcmpl-1".into(), created: 5, model: "m".into() }
    }

    fn summary() -> Summary {
        Summary {
            finish: Finish::Length,
            prompt_tokens: 100,
            cached_tokens: 60,
            completion_tokens: 10,
            pinned: true,
            queued: Duration::from_millis(1),
            prompt: Duration::from_millis(400),
            generation: Duration::from_millis(500),
        }
    }

    #[test]
    fn a_completion_has_openai_s_shape() {
        let tokens =
            [TokenLogProb { piece: b"Hi".to_vec(), logprob: f32::NEG_INFINITY, top: vec![(vec![0xff], -0.5)] }];
        let body = head().completion("Hi", Some(&tokens), &summary(), true);
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["choices"][0]["message"], json!({"role": "assistant", "content": "Hi"}));
        assert_eq!(body["choices"][0]["finish_reason"], "length");
        let token = &body["choices"][0]["logprobs"]["content"][0];
        assert_eq!(
            (&token["token"], &token["logprob"], &token["bytes"]),
            (&json!("Hi"), &json!(-9999.0), &json!([72, 105]))
        );
        assert_eq!(token["top_logprobs"][0], json!({"token": "\u{fffd}", "logprob": -0.5, "bytes": [255]}));
        assert_eq!(body["usage"]["total_tokens"], 110);
        assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 60);
        assert_eq!(body["timings"]["prompt_n"], 40);
        assert_eq!(body["timings"]["prompt_per_second"], 100.0);
        assert_eq!(body["timings"]["predicted_per_second"], 20.0);
        assert_eq!(body["warmline"]["pinned"], true);
    }

    #[test]
    fn chunks_have_openai_s_shape() {
        assert_eq!(head().role_chunk()["choices"][0]["delta"]["role"], "assistant");
        let chunk = head().text_chunk("a", None);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["choices"][0]["delta"]["content"], "a");
        assert!(chunk["choices"][0]["finish_reason"].is_null() && chunk["choices"][0]["logprobs"].is_null());
        let end = head().finish_chunk(&summary(), false);
        assert_eq!(end["choices"][0]["finish_reason"], "length");
        assert!(end.get("warmline").is_none());
        let usage = head().usage_chunk(&summary());
        assert_eq!((&usage["choices"], &usage["usage"]["prompt_tokens"]), (&json!([]), &json!(100)));
    }
}
