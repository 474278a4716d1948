//! What is on its way to the caller: queued items, what was sent, what was heard. PURE.
//!
//! Frames leave at the pace of speech with a small lead, so that a clear has little to flush and a mark means what it
//! says. The playout clock estimates when sent audio is heard; a returned mark is the truth where a provider has marks.
//!
//! A caller who makes a sound over us is met in two steps, both of which can be taken back: a *duck* lowers what is still
//! to be sent, a *pause* flushes what was not heard and keeps it. After that comes a resume, which goes on at the last
//! quiet moment before the pause, or a clear.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hold::HoldMusic;
use super::input::ItemId;
use crate::audio::mix::{Ramp, level_dbfs};
use crate::audio::units::{Millis, SampleRate};
use crate::telephony::protocol::MarkId;

/// Audio sent ahead of its time, unless the provider's messages need more: enough to ride out a tick that is two frames late, little enough to grow quiet quickly.
pub const LEAD: Duration = Duration::from_millis(60);
/// What is left of our voice while the caller may be interrupting: −14 dB.
const DUCKED: f32 = 0.2;
/// Length of the fades into and out of a duck.
const FADE: usize = FRAME_SAMPLES;
/// How far before a pause a quiet moment is looked for, to go on from there.
const REWIND: usize = SampleRate::WIDEBAND.samples_in(Millis(300));
/// A mark that has not come back this long after its audio should have been heard is taken as heard.
const MARK_PATIENCE: Duration = Duration::from_millis(1_500);
const FRAME_SAMPLES: usize = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
/// Rough length of a spoken character, for a sentence cut before its end was synthesised.
const MS_PER_CHARACTER: usize = 65;

/// What playback wants done or has noticed.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaybackOutput {
    /// Send this frame, 16 kHz; it will be heard at about `plays_at`.
    Frame {
        /// Samples of 20 ms.
        pcm: Arc<[i16]>,
        /// The playout clock.
        plays_at: Instant,
    },
    /// Send this mark.
    Mark(MarkId),
    /// Flush what the provider has not played.
    Clear,
    /// The first frame of an item was sent.
    Started(ItemId),
    /// An item was heard to its end.
    Heard(ItemId),
    /// An item was cut; these words of it were heard.
    Cut {
        /// Which.
        item: ItemId,
        /// A prefix of its text, whole words.
        heard: String,
    },
}

#[derive(Debug)]
struct Item {
    /// None for sounds nobody asks about: beeps and key tones.
    id: Option<ItemId>,
    text: String,
    interruptible: bool,
    pcm: Vec<i16>,
    sent: usize,
    complete: bool,
    started: bool,
    /// While paused: the samples that had been heard.
    heard: Option<usize>,
    /// Set when all was sent.
    mark: Option<MarkId>,
    /// When the last sent sample is heard.
    ends_at: Option<Instant>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Playback {
    /// Oldest first; the first ones may be sent wholly and wait for their marks.
    items: VecDeque<Item>,
    next_mark: u64,
    /// When everything sent so far will have been heard.
    playout: Option<Instant>,
    hold: Option<HoldMusic>,
    /// Loudness of items that may be interrupted.
    gain: Ramp,
    /// Items that may be interrupted wait.
    paused: bool,
    lead: Duration,
}

impl Default for Playback {
    fn default() -> Self {
        Self::ahead(Millis::ZERO)
    }
}

impl Playback {
    /// For a provider whose first message holds so much: with less sent ahead it would wait for the rest in silence.
    pub fn ahead(first_message: Millis) -> Self {
        Self {
            items: VecDeque::new(),
            next_mark: 1,
            playout: None,
            hold: None,
            gain: Ramp::new(1.0),
            paused: false,
            lead: first_message.duration().max(LEAD),
        }
    }

    /// Queues an item whose audio will come by [`Playback::append`].
    pub fn enqueue(&mut self, id: ItemId, text: String, interruptible: bool) {
        self.push(Some(id), text, interruptible, Vec::new(), false);
    }

