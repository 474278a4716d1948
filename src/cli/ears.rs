//! Recordings through the ears of a call: the same detector, turns, speculation and recogniser, faster than real time.
//!
//! ```text
//! listen:     pcm ─▶ 20 ms frames ─▶ voice activity ─▶ turns ── speculate, ended ──▶ recogniser ─▶ Turn
//! recognise:  pcm ─▶ pieces of 25 s at most, cut where it is quiet ─────────────────▶ recogniser ─▶ Piece
//! ```
//! In [`Ears::listen`] the clock is the recording's: a decode that took 300 ms is ready 300 ms of recording later. So the
//! times are those of a call on an otherwise idle machine.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{CliError, explain};
use crate::app::engines;
use crate::audio::frame::AudioFrame;
use crate::audio::resample::{ResampleError, resample_all};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::audio::{g711, mix};
use crate::call::cleaner::Cleaner;
use crate::call::completeness::Completeness;
use crate::call::patience::Pace;
use crate::call::turn::{SpeculationId, TurnDetector, TurnEvent, UtteranceAudio};
use crate::config::{Config, SoundConfig, SttConfig, TurnConfig};
use crate::engine::CancelFlag;
use crate::engine::cpu::CpuBudget;
use crate::engine::stt::scheduler::{JobKind, SttScheduler};
use crate::engine::stt::{SpeechToText, Spoken, Transcript, Utterance};
use crate::engine::vad::VadFactory;

/// A recording is not a caller: nobody hangs up because a decode takes long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Silence after a recording, so that its last turn ends as a caller's does.
const AFTER: Millis = Millis(2_500);
/// Longest piece given to the recogniser, whose window is 30 s.
const LONGEST_PIECE: Millis = Millis(25_000);
/// The cut is made after this much of a piece at the earliest.
const EARLIEST_CUT: Millis = Millis(15_000);

/// A loaded recogniser and voice detector.
pub struct Ears {
    /// None: all that is known of words is that there were some.
    stt: Option<Arc<SttScheduler>>,
    vad: Arc<dyn VadFactory>,
    turn: TurnConfig,
    sound: SoundConfig,
    threshold: Probability,
    hints: Arc<[String]>,
    /// Which languages may be heard, where `[languages]` names some.
    spoken: Spoken,
    /// Time all decodes took so far, in microseconds.
    decoded: AtomicU64,
    /// What every decode is said to have taken, whatever it took: a busy machine would else wait for words longer than others.
    pace: Option<Duration>,
    /// What was decoded before, by its samples; none: everything is decoded anew.
    known: Option<Arc<Mutex<HashMap<u64, Transcript>>>>,
}

/// One turn of a caller.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What was heard.
    pub audio: UtteranceAudio,
    /// What was said.
    pub transcript: Transcript,
    /// When the turn was found to have ended.
    pub ended_at: Millis,
    /// When its transcript was there; a speculation that stands is there before the turn is over.
    pub heard_at: Millis,
    /// When turn and transcript both were there: what follows can begin.
    pub ready_at: Millis,
}

/// One piece of a recording.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where it lies.
    pub at: Millis,
    /// What was said.
    pub transcript: Transcript,
}

/// A speculation under way: what it will say, and when.
struct Pending {
    id: SpeculationId,
    ready_at: Millis,
    looks: Completeness,
    transcript: Transcript,
    last_voice_at: Millis,
}

/// What an utterance of nobody known may be in.
fn spoken(config: &Config) -> Spoken {
    let default = config.stt.default_language();
    let others = config.languages.iter().map(|(language, _)| language).filter(|language| *language != default);
    if config.languages.is_empty() || !config.stt.detect {
        return Spoken::default();
    }
    Spoken { language: Some(default), candidates: std::iter::once(default).chain(others).collect() }
}

