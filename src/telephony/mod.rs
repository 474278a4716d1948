//! Providers and their websocket dialects, as state machines without sockets. PURE.
//!
//! A provider is one row in [`providers::PROVIDERS`] and one file here that implements
//! [`protocol::MediaProtocol`]. What dialects share is in `lifecycle`, `stream`, `json`, `reorder`, `packer` and `marks`. The
//! only driver is `web/media.rs`: it owns the socket, feeds one input, drains the
//! outputs, and resamples between the provider's rate and the 16 kHz used inside.

pub mod asterisk;
pub mod audiocodes;
pub mod audiohook;
pub mod bandwidth;
pub mod browser;
pub mod exotel;
pub mod freeswitch;
pub mod handshake;
pub mod jambonz;
pub mod json;
pub mod lifecycle;
pub mod marks;
pub mod packer;
pub mod playout;
pub mod plivo;
pub mod protocol;
pub mod providers;
pub mod reorder;
pub mod signalwire;
pub mod signature;
pub mod stream;
pub mod telnyx;
pub mod twilio;
pub mod vonage;
