//! What a language model writes for eyes, taken out: Markdown, HTML, emoji, invisible characters.

use std::sync::LazyLock;

use regex::{Captures, Regex};

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

static LINK: LazyLock<Regex> = LazyLock::new(|| regex(r"!?\[([^\[\]]*)\]\(([^()\s]*)[^()]*\)"));
static TAG: LazyLock<Regex> = LazyLock::new(|| regex(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]{0,200})?/?>"));
static RULE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^[ \t]*(?:[-*_=|:][ \t]*){3,}$"));
static FENCE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^[ \t]*(?:```|~~~)[A-Za-z]*[ \t]*$|```|~~~|~~"));
static LINE_START: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^[ \t]*(?:#{1,6}[ \t]+|(?:>[ \t]*)+|[-*+•–][ \t]+)"));

/// `text` as it would be printed plainly: words, numbers and punctuation, lines kept apart.
///
/// Numbers and abbreviations stay as written: this is also what a transcript shows.
pub fn clean(text: &str) -> String {
    let mut plain: String = text.chars().filter_map(plain_character).collect();
    for (entity, character) in
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        if plain.contains(entity) {
            plain = plain.replace(entity, character);
        }
    }
    let plain = LINK.replace_all(&plain, |link: &Captures<'_>| {
        let label = link[1].trim();
        if label.is_empty() { link[2].to_owned() } else { label.to_owned() }
    });
    let plain = TAG.replace_all(&plain, " ");
    let plain = FENCE.replace_all(&plain, "");
    let plain = RULE.replace_all(&plain, "");
    let plain = LINE_START.replace_all(&plain, "");
    let plain = without_emphasis(&plain);
    let lines: Vec<String> = plain
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

/// `None` for what is not seen or only seen; plain forms of typographic characters.
fn plain_character(c: char) -> Option<char> {
    match c {
        '\n' => Some('\n'),
        '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => Some('\n'),
        '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' => None,
        _ if c.is_control() || c.is_whitespace() => Some(' '),
        '’' | '‘' | '‛' => Some('\''),
        '“' | '”' | '„' | '«' | '»' => Some('"'),
        '‐' | '‑' => Some('-'),
        '\u{2500}'..='\u{27BF}' // boxes, blocks, shapes, dingbats; bullets are elsewhere
        | '\u{2190}'..='\u{21FF}' // arrows
        | '\u{2B00}'..='\u{2BFF}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{E000}'..='\u{F8FF}'
        | '\u{1F000}'..='\u{1FAFF}'
        | '\u{E0000}'..='\u{E007F}'
        | '\u{20E3}' | '\u{FFFD}' => Some(' ').filter(|_| !c.is_alphanumeric()).or(Some(c)),
        _ => Some(c),
    }
}

/// Stars, underscores and backticks around words go; those inside (`2*3`, `snake_case`) stay.
fn without_emphasis(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (at, &c) in chars.iter().enumerate() {
        let outer = |mut side: Box<dyn Iterator<Item = &char> + '_>| side.find(|c| !matches!(c, '*' | '_')).copied();
        let before = || outer(Box::new(chars[..at].iter().rev()));
        let after = || outer(Box::new(chars[at + 1..].iter()));
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let keep = match c {
            '`' => false,
            '*' => {
                let factor = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == ' ');
                let doubled = chars.get(at + 1) == Some(&'*') || at > 0 && chars[at - 1] == '*';
                !doubled && factor(before()) && factor(after())
            }
            '_' => is_word(before()) && is_word(after()),
            _ => true,
        };
        if keep {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_html_and_emoji_go() {
        let table = [
            ("**Hello** _there_, `friend`!", "Hello there, friend!"),
            ("# Title\n\nText", "Title\nText"),
            ("- one\n* two\n• three", "one\ntwo\nthree"),
            ("> quoted", "quoted"),
            ("See [our shop](https://shop.example/a_b) now", "See our shop now"),
            ("[](https://shop.example)", "https://shop.example"),
            ("![logo](logo.png) Hi", "logo Hi"),
            ("Sure! 😀👍🏽 Done ✅.", "Sure! Done ."),
            ("a<br>b <b>c</b>", "a b c"),
            ("Tom &amp; Jerry&nbsp;ok", "Tom & Jerry ok"),
            ("```json\n{}\n```\nok", "{}\nok"),
            ("2*3 and 2 * 3", "2*3 and 2 * 3"),
            ("~~no~~ yes", "no yes"),
            ("snake_case and __init__", "snake_case and init"),
            ("it’s “fine”", "it's \"fine\""),
            ("one\u{200B}two\u{FEFF}", "onetwo"),
            ("a\n---\nb", "a\nb"),
            ("***both***", "both"),
            ("5 < 6 and 7 > 2", "5 < 6 and 7 > 2"),
        ];
        for (text, plain) in table {
            assert_eq!(clean(text), plain, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_plain_text_stays(text in any::<String>(), words in "[a-zA-Z]{1,8}( [a-zA-Z]{1,8}){0,6}[.!?]") {
            let _ = clean(&text);
            prop_assert_eq!(clean(&words), words);
        }
    }
}
