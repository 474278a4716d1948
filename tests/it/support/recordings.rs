//! Recorded people, out of Debian's `pocketsphinx-testdata`.

const GO_FORWARD: &str = "/usr/share/pocketsphinx/test/data/goforward.raw";

/// A person who says "go forward ten meters", 16 kHz.
pub fn go_forward() -> Vec<i16> {
    let bytes = std::fs::read(GO_FORWARD).expect("apt-get install pocketsphinx-testdata");
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}
