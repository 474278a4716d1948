//! Words heard wrong, as Whisper does on narrow or noisy telephone lines: words that sound alike, words torn apart or run
//! together, small words lost, and a few that nobody said. The same words and seed give the same errors.

/// Pairs a recogniser mixes up, either way. Written from what Whisper made of telephone recordings.
const ALIKE: &[(&str, &str)] = &[
    ("refund", "re fond"),
    ("refund", "reef and"),
    ("gift", "gif"),
    ("card", "cart"),
    ("voucher", "vow chair"),
    ("return", "retune"),
    ("returns", "returned"),
    ("order", "older"),
    ("parcel", "partial"),
    ("package", "pack edge"),
    ("delivery", "the livery"),
    ("deliver", "the liver"),
    ("shipping", "chipping"),
    ("tracking", "trekking"),
    ("cancel", "council"),
    ("password", "pass word"),
    ("account", "a count"),
    ("warranty", "warren tea"),
    ("discount", "this count"),
    ("code", "cold"),
    ("newsletter", "news letter"),
    ("damaged", "damage"),
    ("broken", "broke in"),
    ("store", "story"),
    ("shop", "chop"),
    ("open", "opened"),
    ("hours", "ours"),
    ("pay", "bay"),
    ("plant", "planned"),
    ("plants", "plans"),
    ("price", "prize"),
    ("agent", "asian"),
    ("agent", "age and"),
    ("human", "who man"),
    ("person", "parson"),
    ("person", "purse on"),
    ("someone", "some one"),
    ("somebody", "some body"),
    ("representative", "represent a tive"),
    ("operator", "upper raider"),
    ("supervisor", "super visor"),
    ("manager", "manage her"),
    ("speak", "speech"),
    ("speak", "peak"),
    ("talk", "took"),
    ("connect", "connected"),
    ("transfer", "trance for"),
    ("through", "true"),
    ("real", "reel"),
    ("want", "went"),
    ("need", "knee"),
    ("help", "held"),
    ("with", "wit"),
    ("can", "could"),
    ("could", "good"),
    ("would", "wood"),
    ("there", "their"),
    ("to", "two"),
    ("for", "four"),
    ("your", "you're"),
    ("my", "by"),
    ("me", "be"),
    ("get", "got"),
    ("put", "but"),
    ("how", "who"),
    ("much", "match"),
    ("long", "wrong"),
    ("is", "as"),
    ("it", "at"),
    ("in", "an"),
    ("when", "one"),
    ("where", "were"),
    ("what", "but"),
    ("does", "dust"),
    ("do", "due"),
    ("let", "led"),
    ("give", "gave"),
    ("please", "police"),
    ("i'd", "i"),
    ("a", "the"),
];
/// Words that get lost.
const SMALL: &[&str] = &[
    "a", "the", "to", "of", "is", "it", "in", "on", "and", "do", "i", "my", "for", "at", "can", "you", "that", "with",
];
/// Words that nobody said.
const ADDED: &[&str] = &["the", "and", "uh", "a", "so", "you", "it", "to"];
/// Sounds a narrow band does not tell apart.
const SOUNDS: &[(&str, &str)] = &[
    ("th", "f"),
    ("b", "p"),
    ("d", "t"),
    ("g", "k"),
    ("v", "f"),
    ("s", "f"),
    ("m", "n"),
    ("ee", "i"),
    ("ou", "o"),
    ("a", "e"),
    ("e", "i"),
    ("i", "e"),
    ("o", "u"),
    ("u", "o"),
    ("p", "t"),
    ("t", "d"),
    ("l", "r"),
    ("n", "m"),
];

/// A number for [`garble`] that is the same in every run.
pub fn seed(name: &str, turn: usize) -> u64 {
    // FNV-1a: any mixing will do that is stable between versions.
    name.bytes()
        .chain(turn.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `text` with about `share` of its words heard wrong, at least one.
pub fn garble(text: &str, share: f64, seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let exact = words.len() as f64 * share;
    // The fraction is rounded by chance, so that the share holds over many short sentences.
    let wrong = (exact.floor() as usize + usize::from(dice.chance(exact.fract()))).min(words.len());
    let mut places: Vec<usize> = (0..words.len()).collect();
    for _ in 0..wrong {
        let place = places.swap_remove(dice.below(places.len()));
        let heard = mishear(&words[place], &mut dice);
        words[place] = heard;
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn mishear(word: &str, dice: &mut Dice) -> String {
    let plain = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '\'').to_lowercase();
    if SMALL.contains(&plain.as_str()) && dice.chance(0.5) {
        return String::new();
    }
    if dice.chance(0.12) {
        return format!("{plain} {}", ADDED[dice.below(ADDED.len())]);
    }
    let alike: Vec<&str> =
        ALIKE.iter().filter_map(|(a, b)| if *a == plain { Some(*b) } else { (*b == plain).then_some(*a) }).collect();
    if !alike.is_empty() && dice.chance(0.75) {
        return alike[dice.below(alike.len())].to_owned();
    }
    blur(&plain, dice)
}

/// Another sound for one in the word; long words may fall apart, short ones lose their end.
fn blur(word: &str, dice: &mut Dice) -> String {
    if !word.is_ascii() || word.len() < 2 {
        return ADDED[dice.below(ADDED.len())].to_owned();
    }
    if word.len() >= 7 && dice.chance(0.25) {
        let (front, back) = word.split_at(word.len() / 2);
        return format!("{front} {back}");
    }
    if dice.chance(0.2) {
        return word[..word.len() - 1].to_owned();
    }
    let fitting: Vec<(usize, &(&str, &str))> =
        SOUNDS.iter().flat_map(|sound| word.match_indices(sound.0).map(move |(at, _)| (at, sound))).collect();
    if fitting.is_empty() {
        return format!("{word}s");
    }
    let (at, (from, to)) = fitting[dice.below(fitting.len())];
    format!("{}{to}{}", &word[..at], &word[at + from.len()..])
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    fn chance(&mut self, share: f64) -> bool {
        ((self.roll() >> 11) as f64 / (1u64 << 53) as f64) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::wer;

    const LINES: &[&str] = &[
        "how much is the delivery to my house in Portland",
        "I would like to speak to a real person please",
        "can I return the plant that arrived broken yesterday",
        "what are your opening hours on a public holiday",
        "where do I enter the code of my gift card",
        "how long does it take until I get my refund",
    ];

    #[test]
    fn about_the_wanted_share_of_words_is_wrong() {
        let all: wer::Errors = (0..200u64)
            .flat_map(|seed| LINES.iter().map(move |line| wer::errors(line, &garble(line, 0.2, seed))))
            .sum();
        // A word torn in two counts as two errors, so the rate is a little over the share.
        assert!((0.17..0.28).contains(&all.rate()), "{}", all.rate());
    }

    #[test]
    fn the_same_seed_hears_the_same() {
        let seed = seed("a", 1);
        assert_eq!(garble(LINES[0], 0.3, seed), garble(LINES[0], 0.3, seed));
        assert_eq!(garble(LINES[0], 0.0, seed), LINES[0]);
        assert_eq!(garble("", 0.5, seed), "");
    }
}
