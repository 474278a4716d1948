//! A peer that sends anything at all to each provider's dialect: nothing panics, and no message makes the protocol talk
//! without end.
//!
//! The input is a list of lines. A line that starts with a zero byte is a binary message, any other a text message; the
//! number of the first line's bytes picks between settings. With `WARMLINE_FUZZ_PROVIDER` only that dialect is tried.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use warmline::audio::frame::AudioFrame;
use warmline::audio::units::Millis;
use warmline::config::{Config, ProvidersConfig};
use warmline::telephony::handshake::{Handshake, Opening};
use warmline::telephony::protocol::{Digit, MarkId, MediaCommand, MediaEvent, Output, Transfer, Verdict, WsMessage};
use warmline::telephony::providers::{PROVIDERS, ProviderSpec};

/// Far more than a message of the largest size that is taken can cause in 20 ms frames and replies.
const OUTPUTS_PER_INPUT: usize = 10_000;

static CHOSEN: LazyLock<Vec<&'static ProviderSpec>> = LazyLock::new(|| {
    let name = std::env::var("WARMLINE_FUZZ_PROVIDER").unwrap_or_default();
    let chosen: Vec<_> = PROVIDERS.iter().filter(|spec| name.is_empty() || spec.name == name).collect();
    assert!(!chosen.is_empty(), "no provider is called {name}");
    chosen
});

/// Other codecs than the defaults, so that they are met as well.
static SETTINGS: LazyLock<[ProvidersConfig; 2]> = LazyLock::new(|| {
    let parse = |text: &str| Config::parse(text, std::iter::empty()).expect("valid").providers;
    [parse(""), parse("[telnyx]\ncodec = \"G722\"\n[signalwire]\ncodec = \"L16@16000h\"\nl16_byte_order = \"big\"")]
});

fuzz_target!(|input: &[u8]| {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary start; time is counted from it")]
    let opened = std::time::Instant::now();
    let first = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let settings = &SETTINGS[first.len() % SETTINGS.len()];
    for spec in CHOSEN.iter() {
        let handshake = Handshake::to(spec.path, spec.path);
        let mut protocol = (spec.open)(&Opening { now: opened, handshake: &handshake, settings });
        let mut now = opened;
        let mut plays_at = spec.formats[0].rate;
        for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
            now += Duration::from_millis(20);
            let message = match line {
                [0, binary @ ..] => WsMessage::Binary(binary.to_vec()),
                text => WsMessage::Text(String::from_utf8_lossy(text).into_owned()),
            };
            let verdict = protocol.handle_message(now, message).map_err(|error| error.verdict());
            let mut drained = 0;
            while let Some(output) = protocol.poll_output() {
                if let Output::Event(MediaEvent::Started(start)) = output {
                    plays_at = start.plays_at;
                }
                drained += 1;
                assert!(drained < OUTPUTS_PER_INPUT, "{} talks without end", spec.name);
            }
            if verdict == Err(Verdict::Close) {
                break;
            }
            // What a call does meanwhile: it may be refused, before the stream has started.
            let command = match number % 8 {
                0 | 4 => MediaCommand::Audio(AudioFrame::new(Millis(0), plays_at, vec![1; plays_at.samples_in(Millis(20))])),
                1 | 5 => MediaCommand::Mark(MarkId(number as u64)),
                6 => MediaCommand::Dtmf(Digit::new('5').expect("a key")),
                _ => MediaCommand::Clear,
            };
            let _ = protocol.handle_command(now, command);
            if protocol.poll_timeout().is_some_and(|deadline| deadline <= now) {
                protocol.handle_timeout(now);
            }
            while protocol.poll_output().is_some() {}
        }
        let last = if input.len() % 2 == 0 { MediaCommand::Hangup } else { MediaCommand::Transfer(Transfer::default()) };
        let _ = protocol.handle_command(now, last);
        let _ = protocol.handle_message(now, WsMessage::Closed);
        while protocol.poll_output().is_some() {}
    }
});
