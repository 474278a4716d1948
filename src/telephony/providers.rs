//! Every provider this server speaks to: one row each. Routes, fixture tests, fuzz targets and the README's table
//! iterate over [`PROVIDERS`]; a new provider is a file here, a row below and a folder of fixtures.

use super::handshake::{Check, Opening, by_token};
use super::protocol::MediaProtocol;
use super::{
    asterisk, audiocodes, audiohook, bandwidth, browser, exotel, freeswitch, jambonz, plivo, signalwire, telnyx,
    twilio, vonage,
};
pub use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};

/// One telephony provider, or the browser.
#[derive(Debug)]
pub struct ProviderSpec {
    /// What it is called in configuration, metrics, logs and on the command line.
    pub name: &'static str,
    /// What it is called in prose.
    pub title: &'static str,
    /// Where its media websocket connects; what follows after a slash is the handshake's tail.
    pub path: &'static str,
    /// What it can send and take.
    pub formats: &'static [Format],
    /// What carries audio.
    pub frames: Frames,
    /// Audio collected before the first message after silence leaves. So much is prepared ahead of its time.
    pub collects: Millis,
    /// Subprotocols of which the first one offered is echoed. Never an extension.
    pub subprotocols: &'static [&'static str],
    /// Whether it says when audio has been played; without, the clock has to tell.
    pub marks: bool,
    /// Whether it can throw away queued audio.
    pub clear: bool,
    /// Whether pressed keys arrive.
    pub dtmf: bool,
    /// How keys are pressed towards the caller.
    pub keys_out: KeysOut,
    /// Whether captions can be shown.
    pub captions: bool,
    /// How a caller is given to somebody else.
    pub transfer: TransferBy,
    /// The request that announces a call and lets its stream in.
    pub webhook: Option<&'static str>,
    /// How we know that a stream is let in, for people.
    pub authentication: &'static str,
    /// Decides about the handshake: refused, let in, or let in by the token that will follow.
    pub check: Check,
    /// Makes the protocol of a new socket.
    pub open: fn(&Opening<'_>) -> Box<dyn MediaProtocol>,
}

/// What carries audio on the websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Base64 in JSON text.
    Text,
    /// Binary messages, control beside them in text.
    Binary,
}

/// How keys are pressed towards the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysOut {
    /// By a message; the provider makes events or tones of it.
    Message,
    /// By their tones in the audio, as the dialect knows no message.
    Sound,
}

/// How a caller is given to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferBy {
    /// Not at all: the call ends.
    Nothing,
    /// By a message on the socket.
    Message,
    /// The socket is closed, then the provider asks a webhook what comes next.
    Webhook,
}

