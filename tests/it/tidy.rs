//! The rules of the module map, checked by reading the sources, so that they can't rot.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules without async, clock, randomness, files or sockets. Folders count with all their files.
const PURE: &[&str] = &[
    "audio/byte_order.rs",
    "audio/codec.rs",
    "audio/frame.rs",
    "audio/framer.rs",
    "audio/g711.rs",
    "audio/mix.rs",
    "audio/resample.rs",
    "audio/units.rs",
    "telephony",
    "call/completeness.rs",
    "call/conference.rs",
    "call/echo.rs",
    "call/hold.rs",
    "call/input.rs",
    "call/machine",
    "call/machine.rs",
    "call/overlap.rs",
    "call/patience.rs",
    "call/playback.rs",
    "call/sound.rs",
    "call/turn.rs",
    "handoff/callback.rs",
    "handoff/intervals.rs",
    "handoff/consults.rs",
    "handoff/machine.rs",
    "handoff/measures.rs",
    "handoff/phone.rs",
    "handoff/routing",
    "handoff/shifts.rs",
    "handoff/sim",
    "handoff/wire.rs",
    "dialog/brief.rs",
    "dialog/cards.rs",
    "dialog/chore.rs",
    "dialog/collect.rs",
    "dialog/collect",
    "dialog/history.rs",
    "dialog/intent.rs",
    "dialog/intent",
    "dialog/minutes.rs",
    "dialog/reply.rs",
    "dialog/reply",
    "dialog/speakable",
    "dialog/knowledge/document.rs",
    "dialog/knowledge/mend.rs",
    "dialog/knowledge/score.rs",
    "engine/llm/dialect.rs",
    "judgment",
    "review",
    "said.rs",
    "tools/address.rs",
    "tools/spec.rs",
];
const IMPURE_WORDS: &[&str] = &[
    "async ",
    ".await",
    "tokio::",
    "std::fs",
    "std::net",
    "std::env",
    "File::open",
    "Instant::now",
    "SystemTime",
    "rand::",
];

fn sources(below: &Path) -> Vec<PathBuf> {
    if below.is_file() {
        return vec![below.to_owned()];
    }
    let entries = fs::read_dir(below).unwrap_or_else(|error| panic!("{} is in the list but: {error}", below.display()));
    let mut files: Vec<PathBuf> = entries.flat_map(|entry| sources(&entry.expect("an entry").path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// The code of a file: without its tests and comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("readable");
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(file: &Path) -> bool {
    file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.ends_with("tests"))
}

#[test]
fn pure_modules_have_no_clock_task_or_file() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in PURE.iter().flat_map(|name| sources(&src.join(name))).filter(|file| !is_test(file)) {
        let code = code(&file);
        let found = IMPURE_WORDS.iter().filter(|word| code.contains(**word));
        wrong.extend(found.map(|word| format!("{}: `{word}`", file.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn machines_never_await() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // A machine's folder holds the rest of it.
    let of_machine = |file: &Path| {
        file.file_name().is_some_and(|name| name == "machine.rs")
            || file.parent().is_some_and(|folder| folder.ends_with("machine"))
    };
    let machines: Vec<PathBuf> = sources(&src).into_iter().filter(|file| of_machine(file)).collect();
    assert!(machines.len() >= 2, "the call's and the desk's");
    for file in machines {
        assert!(!code(&file).contains("async"), "{}", file.display());
    }
}

/// Every word that says which sentence is meant has that sentence in each of the console's languages.
#[test]
fn the_console_has_a_sentence_for_every_word_of_the_servers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let messages = |language: &str| {
        let path = root.join("console/src/i18n").join(language);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).expect("an object of sentences")
    };
    let languages = ["en.json", "de.json"].map(|language| (language, messages(language)));
    let mut words = 0;
    for file in sources(&root.join("src")).iter().filter(|file| !is_test(file)) {
        let code = fs::read_to_string(file).expect("a source");
        let group =
            if file.starts_with(root.join("src/web")) { ["mistake", "phrase", "setup_seen"] } else { ["phrase"; 3] };
        let code =
            code.replace(" wrong(", " Said::new(").replace("(wrong(", "(Said::new(").replace(" until(", " Said::new(");
        for part in code.split("Said::new(").skip(1) {
            let Some(word) = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            if !word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                continue; // a sentence of a type of the same name
            }
            words += 1;
            for (language, messages) in &languages {
                let known = group.iter().any(|group| messages.contains_key(&format!("{group}.{word}")));
                assert!(known, "{language} has no sentence for `{word}` of {}", file.display());
            }
        }
    }
    assert!(words > 100, "only {words} words were found");
}
