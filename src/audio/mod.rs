//! Sound as numbers: units, frames, codecs, resampling, mixing, WAV. PURE: no clock, no sockets, no tasks.
//!
//! Inside Warmline every leg is 16 kHz mono `i16` in 20 ms frames ([`frame::AudioFrame`]); codecs and other rates exist
//! only at the edge, in a provider's protocol and in the driver that owns its socket.

pub mod byte_order;
pub mod codec;
pub mod dtmf;
pub mod frame;
pub mod framer;
pub mod g711;
mod halfband;
pub mod mix;
pub mod resample;
pub mod units;
pub mod wav;
