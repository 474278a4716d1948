//! A caller's telephone line as numbers: what is said into it, what is heard from it, and when. No clock, no sockets.
//!
//! The line moves in ticks of 20 ms. Received audio waits in a queue, as it does at a provider; marks stand in that queue
//! and are returned when playback reaches them, or at once when a clear empties it.

use std::collections::VecDeque;

use crate::audio::mix::level_dbfs;
use crate::audio::units::{Millis, SampleRate};

/// Everything on the line is 16 kHz mono.
pub const RATE: SampleRate = SampleRate::WIDEBAND;
/// Samples of one tick.
pub const TICK: usize = 320;
/// Loudness is judged over so many samples: 10 ms.
const WINDOW: usize = 160;
/// Quieter is silence.
const SILENCE_DBFS: f32 = -50.0;
/// In a recording with noise, voice is what is no quieter than its loudest moment by this much.
const VOICE_RANGE_DB: f32 = 35.0;
/// A pause this long ends the reply that was going on when the caller spoke.
const PAUSE: Millis = Millis(200);
/// A line open for longer than this stops recording: a test that long has gone wrong.
const MAX_SAMPLES: usize = 2 * 3_600 * 16_000;

/// What happened within one tick.
#[derive(Debug, Default, PartialEq)]
pub struct Tick {
    /// What the caller says: 20 ms.
    pub spoken: Vec<i16>,
    /// Marks playback has reached.
    pub reached: Vec<String>,
}

/// Something the caller said, in samples since the line opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// First sample of the recording.
    pub begin: usize,
    /// One past the last sample with voice in it.
    pub voice_end: usize,
    /// One past the last sample of the recording.
    pub end: usize,
}

#[derive(Debug)]
enum Queued {
    Audio(VecDeque<i16>),
    Mark(String),
}

/// The line.
#[derive(Debug, Default)]
pub struct Line {
    to_say: VecDeque<i16>,
    queue: VecDeque<Queued>,
    queued: usize,
    paused: bool,
    spoken: Vec<i16>,
    /// What is behind the caller, over and over.
    background: Vec<i16>,
    heard: Vec<i16>,
    /// For each 10 ms heard, whether it was more than silence.
    voiced: Vec<bool>,
    last_utterance: Option<Utterance>,
}

impl Line {
    /// Audio arrived. Returns nothing: it is played in its turn.
    pub fn receive(&mut self, pcm: &[i16]) {
        self.queued += pcm.len();
        match self.queue.back_mut() {
            Some(Queued::Audio(audio)) => audio.extend(pcm),
            _ => self.queue.push_back(Queued::Audio(pcm.iter().copied().collect())),
        }
    }

    /// A mark arrived. With nothing queued before it, it is reached already and comes back.
    pub fn mark(&mut self, name: String) -> Option<String> {
        if self.queued == 0 {
            return Some(name);
        }
        self.queue.push_back(Queued::Mark(name));
        None
    }

    /// A clear arrived: the queue is dropped, its marks come back.
    pub fn clear(&mut self) -> Vec<String> {
        self.queued = 0;
        let mark = |queued| if let Queued::Mark(name) = queued { Some(name) } else { None };
        self.queue.drain(..).filter_map(mark).collect()
    }

    /// Playback stands still, or goes on.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The caller says this next, after whatever is still being said.
    pub fn say(&mut self, pcm: &[i16]) -> Utterance {
        let begin = self.spoken.len() + self.to_say.len();
        self.to_say.extend(pcm);
        let utterance = Utterance { begin, voice_end: begin + voice_end(pcm), end: begin + pcm.len() };
        self.last_utterance = Some(utterance);
        utterance
    }

    /// From here on this is behind whatever the caller says, and in their pauses, over and over.
    pub fn set_background(&mut self, pcm: Vec<i16>) {
        self.background = pcm;
    }

    /// 20 ms pass.
    pub fn tick(&mut self) -> Tick {
        let said = TICK.min(self.to_say.len());
        let mut spoken: Vec<i16> = self.to_say.drain(..said).collect();
        spoken.resize(TICK, 0);
        let at = self.spoken.len().checked_rem(self.background.len()).unwrap_or(0);
        for (sample, noise) in spoken.iter_mut().zip(self.background.iter().cycle().skip(at)) {
            *sample = sample.saturating_add(*noise);
        }
        let (heard, reached) = self.play();
        if self.spoken.len() < MAX_SAMPLES {
            self.spoken.extend(&spoken);
            self.heard.extend(&heard);
            self.voiced.extend(heard.chunks(WINDOW).map(|window| level_dbfs(window) > SILENCE_DBFS));
        }
        Tick { spoken, reached }
    }

