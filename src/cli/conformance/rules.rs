//! The rules, each with a name that scripts can look for.

use serde::{Serialize, Serializer};

/// What a correct peer does. In the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The upgrade is accepted.
    HandshakeAccepted,
    /// The answer is one the provider goes on after.
    HandshakeHeaders,
    /// A subprotocol that is offered comes back, and none that is not.
    HandshakeSubprotocol,
    /// No extension, though one is offered.
    HandshakeNoExtensions,
    /// Nobody without credentials.
    CredentialMissing,
    /// Nobody with wrong ones.
    CredentialWrong,
    /// A token lets in one stream.
    CredentialUsed,
    /// Nothing before the stream's start.
    StartSilence,
    /// Audio before the start ends nothing.
    StartEarlyMedia,
    /// The caller hears something in time.
    AudioFirst,
    /// The caller is answered.
    AudioAnswer,
    /// Every message is one of the dialect, frames have the right size.
    AudioWellFormed,
    /// No more than two seconds wait at the provider.
    AudioPaced,
    /// Speaking over the reply clears it.
    BargeInClear,
    /// …and silences it.
    BargeInSilence,
    /// A mark nobody sent ends nothing.
    MarkUnknown,
    /// A mark returned after a clear ends nothing.
    MarkStale,
    /// A key ends nothing.
    DtmfAccepted,
    /// Broken JSON ends nothing.
    RobustMalformed,
    /// An event of another age ends nothing.
    RobustUnknown,
    /// An empty message ends nothing.
    RobustEmpty,
    /// 70 kB of text end nothing.
    RobustOversized,
    /// A frame of the wrong kind, or half a sample, ends nothing.
    RobustBinary,
    /// A second start ends nothing.
    RobustDuplicateStart,
    /// Audio in the wrong order ends nothing.
    RobustReordered,
    /// After the provider's stop the server closes.
    StopCloses,
    /// …with a code that means that all is well.
    StopCode,
}

impl Rule {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::HandshakeAccepted,
        Self::HandshakeHeaders,
        Self::HandshakeSubprotocol,
        Self::HandshakeNoExtensions,
        Self::CredentialMissing,
        Self::CredentialWrong,
        Self::CredentialUsed,
        Self::StartSilence,
        Self::StartEarlyMedia,
        Self::AudioFirst,
        Self::AudioAnswer,
        Self::AudioWellFormed,
        Self::AudioPaced,
        Self::BargeInClear,
        Self::BargeInSilence,
        Self::MarkUnknown,
        Self::MarkStale,
        Self::DtmfAccepted,
        Self::RobustMalformed,
        Self::RobustUnknown,
        Self::RobustEmpty,
        Self::RobustOversized,
        Self::RobustBinary,
        Self::RobustDuplicateStart,
        Self::RobustReordered,
        Self::StopCloses,
        Self::StopCode,
    ];

    /// For scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HandshakeAccepted => "handshake.accepted",
            Self::HandshakeHeaders => "handshake.headers",
            Self::HandshakeSubprotocol => "handshake.subprotocol",
            Self::HandshakeNoExtensions => "handshake.no-extensions",
            Self::CredentialMissing => "credential.missing",
            Self::CredentialWrong => "credential.wrong",
            Self::CredentialUsed => "credential.used",
            Self::StartSilence => "start.silence",
            Self::StartEarlyMedia => "start.early-media",
            Self::AudioFirst => "audio.first",
            Self::AudioAnswer => "audio.answer",
            Self::AudioWellFormed => "audio.well-formed",
            Self::AudioPaced => "audio.paced",
            Self::BargeInClear => "barge-in.clear",
            Self::BargeInSilence => "barge-in.silence",
            Self::MarkUnknown => "mark.unknown",
            Self::MarkStale => "mark.stale",
            Self::DtmfAccepted => "dtmf.accepted",
            Self::RobustMalformed => "robust.malformed",
            Self::RobustUnknown => "robust.unknown",
            Self::RobustEmpty => "robust.empty",
            Self::RobustOversized => "robust.oversized",
            Self::RobustBinary => "robust.binary",
            Self::RobustDuplicateStart => "robust.duplicate-start",
            Self::RobustReordered => "robust.reordered",
            Self::StopCloses => "stop.closes",
            Self::StopCode => "stop.code",
        }
    }

    /// For people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::HandshakeAccepted => "the upgrade is accepted",
            Self::HandshakeHeaders => "the provider goes on after this answer to its upgrade",
            Self::HandshakeSubprotocol => "an offered subprotocol comes back, and no other",
            Self::HandshakeNoExtensions => "no extension is negotiated",
            Self::CredentialMissing => "nobody is let in without credentials",
            Self::CredentialWrong => "nobody is let in with wrong credentials",
            Self::CredentialUsed => "a single-use token lets in one stream",
            Self::StartSilence => "nothing is sent before the stream has started",
            Self::StartEarlyMedia => "audio before the start does not end the call",
            Self::AudioFirst => "the caller hears something in time",
            Self::AudioAnswer => "the caller is answered in time",
            Self::AudioWellFormed => "every message is one of the dialect, in frames of the right size",
            Self::AudioPaced => "at most 2 s of audio wait at the provider",
            Self::BargeInClear => "speaking over the reply clears it",
            Self::BargeInSilence => "and the reply falls silent",
            Self::MarkUnknown => "a mark nobody sent does not end the call",
            Self::MarkStale => "what comes back after a clear does not end the call",
            Self::DtmfAccepted => "a key does not end the call",
            Self::RobustMalformed => "a malformed message does not end the call",
            Self::RobustUnknown => "an unknown message does not end the call",
            Self::RobustEmpty => "an empty message does not end the call",
            Self::RobustOversized => "an oversized message does not end the call",
            Self::RobustBinary => "a misplaced or crippled binary message does not end the call",
            Self::RobustDuplicateStart => "a second start does not end the call",
            Self::RobustReordered => "audio in the wrong order does not end the call",
            Self::StopCloses => "after the provider's stop the server closes",
            Self::StopCode => "with code 1000, or none",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Whether a rule was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was.
    Kept,
    /// It was not.
    Broken,
    /// It could not be tried, or does not apply.
    Skipped,
}

/// What was found out about a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// Whether it was kept.
    pub verdict: Verdict,
    /// What was measured, or why not. May be empty.
    pub reason: String,
}

impl Finding {
    /// It was kept.
    pub fn kept(rule: Rule, reason: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Kept, reason: reason.into() }
    }

    /// It was broken.
    pub fn broken(rule: Rule, reason: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Broken, reason: reason.into() }
    }

    /// It was not tried.
    pub fn skipped(rule: Rule, reason: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Skipped, reason: reason.into() }
    }

    /// Kept or broken.
    pub fn of(rule: Rule, kept: bool, reason: impl Into<String>) -> Self {
        if kept { Self::kept(rule, reason) } else { Self::broken(rule, reason) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(Rule::ALL.is_sorted());
        let document = include_str!("../../../docs/conformance.md");
        for rule in Rule::ALL {
            assert!(document.contains(&format!("`{}`", rule.name())), "{} is not documented", rule.name());
        }
    }
}