    /// Queues a sound that is complete already.
    pub fn enqueue_sound(&mut self, pcm: Vec<i16>) {
        self.push(None, String::new(), true, pcm, true);
    }

    fn push(&mut self, id: Option<ItemId>, text: String, interruptible: bool, pcm: Vec<i16>, complete: bool) {
        let item = Item {
            id,
            text,
            interruptible,
            pcm,
            sent: 0,
            complete,
            started: false,
            heard: None,
            mark: None,
            ends_at: None,
        };
        self.items.push_back(item);
    }

    /// Adds audio of an item, 16 kHz. Ignored when the item is gone.
    pub fn append(&mut self, id: ItemId, pcm: &[i16]) {
        if let Some(item) = self.find(id) {
            item.pcm.extend_from_slice(pcm);
        }
    }

    /// No more audio comes for this item.
    pub fn complete(&mut self, id: ItemId) {
        if let Some(item) = self.find(id) {
            item.complete = true;
        }
    }

    /// This item will never be spoken.
    pub fn remove(&mut self, id: ItemId) {
        self.items.retain(|item| item.id != Some(id));
    }

    fn find(&mut self, id: ItemId) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == Some(id))
    }

    /// Sounds that wait or are under way.
    pub fn sounds(&self) -> usize {
        self.items.iter().filter(|item| item.id.is_none()).count()
    }

    /// Hold music whenever nothing else is to be played.
    pub fn set_hold(&mut self, on: bool) {
        match (on, &self.hold) {
            (true, None) => self.hold = Some(HoldMusic::default()),
            (false, Some(_)) => self.hold = None,
            _ => {}
        }
    }

    /// True while items are queued, playing or awaiting their marks.
    pub fn is_active(&self) -> bool {
        !self.items.is_empty()
    }

    /// True while there is nothing to be sent, hold music included.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty() && self.hold.is_none()
    }

    /// True while the caller hears something of ours at `now`, hold music included.
    pub fn is_audible(&self, now: Instant) -> bool {
        self.playout.is_some_and(|until| until > now)
    }

    /// True while the caller hears an item (not hold music) that barge-in may stop, or one is about to be sent.
    pub fn can_be_interrupted(&self) -> bool {
        self.items.iter().any(|item| item.interruptible)
    }

    /// True from a pause to the resume or clear that follows.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Grows quiet, or as loud as before. What must be heard keeps its loudness.
    pub fn duck(&mut self, on: bool) {
        self.gain.move_to(if on { DUCKED } else { 1.0 }, FADE);
    }

    /// Stops what may be interrupted and keeps what was not heard of it.
    pub fn pause(&mut self, now: Instant, outputs: &mut Vec<PlaybackOutput>) {
        if self.paused {
            return;
        }
        self.paused = true;
        if self.protected_on_air(now) {
            return; // The provider holds that one too: what was sent behind it is heard, and the rest waits.
        }
        let mut unheard = self.items.iter().any(|item| item.is_on_air(now));
        for item in &mut self.items {
            item.pause(now);
        }
        unheard |= self.playout.is_some_and(|until| until > now);
        if unheard {
            outputs.push(PlaybackOutput::Clear);
            self.playout = Some(now);
        }
    }

    /// Goes on where the pause came.
    pub fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            for item in &mut self.items {
                item.heard = None;
            }
            self.gain = Ramp::new(0.0);
        }
        self.duck(false);
    }

    fn protected_on_air(&self, now: Instant) -> bool {
        self.items.iter().any(|item| !item.interruptible && item.is_on_air(now))
    }

    /// Sends what is due. Call it every 20 ms.
    pub fn tick(&mut self, now: Instant, outputs: &mut Vec<PlaybackOutput>) {
        let mut playout = self.playout.map_or(now, |until| until.max(now));
        while playout < now + self.lead {
            let Some(pcm) = self.next_frame(playout, outputs) else { break };
            outputs.push(PlaybackOutput::Frame { pcm, plays_at: playout });
            playout += Millis::FRAME.duration();
            self.playout = Some(playout);
        }
        // Providers without marks, and marks that got lost.
        while let Some(front) = self.items.front()
            && front.mark.is_some()
            && front.ends_at.is_none_or(|ends_at| now > ends_at + MARK_PATIENCE)
        {
            let item = self.items.pop_front().expect("the front was just looked at");
            outputs.extend(item.id.map(PlaybackOutput::Heard));
        }
    }

    fn next_frame(&mut self, plays_at: Instant, outputs: &mut Vec<PlaybackOutput>) -> Option<Arc<[i16]>> {
        let paused = self.paused;
        for item in self.items.iter_mut().filter(|item| item.mark.is_none() && !(paused && item.interruptible)) {
            let left = item.pcm.len() - item.sent;
            if left >= FRAME_SAMPLES || (item.complete && left > 0) {
                if !item.started {
                    item.started = true;
                    outputs.extend(item.id.map(PlaybackOutput::Started));
                }
                let take = left.min(FRAME_SAMPLES);
                let mut frame = item.pcm[item.sent..item.sent + take].to_vec();
                frame.resize(FRAME_SAMPLES, 0);
                if item.interruptible {
                    self.gain.apply(&mut frame);
                }
                item.sent += take;
                item.ends_at = Some(plays_at + Millis::FRAME.duration());
                if item.complete && item.sent == item.pcm.len() {
                    item.mark = Some(MarkId(self.next_mark));
                    self.next_mark += 1;
                    // The mark goes behind the frame: the caller of `tick` sees them in this order next round.
                }
                return Some(frame.into());
            }
            if !item.complete {
                return None; // Its voice is late; later items must wait behind it.
            }
            // Complete and without a sample: nothing to hear, but it still is over.
            item.mark = Some(MarkId(self.next_mark));
            item.ends_at = Some(plays_at);
            self.next_mark += 1;
        }
        let music = self.hold.as_mut().filter(|_| !paused)?;
        let mut frame = Vec::with_capacity(FRAME_SAMPLES);
        music.fill(FRAME_SAMPLES, &mut frame);
        Some(frame.into())
    }

    /// Marks that belong behind what was sent so far and have not been sent yet.
    pub fn take_marks(&mut self, sent_up_to: &mut u64, outputs: &mut Vec<PlaybackOutput>) {
        for mark in self.items.iter().filter_map(|item| item.mark) {
            if mark.0 > *sent_up_to {
                *sent_up_to = mark.0;
                outputs.push(PlaybackOutput::Mark(mark));
            }
        }
    }

    /// The provider played everything before this mark.
    pub fn mark_played(&mut self, mark: MarkId, outputs: &mut Vec<PlaybackOutput>) {
        while let Some(front) = self.items.front()
            && front.mark.is_some_and(|own| own <= mark)
        {
            let item = self.items.pop_front().expect("the front was just looked at");
            outputs.extend(item.id.map(PlaybackOutput::Heard));
        }
    }

    /// Stops playback. Unless `everything`, items that must be heard stay, and what was queued behind them goes.
    pub fn clear(&mut self, now: Instant, everything: bool, outputs: &mut Vec<PlaybackOutput>) {
        let is_protected = |item: &Item| !everything && !item.interruptible;
        let on_air = self.items.iter().any(|item| item.is_on_air(now));
        let protected_on_air = !everything && self.protected_on_air(now);
        let playout = self.playout;
        let mut kept = VecDeque::new();
        for item in self.items.drain(..) {
            // What the provider holds behind a protected item can't be flushed without cutting that one too.
            if is_protected(&item) || (protected_on_air && item.sent > 0 && item.heard.is_none()) {
                kept.push_back(item);
                continue;
            }
            let heard = item.heard_text(now);
            outputs.extend(item.id.map(|item| PlaybackOutput::Cut { item, heard }));
        }
        self.items = kept;
        if !protected_on_air && (on_air || playout.is_some_and(|until| until > now)) {
            outputs.push(PlaybackOutput::Clear);
            self.playout = Some(now);
        }
        self.paused = false;
        self.gain = Ramp::new(1.0);
    }
}