    /// Takes 20 ms out of the queue, with the marks reached by their end.
    fn play(&mut self) -> (Vec<i16>, Vec<String>) {
        let (mut heard, mut reached) = (Vec::with_capacity(TICK), Vec::new());
        while let Some(next) = if self.paused { None } else { self.queue.pop_front() } {
            match next {
                Queued::Mark(name) => reached.push(name),
                Queued::Audio(_) if heard.len() == TICK => {
                    self.queue.push_front(next);
                    break;
                }
                Queued::Audio(mut audio) => {
                    let count = audio.len().min(TICK - heard.len());
                    heard.extend(audio.drain(..count));
                    self.queued -= count;
                    if !audio.is_empty() {
                        self.queue.push_front(Queued::Audio(audio));
                    }
                }
            }
        }
        heard.resize(TICK, 0);
        (heard, reached)
    }

    /// How much waits to be played.
    pub fn queued(&self) -> Millis {
        RATE.span_of(self.queued)
    }

    /// Samples since the line opened.
    pub fn position(&self) -> usize {
        self.spoken.len()
    }

    /// Whether all was said.
    pub fn said_all(&self) -> bool {
        self.to_say.is_empty()
    }

    /// The last thing the caller said.
    pub fn last_utterance(&self) -> Option<Utterance> {
        self.last_utterance
    }

    /// Whether something is being heard: voice within the last `pause`, or waiting to be played. Silence doesn't count.
    pub fn is_replying(&self, pause: Millis) -> bool {
        let windows = RATE.samples_in(pause) / WINDOW;
        let waits = |queued: &Queued| matches!(queued, Queued::Audio(audio) if audio.iter().any(is_loud));
        self.voiced.iter().rev().take(windows).any(|&voiced| voiced) || self.queue.iter().any(waits)
    }

    /// Where the reply to something that ended at `after` begins: the first voice heard from there on. A reply that was
    /// still going on at that moment has to pause first, or it would be its own answer.
    pub fn reply_after(&self, after: usize) -> Option<usize> {
        let first = after.div_ceil(WINDOW);
        let windows = self.voiced.get(first..)?;
        let pause = RATE.samples_in(PAUSE) / WINDOW;
        let before = &self.voiced[first.saturating_sub(pause)..first];
        let mut quiet = before.iter().rev().take_while(|&&voiced| !voiced).count();
        // At the very beginning of the line there was nothing before.
        if before.len() < pause && quiet == before.len() {
            quiet = pause;
        }
        for (n, &voiced) in windows.iter().enumerate() {
            if voiced && quiet >= pause {
                let window = (first + n) * WINDOW;
                let loud = self.heard[window..].iter().position(is_loud);
                return Some(window + loud.unwrap_or(0));
            }
            quiet = if voiced { 0 } else { quiet + 1 };
        }
        None
    }

    /// One past the last voice heard, if any.
    pub fn last_reply(&self) -> Option<usize> {
        self.voiced.iter().rposition(|&voiced| voiced).map(|window| (window + 1) * WINDOW)
    }

    /// What the caller said so far.
    pub fn spoken(&self) -> &[i16] {
        &self.spoken
    }

    /// What the caller heard so far.
    pub fn heard(&self) -> &[i16] {
        &self.heard
    }
}

/// Whether a single sample may belong to a voice.
fn is_loud(sample: &i16) -> bool {
    sample.unsigned_abs() > 60
}

/// A place on the line as time.
pub fn millis(samples: usize) -> u64 {
    samples as u64 * 1_000 / u64::from(RATE.0)
}

