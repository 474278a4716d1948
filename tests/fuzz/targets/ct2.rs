//! A model file of anything at all: the conversion refuses it or writes something, and never panics.
#![no_main]

use std::io::{Cursor, sink};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use warmline::models::convert::ct2_to_ggml;

/// A vocabulary that is always good, so that the weights decide.
static VOCABULARY: LazyLock<String> = LazyLock::new(|| "a\n".repeat(60_000));

fuzz_target!(|input: &[u8]| {
    let _ = ct2_to_ggml(Cursor::new(input), &VOCABULARY, sink());
});