impl Ears {
    /// Loads what `config` names.
    pub fn open(config: &Config) -> Result<Self, CliError> {
        // One recording after the other: one worker is all that is ever busy.
        let stt = SttConfig { workers: 1, ..config.stt.clone() };
        let alone = Config { stt, ..config.clone() };
        let off = || CliError::usage("speech recognition is off", "Set `stt.engine` to `whisper`.");
        let stt = engines::load_stt(&alone, &CpuBudget::from_config(&config.cpu))?.ok_or_else(off)?;
        Ok(Self { stt: Some(stt), ..Self::deaf(config)? })
    }

    /// With this recogniser instead of the configured one.
    pub fn with(stt: Arc<dyn SpeechToText>, config: &Config) -> Result<Self, CliError> {
        let alone = SttConfig { workers: 1, ..config.stt.clone() };
        let stt = SttScheduler::start(stt, CpuBudget::from_config(&config.cpu), &alone)
            .map_err(|error| CliError::failed(explain(&error), ""))?;
        Ok(Self { stt: Some(Arc::new(stt)), ..Self::deaf(config)? })
    }

    /// The same, expecting no words before others.
    #[must_use]
    pub fn without_hints(self) -> Self {
        Self { hints: Arc::from([]), ..self }
    }

    /// Hears turns, but no words.
    pub fn deaf(config: &Config) -> Result<Self, CliError> {
        Ok(Self {
            stt: None,
            vad: engines::load_vad(config)?,
            turn: config.turn.clone(),
            sound: config.sound.clone(),
            threshold: Probability::clamped(config.vad.threshold),
            hints: config.stt.all_hints(),
            spoken: spoken(config),
            decoded: AtomicU64::new(0),
            pace: None,
            known: None,
        })
    }

    /// From here on each decode is taken to have lasted so long, if that is given.
    #[must_use]
    pub fn paced(self, pace: Option<Duration>) -> Self {
        Self { pace, ..self }
    }

