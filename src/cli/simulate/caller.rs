//! A caller of the simulated desk: asks, listens, is put through or gives up.

use std::time::Duration;

use rand::{Rng, RngExt as _};

use super::town::{Speech, dial};
use crate::audio::units::Millis;
use crate::cli::call::CallError;
use crate::cli::call::player::{CallPlayer, Event};
use crate::telephony::protocol::Digit;

/// Silence after which the assistant has said what it had to say.
const PAUSE: Duration = Duration::from_millis(350);
/// How long an answer may take, and the assistant's longest speech.
const ANSWER: Duration = Duration::from_secs(15);
/// How long the longest conversation with a person may be.
const CONVERSATION: Duration = Duration::from_secs(120);

/// What a caller is here for.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// Questions the knowledge base answers.
    Questions(Vec<usize>),
    /// Something it has no answer to, said twice in other words.
    Unanswered(usize, usize),
    /// A question, then a person after all, in words.
    AsksForAPerson(usize, usize),
    /// Presses zero at once.
    PressesZero,
    /// Hangs up during the greeting.
    WrongNumber,
}

impl Errand {
    /// Most want to know something.
    pub fn draw(chance: &mut impl Rng, speech: &Speech) -> Self {
        let mut pick = |from: &[usize]| from[chance.random_range(0..from.len())];
        let (first, second) = (pick(&speech.questions), pick(&speech.questions));
        let (odd, odder) = (pick(&speech.unknown), pick(&speech.unknown));
        let request = pick(&speech.requests);
        match chance.random_range(0..100) {
            0..40 => Self::Questions(vec![first]),
            40..62 => Self::Questions(vec![first, second]),
            62..74 => Self::Unanswered(odd, odder),
            74..87 => Self::AsksForAPerson(first, request),
            87..97 => Self::PressesZero,
            _ => Self::WrongNumber,
        }
    }
}

/// One caller.
pub(super) struct Caller {
    pub provider: &'static str,
    pub from: String,
    pub errand: Errand,
    /// How long they wait for a person.
    pub patience: Duration,
}

impl Caller {
    /// The whole visit.
    pub async fn run(self, base: &str, speech: &Speech) -> Result<(), CallError> {
        let mut call = CallPlayer::connect(&dial(base, self.provider, &self.from)).await?;
        let wants_a_person = self.speak(&mut call, speech).await;
        // Whoever is hung up on by the other side has been served.
        if matches!(wants_a_person, Ok(true)) {
            let _ = self.wait_for_a_person(&mut call, speech).await;
        }
        call.hangup().await;
        wants_a_person.map(|_| ())
    }

    /// With the assistant. True when a person is next.
    async fn speak(&self, call: &mut CallPlayer, speech: &Speech) -> Result<bool, CallError> {
        let ask = async |call: &mut CallPlayer, sentence: usize| {
            call.play("sentence", &speech.sound(sentence)).await?;
            call.wait_reply_end(PAUSE, ANSWER).await
        };
        if let Errand::WrongNumber = self.errand {
            call.wait(Duration::from_millis(700)).await?;
            return Ok(false);
        }
        if let Errand::PressesZero = self.errand {
            call.wait(Duration::from_millis(1_200)).await?;
            call.dtmf(key('0')).await?;
            return Ok(true);
        }
        call.wait_reply_end(PAUSE, ANSWER).await?;
        match &self.errand {
            Errand::Questions(questions) => {
                for question in questions {
                    ask(call, *question).await?;
                    call.wait(Duration::from_millis(400)).await?;
                }
                Ok(false)
            }
            Errand::Unanswered(first, second) => {
                ask(call, *first).await?;
                ask(call, *second).await?;
                Ok(true)
            }
            Errand::AsksForAPerson(question, request) => {
                ask(call, *question).await?;
                call.play("request", &speech.sound(*request)).await?;
                Ok(true)
            }
            Errand::PressesZero | Errand::WrongNumber => Ok(true),
        }
    }

    /// Until the person ends the call, or patience does: then a message, a callback, or nothing at all.
    async fn wait_for_a_person(&self, call: &mut CallPlayer, speech: &Speech) -> Result<(), CallError> {
        let answered = |event: &Event| matches!(event, Event::Ended { .. });
        if wait_for_tone(call, self.patience).await? {
            call.wait_event(0, CONVERSATION, answered).await?;
            return Ok(());
        }
        match self.from.as_bytes().last().map_or(0, |digit| digit % 3) {
            0 => {
                call.dtmf(key('1')).await?;
                call.wait_reply_end(PAUSE, ANSWER).await?;
                call.play("message", &speech.message()).await?;
                call.wait_event(0, ANSWER, answered).await?;
            }
            1 => {
                call.dtmf(key('2')).await?;
                call.wait_event(0, ANSWER, answered).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn key(key: char) -> Digit {
    Digit::new(key).expect("a key")
}

/// Whether a person is heard before patience ends.
async fn wait_for_tone(call: &mut CallPlayer, patience: Duration) -> Result<bool, CallError> {
    let end = tokio::time::Instant::now() + patience.max(Duration::from_secs(1));
    while tokio::time::Instant::now() < end {
        if super::agent::is_heard(&call.heard_lately(Millis(200))) {
            return Ok(true);
        }
        call.wait(Duration::from_millis(100)).await?;
    }
    Ok(false)
}