impl Item {
    fn is_on_air(&self, now: Instant) -> bool {
        self.sent > 0 && self.ends_at.is_some_and(|at| at > now)
    }

    /// Takes back what was not heard by `now`, if this one may be interrupted.
    fn pause(&mut self, now: Instant) {
        let Some(ends_at) = self.ends_at.filter(|ends_at| self.interruptible && *ends_at > now) else { return };
        let unheard = Millis::from_duration(ends_at - now);
        let heard = self.sent.saturating_sub(SampleRate::WIDEBAND.samples_in(unheard));
        self.heard = Some(heard);
        // Goes on at the quietest frame a little before, so that no word begins in its middle.
        let level = |at: &usize| level_dbfs(&self.pcm[*at..(*at + FRAME_SAMPLES).min(self.pcm.len())]);
        let from = heard.saturating_sub(REWIND).next_multiple_of(FRAME_SAMPLES);
        let quietest = (from..heard).step_by(FRAME_SAMPLES).min_by(|a, b| level(a).total_cmp(&level(b)));
        self.sent = quietest.unwrap_or(heard);
        self.mark = None;
        self.ends_at = Some(now);
    }

    /// The words of the text that were heard by `now`, judged by time.
    fn heard_text(&self, now: Instant) -> String {
        let Some(ends_at) = self.ends_at else { return String::new() };
        let unheard = ends_at.saturating_duration_since(now).as_millis() as usize;
        let sent = SampleRate::WIDEBAND.span_of(self.heard.unwrap_or(self.sent)).0 as usize;
        let heard = sent.saturating_sub(unheard);
        let total = if self.complete {
            SampleRate::WIDEBAND.span_of(self.pcm.len()).0 as usize
        } else {
            (self.text.len() * MS_PER_CHARACTER).max(SampleRate::WIDEBAND.span_of(self.pcm.len()).0 as usize)
        };
        prefix_by_share(&self.text, heard, total.max(1))
    }
}

