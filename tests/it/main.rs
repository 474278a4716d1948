//! The one integration test binary.

mod support;
mod telephony;
mod telephony_call;
