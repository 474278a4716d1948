//! Providers' dialects, played from fixtures and pelted with nonsense.

use proptest::collection::vec;
use proptest::prelude::*;
use warmline::audio::units::Millis;
use warmline::telephony::protocol::{Caption, Digit, MarkId, MediaCommand, Speaker, Transfer, WsMessage};
use warmline::telephony::providers::{PROVIDERS, ProviderSpec, TransferBy, markdown_table};

use crate::support::replay::{Watched, fixtures, folder, load, replay, seeds};

/// What every provider's folder must show.
const REQUIRED: &[&str] = &[
    "connect",
    "duplicate-start",
    "hang-up-by-caller",
    "hang-up-by-us",
    "malformed",
    "mark",
    "media-before-start",
    "oversized",
    "reconnect",
    "refused-busy",
    "silence-until-timeout",
    "socket-lost",
    "talk",
];

/// And what those must show that can do it.
fn required(spec: &ProviderSpec) -> Vec<&'static str> {
    let more = [
        ("barge-in", spec.clear),
        ("dtmf", spec.dtmf),
        ("transfer", spec.transfer == TransferBy::Message),
        ("reordered", has_numbered_audio(spec)),
    ];
    REQUIRED.iter().copied().chain(more.into_iter().filter(|(_, can)| *can).map(|(name, _)| name)).collect()
}

/// Whether this provider's audio tells its place: such messages may come in any order.
fn has_numbered_audio(spec: &ProviderSpec) -> bool {
    let is_numbered = |message: WsMessage| match message {
        WsMessage::Text(text) => text.contains("\"payload\"") && text.to_lowercase().contains("sequence"),
        WsMessage::Binary(_) | WsMessage::Closed => false,
    };
    load(spec, "talk").into_iter().filter(|line| line.dir == "in").any(|line| is_numbered(line.message()))
}

#[test]
fn every_provider_has_fixtures_and_says_where_they_come_from() {
    for spec in PROVIDERS {
        let found = fixtures(spec);
        let missing: Vec<_> = required(spec).into_iter().filter(|name| !found.contains(*name)).collect();
        assert!(missing.is_empty(), "{} lacks fixtures: {missing:?}", spec.name);
        let readme = std::fs::read_to_string(folder(spec).join("README.md")).unwrap_or_default();
        assert!(readme.len() > 100, "{}'s fixtures have no README.md naming their origin", spec.name);
    }
}

#[test]
fn the_readme_shows_the_table_of_providers() {
    let readme = include_str!("../../README.md");
    let table = markdown_table();
    assert!(readme.contains(&table), "README.md lacks this table:\n{table}");
}

#[track_caller]
fn check(provider: &ProviderSpec, fixture: &str) {
    insta::assert_snapshot!(format!("{}__{fixture}", provider.name), replay(provider, fixture));
}

#[test]
fn every_fixture_replays_as_recorded() {
    for spec in PROVIDERS {
        for fixture in fixtures(spec) {
            check(spec, &fixture);
        }
    }
}

/// What may happen to a stream, in any order.
#[derive(Clone, Debug)]
enum Step {
    Message(WsMessage),
    Command(MediaCommand),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let seeds = seeds();
    let mutated = (prop::sample::select(seeds.clone()), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(message, at, byte)| match message {
            WsMessage::Text(text) if !text.is_empty() => {
                let mut bytes = text.into_bytes();
                let at = at.index(bytes.len());
                if byte < 64 {
                    bytes.truncate(at)
                } else {
                    bytes[at] = byte
                }
                WsMessage::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            other => other,
        },
    );
    prop_oneof![
        6 => prop::sample::select(seeds).prop_map(Step::Message),
        4 => mutated.prop_map(Step::Message),
        1 => any::<String>().prop_map(|text| Step::Message(WsMessage::Text(text))),
        1 => vec(any::<u8>(), 0..8_000).prop_map(|bytes| Step::Message(WsMessage::Binary(bytes))),
        2 => (0u64..2_000).prop_map(Step::Wait),
        1 => (0u64..8).prop_map(|id| Step::Command(MediaCommand::Mark(MarkId(id)))),
        1 => Just(Step::Command(MediaCommand::Clear)),
        1 => Just(Step::Command(MediaCommand::Dtmf(Digit::new('5').expect("a key")))),
        1 => prop_oneof![
            Just(Step::Command(MediaCommand::Hangup)),
            any::<String>().prop_map(|target| {
                let variables = [(target.clone(), target.clone().into())].into();
                Step::Command(MediaCommand::Transfer(Transfer { target: target.into(), variables }))
            }),
        ],
        1 => any::<String>().prop_map(|text| {
            Step::Command(MediaCommand::Caption(Caption { who: Speaker::Caller, text, is_final: true }))
        }),
    ]
}

/// Any story: nothing panics, and what comes out keeps the promises [`Watched`] checks.
fn tell(spec: &ProviderSpec, steps: &[Step]) {
    let mut watched = Watched::open(spec);
    let (mut now, mut marks) = (0, 0);
    for step in steps {
        match step {
            Step::Wait(span) => now += span,
            Step::Message(message) => drop(watched.message(now, message.clone())),
            Step::Command(MediaCommand::Mark(_)) => {
                let frame = watched.tone(Millis::FRAME);
                drop(watched.command(now, MediaCommand::Audio(frame)));
                marks += 1; // never reused
                drop(watched.command(now, MediaCommand::Mark(MarkId(marks))));
            }
            Step::Command(command) => drop(watched.command(now, command.clone())),
        }
        watched.advance(now);
    }
    drop(watched.message(now, WsMessage::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_messages_never_panic_nor_break_a_promise(steps in vec(step(), 1..40)) {
        for spec in PROVIDERS {
            tell(spec, &steps);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(texts in vec(any::<String>(), 0..8), bytes in vec(any::<u8>(), 0..400)) {
        for spec in PROVIDERS {
            let mut steps: Vec<_> = texts.iter().cloned().map(|text| Step::Message(WsMessage::Text(text))).collect();
            steps.push(Step::Message(WsMessage::Binary(bytes.clone())));
            tell(spec, &steps);
        }
    }
}
