//! RUNTIME: the language model writes the note about a conversation between caller and agent. Nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::mind::Mind;
use crate::dialog::reply::GroundingGuard;
use crate::dialog::speakable::Sentences;
use crate::engine::cpu::Priority;
use crate::engine::llm::ChatRequest;
use crate::handoff::actor::NoteWriter;
use crate::handoff::wire::Line;
use crate::telephony::protocol::Speaker;

/// Longest note, in tokens.
const MAX_TOKENS: u32 = 120;
/// How long the cores may be busy with callers before the note is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pieces of the note on their way.
const PIECES: usize = 64;

impl NoteWriter for Mind {
    fn summarise(self: Arc<Self>, lines: Vec<Line>) -> BoxFuture<'static, Option<String>> {
        async move { self.note(&lines).await }.boxed()
    }
}

impl Mind {
    async fn note(&self, lines: &[Line]) -> Option<String> {
        // A stand-in's words are no summary of anything.
        let llm = self.llm.as_ref().filter(|_| self.settings.check_grounding)?;
        let said = script(lines);
        let messages =
            self.prompts.minutes(&said).inspect_err(|error| warn!(%error, "The note can't be asked for")).ok()?;
        let _permit = match &self.cost {
            Some(cost) => Some(cost.budget.acquire(Priority::Background, cost.threads, PATIENCE).await.ok()?),
            None => None,
        };
        let request = ChatRequest {
            messages,
            max_tokens: MAX_TOKENS,
            temperature: 0.0,
            seed: None,
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: self.settings.first_token.max(PATIENCE),
            next_token_deadline: self.settings.next_token,
        };
        let (pieces, mut receiver) = mpsc::channel::<String>(PIECES);
        let writing = async {
            let mut text = String::new();
            while let Some(piece) = receiver.recv().await {
                text.push_str(&piece);
            }
            text
        };
        let (result, text) = tokio::join!(llm.generate(request, pieces), writing);
        result.inspect_err(|error| debug!(%error, "The model wrote no note")).ok()?;
        backed(&text, &said, &self.settings.company)
    }
}

/// The conversation as the model reads it.
fn script(lines: &[Line]) -> String {
    let name = |who| match who {
        Speaker::Caller => "Caller",
        Speaker::Agent => "Agent",
        Speaker::Assistant => "Assistant",
    };
    let lines: Vec<String> =
        lines.iter().filter(|line| line.is_final).map(|line| format!("{}: {}", name(line.who), line.text)).collect();
    lines.join("\n")
}

/// The sentences whose numbers and names were said; none when nothing is left.
fn backed(text: &str, said: &str, company: &str) -> Option<String> {
    let guard = GroundingGuard::new([said, company, "The caller. The agent. The assistant."]);
    let mut sentences = Sentences::new();
    let mut all = sentences.push(text);
    all.extend(sentences.finish());
    all.retain(|sentence| guard.check(sentence).is_ok());
    let note = all.join(" ").trim().to_owned();
    (!note.is_empty()).then_some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_is_not_noted() {
        let said = "Caller: my order is 45 17 23\nAgent: it comes on Monday";
        let note = backed("The caller asked about order 45 17 23. It costs 99 dollars.", said, "Larkfield");
        assert_eq!(note.as_deref(), Some("The caller asked about order 45 17 23."));
        assert_eq!(backed("It costs 99 dollars.", said, "Larkfield"), None);
    }
}
