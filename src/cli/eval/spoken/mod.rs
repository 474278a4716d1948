//! The audio leg: a caller who speaks. The whole server runs in this process with its real engines; a voice says the
//! scenario's words into a real socket in a provider's dialect, and a recogniser of our own hears what comes back.
//!
//! ```text
//! say ─▶ studio (voice, noise) ─▶ CallPlayer ══ websocket ══▶ server (ears, mind, voice, desk) ◀══ people who accept
//!                                     │                          │
//!          reply's sound ◀────────────┘                          └─▶ the call's record: what was heard, decided, asked for
//!          transcribed ─▶ facts                                      record.rs gives each piece to its turn
//! ```
//! A turn is over when the reply was heard and a pause passed. The recogniser that checks replies works after the call, so
//! that it takes nothing from the server; and without the server's hints, so that it does not hear what it expects.

pub mod faults;
pub mod people;
pub mod record;
pub mod server;
pub mod service;
pub mod studio;

use std::time::Duration;

use jiff::Timestamp;

use self::record::{Fixed, Span};
use self::server::Server;
use self::studio::Studio;
use super::play::{Played, Sound};
use super::scenario::{Fault, Scenario, Turn};
use crate::cli::call::CallError;
use crate::cli::call::event::Event;
use crate::cli::call::player::{CallPlayer, Captured, Reply};
use crate::cli::{CliError, explain};
use crate::config::Config;
use crate::telephony::protocol::Digit;

/// Silence after which the assistant is taken to have said all; then the caller goes on.
const PAUSE: Duration = Duration::from_millis(900);
/// Longest wait for a reply and for its end: longer is none, or hold music.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two keys.
const KEY_GAP: Duration = Duration::from_millis(150);

/// What every scenario is played with.
pub struct Stage {
    /// Answers the calls.
    pub server: Server,
    /// Speaks and listens for the caller.
    pub studio: Studio,
    fixed: Fixed,
    pause: Duration,
}

impl Stage {
    /// `config`: as the server was started with, for its fixed sentences.
    pub fn new(server: Server, studio: Studio, config: &Config) -> Result<Self, CliError> {
        let fixed = Fixed::load(config, server.names())?;
        Ok(Self { server, studio, fixed, pause: PAUSE })
    }

