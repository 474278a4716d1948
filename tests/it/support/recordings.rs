//! Recorded people, out of Debian's `pocketsphinx-testdata` and `asterisk-core-sounds-en-wav`.

use std::path::PathBuf;

use warmline::audio::resample::resample_all;
use warmline::audio::units::SampleRate;

const GO_FORWARD: &str = "usr/share/pocketsphinx/test/data/goforward.raw";
const THANKS: &str = "usr/share/asterisk/sounds/en_US_f_Allison/queue-thankyou.wav";

/// Where a package put it, or `scripts/fetch-recordings`.
fn find(file: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let fetched = cache.map(|cache| cache.join("warmline/recordings").join(file));
    let places = [Some(PathBuf::from("/").join(file)), fetched];
    places
        .into_iter()
        .flatten()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("scripts/fetch-recordings has {file}"))
}

/// A person who says "go forward ten meters", 16 kHz.
pub fn go_forward() -> Vec<i16> {
    let bytes = std::fs::read(find(GO_FORWARD)).expect("readable");
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Another, who says "thank you for your patience", 16 kHz.
pub fn thanks() -> Vec<i16> {
    let wav = hound::WavReader::open(find(THANKS)).expect("a WAV file");
    let rate = SampleRate(wav.spec().sample_rate);
    let pcm: Vec<i16> = wav.into_samples().map(|sample| sample.expect("a sample")).collect();
    resample_all(&pcm, rate, SampleRate::WIDEBAND).expect("rates")
}
