//! From token bytes to text that may be sent: whole characters only, nothing of a stop string.
//!
//! A token may end in the middle of a character, and a stop string may begin in one token and end in another. Bytes that
//! could still turn out to be either are held back. How the bytes were cut into tokens never changes the resulting text.

use std::collections::VecDeque;

/// Text to send, with whatever belongs to the tokens it came from (their log-probabilities).
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<T> {
    pub text: String,
    pub tags: Vec<T>,
}

impl<T> Delta<T> {
    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tags.is_empty()
    }
}

/// See the module. `T` is carried along with each token and released with the first text of that token.
#[derive(Debug)]
pub struct Assembler<T> {
    stops: Vec<String>,
    /// The undecodable tail: at most three bytes of an incomplete character.
    raw: Vec<u8>,
    /// Decoded, not sent: empty or a possible beginning of a stop string.
    held: String,
    sent_bytes: usize,
    /// Tags of tokens that start at or after `sent_bytes`, with their start.
    tags: VecDeque<(usize, T)>,
    stopped: bool,
}

impl<T> Assembler<T> {
    /// `stops`: the text ends before the first of these; empty strings are ignored.
    pub fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, raw: Vec::new(), held: String::new(), sent_bytes: 0, tags: VecDeque::new(), stopped: false }
    }

    /// Takes one token's bytes; returns what may be sent now.
    pub fn push(&mut self, piece: &[u8], tag: Option<T>) -> Delta<T> {
        if self.stopped {
            return Delta { text: String::new(), tags: Vec::new() };
        }
        if let Some(tag) = tag {
            self.tags.push_back((self.sent_bytes + self.held.len(), tag));
        }
        self.raw.extend_from_slice(piece);
        self.decode_whole_characters();
        let sendable = match self.first_stop() {
            Some(start) => {
                self.stopped = true;
                start
            }
            None => self.held.len() - self.longest_stop_beginning(),
        };
        self.send(sendable)
    }

    /// Has a stop string been seen? Later tokens are ignored.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// The generation is over: returns what was held back, unless a stop string ended it.
    pub fn finish(&mut self) -> Delta<T> {
        if self.stopped {
            self.tags.clear();
            return Delta { text: String::new(), tags: Vec::new() };
        }
        if !self.raw.is_empty() {
            self.raw.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        self.stopped = true;
        let mut last = self.send(self.held.len());
        last.tags.extend(self.tags.drain(..).map(|(_, tag)| tag));
        last
    }

    fn decode_whole_characters(&mut self) {
        let mut done = 0;
        loop {
            match std::str::from_utf8(&self.raw[done..]) {
                Ok(text) => {
                    self.held.push_str(text);
                    done = self.raw.len();
                    break;
                }
                Err(error) => {
                    let valid = &self.raw[done..done + error.valid_up_to()];
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    done += error.valid_up_to();
                    let Some(bad) = error.error_len() else { break };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    done += bad;
                }
            }
        }
        self.raw.drain(..done);
    }

    /// Start of the stop string that was completed first; the first to end wins, or the cut would depend on the tokens.
    fn first_stop(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()).map(|start| (start + stop.len(), start)))
            .min()
            .map(|(_, start)| start)
    }

    /// Length of the longest tail of `held` that begins a stop string.
    fn longest_stop_beginning(&self) -> usize {
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max().unwrap_or(0);
        let first = self.held.len().saturating_sub(longest);
        (first..self.held.len())
            .filter(|&start| self.held.is_char_boundary(start))
            .find(|&start| self.stops.iter().any(|stop| stop.starts_with(&self.held[start..])))
            .map_or(0, |start| self.held.len() - start)
    }

    fn send(&mut self, len: usize) -> Delta<T> {
        let rest = self.held.split_off(len);
        let text = std::mem::replace(&mut self.held, rest);
        self.sent_bytes += text.len();
        let mut tags = Vec::new();
        while self.tags.front().is_some_and(|(start, _)| *start < self.sent_bytes) {
            tags.extend(self.tags.pop_front().map(|(_, tag)| tag));
        }
        Delta { text, tags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pieces: &[&[u8]], stops: &[&str]) -> (Vec<String>, Vec<usize>, bool) {
        let mut assembler = Assembler::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut texts = Vec::new();
        let mut tags = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let delta = assembler.push(piece, Some(index));
            texts.push(delta.text);
            tags.extend(delta.tags);
            if assembler.stopped() {
                break;
            }
        }
        let stopped = assembler.stopped();
        let last = assembler.finish();
        texts.push(last.text);
        tags.extend(last.tags);
        (texts, tags, stopped)
    }

    #[test]
    fn plain_text_passes_at_once() {
        let (texts, tags, stopped) = run(&[b"Hello", b" there"], &[]);
        assert_eq!(texts, ["Hello", " there", ""]);
        assert_eq!(tags, [0, 1]);
        assert!(!stopped);
    }

    #[test]
    fn characters_wait_for_their_last_byte() {
        let euro = "€".as_bytes();
        let (texts, tags, _) = run(&[b"5 ", &euro[..1], &euro[1..2], &euro[2..], b"!"], &[]);
        assert_eq!(texts, ["5 ", "", "", "€", "!", ""]);
        assert_eq!(tags, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn broken_bytes_become_replacement_characters() {
        let (texts, ..) = run(&[b"a\xffb", b"\xe2\x82"], &[]);
        assert_eq!(texts.concat(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn stop_strings_are_never_sent_in_part() {
        let (texts, tags, stopped) = run(&[b"Sure. ", b"Cal", b"ler", b": hi"], &["Caller:"]);
        assert_eq!(texts, ["Sure. ", "", "", "", ""]);
        assert_eq!(tags, [0], "tokens of the stop string are not reported");
        assert!(stopped);
    }

    #[test]
    fn a_false_alarm_is_released() {
        let (texts, tags, stopped) = run(&[b"Cal", b"cutta"], &["Caller:"]);
        assert_eq!(texts, ["", "Calcutta", ""]);
        assert_eq!(tags, [0, 1]);
        assert!(!stopped);
        let (texts, ..) = run(&[b"line\n", b"end\n"], &["\n\n"]);
        assert_eq!(texts, ["line", "\nend", "\n"]);
    }

    #[test]
    fn text_before_a_stop_in_the_same_token_is_kept() {
        let (texts, _, stopped) = run(&[b"yes}\nno"], &["\n", "}"]);
        assert_eq!(texts, ["yes", ""]);
        assert!(stopped);
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_text(
            bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'c'), any::<u8>()], 0..60),
            cuts in prop::collection::vec(1usize..6, 1..30),
            stops in prop::collection::vec("[abc]{1,4}", 0..4),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let (whole, _, stopped_whole) = run(&[&bytes], &stops);
            let mut pieces = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            let (parts, _, stopped) = run(&pieces, &stops);
            prop_assert_eq!(whole.concat(), parts.concat());
            prop_assert_eq!(stopped_whole, stopped);
            prop_assert!(stops.iter().all(|stop| !parts.concat().contains(stop)));
        }
    }
}
