//! What callers and agents of a measurement stand on: a whole server in this process, on a real port, with stand-ins for
//! ears and mouth, and accounts for the agents. And what they know of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::f32::consts::TAU;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::latency::free_address;
use crate::app::{App, OwnEngines};
use crate::audio::units::{Millis, SampleRate};
use crate::cli::CliError;
use crate::config::{Config, LlmMode};
use crate::engine::CancelFlag;
use crate::engine::stt::fake::FakeStt;
use crate::engine::tts::{TextToSpeech, TtsError};
use crate::engine::vad::VadFactory;
use crate::engine::vad::fake::FakeVad;
use crate::handoff::routing::strategy::mix;
use crate::store::sqlite::SqliteStore;
use crate::store::{CallOutcome, CallQuery, HandoffOutcome, MAX_LIMIT, Store, UserRecord, UserRole};
use crate::telemetry::Secret;
use crate::web::auth::Accounts;

/// Each sentence of the assistant is this long, so that what is measured is not the length of sentences.
pub(super) const SENTENCE: Millis = Millis(100);
/// How loud the tones are.
const LOUD: f32 = 6_000.0;
/// Tones are this far apart, so that a frame of 20 ms tells them from each other.
const STEP_HZ: f32 = 50.0;
/// The assistant's voice.
const ASSISTANT_HZ: f32 = 300.0;
/// The callers' voice.
pub(in crate::cli::bench) const CALLER_HZ: f32 = 2_000.0;
/// What an agent is told may be read so much later than what another one is told after it: each has a socket of their own,
/// and the machine is busy. Two who are with a caller at once are heard besides.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// No more agents than there are tones below the callers'.
pub(super) const MOST_AGENTS: usize = 24;

/// An agent's voice: everybody has a tone of their own, none of them near a note of the hold music.
pub(in crate::cli::bench) fn agent_hz(agent: usize) -> f32 {
    600.0 + agent as f32 * STEP_HZ
}

/// 20 ms of a tone; all of them begin and end at zero.
pub(in crate::cli::bench) fn tone(hz: f32) -> Vec<i16> {
    let step = TAU * hz / SampleRate::WIDEBAND.0 as f32;
    (0..SampleRate::WIDEBAND.samples_in(Millis::FRAME)).map(|n| (LOUD * (step * n as f32).sin()) as i16).collect()
}

/// How much of a frame a tone is, 0 to 1.
pub(in crate::cli::bench) fn share(pcm: &[i16], hz: f32) -> f32 {
    let step = TAU * hz / SampleRate::WIDEBAND.0 as f32;
    let (mut re, mut im, mut energy) = (0.0f32, 0.0f32, 0.0f32);
    for (n, sample) in pcm.iter().enumerate() {
        let (value, angle) = (f32::from(*sample), step * n as f32);
        re += value * angle.cos();
        im += value * angle.sin();
        energy += value * value;
    }
    // Below this it is no sound at all.
    if energy < 1e6 { 0.0 } else { 2.0 * (re * re + im * im) / (energy * pcm.len() as f32) }
}

/// A number from 0 to 1 that belongs to the seed and to what it is drawn for.
pub(super) fn draw(seed: u64, what: u64, who: u64, nth: u64) -> f64 {
    (mix(mix(mix(seed ^ what.wrapping_mul(0x9e37)) ^ who) ^ nth) >> 11) as f64 / (1u64 << 53) as f64
}

/// A time within a span, by [`draw`].
pub(super) fn within(low_ms: u64, high_ms: u64, drawn: f64) -> Duration {
    Duration::from_millis(low_ms + ((high_ms - low_ms) as f64 * drawn) as u64)
}

/// Says everything in a tenth of a second.
struct ShortVoice;

impl TextToSpeech for ShortVoice {
    fn speak(
        &self,
        text: &str,
        _: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        if text.chars().any(char::is_alphanumeric) {
            let frame = tone(ASSISTANT_HZ);
            let _ = sink(&frame.repeat((SENTENCE.0 / Millis::FRAME.0) as usize)); // Nobody wants it any more: as well.
        }
        Ok(())
    }

    fn name(&self) -> &str {
        "short"
    }
}

/// A running server.
pub(super) struct Ground {
    app: App,
    pub base: String,
    folder: TempDir,
    database: String,
    /// One an agent.
    pub tokens: Vec<Secret<String>>,
}

/// What the records say after the server has stopped.
pub(super) struct Books {
    pub calls: usize,
    /// Calls and handoffs without a proper end.
    pub unclosed: usize,
}

