//! SignalWire's cXML `<Stream>`: Twilio's dialect with linear audio, keys on their way out, and the token in the handshake.
//!
//! Ids may be missing and numbers be numbers, which Twilio's reader takes as it is. The byte order of `L16` is documented
//! nowhere: little-endian until the audio tells, unless `signalwire.l16_byte_order` does. Source: SignalWire "cXML Stream".

use super::handshake::Opening;
use super::protocol::MediaProtocol;
use super::twilio::{Flavour, open_as};
use crate::telemetry::Secret;

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    let flavour = Flavour { linear: Some(opening.settings.signalwire.l16_byte_order), keys_out: true };
    let token = opening.handshake.bearer().map(|token| Secret::new(token.to_owned()));
    open_as(opening, flavour, token)
}
