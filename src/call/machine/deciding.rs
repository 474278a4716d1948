//! What was decided about the caller's words goes on record, with all it was decided from. PURE.

use super::CallMachine;
use crate::call::input::{CallAction, Evidence, TurnId};
use crate::engine::stt::Transcript;
use crate::handoff::HandoffReason;
use crate::judgment::decision::{Decision, Inputs, Outcome, Ruled, Settings, UNSURE_TURNS};

impl CallMachine {
    /// What is known of words before anything was looked up.
    pub(super) fn inputs(&self, transcript: &Transcript) -> Inputs {
        Inputs {
            confidence: transcript.confidence().get(),
            avg_logprob: transcript.avg_logprob,
            no_speech: transcript.no_speech.get(),
            compression_ratio: transcript.compression_ratio,
            unsure_before: self.unsure,
            judged: true,
            ..Inputs::default()
        }
    }

    pub(super) fn decided(&self, turn: TurnId, inputs: Inputs, outcome: Outcome, actions: &mut Vec<CallAction>) {
        let settings = Settings {
            verbatim_score: self.policy.verbatim_score,
            min_score: self.policy.min_score,
            min_confidence: self.policy.min_confidence.get(),
        };
        let decision = Box::new(Decision::new(inputs, settings, outcome));
        actions.push(CallAction::RememberDecision { turn, decision });
    }

    /// A rule sends the caller to a person.
    pub(super) fn ruled(
        &self,
        turn: TurnId,
        heard: Inputs,
        rule: Ruled,
        reason: HandoffReason,
        actions: &mut Vec<CallAction>,
    ) {
        self.decided(turn, Inputs { rule: Some(rule), ..heard }, Outcome::Person(reason), actions);
    }

    /// One more turn without a good answer, not yet counted.
    pub(super) fn doubted(&self, turn: TurnId, inputs: Inputs, actions: &mut Vec<CallAction>) {
        let last_straw = self.unsure + 1 >= UNSURE_TURNS;
        let outcome = if last_straw { Outcome::Person(HandoffReason::LowConfidence) } else { Outcome::AskBack };
        self.decided(turn, inputs, outcome, actions);
    }

    /// The answer being made is spoken.
    pub(super) fn answered(&self, turn: TurnId, actions: &mut Vec<CallAction>) {
        let Some(thinking) = &self.thinking else { return };
        let evidence = thinking.evidence.clone().unwrap_or_default();
        // That there is a certainty of the model says that it was what decided.
        let by_model = evidence.chosen.is_some() || evidence.called.is_some();
        let outcome = if by_model { Outcome::AnswerPicked } else { Outcome::Answer };
        self.decided(turn, searched(thinking.heard.clone(), &evidence, false), outcome, actions);
    }
}

/// The same with what was found.
pub(super) fn searched(heard: Inputs, evidence: &Evidence, blocked: bool) -> Inputs {
    Inputs {
        found: Some(evidence.found.clone()),
        knowledge: evidence.version.clone(),
        has_model: evidence.has_model,
        picks: evidence.picks.clone(),
        called: evidence.called.clone(),
        judged: evidence.judged,
        blocked,
        ..heard
    }
}