impl Ground {
    /// With so many agents, and lines for so many callers.
    pub async fn open(mut config: Config, agents: usize, callers: usize) -> Result<Self, CliError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| CliError::failed(format!("{what}: {error}"), "");
        let folder = tempfile::tempdir().map_err(|error| failed("no temporary folder", &error))?;
        prepare(&mut config, folder.path(), callers)?;
        let base = config.server.base_url();
        let database = config.database.url.clone();
        let tokens = accounts(&config, agents).await.map_err(|error| failed("the agents' accounts", &error))?;
        // Tones are not speech: nobody barges in.
        let mut app = App::start_with(config, stand_ins(Arc::new(FakeVad::loudness(30_000)))).await?;
        app.warmed_up().await;
        app.prepared().await;
        Ok(Self { app, base, folder, database, tokens })
    }

    /// Stops the server and looks into its records.
    pub async fn close(self) -> Result<Books, CliError> {
        self.app.stop().await;
        Books::read(&self.database, self.folder.path()).await
    }
}

impl Books {
    /// Of a server that has stopped.
    pub async fn read(database: &str, folder: &Path) -> Result<Self, CliError> {
        let failed =
            |error: &dyn std::fmt::Display| CliError::failed(format!("the records can't be read: {error}"), "");
        let store = SqliteStore::open(database, folder).await.map_err(|error| failed(&error))?;
        let mut books = Self { calls: 0, unclosed: 0 };
        let mut before = None;
        loop {
            let query = CallQuery { before, limit: MAX_LIMIT, ..CallQuery::default() };
            let page = store.list_calls(&query).await.map_err(|error| failed(&error))?;
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            for call in page {
                books.calls += 1;
                let detail = store.get_call(call.id).await.map_err(|error| failed(&error))?;
                let open = detail.is_none_or(|detail| {
                    detail.handoffs.iter().any(|one| one.outcome == HandoffOutcome::Open || one.ended_at.is_none())
                        || detail.offers.iter().any(|one| one.result.is_none())
                });
                books.unclosed += usize::from(open || call.outcome == CallOutcome::Live || call.ended_at.is_none());
            }
        }
        store.close().await;
        Ok(books)
    }
}

/// A server of its own in this folder, with lines for so many callers and without models.
pub(in crate::cli::bench) fn prepare(config: &mut Config, folder: &Path, callers: usize) -> Result<(), CliError> {
    config.server.listen = free_address()?;
    config.server.public_url = String::new();
    config.server.data_dir = folder.to_owned();
    config.server.calls_per_minute_per_caller = 100_000;
    config.server.max_calls = callers + 8;
    config.server.drain_grace_s = 5;
    config.browser.enabled = true;
    config.llm.engine = LlmMode::Off;
    config.dialog.embedding = String::new();
    Ok(())
}

/// Ears that understand nothing and a mouth that is quick.
pub(in crate::cli::bench) fn stand_ins(vad: Arc<dyn VadFactory>) -> OwnEngines {
    OwnEngines { vad, stt: Arc::new(FakeStt::saying(Vec::<String>::new())), tts: Arc::new(ShortVoice) }
}

pub(super) async fn accounts(
    config: &Config,
    agents: usize,
) -> Result<Vec<Secret<String>>, Box<dyn std::error::Error + Send + Sync>> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.database.url, &config.server.data_dir).await?);
    let accounts = Accounts::new(store.clone());
    let mut tokens = Vec::new();
    for agent in 0..agents {
        let (user, _) = accounts.add(&format!("agent{agent:03}"), UserRole::Agent).await?;
        store.update_user(&UserRecord { must_change_password: false, ..user.clone() }).await?;
        tokens.push(accounts.api_token(&user.name, Duration::from_secs(86_400)).await?);
    }
    store.close().await;
    Ok(tokens)
}

/// Where callers are when the server's process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// One waits.
    Waiting,
    /// One is offered.
    Offered,
    /// One speaks with an agent.
    Bridged,
}

impl Where {
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Offered, Self::Bridged];

    /// As a fault.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "server_killed_waiting",
            Self::Offered => "server_killed_offered",
            Self::Bridged => "server_killed_bridged",
        }
    }
}