    /// From here on the same samples are decoded once, and heard again with the time they took then.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { known: Some(Arc::default()), ..self }
    }

    /// The same ears, with what they remember, by other rules about turns.
    pub fn by_rules(&self, turn: TurnConfig) -> Self {
        Self {
            stt: self.stt.clone(),
            vad: self.vad.clone(),
            turn,
            sound: self.sound.clone(),
            threshold: self.threshold,
            hints: self.hints.clone(),
            spoken: self.spoken.clone(),
            decoded: AtomicU64::new(0),
            pace: self.pace,
            known: self.known.clone(),
        }
    }

    /// Recognises a recording as it is, without looking for turns. `pcm`: 16 kHz mono.
    pub async fn recognise(&self, pcm: &[i16]) -> Result<Vec<Piece>, CliError> {
        let mut heard = Vec::new();
        for piece in pieces(pcm) {
            let at = SampleRate::WIDEBAND.span_of(piece.start);
            heard.push(Piece { at, transcript: self.decode(&pcm[piece], at, JobKind::Final).await? });
        }
        Ok(heard)
    }

    /// Hears a recording as a call would, with silence after it. `pcm`: 16 kHz mono.
    pub async fn listen(&self, pcm: &[i16]) -> Result<Vec<Turn>, CliError> {
        self.listen_after("", pcm).await
    }

    /// The same after this was said to the caller.
    pub async fn listen_after(&self, question: &str, pcm: &[i16]) -> Result<Vec<Turn>, CliError> {
        let mut vad = self.vad.open().map_err(|error| CliError::failed(explain(&error), ""))?;
        let mut detector = TurnDetector::new(&self.turn, self.threshold);
        let mut pace = Pace::new(&self.turn);
        pace.asked(question);
        detector.set_patience(pace.patience());
        let (mut events, mut turns, mut pending) = (Vec::new(), Vec::new(), None);
        let mut at = Millis::ZERO;
        let mut cleaner = Cleaner::new(&self.sound);
        for mut frame in frames(pcm) {
            if let Some(clean) = cleaner.clean(&frame.pcm) {
                frame.pcm = clean.into();
            }
            let voice = vad.push(&frame.pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
            cleaner.learn(voice);
            detector.push(&frame, voice, &mut events);
            at = frame.at + frame.span();
            self.follow(&mut events, &mut pace, &mut pending, &mut turns).await?;
            if let Some(Pending { id, looks, .. }) = pending.as_ref().filter(|pending| pending.ready_at <= at) {
                detector.transcript_looks(*id, *looks, &mut events);
                self.follow(&mut events, &mut pace, &mut pending, &mut turns).await?;
            }
            detector.set_patience(pace.patience());
        }
        detector.advance(at + AFTER, &mut events);
        detector.finish(&mut events);
        self.follow(&mut events, &mut pace, &mut pending, &mut turns).await?;
        Ok(turns)
    }

    /// Does what a call does upon each event, and empties `events`.
    async fn follow(
        &self,
        events: &mut Vec<TurnEvent>,
        pace: &mut Pace,
        pending: &mut Option<Pending>,
        turns: &mut Vec<Turn>,
    ) -> Result<(), CliError> {
        for event in events.drain(..) {
            match event {
                TurnEvent::Speculate { id, audio } => {
                    let transcript = self.decode(&audio.pcm, audio.at, JobKind::Speculative).await?;
                    let asked_at = audio.at + SampleRate::WIDEBAND.span_of(audio.pcm.len());
                    let ready_at = asked_at + Millis::from_duration(transcript.decode);
                    let (looks, last_voice_at) =
                        (pace.looks(&transcript.text, transcript.confidence()), audio.last_voice_at);
                    *pending = Some(Pending { id, ready_at, looks, transcript, last_voice_at });
                }
                TurnEvent::SpeechResumed { at, .. } => {
                    if let Some(pending) = pending.take() {
                        let looks = (pending.ready_at <= at).then_some(pending.looks);
                        pace.paused_after(looks, at.saturating_sub(pending.last_voice_at));
                    }
                }
                TurnEvent::TurnEnded { at, audio, speculation, .. } => {
                    pace.ended(audio.last_voice_at);
                    let (heard_at, transcript) = match pending.take() {
                        Some(pending) if speculation == Some(pending.id) => (pending.ready_at, pending.transcript),
                        _ => {
                            let transcript = self.decode(&audio.pcm, audio.at, JobKind::Final).await?;
                            (at + Millis::from_duration(transcript.decode), transcript)
                        }
                    };
                    turns.push(Turn { audio, transcript, ended_at: at, heard_at, ready_at: heard_at.max(at) });
                }
                TurnEvent::SpeechStarted { at } => pace.began(at, false),
                TurnEvent::WordsAwaited { .. } | TurnEvent::Discarded => {}
            }
        }
        Ok(())
    }

    /// What these samples say; nothing when deaf.
    pub async fn decode(&self, pcm: &[i16], at: Millis, kind: JobKind) -> Result<Transcript, CliError> {
        let Some(stt) = &self.stt else { return Ok(Transcript::default()) };
        let samples = hash(pcm);
        let known = self.known.as_ref().map(|known| known.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(transcript) = known.and_then(|known| known.get(&samples).cloned()) {
            return Ok(transcript);
        }
        let utterance = Utterance { pcm: pcm.into(), at, hints: self.hints.clone(), spoken: self.spoken.clone() };
        let mut transcript = stt
            .transcribe(utterance, kind, PATIENCE, &CancelFlag::new())
            .await
            .map_err(|error| CliError::failed(explain(&error), ""))?;
        transcript.decode = self.pace.unwrap_or(transcript.decode);
        if let Some(known) = &self.known {
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(samples, transcript.clone());
        }
        self.decoded.fetch_add(transcript.decode.as_micros() as u64, Ordering::Relaxed);
        Ok(transcript)
    }

    /// How long a decode of `pcm` that is given up `after` its begin keeps its worker busy.
    pub async fn time_to_stop(&self, pcm: &[i16], after: Duration) -> Result<Duration, CliError> {
        let Some(stt) = &self.stt else { return Ok(Duration::ZERO) };
        let cancel = CancelFlag::new();
        let utterance =
            Utterance { pcm: pcm.into(), at: Millis::ZERO, hints: self.hints.clone(), spoken: self.spoken.clone() };
        let given_up = stt
            .submit(utterance, JobKind::Final, PATIENCE, &cancel)
            .map_err(|error| CliError::failed(explain(&error), ""))?;
        tokio::time::sleep(after).await;
        cancel.cancel();
        let begun = tokio::time::Instant::now();
        // The one worker hears this silence as soon as it is free.
        self.decode(&[0; 320], Millis::ZERO, JobKind::Final).await?;
        drop(given_up);
        Ok(begun.elapsed())
    }

    /// Time all decodes took so far.
    pub fn decoded(&self) -> Duration {
        Duration::from_micros(self.decoded.load(Ordering::Relaxed))
    }
}

fn hash(pcm: &[i16]) -> u64 {
    let mut hasher = DefaultHasher::new();
    pcm.hash(&mut hasher);
    hasher.finish()
}

/// What a telephone leaves of a recording: 8 kHz, µ-law. `pcm`: 16 kHz mono, in and out.
pub fn telephone(pcm: &[i16]) -> Result<Vec<i16>, ResampleError> {
    let (mut coded, mut decoded) = (Vec::new(), Vec::new());
    g711::encode_ulaw(&resample_all(pcm, SampleRate::WIDEBAND, SampleRate::NARROWBAND)?, &mut coded);
    g711::decode_ulaw(&coded, &mut decoded);
    resample_all(&decoded, SampleRate::NARROWBAND, SampleRate::WIDEBAND)
}

/// The recording as 20 ms frames, the last filled up, then [`AFTER`] of silence.
fn frames(pcm: &[i16]) -> impl Iterator<Item = AudioFrame> + '_ {
    let size = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
    let silence = std::iter::repeat_n(&[][..], (AFTER.0 / Millis::FRAME.0) as usize);
    pcm.chunks(size).chain(silence).zip(0..).map(move |(chunk, number)| {
        let mut pcm = chunk.to_vec();
        pcm.resize(size, 0);
        AudioFrame::new(Millis(number * Millis::FRAME.0), SampleRate::WIDEBAND, pcm)
    })
}