/// The whole words within the first `part` of `total` of `text`.
fn prefix_by_share(text: &str, part: usize, total: usize) -> String {
    // The last tenth of a second is the pause after the sentence.
    if part + 100 >= total {
        return text.to_owned();
    }
    let limit = text.chars().count() * part / total;
    let mut end = 0;
    let mut seen = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        seen += word.chars().count();
        if seen > limit {
            break;
        }
        end += word.len();
    }
    text[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        playback: Playback,
        start: Instant,
        ticks: u32,
        marks_sent: u64,
    }

    impl Line {
        #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
        fn new() -> Self {
            Self { playback: Playback::default(), start: Instant::now(), ticks: 0, marks_sent: 0 }
        }
        fn now(&self) -> Instant {
            self.start + self.ticks * Millis::FRAME.duration()
        }
        fn tick(&mut self) -> Vec<PlaybackOutput> {
            let mut outputs = Vec::new();
            self.playback.tick(self.now(), &mut outputs);
            self.playback.take_marks(&mut self.marks_sent, &mut outputs);
            self.ticks += 1;
            outputs
        }
        fn run(&mut self, ticks: u32) -> Vec<PlaybackOutput> {
            (0..ticks).flat_map(|_| self.tick()).collect()
        }
        fn say(&mut self, id: u64, text: &str, ms: u32, interruptible: bool) {
            self.playback.enqueue(ItemId(id), text.to_owned(), interruptible);
            self.playback.append(ItemId(id), &vec![1_000; SampleRate::WIDEBAND.samples_in(Millis(ms))]);
            self.playback.complete(ItemId(id));
        }
    }

    fn frames(outputs: &[PlaybackOutput]) -> usize {
        outputs.iter().filter(|o| matches!(o, PlaybackOutput::Frame { .. })).count()
    }

    #[test]
    fn a_first_message_is_filled_at_once() {
        let mut line = Line::new();
        line.playback = Playback::ahead(Millis(240));
        line.playback.enqueue_sound(vec![1_000; 16_000]);
        let frames = |outputs: Vec<PlaybackOutput>| {
            outputs.iter().filter(|output| matches!(output, PlaybackOutput::Frame { .. })).count()
        };
        assert_eq!((frames(line.tick()), frames(line.tick())), (12, 1), "240 ms, and then as time goes on");
    }

    #[test]
    fn frames_leave_at_the_pace_of_speech_with_a_small_lead() {
        let mut line = Line::new();
        line.say(1, "hello there", 1_000, true);
        assert_eq!(frames(&line.tick()), 3, "the lead goes out at once");
        assert_eq!(frames(&line.run(20)), 20);
        let rest = line.run(40);
        assert_eq!(frames(&rest), 27);
        assert!(rest.contains(&PlaybackOutput::Mark(MarkId(1))));
    }

    #[test]
    fn a_returned_mark_means_heard_and_a_lost_one_only_delays() {
        let mut line = Line::new();
        line.say(1, "one", 200, true);
        line.say(2, "two", 200, true);
        line.run(15);
        let mut outputs = Vec::new();
        line.playback.mark_played(MarkId(1), &mut outputs);
        assert_eq!(outputs, [PlaybackOutput::Heard(ItemId(1))]);
        assert!(line.run(100).contains(&PlaybackOutput::Heard(ItemId(2))));
        assert!(!line.playback.is_active());
    }

    #[test]
    fn a_clear_reports_the_words_that_were_heard() {
        let mut line = Line::new();
        line.say(1, "aaaa bbbb cccc dddd eeee ffff gggg hhhh", 4_000, true);
        line.say(2, "never begun", 500, true);
        line.run(100); // two seconds, half of it
        let mut outputs = Vec::new();
        line.playback.clear(line.now(), false, &mut outputs);
        let PlaybackOutput::Cut { item: ItemId(1), heard } = &outputs[0] else { panic!("{outputs:?}") };
        assert!(heard.starts_with("aaaa bbbb cccc") && heard.len() < 25, "{heard}");
        assert_eq!(outputs[1], PlaybackOutput::Cut { item: ItemId(2), heard: String::new() });
        assert_eq!(outputs[2], PlaybackOutput::Clear);
        assert_eq!(frames(&line.run(10)), 0, "nothing follows a clear");
    }

    /// One second, loud but for 100 ms of quiet before its middle.
    fn say_with_a_pause(line: &mut Line, id: u64) -> Vec<i16> {
        let quiet = SampleRate::WIDEBAND.samples_in(Millis(400))..SampleRate::WIDEBAND.samples_in(Millis(500));
        let pcm: Vec<i16> =
            (0..16_000).map(|n| if quiet.contains(&n) { 0 } else { 5_000 + (n % 1_000) as i16 }).collect();
        line.playback.enqueue(ItemId(id), "first half second half".to_owned(), true);
        line.playback.append(ItemId(id), &pcm);
        line.playback.complete(ItemId(id));
        pcm
    }

    fn sound(outputs: &[PlaybackOutput]) -> Vec<i16> {
        let pcm = |output: &PlaybackOutput| match output {
            PlaybackOutput::Frame { pcm, .. } => Some(pcm.to_vec()),
            _ => None,
        };
        outputs.iter().filter_map(pcm).flatten().collect()
    }

    #[test]
    fn a_duck_is_heard_within_the_lead_and_leaves_no_trace() {
        let mut line = Line::new();
        let pcm = say_with_a_pause(&mut line, 1);
        line.run(5);
        line.playback.duck(true);
        let ducked = line.tick();
        let PlaybackOutput::Frame { plays_at, .. } = &ducked[0] else { panic!("{ducked:?}") };
        assert!(*plays_at - line.now() <= LEAD, "the first quieter frame");
        let quiet = sound(&line.run(3));
        assert!(quiet.iter().all(|sample| *sample <= 1_201), "{}", quiet[0]);
        line.playback.duck(false);
        line.tick();
        let sent = 320 * (3 + 4 + 1 + 3 + 1);
        assert_eq!(sound(&line.run(60)), pcm[sent..], "not a sample is lost");
    }

    #[test]
    fn a_pause_keeps_what_was_not_heard_and_a_resume_goes_on_at_a_quiet_moment() {
        let mut line = Line::new();
        let pcm = say_with_a_pause(&mut line, 1);
        line.say(2, "afterwards", 200, true);
        line.run(30); // 600 ms are heard, 660 sent
        let mut outputs = Vec::new();
        line.playback.pause(line.now(), &mut outputs);
        assert_eq!(outputs, [PlaybackOutput::Clear]);
        assert!(line.playback.is_paused() && line.run(20).is_empty(), "silence");
        line.playback.resume();
        let outputs = line.run(60);
        assert!(!outputs.contains(&PlaybackOutput::Started(ItemId(1))), "it had begun already");
        assert!(outputs.contains(&PlaybackOutput::Started(ItemId(2))));
        let heard = sound(&outputs);
        let begin = SampleRate::WIDEBAND.samples_in(Millis(400));
        assert_eq!(heard[320..640], pcm[begin + 320..begin + 640], "from the pause between the words on");
        assert_eq!(heard.len(), 16_000 - begin + 3_200);
    }

    #[test]
    fn a_clear_after_a_pause_reports_what_had_been_heard() {
        let mut line = Line::new();
        say_with_a_pause(&mut line, 1);
        line.run(30);
        let mut outputs = Vec::new();
        line.playback.pause(line.now(), &mut outputs);
        line.run(100);
        outputs.clear();
        line.playback.clear(line.now(), false, &mut outputs);
        assert_eq!(outputs, [PlaybackOutput::Cut { item: ItemId(1), heard: "first half".to_owned() }]);
        line.say(2, "next", 200, true);
        assert_eq!(frames(&line.run(30)), 10, "nothing is paused any more");
    }

    #[test]
    fn a_pause_spares_what_must_be_heard() {
        let mut line = Line::new();
        line.say(1, "this call is recorded", 1_000, false);
        line.say(2, "how can I help", 1_000, true);
        line.run(10);
        let mut outputs = Vec::new();
        line.playback.pause(line.now(), &mut outputs);
        assert!(outputs.is_empty());
        assert_eq!(frames(&line.run(80)), 50 - 3 - 9, "the rest of the notice");
        line.playback.resume();
        assert!(line.run(80).contains(&PlaybackOutput::Started(ItemId(2))));
    }

    #[test]
    fn what_must_be_heard_survives_a_barge_in() {
        let mut line = Line::new();
        line.say(1, "this call is recorded", 1_000, false);
        line.say(2, "how can I help", 1_000, true);
        line.run(10);
        let mut outputs = Vec::new();
        line.playback.clear(line.now(), false, &mut outputs);
        assert_eq!(outputs, [PlaybackOutput::Cut { item: ItemId(2), heard: String::new() }]);
        assert!(frames(&line.run(60)) > 30);
        line.say(3, "again", 1_000, false);
        line.run(10);
        outputs.clear();
        line.playback.clear(line.now(), true, &mut outputs);
        assert!(outputs.contains(&PlaybackOutput::Clear));
    }

    #[test]
    fn a_late_voice_makes_later_items_wait() {
        let mut line = Line::new();
        line.playback.enqueue(ItemId(1), "slow".to_owned(), true);
        line.say(2, "quick", 200, true);
        assert_eq!(frames(&line.run(10)), 0);
        line.playback.append(ItemId(1), &[5; 3_200]);
        line.playback.complete(ItemId(1));
        let outputs = line.run(30);
        let order: Vec<_> = outputs.iter().filter(|o| matches!(o, PlaybackOutput::Started(_))).collect();
        assert_eq!(order, [&PlaybackOutput::Started(ItemId(1)), &PlaybackOutput::Started(ItemId(2))]);
    }

    #[test]
    fn hold_music_fills_the_gaps() {
        let mut line = Line::new();
        line.playback.set_hold(true);
        assert_eq!(frames(&line.run(50)), 52);
        line.say(1, "still waiting", 400, true);
        assert!(line.run(50).contains(&PlaybackOutput::Started(ItemId(1))));
        line.playback.set_hold(false);
        line.run(120);
        assert_eq!(frames(&line.run(10)), 0);
    }
}
