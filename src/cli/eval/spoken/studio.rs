//! The caller's side of the sound: a voice for the scenario's words, the room behind it, and ears that check the replies.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::scenario::Turn;
use crate::app::engines;
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::cli::bench::conditions::speech_level;
use crate::cli::bench::noises::Random;
use crate::cli::ears::Ears;
use crate::cli::{CliError, explain};
use crate::config::{Config, TtsMode};
use crate::dialog::speakable::speakable;
use crate::engine::CancelFlag;
use crate::engine::stt::SpeechToText;
use crate::engine::stt::trim::find_sound;
use crate::engine::tts::TextToSpeech;

/// Noise before it begins again.
const BACKGROUND: Millis = Millis(30_000);

/// See the module's documentation.
pub struct Studio {
    config: Config,
    /// By name; the configured one has none.
    voices: HashMap<String, Arc<dyn TextToSpeech>>,
    ears: Ears,
}

impl Studio {
    /// With the configured recogniser and voice, loaded once more: the server has its own.
    pub async fn open(config: &Config) -> Result<Self, CliError> {
        let config = config.clone();
        let loading = move || {
            let (ears, voice) = (Ears::open(&config)?, engines::load_mouth(&config)?);
            Ok::<_, CliError>(Self::of(config, ears, voice))
        };
        tokio::task::spawn_blocking(loading)
            .await
            .map_err(|error| CliError::failed(format!("engines could not be loaded: {error}"), ""))?
    }

    /// With these; voices that scenarios name are loaded as ever.
    pub fn with(config: &Config, ears: Arc<dyn SpeechToText>, voice: Arc<dyn TextToSpeech>) -> Result<Self, CliError> {
        Ok(Self::of(config.clone(), Ears::with(ears, config)?, voice))
    }

    fn of(config: Config, ears: Ears, voice: Arc<dyn TextToSpeech>) -> Self {
        Self { config, voices: HashMap::from([(String::new(), voice)]), ears: ears.without_hints() }
    }

    /// A turn's words as sound, 16 kHz: its recording, else in this voice. Nothing where nothing is said.
    pub async fn say(&mut self, turn: &Turn, voice: &str) -> Result<Vec<i16>, CliError> {
        let Some(words) = &turn.say else { return Ok(Vec::new()) };
        if let Some(path) = &turn.wav {
            return wav::read(path).map_err(|error| CliError::usage(explain(&error), ""));
        }
        let (voice, words) = (self.voice(voice).await?, speakable(words));
        let speaking = move || {
            let mut pcm = Vec::new();
            let spoken = voice.speak(&words, &CancelFlag::new(), &mut |chunk| {
                pcm.extend_from_slice(chunk);
                ControlFlow::Continue(())
            });
            spoken.map(|()| pcm)
        };
        let spoken = tokio::task::spawn_blocking(speaking)
            .await
            .map_err(|error| CliError::failed(format!("the caller's voice broke: {error}"), ""))?;
        spoken.map_err(|error| CliError::failed(format!("the caller's voice: {}", explain(&error)), ""))
    }

    async fn voice(&mut self, name: &str) -> Result<Arc<dyn TextToSpeech>, CliError> {
        if let Some(known) = self.voices.get(name) {
            return Ok(known.clone());
        }
        let mut config = self.config.clone();
        config.tts.engine = TtsMode::Piper;
        name.clone_into(&mut config.tts.voice);
        let loaded = tokio::task::spawn_blocking(move || engines::load_mouth(&config))
            .await
            .map_err(|error| CliError::failed(format!("the voice could not be loaded: {error}"), ""))??;
        self.voices.insert(name.to_owned(), loaded.clone());
        Ok(loaded)
    }

    /// What is said in `pcm`, 16 kHz; nothing in silence.
    pub async fn hear(&self, pcm: &[i16]) -> Result<String, CliError> {
        let Some(sound) = find_sound(pcm) else { return Ok(String::new()) };
        let pieces = self.ears.recognise(&pcm[sound.range]).await?;
        let texts = pieces.iter().map(|piece| piece.transcript.text.trim()).filter(|text| !text.is_empty());
        Ok(texts.collect::<Vec<_>>().join(" "))
    }
}

/// Pink noise, `snr_db` quieter than the voice in `speech`. The same for the same seed.
pub fn background(speech: &[i16], snr_db: f32, seed: u32) -> Vec<i16> {
    let gain = speech_level(speech) / 10f32.powf(snr_db / 20.0) * 32_768.0;
    let mut random = Random::new(seed);
    (0..SampleRate::WIDEBAND.samples_in(BACKGROUND)).map(|_| (random.pink() * gain) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::mix::level_dbfs;

    #[test]
    fn the_room_is_as_loud_as_the_scenario_says() {
        let voice: Vec<i16> = (0..16_000).map(|n| if n % 40 < 20 { 4_000 } else { -4_000 }).collect();
        for snr_db in [5.0, 20.0] {
            let noise = background(&voice, snr_db, 3);
            let apart = level_dbfs(&voice) - level_dbfs(&noise);
            assert!((apart - snr_db).abs() < 1.5, "{apart} for {snr_db}");
            assert_eq!(noise, background(&voice, snr_db, 3));
        }
        assert!(background(&[0; 3_200], 10.0, 3).iter().all(|sample| *sample == 0), "nobody speaks");
    }
}
