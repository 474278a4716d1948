//! Every provider this server speaks to: one row each. Routes, fixture tests, fuzz targets and the README's table
//! iterate over [`PROVIDERS`]; a new provider is a file here, a row below and a folder of fixtures.

use std::fmt;
use std::time::Instant;

use super::protocol::MediaProtocol;
use super::{browser, twilio};
use crate::audio::units::SampleRate;

/// One telephony provider, or the browser.
#[derive(Debug)]
pub struct ProviderSpec {
    /// What it is called in configuration, metrics, logs and on the command line.
    pub name: &'static str,
    /// What it is called in prose.
    pub title: &'static str,
    /// Where its media websocket connects.
    pub path: &'static str,
    /// What it can send and take.
    pub formats: &'static [Format],
    /// Whether it says when audio has been played.
    pub marks: bool,
    /// Whether it can throw away queued audio.
    pub clear: bool,
    /// Whether pressed keys arrive.
    pub dtmf: bool,
    /// Whether captions can be shown.
    pub captions: bool,
    /// The request that announces a call and lets its stream in.
    pub webhook: Option<&'static str>,
    /// How we know that a stream is let in, for people.
    pub authentication: &'static str,
    /// Makes the protocol of a socket opened at that instant.
    pub open: fn(Instant) -> Box<dyn MediaProtocol>,
}

/// A way to write audio down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How samples are coded.
    pub codec: Codec,
    /// Samples a second.
    pub rate: SampleRate,
}

/// Audio coding. Mono, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// Linear, 16 bit, little-endian.
    L16,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Pcmu => "µ-law",
            Codec::L16 => "PCM",
        };
        write!(f, "{codec} {} kHz", self.rate.0 / 1_000)
    }
}

/// All of them.
pub const PROVIDERS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "twilio",
        title: "Twilio Media Streams",
        path: "/media/twilio",
        formats: &[Format { codec: Codec::Pcmu, rate: SampleRate::NARROWBAND }],
        marks: true,
        clear: true,
        dtmf: true,
        captions: false,
        webhook: Some("/voice/twilio/incoming"),
        authentication: "signed webhook (`X-Twilio-Signature`), then a single-use token",
        open: twilio::open,
    },
    ProviderSpec {
        name: "browser",
        title: "Browser tab",
        path: "/media/browser",
        formats: &[Format { codec: Codec::L16, rate: SampleRate::WIDEBAND }],
        marks: true,
        clear: true,
        dtmf: true,
        captions: true,
        webhook: Some("/api/v1/browser-call"),
        authentication: "single-use token from the same origin",
        open: browser::open,
    },
];

/// The provider called `name`.
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    PROVIDERS.iter().find(|spec| spec.name == name)
}

/// The README's table, in Markdown.
pub fn markdown_table() -> String {
    let mut table = String::from(
        "| provider | media websocket | call arrives at | audio | marks | clear | keys | captions | let in by |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let tick = |yes| if yes { "yes" } else { "no" };
    for spec in PROVIDERS {
        let formats = spec.formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let webhook = spec.webhook.map_or("–".to_owned(), |path| format!("`POST {path}`"));
        table.push_str(&format!(
            "| {} | `{}` | {webhook} | {formats} | {} | {} | {} | {} | {} |\n",
            spec.title,
            spec.path,
            tick(spec.marks),
            tick(spec.clear),
            tick(spec.dtmf),
            tick(spec.captions),
            spec.authentication,
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_paths_are_unique_and_follow_the_pattern() {
        let names: BTreeSet<_> = PROVIDERS.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), PROVIDERS.len());
        for spec in PROVIDERS {
            assert_eq!(spec.path, format!("/media/{}", spec.name));
            assert!(!spec.formats.is_empty());
            assert_eq!(find(spec.name).map(|found| found.path), Some(spec.path));
        }
        assert!(find("fax").is_none());
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), 2 + PROVIDERS.len());
        assert!(table.contains("| Twilio Media Streams | `/media/twilio` |"), "{table}");
    }
}