/// One past the last sample with voice in `pcm`; 0 when there is none.
fn voice_end(pcm: &[i16]) -> usize {
    let levels: Vec<f32> = pcm.chunks(WINDOW).map(level_dbfs).collect();
    let loudest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let threshold = SILENCE_DBFS.max(loudest - VOICE_RANGE_DB);
    let last = levels.iter().rposition(|&level| level > threshold);
    last.map_or(0, |window| ((window + 1) * WINDOW).min(pcm.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(millis: u32) -> Vec<i16> {
        (0..RATE.samples_in(Millis(millis))).map(|n| if n % 40 < 20 { 3_000 } else { -3_000 }).collect()
    }

    fn silence(millis: u32) -> Vec<i16> {
        vec![0; RATE.samples_in(Millis(millis))]
    }

    fn ticks(line: &mut Line, count: usize) -> Vec<String> {
        (0..count).flat_map(|_| line.tick().reached).collect()
    }

    #[test]
    fn marks_come_back_when_playback_reaches_them() {
        let mut line = Line::default();
        assert_eq!(line.mark("empty".to_owned()), Some("empty".to_owned()));
        line.receive(&voice(30));
        assert_eq!(line.mark("a".to_owned()), None);
        line.receive(&voice(10));
        assert_eq!(line.mark("b".to_owned()), None);
        assert_eq!(ticks(&mut line, 1), [""; 0]);
        assert_eq!(ticks(&mut line, 1), ["a", "b"]);
        assert_eq!(line.heard().iter().filter(|&&sample| sample != 0).count(), 640);
    }

    #[test]
    fn a_clear_silences_at_once_and_returns_marks() {
        let mut line = Line::default();
        line.receive(&voice(100));
        line.mark("a".to_owned());
        line.receive(&voice(100));
        line.mark("b".to_owned());
        ticks(&mut line, 1);
        assert_eq!(line.clear(), ["a", "b"]);
        ticks(&mut line, 2);
        assert!(line.heard()[TICK..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn response_is_measured_from_the_last_voice_to_the_first_reply() {
        let mut line = Line::default();
        ticks(&mut line, 10); // 200 ms
        let utterance = line.say(&[voice(400), silence(300)].concat());
        assert_eq!((millis(utterance.begin), millis(utterance.voice_end), millis(utterance.end)), (200, 600, 900));
        ticks(&mut line, 50); // until 1200 ms
        assert!(line.said_all());
        assert_eq!(line.reply_after(utterance.voice_end), None);
        line.receive(&[silence(35), voice(200)].concat());
        ticks(&mut line, 20);
        assert_eq!(line.reply_after(utterance.voice_end).map(millis), Some(1_235));
        assert!(!line.is_replying(Millis(100)) && line.is_replying(Millis(400)));
        assert_eq!(line.last_reply().map(millis), Some(1_440), "to the end of its 10 ms");
    }

    #[test]
    fn a_reply_that_was_interrupted_is_not_the_answer() {
        let mut line = Line::default();
        line.receive(&voice(2_000));
        ticks(&mut line, 20);
        let utterance = line.say(&voice(200)); // 400 to 600 ms, over the reply
        ticks(&mut line, 15); // the reply goes on until 700 ms
        line.clear();
        ticks(&mut line, 20); // silence until 1100 ms
        line.receive(&voice(100));
        ticks(&mut line, 10);
        assert_eq!(line.reply_after(utterance.voice_end).map(millis), Some(1_100));
    }

    #[test]
    fn a_greeting_at_the_very_beginning_counts() {
        let mut line = Line::default();
        ticks(&mut line, 1);
        line.receive(&voice(100));
        ticks(&mut line, 10);
        assert_eq!(line.reply_after(0).map(millis), Some(20));
    }

    #[test]
    fn a_background_goes_on_in_pauses_and_moves_no_end_of_voice() {
        let mut line = Line::default();
        line.set_background(vec![7, -7, 9]);
        ticks(&mut line, 1);
        let utterance = line.say(&voice(20));
        ticks(&mut line, 2);
        assert_eq!(utterance.voice_end, utterance.begin + TICK);
        assert_eq!(line.spoken()[..4], [7, -7, 9, 7]);
        assert_eq!(line.spoken()[TICK..TICK + 2], [3_000 + [7, -7, 9][TICK % 3], 3_000 + [7, -7, 9][(TICK + 1) % 3]]);
        assert_eq!(line.spoken()[2 * TICK], [7, -7, 9][2 * TICK % 3]);
    }

    #[test]
    fn noise_after_the_last_word_is_not_voice() {
        let noise: Vec<i16> = (0..16_000).map(|n| if n % 2 == 0 { 40 } else { -40 }).collect();
        assert_eq!(voice_end(&[voice(500), noise].concat()), 8_000);
        assert_eq!(voice_end(&silence(100)), 0);
    }
}
