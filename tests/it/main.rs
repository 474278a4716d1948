//! The one integration test binary.

mod cli;
mod support;
mod telephony;
mod telephony_call;
mod web;
