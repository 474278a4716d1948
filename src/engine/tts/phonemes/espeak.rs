//! misaki's pronunciation of a word respelled as espeak would write it, which is what the voices were trained on.
//!
//! misaki has one vowel where espeak has two or three; which of them it was can mostly be told from the letters. Each rule
//! was read off espeak's output for American English. PURE.

use super::letters::STRONG;

/// Whole words misaki and espeak differ about and that a support desk says all day.
const EXCEPTIONS: [(&str, &str); 2] = [("zero", "zˈiəɹoʊ"), ("hundred", "hˈʌndɹɪd")];
/// misaki gives these some stress, espeak none.
const UNSTRESSED: [&str; 8] = ["i", "you", "your", "we", "he", "she", "they", "could"];
/// Their weak vowel is closer to `it` than to `a`.
const PREFIXES: [&str; 6] = ["re", "de", "be", "pre", "se", "e"];

/// `sounds` in misaki's alphabet (several words if the token was spelled), `spelled` as it stands in the text.
pub(super) fn respell(sounds: &str, spelled: &str) -> String {
    let spelled = spelled.to_lowercase();
    let spelled = spelled.trim_matches(|c: char| !c.is_alphanumeric());
    if let Some((_, said)) = EXCEPTIONS.iter().find(|(word, _)| *word == spelled) {
        return (*said).to_owned();
    }
    let unstressed = UNSTRESSED.contains(&spelled) && !sounds.contains('ˈ');
    let phones: Vec<char> = sounds.chars().filter(|phone| !(unstressed && *phone == 'ˌ')).collect();
    let phones = without_crowded_stress(phones);
    let word = Word { phones: &phones, spelled, first_vowel: phones.iter().position(|phone| is_vowel(*phone)) };
    let mut out = String::with_capacity(sounds.len() * 2);
    let mut at = 0;
    while at < phones.len() {
        at += word.respell_phone(at, &mut out);
    }
    out
}

/// The lesser stress goes where the syllable before or after it has the main one: until, Thursday.
fn without_crowded_stress(phones: Vec<char>) -> Vec<char> {
    let syllables: Vec<usize> = (0..phones.len()).filter(|&at| is_vowel(phones[at])).collect();
    let mark_of =
        |nth: usize| syllables.get(nth).and_then(|at| at.checked_sub(1)).map(|before| (before, phones[before]));
    let mut drop = vec![false; phones.len()];
    for nth in 0..syllables.len() {
        let Some((at, 'ˌ')) = mark_of(nth) else { continue };
        let neighbours = [nth.checked_sub(1).and_then(mark_of), mark_of(nth + 1)];
        let main = |mark: &(usize, char)| mark.1 == 'ˈ' && !phones[at.min(mark.0)..at.max(mark.0)].contains(&' ');
        drop[at] = neighbours.iter().flatten().any(main);
    }
    phones.into_iter().zip(drop).filter(|(_, drop)| !drop).map(|(phone, _)| phone).collect()
}

fn is_vowel(phone: char) -> bool {
    STRONG.contains(phone) || "əᵊᵻɐ".contains(phone)
}

struct Word<'a> {
    phones: &'a [char],
    spelled: &'a str,
    first_vowel: Option<usize>,
}

