//! From what a language model writes to what a voice can say, and into the pieces it should be said in.
//!
//! ```text
//! tokens ─▶ Sentences (cut, clean) ─▶ "It costs $12.50."            shown in the transcript
//!                                       └▶ speakable ─▶ "It costs twelve dollars and fifty cents."   given to the voice
//! ```
//! American English. PURE. Words are left alone; what has digits or symbols in it is rewritten by the first rule that fits
//! ([`rules`]), so the order of the rules is the priority of the readings.

mod clean;
mod numbers;
mod readings;
mod rules;
mod sentences;
mod words;

use deunicode::{deunicode, deunicode_char};

pub use clean::clean;
pub use sentences::Sentences;

/// `text` as it should be said: no digits, no symbols, no Markdown; words and the punctuation that shapes speech.
///
/// Never empty for a text with a letter or digit in it, and plain words come back as they were.
pub fn speakable(text: &str) -> String {
    let plain = with_ascii_numbers(&clean(text));
    let said = tidy(&rules::apply(&one_line(&plain)));
    if said.chars().any(char::is_alphanumeric) || !text.chars().any(char::is_alphanumeric) {
        return said;
    }
    // All of it was markup. Say what there is.
    let bare: String = text.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    let said = tidy(&rules::apply(&with_ascii_numbers(&bare)));
    if said.chars().any(char::is_alphanumeric) { said } else { "something unreadable".to_owned() }
}

/// Digits of other scripts, fractions and superscripts in plain digits.
fn with_ascii_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '²' if out.ends_with(char::is_alphabetic) => out.push_str(" squared"),
            '³' if out.ends_with(char::is_alphabetic) => out.push_str(" cubed"),
            _ if c.is_numeric() && !c.is_ascii() => {
                let plain = deunicode_char(c).unwrap_or(" ").trim();
                if plain.contains('/') && out.ends_with(|c: char| c.is_ascii_digit()) {
                    out.push(' '); // 2½
                }
                out.push_str(plain);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Lines become sentences: whoever writes a list ends its items with the line.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if out.ends_with(char::is_alphanumeric) {
            out.push('.');
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(line);
    }
    out
}

/// Single spaces, none before punctuation, no punctuation twice or at the start; what digit is left is named.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_numeric() => {
                let plain = deunicode(&c.to_string());
                let name = numbers::digits(&plain);
                out.push(' ');
                out.push_str(if name.is_empty() { &plain } else { &name });
                out.push(' ');
            }
            _ if c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            ',' | ';' | ':' | '.' | '!' | '?' => {
                out.truncate(out.trim_end().len());
                match out.chars().next_back() {
                    None => {}
                    // The stronger of two marks counts.
                    Some(',' | ';' | ':') => {
                        out.pop();
                        out.push(c);
                    }
                    Some('.') if c == '.' && !out.ends_with("...") => out.push('.'),
                    Some('.' | '!' | '?') => {}
                    Some(_) => out.push(c),
                }
            }
            _ => out.push(c),
        }
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out
}

#[cfg(test)]
mod tests;