/// Cuts a long recording where it is quietest.
fn pieces(pcm: &[i16]) -> Vec<Range<usize>> {
    let (longest, earliest) =
        (SampleRate::WIDEBAND.samples_in(LONGEST_PIECE), SampleRate::WIDEBAND.samples_in(EARLIEST_CUT));
    let (window, step) = (SampleRate::WIDEBAND.samples_in(Millis(200)), SampleRate::WIDEBAND.samples_in(Millis(20)));
    let mut pieces = Vec::new();
    let mut start = 0;
    while pcm.len() - start > longest {
        let level = |at: &usize| mix::level_dbfs(&pcm[*at..*at + window]);
        let quietest = (start + earliest..start + longest - window)
            .step_by(step)
            .min_by(|a, b| level(a).total_cmp(&level(b)))
            .expect("the longest piece is longer than the earliest cut");
        pieces.push(start..quietest + window / 2);
        start = quietest + window / 2;
    }
    pieces.push(start..pcm.len());
    pieces
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::stt::fake::{FakeStt, Step};
    use crate::engine::vad::fake::FakeVad;

    /// Ears that take every loud frame for voice and hear what `steps` say.
    pub fn fake(steps: impl IntoIterator<Item = Step>) -> Ears {
        Ears {
            stt: Some(Arc::new(SttScheduler::inline(Arc::new(FakeStt::new(steps).without_sleeping())))),
            vad: Arc::new(FakeVad::loudness(1_000)),
            turn: TurnConfig::default(),
            sound: SoundConfig::default(),
            threshold: Probability::clamped(0.5),
            hints: Arc::from([]),
            spoken: Spoken::default(),
            decoded: AtomicU64::new(0),
            pace: None,
            known: None,
        }
    }

    /// Loud and silent stretches in turn, the first loud.
    pub fn sound(stretches: &[usize]) -> Vec<i16> {
        let sample = |loud: bool| move |n: usize| if loud { [9_000, -9_000][n / 16 % 2] } else { 0 };
        stretches
            .iter()
            .zip([true, false].into_iter().cycle())
            .flat_map(|(ms, loud)| (0..ms * 16).map(sample(loud)))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_ready_when_the_speculation_is() {
        let said = |text: &str, ms| Step::say(text).after(Duration::from_millis(ms));
        let ears = fake([said("And", 100), said("And then.", 1_000), said("Yes.", 100), said("", 0)]);
        let turns = ears.listen(&sound(&[500, 300, 500, 2_000, 400])).await.expect("heard");
        let times: Vec<_> =
            turns.iter().map(|turn| (turn.transcript.text.as_str(), turn.ended_at.0, turn.ready_at.0)).collect();
        // The first speculation was void. The second took longer than the hangover and ended the turn; the third ended its own early.
        assert_eq!(times, [("And then.", 1_380 + 1_000, 1_380 + 1_000), ("Yes.", 4_160, 4_160)]);
        assert_eq!(turns[1].audio.last_voice_at, Millis(3_700));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_heard_the_same_by_other_rules() {
        let ears = fake([Step::say("And").after(Duration::from_millis(150))]).remembering();
        let recording = sound(&[500]);
        let slower = TurnConfig { hangover_ms: 1_500, finished_hangover_ms: 1_500, ..TurnConfig::default() };
        let soon = ears.listen(&recording).await.expect("heard");
        let later = ears.by_rules(slower).listen(&recording).await.expect("heard without a second step");
        assert_eq!((soon.len(), later.len()), (1, 1));
        assert_eq!(soon[0].transcript.text, later[0].transcript.text);
        assert_eq!(soon[0].heard_at, later[0].heard_at);
        assert!(later[0].ended_at > soon[0].ended_at + Millis(400), "{:?} {:?}", soon[0].ended_at, later[0].ended_at);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_recording_is_cut_where_it_is_quiet() {
        let ears = fake(["one", "two", "three"].map(Step::say));
        let recording = sound(&[18_000, 400, 20_000, 400, 9_000]);
        let pieces = ears.recognise(&recording).await.expect("heard");
        let heard: Vec<_> = pieces.iter().map(|piece| (piece.transcript.text.as_str(), piece.at.0 / 1_000)).collect();
        assert_eq!(heard, [("one", 0), ("two", 18), ("three", 38)]);
        let short = ears.recognise(&recording[..16_000]).await.expect("heard");
        assert_eq!(short.len(), 1);
    }

    #[test]
    fn the_telephone_takes_the_treble_and_keeps_the_length() {
        let loud = |hz: f32| {
            let tone: Vec<i16> = (0..16_001)
                .map(|n| ((n as f32 * hz / 16_000.0 * std::f32::consts::TAU).sin() * 9_000.0) as i16)
                .collect();
            let heard = telephone(&tone).expect("fixed rates");
            assert!(heard.len().abs_diff(tone.len()) < 2, "{}", heard.len());
            mix::level_dbfs(&heard) - mix::level_dbfs(&tone)
        };
        assert!(loud(1_000.0).abs() < 0.5, "{}", loud(1_000.0));
        assert!(loud(6_000.0) < -30.0, "{}", loud(6_000.0));
    }
}