/// What everybody on this ground sees.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Who is connected with which call.
    pub with: BTreeMap<String, BTreeSet<usize>>,
    /// Two agents with one call, or one agent with two.
    pub double_bridges: Vec<String>,
    /// Calls that two agents were told they have, and since when: the one who has lost it may not have read that yet.
    doubts: Vec<(String, Instant, String)>,
    /// Faults that were made, by name.
    pub faults: BTreeMap<&'static str, usize>,
    /// The server is to be killed when somebody is there.
    pub armed: Option<Where>,
    /// Twice as often as it was killed; odd while it dies.
    pub kills: usize,
    /// Moments of the one call there is, for those who measure.
    pub pressed: Option<Instant>,
    /// The first offer after that.
    pub offered: Option<Instant>,
    /// The agent's `accept`.
    pub accepted: Option<Instant>,
    /// The agent heard the caller.
    pub agent_heard: Option<Instant>,
    /// The caller heard the agent.
    pub caller_heard: Option<Instant>,
}

/// Shared by all tasks of a measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    fires: Notify,
}

impl Board {
    /// Looks, and writes down.
    pub fn see(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is there: if the server was to be killed then, it is.
    pub fn passes(&self, place: Where) {
        if self.see().armed.take_if(|armed| *armed == place).is_some() {
            self.fault(place.name());
            self.0.fires.notify_one();
        }
    }

    /// When the server is to be killed.
    pub async fn fires(&self) {
        self.0.fires.notified().await;
    }

    /// A fault was made.
    pub fn fault(&self, name: &'static str) {
        *self.see().faults.entry(name).or_default() += 1;
    }

    /// An agent is connected with a call.
    pub fn joined(&self, agent: usize, call: &str, now: Instant) {
        let mut seen = self.see();
        if let Some(other) = seen.with.iter().find(|(other, with)| *other != call && with.contains(&agent)) {
            let text = format!("agent {agent} has {call} and {}", other.0);
            seen.double_bridges.push(text);
        }
        let with = seen.with.entry(call.to_owned()).or_default();
        with.insert(agent);
        if with.len() > 1 {
            let text = format!("{call} is with {with:?}");
            seen.doubts.push((call.to_owned(), now, text));
        }
    }

    /// The agent is with no call any more.
    pub fn left(&self, agent: usize, now: Instant) {
        let Seen { with, doubts, .. } = &mut *self.see();
        with.retain(|call, with| {
            if with.remove(&agent) {
                doubts.retain(|(of, since, _)| of != call || now > *since + ON_ITS_WAY);
            }
            !with.is_empty()
        });
    }

    /// All double bridges, those that were in doubt until now with them.
    pub fn double_bridges(&self) -> Vec<String> {
        let Seen { double_bridges, doubts, .. } = &mut *self.see();
        double_bridges.extend(doubts.drain(..).map(|(_, _, text)| text));
        std::mem::take(double_bridges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_are_told_apart_in_one_frame() {
        for agent in 0..MOST_AGENTS {
            let frame = tone(agent_hz(agent));
            assert!(share(&frame, agent_hz(agent)) > 0.95);
            for other in (0..MOST_AGENTS).filter(|other| *other != agent) {
                assert!(share(&frame, agent_hz(other)) < 0.05, "{agent} {other}");
            }
            assert!(share(&frame, CALLER_HZ) < 0.05 && share(&frame, ASSISTANT_HZ) < 0.05);
        }
        let mut both = tone(agent_hz(1));
        crate::audio::mix::mix_into(&mut both, &tone(agent_hz(4)));
        assert!(share(&both, agent_hz(1)) > 0.4 && share(&both, agent_hz(4)) > 0.4, "two at once are seen");
        assert_eq!(share(&[0; 320], agent_hz(1)), 0.0);
    }

    #[test]
    fn nobody_is_heard_in_the_hold_music() {
        let mut music = crate::call::hold::HoldMusic::default();
        for _ in 0..400 {
            let mut frame = Vec::new();
            music.fill(320, &mut frame);
            assert!((0..MOST_AGENTS).all(|agent| share(&frame, agent_hz(agent)) < 0.3));
        }
    }

    #[test]
    fn a_call_with_two_agents_is_seen_and_so_is_an_agent_with_two_calls() {
        let (board, now) = (Board::default(), Instant::now());
        board.joined(1, "a", now);
        board.left(1, now);
        board.joined(2, "a", now);
        assert!(board.double_bridges().is_empty());
        board.joined(3, "a", now);
        board.left(3, now + ON_ITS_WAY);
        assert!(board.double_bridges().is_empty(), "the word of it was on its way");
        board.joined(3, "a", now);
        board.left(3, now + 2 * ON_ITS_WAY);
        board.joined(2, "b", now);
        assert_eq!(board.double_bridges(), ["agent 2 has b and a", "a is with {2, 3}"]);
    }
}