impl Word<'_> {
    fn phone(&self, at: usize) -> Option<char> {
        self.phones.get(at).copied()
    }

    /// A stress mark stands between a sound and the vowel after it.
    fn is_vowel_at(&self, at: usize) -> bool {
        match self.phone(at) {
            Some('ˈ' | 'ˌ') => self.phone(at + 1).is_some_and(is_vowel),
            phone => phone.is_some_and(is_vowel),
        }
    }

    fn has(&self, letters: &[&str]) -> bool {
        letters.iter().any(|part| self.spelled.contains(part))
    }

    /// Appends the sound at `at`; how many of misaki's symbols that took.
    fn respell_phone(&self, at: usize, out: &mut String) -> usize {
        let next = self.phone(at + 1);
        let stressed = at.checked_sub(1).is_some_and(|before| matches!(self.phones[before], 'ˈ' | 'ˌ'));
        let simple = match self.phones[at] {
            'A' => "eɪ",
            'I' => "aɪ",
            'O' => "oʊ",
            'W' => "aʊ",
            'Y' => "ɔɪ",
            'ʤ' => "dʒ",
            'ʧ' => "tʃ",
            'T' => "ɾ",
            'g' => "ɡ",
            'u' => "uː",
            'ɑ' => "ɑː",
            // nurse, letter: one sound, and an r only before a vowel
            vowel @ ('ɜ' | 'ə') if next == Some('ɹ') => {
                out.push_str(if vowel == 'ɜ' { "ɜː" } else { "ɚ" });
                if self.is_vowel_at(at + 2) {
                    out.push('ɹ');
                }
                return 2;
            }
            'ɜ' => "ɜː",
            // button, certain
            't' if matches!(next, Some('n')) && !self.is_vowel_at(at + 2) => {
                out.push_str("ʔn\u{329}");
                return 2;
            }
            't' if next == Some('ᵊ') && self.phone(at + 2) == Some('n') && !self.is_vowel_at(at + 3) => {
                out.push_str("ʔn\u{329}");
                return 3;
            }
            'ə' | 'ᵊ' => self.weak_vowel(at),
            'ɔ' => self.back_vowel(next),
            'i' => self.front_vowel(at, stressed),
            other => {
                out.push(other);
                return 1;
            }
        };
        out.push_str(simple);
        1
    }

    /// `account` and `return` begin with other weak vowels than `o'clock`.
    fn weak_vowel(&self, at: usize) -> &'static str {
        if self.first_vowel != Some(at) {
            "ə"
        } else if at == 0 && self.spelled.starts_with('a') && self.phones.len() > 1 {
            "ɐ"
        } else if PREFIXES.iter().any(|prefix| self.spelled.starts_with(prefix)) && self.phones[at..].contains(&'ˈ') {
            "ᵻ"
        } else {
            "ə"
        }
    }

    /// more, door; cost, on, long; north, talk.
    fn back_vowel(&self, next: Option<char>) -> &'static str {
        match next {
            Some('ɹ') if self.has(&["ore", "oor", "our", "oar"]) => "oː",
            Some('s' | 'f' | 'θ' | 'n' | 'ŋ' | 'ɡ') if !self.has(&["au", "aw", "al", "ough"]) => "ɔ",
            _ => "ɔː",
        }
    }

    /// happy, idea, going: short at the end of a word and before a vowel, else long.
    fn front_vowel(&self, at: usize, stressed: bool) -> &'static str {
        let ends = !self.phone(at + 1).is_some_and(char::is_alphabetic);
        if self.phone(at + 1) == Some('ə') || !stressed && (self.is_vowel_at(at + 1) || ends) { "i" } else { "iː" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column is what espeak-ng 1.51 says for these words, voice en-us.
    #[test]
    fn words_are_respelled_as_espeak_writes_them() {
        let table = [
            ("account", "əkˈWnt", "ɐkˈaʊnt"),
            ("arrive", "əɹˈIv", "ɚɹˈaɪv"),
            ("return", "ɹətˈɜɹn", "ɹᵻtˈɜːn"),
            ("between", "bətwˈin", "bᵻtwˈiːn"),
            ("o'clock", "əklˈɑk", "əklˈɑːk"),
            ("button", "bˈʌtᵊn", "bˈʌʔn\u{329}"),
            ("your", "jˌʊɹ", "jʊɹ"),
            ("I", "ˌI", "aɪ"),
            ("more", "mˈɔɹ", "mˈoːɹ"),
            ("north", "nˈɔɹθ", "nˈɔːɹθ"),
            ("cost", "kˈɔst", "kˈɔst"),
            ("caused", "kˈɔzd", "kˈɔːzd"),
            ("launch", "lˈɔnʧ", "lˈɔːntʃ"),
            ("colleague", "kˈɑliɡ", "kˈɑːliːɡ"),
            ("happy", "hˈæpi", "hˈæpi"),
            ("idea", "Idˈiə", "aɪdˈiə"),
            ("zero", "zˈɪɹO", "zˈiəɹoʊ"),
            ("until", "ˌʌntˈɪl", "ʌntˈɪl"),
            ("Thursday", "θˈɜɹzdˌA", "θˈɜːzdeɪ"),
            ("yesterday", "jˈɛstəɹdˌA", "jˈɛstɚdˌeɪ"),
            ("information", "ˌɪnfəɹmˈAʃən", "ˌɪnfɚmˈeɪʃən"),
            ("little", "lˈɪTᵊl", "lˈɪɾəl"),
            ("the", "ðə", "ðə"),
            ("a", "ɐ", "ɐ"),
        ];
        for (spelled, sounds, wanted) in table {
            assert_eq!(respell(sounds, spelled), wanted, "{spelled}");
        }
    }
}
