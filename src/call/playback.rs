//! What is on its way to the caller: queued items, what was sent, what was heard. PURE.
//!
//! Frames leave at the pace of speech with a small lead, so that a clear has little to flush and a mark means what it
//! says. The playout clock estimates when sent audio is heard; a returned mark is the truth where a provider has marks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hold::HoldMusic;
use super::input::ItemId;
use crate::audio::units::{Millis, SampleRate};
use crate::telephony::protocol::MarkId;

/// Audio sent ahead of its time: enough to ride out a late tick, little enough to stop quickly.
pub const LEAD: Duration = Duration::from_millis(100);
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
}

impl Default for Playback {
    fn default() -> Self {
        Self { items: VecDeque::new(), next_mark: 1, playout: None, hold: None }
    }
}

impl Playback {
    /// Queues an item whose audio will come by [`Playback::append`].
    pub fn enqueue(&mut self, id: ItemId, text: String, interruptible: bool) {
        self.push(Some(id), text, interruptible, Vec::new(), false);
    }

    /// Queues a sound that is complete already.
    pub fn enqueue_sound(&mut self, pcm: Vec<i16>) {
        self.push(None, String::new(), true, pcm, true);
    }

    fn push(&mut self, id: Option<ItemId>, text: String, interruptible: bool, pcm: Vec<i16>, complete: bool) {
        self.items.push_back(Item { id, text, interruptible, pcm, sent: 0, complete, mark: None, ends_at: None });
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

    /// True while the caller hears something of ours at `now`, hold music included.
    pub fn is_audible(&self, now: Instant) -> bool {
        self.playout.is_some_and(|until| until > now)
    }

    /// True while the caller hears an item (not hold music) that barge-in may stop, or one is about to be sent.
    pub fn can_be_interrupted(&self) -> bool {
        self.items.iter().any(|item| item.interruptible)
    }

    /// Sends what is due. Call it every 20 ms.
    pub fn tick(&mut self, now: Instant, outputs: &mut Vec<PlaybackOutput>) {
        let mut playout = self.playout.map_or(now, |until| until.max(now));
        while playout < now + LEAD {
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
        for item in self.items.iter_mut().filter(|item| item.mark.is_none()) {
            let left = item.pcm.len() - item.sent;
            if left >= FRAME_SAMPLES || (item.complete && left > 0) {
                if item.sent == 0 {
                    outputs.extend(item.id.map(PlaybackOutput::Started));
                }
                let take = left.min(FRAME_SAMPLES);
                let mut frame = item.pcm[item.sent..item.sent + take].to_vec();
                frame.resize(FRAME_SAMPLES, 0);
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
        let music = self.hold.as_mut()?;
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
        let on_air = self.items.iter().any(|item| item.sent > 0 && item.ends_at.is_some_and(|at| at > now));
        let protected_on_air = self
            .items
            .iter()
            .any(|item| is_protected(item) && item.sent > 0 && item.ends_at.is_some_and(|at| at > now));
        let playout = self.playout;
        let mut kept = VecDeque::new();
        for item in self.items.drain(..) {
            // What the provider holds behind a protected item can't be flushed without cutting that one too.
            if is_protected(&item) || (protected_on_air && item.sent > 0) {
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
    }
}

impl Item {
    /// The words of the text that were heard by `now`, judged by time.
    fn heard_text(&self, now: Instant) -> String {
        let Some(ends_at) = self.ends_at else { return String::new() };
        let unheard = ends_at.saturating_duration_since(now).as_millis() as usize;
        let sent = SampleRate::WIDEBAND.span_of(self.sent).0 as usize;
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
    fn frames_leave_at_the_pace_of_speech_with_a_small_lead() {
        let mut line = Line::new();
        line.say(1, "hello there", 1_000, true);
        assert_eq!(frames(&line.tick()), 5, "the lead goes out at once");
        assert_eq!(frames(&line.run(20)), 20);
        let rest = line.run(40);
        assert_eq!(frames(&rest), 25);
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
        assert_eq!(frames(&line.run(50)), 54);
        line.say(1, "still waiting", 400, true);
        assert!(line.run(50).contains(&PlaybackOutput::Started(ItemId(1))));
        line.playback.set_hold(false);
        line.run(120);
        assert_eq!(frames(&line.run(10)), 0);
    }
}
