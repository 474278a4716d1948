//! A peer that sends anything at all to each provider's dialect: nothing panics, and no message makes the protocol talk
//! without end.
//!
//! The input is a list of lines. A line that starts with a zero byte is a binary message, any other a text message.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use warmline::config::ProvidersConfig;
use warmline::telephony::handshake::{Handshake, Opening};
use warmline::telephony::protocol::{MarkId, MediaCommand, Verdict, WsMessage};
use warmline::telephony::providers::PROVIDERS;

/// Far more than a message of the largest size that is taken can cause in 20 ms frames and replies.
const OUTPUTS_PER_INPUT: usize = 10_000;

fuzz_target!(|input: &[u8]| {
    #[expect(clippy::disallowed_methods, reason = "an arbitrary start; time is counted from it")]
    let opened = std::time::Instant::now();
    for spec in PROVIDERS {
        let handshake = Handshake::to(spec.path, spec.path);
        let opening = Opening { now: opened, handshake: &handshake, settings: &ProvidersConfig::default() };
        let mut protocol = (spec.open)(&opening);
        let mut now = opened;
        for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
            now += Duration::from_millis(20);
            let message = match line {
                [0, binary @ ..] => WsMessage::Binary(binary.to_vec()),
                text => WsMessage::Text(String::from_utf8_lossy(text).into_owned()),
            };
            let verdict = protocol.handle_message(now, message).map_err(|error| error.verdict());
            let drained = (0..OUTPUTS_PER_INPUT).take_while(|_| protocol.poll_output().is_some()).count();
            assert!(drained < OUTPUTS_PER_INPUT, "{} talks without end", spec.name);
            if verdict == Err(Verdict::Close) {
                break;
            }
            // What a call does meanwhile: it may be refused, before the stream has started.
            let command = if number % 2 == 0 { MediaCommand::Mark(MarkId(number as u64)) } else { MediaCommand::Clear };
            let _ = protocol.handle_command(now, command);
            if protocol.poll_timeout().is_some_and(|deadline| deadline <= now) {
                protocol.handle_timeout(now);
            }
            while protocol.poll_output().is_some() {}
        }
        let _ = protocol.handle_message(now, WsMessage::Closed);
        while protocol.poll_output().is_some() {}
    }
});