    /// The same for a machine that may stall: the assistant is done only after so much silence.
    #[must_use]
    pub fn patient(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Plays one scenario to its end. An error is one of the machinery; what the assistant does wrong is no error.
    pub async fn play(&mut self, scenario: &Scenario) -> Result<Played, CliError> {
        let lines = self.lines(scenario).await?;
        self.server.staff(scenario.agents as usize).await?;
        self.server.tools_give(&scenario.results);
        let dial = self.server.dial(&scenario.audio);
        let mut player = CallPlayer::connect(&dial).await?;
        let opened_at = Timestamp::now().as_millisecond() - player.elapsed().as_millis() as i64;
        if let (Some(snr_db), Some(loud)) = (scenario.audio.snr_db, lines.iter().find(|line| !line.is_empty())) {
            player.set_background(studio::background(loud, snr_db, super::garble::seed(&scenario.name, 0) as u32));
        }
        let (spans, troubles) = self.converse(&mut player, scenario, &lines).await;
        let (_, captured) = player.hangup().await;
        let detail = self.server.record(dial.call_id.as_deref().unwrap_or_default()).await?;
        let (opening, mut turns) = record::turns(&detail, opened_at, &spans, &self.fixed);
        for ((turn, span), script) in turns.iter_mut().zip(&spans).zip(&scenario.turns) {
            turn.caller = done(script, &turn.caller);
            let offer_ms = turn.sound.take().and_then(|sound| sound.offer_ms);
            turn.sound = Some(Sound { offer_ms, ..self.heard(&captured, span).await? });
        }
        let (name, kind, outcome) = (scenario.name.clone(), scenario.kind, Some(detail.call.outcome));
        Ok(Played { name, kind, opening, turns, outcome, troubles })
    }

    /// What the caller says, turn by turn; empty where they do something else.
    async fn lines(&mut self, scenario: &Scenario) -> Result<Vec<Vec<i16>>, CliError> {
        let mut lines = Vec::new();
        for turn in &scenario.turns {
            lines.push(self.studio.say(turn, &scenario.audio.voice).await?);
        }
        Ok(lines)
    }

    /// The whole conversation: where its turns lie, and what went wrong with the line.
    async fn converse(
        &self,
        player: &mut CallPlayer,
        scenario: &Scenario,
        lines: &[Vec<i16>],
    ) -> (Vec<Span>, Vec<String>) {
        let (mut spans, mut troubles) = (Vec::new(), Vec::new());
        if let Err(error) = player.wait_reply_end(self.pause, PATIENCE).await {
            troubles.push(format!("the greeting: {}", explain(&error)));
            return (spans, troubles);
        }
        for (number, (turn, line)) in (1..).zip(scenario.turns.iter().zip(lines)) {
            // Nothing the caller says is for the assistant any more.
            if player.has_ended() || self.server.is_taken() {
                break;
            }
            let begin = player.position();
            let name = format!("turn {number}");
            let reply = act(player, turn, &name, line, self.pause).await;
            let response_ms = match &reply {
                Ok(reply) => reply.map(|reply| reply.response_ms),
                // It said goodbye.
                Err(CallError::Over { by: "server", .. }) => responded(player, &name),
                Err(error) => {
                    troubles.push(format!("{name}: {}", explain(error)));
                    None
                }
            };
            spans.push(Span { begin, end: player.position(), response_ms });
        }
        (spans, troubles)
    }

    /// A turn's sound, and what it says.
    async fn heard(&self, captured: &Captured, span: &Span) -> Result<Sound, CliError> {
        let part = |side: &[i16]| side[span.begin.min(side.len())..span.end.min(side.len())].to_vec();
        let (caller, reply) = (part(&captured.caller), part(&captured.reply));
        let transcribed = self.studio.hear(&reply).await?;
        Ok(Sound { transcribed, response_ms: span.response_ms, offer_ms: None, caller, reply })
    }
}

/// Does what the caller does, and waits for the end of what follows. None: nothing had to follow, and nothing did.
async fn act(
    player: &mut CallPlayer,
    turn: &Turn,
    name: &str,
    line: &[i16],
    pause: Duration,
) -> Result<Option<Reply>, CallError> {
    if let Some(keys) = &turn.dtmf {
        for (number, digit) in keys.chars().filter_map(Digit::new).enumerate() {
            if number > 0 {
                player.wait(KEY_GAP).await?;
            }
            player.dtmf(digit).await?;
        }
        let pressed = player.position();
        return player.wait_reply_after(pressed, pause, PATIENCE).await.map(Some);
    }
    if let Some(seconds) = turn.wait_s {
        let begin = player.position();
        player.wait(Duration::from_secs(seconds.into())).await?;
        return match player.wait_reply_after(begin, pause, Duration::ZERO).await {
            Err(CallError::NoReply { .. }) => Ok(None),
            _ => player.wait_reply_after(begin, pause, PATIENCE).await.map(Some),
        };
    }
    player.play(name, line).await?;
    player.wait_reply_end(pause, PATIENCE).await.map(Some)
}

/// How soon what was said under this name was answered, on a line that is closed.
fn responded(player: &CallPlayer, said: &str) -> Option<u64> {
    player.events(0).into_iter().rev().find_map(|timed| match timed.event {
        Event::Responded { name, response_ms } if name == said => Some(response_ms),
        _ => None,
    })
}

/// What the caller did, as it is shown.
fn done(script: &Turn, heard: &str) -> String {
    let keys = script.dtmf.as_ref().map(|keys| format!("[keys {keys}]"));
    let silence = script.wait_s.map(|seconds| format!("[{seconds} s of silence]"));
    let heard = (!heard.is_empty()).then(|| heard.to_owned());
    keys.into_iter().chain(silence).chain(heard).collect::<Vec<_>>().join(" ")
}

/// A scenario and its place among all.
type Numbered = (usize, Scenario);

/// Plays all scenarios, those that break the same together, and gives them in their order. `tell` hears of each.
pub async fn run(
    scenarios: Vec<Scenario>,
    config: &Config,
    mut tell: impl FnMut(&Scenario, &Played) -> Result<(), CliError>,
) -> Result<Vec<(Scenario, Played)>, CliError> {
    let people = scenarios.iter().map(|scenario| scenario.agents).max().unwrap_or(0);
    let mut groups: Vec<(Vec<Fault>, Vec<Numbered>)> = Vec::new();
    for (number, scenario) in scenarios.into_iter().enumerate() {
        match groups.iter_mut().find(|(faults, _)| *faults == scenario.faults) {
            Some((_, group)) => group.push((number, scenario)),
            None => groups.push((scenario.faults.clone(), vec![(number, scenario)])),
        }
    }
    let mut studio = Studio::open(config).await?;
    let mut runs = Vec::new();
    for (faults, group) in groups {
        let broken = faults::break_down(config, &faults).await?;
        let server = Server::start(broken.config.clone(), broken.engines, people as usize).await?;
        let mut stage = Stage::new(server, studio, &broken.config)?;
        let played = play_all(&mut stage, group, &mut tell).await;
        stage.server.stop().await;
        studio = stage.studio;
        runs.extend(played?);
    }
    runs.sort_by_key(|(number, ..)| *number);
    Ok(runs.into_iter().map(|(_, scenario, played)| (scenario, played)).collect())
}

async fn play_all(
    stage: &mut Stage,
    scenarios: Vec<Numbered>,
    tell: &mut impl FnMut(&Scenario, &Played) -> Result<(), CliError>,
) -> Result<Vec<(usize, Scenario, Played)>, CliError> {
    let mut runs = Vec::new();
    for (number, scenario) in scenarios {
        let played = stage.play(&scenario).await?;
        tell(&scenario, &played)?;
        runs.push((number, scenario, played));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_did_is_shown_with_what_was_heard() {
        let keys = Turn { dtmf: Some("12".to_owned()), ..Turn::default() };
        assert_eq!(done(&keys, ""), "[keys 12]");
        let silent = Turn { wait_s: Some(9), ..Turn::default() };
        assert_eq!(done(&silent, "Hm."), "[9 s of silence] Hm.");
        let says = Turn { say: Some("Are you open?".to_owned()), ..Turn::default() };
        assert_eq!(done(&says, "Are you opening?"), "Are you opening?");
    }
}
