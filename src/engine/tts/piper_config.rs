//! The `.onnx.json` beside a Piper voice: rate, symbols, pace. What comes out can be used without further checks.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::TtsError;
use crate::audio::units::SampleRate;

/// A voice's description.
#[derive(Clone, Debug)]
pub struct PiperConfig {
    /// Of the samples the model gives.
    pub rate: SampleRate,
    /// How much the sound varies from one reading to the next.
    pub noise_scale: f32,
    /// Pace; 1.0 is the voice's own, larger is slower.
    pub length_scale: f32,
    /// How much the lengths of the sounds vary.
    pub noise_w: f32,
    /// espeak's name of the language, such as `en-us`.
    pub language: String,
    /// Speakers in the model, at least one.
    pub speakers: u32,
    symbols: HashMap<char, Vec<i64>>,
}

const PAD: char = '_';
const BEGIN: char = '^';
const END: char = '$';

#[derive(Deserialize)]
struct Raw {
    audio: RawAudio,
    #[serde(default)]
    inference: RawInference,
    espeak: Option<RawEspeak>,
    phoneme_type: Option<String>,
    phoneme_id_map: HashMap<String, Vec<i64>>,
    num_speakers: Option<u32>,
}

#[derive(Deserialize)]
struct RawAudio {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct RawEspeak {
    voice: String,
}

/// The defaults are those Piper trains with.
#[derive(Deserialize)]
#[serde(default)]
struct RawInference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Default for RawInference {
    fn default() -> Self {
        Self { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

impl PiperConfig {
    /// Reads `path`; an error names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, TtsError> {
        let fail = |reason: String| TtsError::Load { path: path.display().to_string(), reason };
        let json = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        Self::parse(&json).map_err(fail)
    }

    fn parse(json: &[u8]) -> Result<Self, String> {
        let raw: Raw =
            serde_json::from_slice(json).map_err(|error| format!("not a Piper voice description: {error}"))?;
        let rate = raw.audio.sample_rate;
        if !(8_000..=48_000).contains(&rate) {
            return Err(format!("`audio.sample_rate` is {rate}, expected 8000 to 48000"));
        }
        if let Some(kind) = raw.phoneme_type.filter(|kind| kind != "espeak") {
            return Err(format!("`phoneme_type` is `{kind}`, only `espeak` voices can be used"));
        }
        let RawInference { noise_scale, length_scale, noise_w } = raw.inference;
        for (key, value) in [("noise_scale", noise_scale), ("length_scale", length_scale), ("noise_w", noise_w)] {
            if !(0.0..=10.0).contains(&value) {
                return Err(format!("`inference.{key}` is {value}, expected 0 to 10"));
            }
        }
        let mut symbols = HashMap::new();
        for (symbol, ids) in raw.phoneme_id_map {
            let mut chars = symbol.chars();
            if let (Some(symbol), None) = (chars.next(), chars.next())
                && !ids.is_empty()
            {
                symbols.insert(symbol, ids);
            }
        }
        if let Some(missing) = [PAD, BEGIN, END].into_iter().find(|symbol| !symbols.contains_key(symbol)) {
            return Err(format!("`phoneme_id_map` lacks `{missing}`"));
        }
        Ok(Self {
            rate: SampleRate(rate),
            noise_scale,
            length_scale,
            noise_w,
            language: raw.espeak.map_or_else(|| "en-us".to_owned(), |espeak| espeak.voice),
            speakers: raw.num_speakers.unwrap_or(1).max(1),
            symbols,
        })
    }

    /// The model's input for `phonemes`: begin, then each symbol, padded apart, then end. Unknown symbols are left out.
    pub fn ids(&self, phonemes: &str) -> Vec<i64> {
        let ids_of = |symbol: char| self.symbols.get(&symbol).map_or(&[][..], Vec::as_slice);
        let mut ids = Vec::with_capacity(phonemes.len() * 2 + 4);
        for symbol in
            std::iter::once(BEGIN).chain(phonemes.chars().filter(|symbol| ![PAD, BEGIN, END].contains(symbol)))
        {
            if let known @ [_, ..] = ids_of(symbol) {
                ids.extend_from_slice(known);
                ids.extend_from_slice(ids_of(PAD));
            }
        }
        ids.extend_from_slice(ids_of(END));
        ids
    }

    /// Whether the model knows `symbol`.
    pub fn knows(&self, symbol: char) -> bool {
        self.symbols.contains_key(&symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: &str = r#"{
        "audio": {"sample_rate": 22050, "quality": "medium"}, "espeak": {"voice": "en-us"}, "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.6, "length_scale": 1, "noise_w": 0.7}, "num_speakers": 1,
        "phoneme_id_map": {"_": [0], "^": [1], "$": [2], " ": [3], "a": [14], "b": [15]}
    }"#;

    #[test]
    fn symbols_are_padded_apart_and_unknown_ones_left_out() {
        let config = PiperConfig::parse(VOICE.as_bytes()).expect("a voice");
        assert_eq!(config.ids("ab?_a"), [1, 0, 14, 0, 15, 0, 14, 0, 2]);
        assert_eq!(config.ids(""), [1, 0, 2]);
        assert_eq!((config.rate.0, config.noise_scale, config.speakers), (22_050, 0.6, 1));
        assert!(config.knows('a') && !config.knows('?'));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |from: &str, to: &str, says: &str| {
            let json = VOICE.replace(from, to);
            assert_ne!(json, VOICE);
            let error = PiperConfig::parse(json.as_bytes()).expect_err(says);
            assert!(error.contains(says), "{error}");
        };
        check("22050", "0", "`audio.sample_rate` is 0, expected 8000 to 48000");
        check("\"phoneme_type\": \"espeak\"", "\"phoneme_type\": \"text\"", "`phoneme_type` is `text`");
        check("\"^\": [1], ", "", "`phoneme_id_map` lacks `^`");
        check("0.7", "-1", "`inference.noise_w` is -1");
        check("\"audio\"", "\"sound\"", "missing field `audio`");
        assert!(PiperConfig::parse(b"\xff").is_err());
        let error = PiperConfig::read(Path::new("no/such/voice.onnx.json")).expect_err("no file");
        assert!(error.to_string().contains("no/such/voice.onnx.json"), "{error}");
    }
}
