//! A stranger at the door: any path, query and headers, against every provider's check with credentials configured. No
//! check panics, and none lets in whoever has no credentials.
//!
//! The input is a list of lines: the target first, then headers as `name: value`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use warmline::config::{Config, ProvidersConfig};
use warmline::telephony::handshake::{Arrival, Handshake, LetIn};
use warmline::telephony::providers::PROVIDERS;
use warmline::telephony::signature::replay::ReplayCache;

/// Nobody guesses these.
static SETTINGS: LazyLock<ProvidersConfig> = LazyLock::new(|| {
    let text = ["exotel", "asterisk", "jambonz", "freeswitch", "bandwidth"]
        .map(|section| format!("[{section}]\nusername = \"u\"\npassword = \"7f3a61c2b8d94e05\"\n"))
        .concat()
        + "[audiohook]\napi_key = \"7f3a61c2b8d94e05\"\nclient_secret = \"N2YzYTYxYzJiOGQ5NGUwNQ==\"\n\
           [audiocodes]\ntoken = \"7f3a61c2b8d94e05\"\n[vonage]\nsignature_secret = \"7f3a61c2b8d94e05\"\n";
    Config::parse(&text, std::iter::empty()).expect("valid").providers
});

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let target = lines.next().unwrap_or_default();
    for spec in PROVIDERS {
        let mut handshake = Handshake::to(spec.path, target);
        for (name, value) in lines.clone().filter_map(|line| line.split_once(':')) {
            handshake.add_header(name.trim(), value.trim());
        }
        #[expect(clippy::disallowed_methods, reason = "an arbitrary start; nonces are counted from it")]
        let now = std::time::Instant::now();
        let arrival = Arrival {
            handshake: &handshake,
            settings: &SETTINGS,
            base_url: "https://voice.example.com",
            now,
            unix_s: 1_767_607_200,
            replays: &ReplayCache::default(),
        };
        assert_ne!((spec.check)(&arrival), Ok(LetIn::ByHandshake), "{} lets a stranger in", spec.name);
    }
});
