//! Where in a recording the sound is. PURE.
//!
//! Whisper with an audio context fitted to the utterance loops far less when the silence around the words is short.

use std::ops::Range;

use crate::audio::units::{Millis, SampleRate};

/// Kept before and after the sound.
const MARGIN: Millis = Millis(100);
/// A stretch whose level is looked at.
const BLOCK: usize = SampleRate::WIDEBAND.samples_in(Millis(10));
/// Nothing louder than this is silence; speech on a bad line is at -45.
const SILENCE_DBFS: f32 = -60.0;
/// With less between its loud and its quiet parts, a recording has no silence in it that could be told from the sound.
const LEAST_RANGE_DB: f32 = 10.0;
/// What counts as sound: this share of the way up from the quiet to the loud parts, in dB. Low, for the sake of f, s, t.
const SHARE: f32 = 0.25;

/// The part of `pcm` (16 kHz) from shortly before the first sound to shortly after the last, and how loud it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Samples.
    pub range: Range<usize>,
    /// The sound itself, without what is kept around it.
    pub bare: Range<usize>,
    /// Level of the loud parts, in dB below full scale.
    pub dbfs: f32,
}

/// Finds the sound; none in silence.
pub fn find_sound(pcm: &[i16]) -> Option<Sound> {
    let levels: Vec<f32> = pcm.chunks(BLOCK).map(crate::audio::mix::level_dbfs).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let at = |share: f32| sorted.get((sorted.len().saturating_sub(1) as f32 * share) as usize).copied();
    // Short words in long silence are loud for a few blocks only: the loud parts are the loudest 50 ms.
    let loud = *sorted.get(sorted.len().saturating_sub(5))?;
    let quiet = at(0.1)?.max(-80.0);
    if loud < SILENCE_DBFS {
        return None;
    }
    let whole = Sound { range: 0..pcm.len(), bare: 0..pcm.len(), dbfs: loud };
    if loud - quiet < LEAST_RANGE_DB {
        return Some(whole);
    }
    let threshold = (quiet + (loud - quiet) * SHARE).max(SILENCE_DBFS);
    let (Some(first), Some(last)) =
        (levels.iter().position(|level| *level >= threshold), levels.iter().rposition(|level| *level >= threshold))
    else {
        return Some(whole);
    };
    let margin = SampleRate::WIDEBAND.samples_in(MARGIN);
    let bare = first * BLOCK..((last + 1) * BLOCK).min(pcm.len());
    let range = bare.start.saturating_sub(margin)..(bare.end + margin).min(pcm.len());
    Some(Sound { range, bare, dbfs: loud })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(level: i16, ms: usize) -> Vec<i16> {
        (0..ms * 16).map(|n| if n / 20 % 2 == 0 { level } else { -level }).collect()
    }

    #[test]
    fn silence_holds_no_sound() {
        assert_eq!(find_sound(&[]), None);
        assert_eq!(find_sound(&[0; 16_000]), None);
        assert_eq!(find_sound(&square(20, 1_000)), None);
    }

    #[test]
    fn a_word_keeps_a_tenth_of_a_second_around_it() {
        let pcm = [square(10, 700), square(3_000, 300), square(10, 900)].concat();
        let sound = find_sound(&pcm).expect("a word");
        assert_eq!((sound.bare, sound.range), (700 * 16..1_000 * 16, 600 * 16..1_100 * 16));
        assert!((sound.dbfs - -20.8).abs() < 0.1, "{}", sound.dbfs);
    }

    #[test]
    fn a_weak_consonant_at_the_end_is_kept() {
        let pcm = [square(5, 500), square(6_000, 300), square(150, 100), square(5, 500)].concat();
        assert_eq!(find_sound(&pcm).expect("a word").range, 400 * 16..1_000 * 16);
    }

    #[test]
    fn steady_sound_is_kept_whole() {
        let pcm = square(800, 2_000);
        assert_eq!(find_sound(&pcm).expect("sound").range, 0..pcm.len());
    }

    #[test]
    fn a_click_in_silence_is_found_too() {
        let pcm = [vec![0; 8_000], square(9_000, 60), vec![0; 8_000]].concat();
        assert_eq!(find_sound(&pcm).expect("a click").range, 8_000 - 1_600..8_000 + 960 + 1_600);
    }
}