/// All of them, each in its own braces so that rows are added without touching their neighbours.
pub const PROVIDERS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "twilio",
        title: "Twilio Media Streams",
        path: "/media/twilio",
        formats: &[Format::PCMU_8K],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/twilio/incoming"),
        authentication: "signed webhook (`X-Twilio-Signature`), then a single-use token",
        check: by_token,
        open: twilio::open,
    },
    ProviderSpec {
        name: "signalwire",
        title: "SignalWire cXML",
        path: "/media/signalwire",
        formats: &[
            Format::PCMU_8K,
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Le, rate: SampleRate(24_000) },
        ],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Message,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/signalwire/incoming"),
        authentication: "signed webhook (`X-SignalWire-Signature`), then a single-use token (`Authorization: Bearer`)",
        check: by_token,
        open: signalwire::open,
    },
    ProviderSpec {
        name: "telnyx",
        title: "Telnyx (Call Control, TeXML)",
        path: "/media/telnyx",
        formats: &[
            Format::PCMU_8K,
            Format { codec: Codec::Pcma, rate: SampleRate::NARROWBAND },
            Format { codec: Codec::G722, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Be, rate: SampleRate::WIDEBAND },
        ],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/telnyx/incoming"),
        authentication: "signed webhook (Ed25519), then a single-use token",
        check: by_token,
        open: telnyx::open,
    },
    ProviderSpec {
        name: "plivo",
        title: "Plivo Audio Streaming",
        path: "/media/plivo",
        formats: &[
            Format::PCMU_8K,
            Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
        ],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Message,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/plivo/incoming"),
        authentication: "signed webhook (`X-Plivo-Signature-V3`), then a single-use token",
        check: by_token,
        open: plivo::open,
    },
    ProviderSpec {
        name: "audiohook",
        title: "Genesys Cloud Audio Connector (AudioHook)",
        path: "/media/audiohook",
        formats: &[Format::PCMU_8K],
        frames: Frames::Binary,
        collects: audiohook::COLLECTS,
        subprotocols: &[],
        marks: false,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Message,
        webhook: None,
        authentication: "`X-API-KEY` and HTTP Message Signature (HMAC-SHA256) of the handshake",
        check: audiohook::check,
        open: audiohook::open,
    },
    ProviderSpec {
        name: "jambonz",
        title: "jambonz",
        path: "/media/jambonz",
        formats: &[
            Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Le, rate: SampleRate(24_000) },
        ],
        frames: Frames::Binary,
        collects: Millis::FRAME,
        subprotocols: &["audio.jambonz.org", "audio.drachtio.org"],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/jambonz/incoming"),
        authentication: "signed webhook (`Jambonz-Signature`) or application websocket (Basic), then a single-use token",
        check: jambonz::check,
        open: jambonz::open,
    },
    ProviderSpec {
        name: "audiocodes",
        title: "AudioCodes VoiceAI Connect",
        path: "/media/audiocodes",
        formats: &[
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Le, rate: SampleRate(24_000) },
            Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
            Format::PCMU_8K,
        ],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: false,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Message,
        captions: false,
        transfer: TransferBy::Message,
        webhook: None,
        authentication: "`Authorization: Bearer` with the bot connection's token",
        check: audiocodes::check,
        open: audiocodes::open,
    },
    ProviderSpec {
        name: "vonage",
        title: "Vonage Voice API",
        path: "/media/vonage",
        formats: &[linear(16_000), linear(8_000), linear(24_000)],
        frames: Frames::Binary,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/vonage/incoming"),
        authentication: "signed webhook and handshake (JWT), then a single-use token",
        check: vonage::check,
        open: vonage::open,
    },
    ProviderSpec {
        name: "exotel",
        title: "Exotel AgentStream",
        path: "/media/exotel",
        formats: &[linear(8_000), linear(16_000), linear(24_000), Format::PCMU_8K],
        frames: Frames::Text,
        collects: Millis(200),
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: None,
        authentication: "Basic, or a single-use token from `/voice/exotel/incoming`",
        check: exotel::check,
        open: exotel::open,
    },
    ProviderSpec {
        name: "bandwidth",
        title: "Bandwidth Programmable Voice",
        path: "/media/bandwidth",
        formats: &[Format::PCMU_8K],
        frames: Frames::Text,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: false,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/bandwidth/incoming"),
        authentication: "webhook with Basic, then a single-use token",
        check: bandwidth::check,
        open: bandwidth::open,
    },
    ProviderSpec {
        name: "asterisk",
        title: "Asterisk (chan_websocket)",
        path: "/media/asterisk",
        formats: &[
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
            Format { codec: Codec::L16Le, rate: SampleRate(24_000) },
            Format::PCMU_8K,
            Format { codec: Codec::Pcma, rate: SampleRate::NARROWBAND },
            Format { codec: Codec::G722, rate: SampleRate::WIDEBAND },
        ],
        frames: Frames::Binary,
        collects: Millis::FRAME,
        subprotocols: &[asterisk::SUBPROTOCOL],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Webhook,
        webhook: Some("/voice/asterisk/incoming"),
        authentication: "Basic; a single-use token besides if the dialplan asks for one",
        check: asterisk::check,
        open: asterisk::open,
    },
    ProviderSpec {
        name: "freeswitch",
        title: "FreeSWITCH (mod_audio_stream, mod_audio_fork)",
        path: "/media/freeswitch",
        formats: &[
            Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
            Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
        ],
        frames: Frames::Binary,
        collects: Millis::FRAME,
        subprotocols: &[freeswitch::FORK_SUBPROTOCOL],
        marks: false,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: false,
        transfer: TransferBy::Message,
        webhook: Some("/voice/freeswitch/incoming"),
        authentication: "Basic, or a single-use token",
        check: freeswitch::check,
        open: freeswitch::open,
    },
    ProviderSpec {
        name: "browser",
        title: "Browser tab",
        path: "/media/browser",
        formats: &[Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND }],
        frames: Frames::Binary,
        collects: Millis::FRAME,
        subprotocols: &[],
        marks: true,
        clear: true,
        dtmf: true,
        keys_out: KeysOut::Sound,
        captions: true,
        transfer: TransferBy::Nothing,
        webhook: Some("/api/v1/browser-call"),
        authentication: "single-use token from the same origin",
        check: by_token,
        open: browser::open,
    },
];

/// Little-endian PCM.
const fn linear(rate: u32) -> Format {
    Format { codec: Codec::L16Le, rate: SampleRate(rate) }
}

/// The provider called `name`.
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    PROVIDERS.iter().find(|spec| spec.name == name)
}

/// The README's table, in Markdown.
pub fn markdown_table() -> String {
    let mut table = String::from(
        "| provider | media websocket | call arrives at | audio | marks | clear | keys | keys out | captions | transfer | let in by |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let tick = |yes| if yes { "yes" } else { "no" };
    for spec in PROVIDERS {
        let formats = spec.formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let frames = match spec.frames {
            Frames::Text => "text",
            Frames::Binary => "binary",
        };
        let webhook = spec.webhook.map_or("–".to_owned(), |path| format!("`POST {path}`"));
        let transfer = match spec.transfer {
            TransferBy::Nothing => "no",
            TransferBy::Message => "message",
            TransferBy::Webhook => "webhook",
        };
        let keys_out = match spec.keys_out {
            KeysOut::Message => "message",
            KeysOut::Sound => "sound",
        };
        table.push_str(&format!(
            "| {} | `{}` | {webhook} | {formats}, {frames} | {} | {} | {} | {keys_out} | {} | {transfer} | {} |\n",
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
