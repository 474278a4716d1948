//! A server on which something does not work.

use std::ops::ControlFlow;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::scenario::Fault;
use crate::app::OwnEngines;
use crate::app::engines;
use crate::cli::CliError;
use crate::config::{Config, KnowledgeConfig, LlmMode};
use crate::engine::CancelFlag;
use crate::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use crate::engine::tts::{TextToSpeech, TtsError};

/// Nothing listens there: the port is that of a service that throws everything away, and no server has it on.
const NOWHERE: &str = "http://127.0.0.1:9/v1";
/// All that is known where nothing can be found.
const NOTHING: &str = "+++\ntitle = \"Zzyzx\"\napproved = \"Zzyzx.\"\nalso_asked = [\"zzyzx\"]\n+++\nZzyzx.\n";
const WHY: &str = "broken by the scenario";

/// A configuration and engines with faults.
pub struct Broken {
    /// For the server.
    pub config: Config,
    /// Instead of the configured ones, where it takes others.
    pub engines: Option<OwnEngines>,
    /// Holds the knowledge there is left.
    _folder: Option<TempDir>,
}

/// `config` with these broken.
pub async fn break_down(config: &Config, faults: &[Fault]) -> Result<Broken, CliError> {
    let mut config = config.clone();
    if faults.contains(&Fault::Llm) && config.llm.engine != LlmMode::Off {
        config.llm.engine = LlmMode::Openai;
        NOWHERE.clone_into(&mut config.llm.url);
        (config.llm.fallback_url, config.llm.embedded_fallback) = (String::new(), String::new());
    }
    let mut folder = None;
    if faults.contains(&Fault::Retrieval) {
        let failed = |error: std::io::Error| CliError::failed(format!("no temporary folder: {error}"), "");
        let made = tempfile::tempdir().map_err(failed)?;
        std::fs::write(made.path().join("nothing.md"), NOTHING).map_err(failed)?;
        config.dialog.knowledge_dir = made.path().to_owned();
        config.knowledge = KnowledgeConfig::default();
        folder = Some(made);
    }
    let engines = if faults.contains(&Fault::Stt) || faults.contains(&Fault::Tts) {
        let (loading, faults) = (config.clone(), faults.to_vec());
        // Loading reads hundreds of megabytes: not on a tokio worker.
        let loaded = tokio::task::spawn_blocking(move || with_broken(&loading, &faults)).await;
        Some(loaded.map_err(|error| CliError::failed(format!("engines could not be loaded: {error}"), ""))??)
    } else {
        None
    };
    Ok(Broken { config, engines, _folder: folder })
}

fn with_broken(config: &Config, faults: &[Fault]) -> Result<OwnEngines, CliError> {
    let stt: Arc<dyn SpeechToText> = match faults.contains(&Fault::Stt) {
        true => Arc::new(Deaf),
        false => engines::load_recogniser(config)?,
    };
    let tts: Arc<dyn TextToSpeech> = match faults.contains(&Fault::Tts) {
        true => Arc::new(Mute),
        false => engines::load_mouth(config)?,
    };
    Ok(OwnEngines { vad: engines::load_vad(config)?, stt, tts })
}

struct Deaf;

impl SpeechToText for Deaf {
    fn transcribe(&self, _: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        Err(SttError::Engine(WHY.to_owned()))
    }

    fn name(&self) -> &str {
        "broken"
    }
}

struct Mute;

impl TextToSpeech for Mute {
    fn speak(&self, _: &str, _: &CancelFlag, _: &mut dyn FnMut(&[i16]) -> ControlFlow<()>) -> Result<(), TtsError> {
        Err(TtsError::Engine(WHY.to_owned()))
    }

    fn name(&self) -> &str {
        "broken"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialog::knowledge::Knowledge;

    #[tokio::test]
    async fn what_is_broken_is_gone_and_the_rest_stays() {
        let config = Config::default();
        let whole = break_down(&config, &[]).await.expect("nothing to do");
        assert!(whole.engines.is_none() && whole.config.llm.engine == config.llm.engine);
        let broken = break_down(&config, &[Fault::Llm, Fault::Retrieval]).await.expect("broken");
        assert_eq!((broken.config.llm.engine, broken.config.llm.url.as_str()), (LlmMode::Openai, NOWHERE));
        let knowledge = Knowledge::load(&broken.config.dialog.knowledge_dir).expect("a folder of one entry");
        assert_eq!(knowledge.entries().len(), 1);
        assert!(knowledge.search("how long does delivery take", 3).is_empty());
    }
}
