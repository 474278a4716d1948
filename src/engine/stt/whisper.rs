//! Whisper through whisper.cpp.
//!
//! ```text
//! utterance ─▶ trim ─▶ context for its length ─▶ greedy decode ─▶ guards ── fine ──▶ transcript
//!                          ▲                                        │ a finding
//!                          └── once more, larger context ───────────┤ a finding again
//!                                                                   └──▶ empty transcript, named guard
//! ```
//! Whisper was trained on windows of 30 s. Computing only as much of the window as the utterance fills is about seven
//! times faster on telephone utterances, and makes it loop now and then; short silence around the words, spare context
//! behind them and timestamp tokens nearly stop that, and [`super::guard`] catches the rest. A text that is one phrase over
//! and over, its words sure and as many as the sound has room for once, is taken once and not decoded again.
//!
//! Which language an utterance is in is read off the step that tells whether there is speech at all, so that it costs
//! nothing; only words in another language than expected are decoded again, in that one.
//!
//! The model is loaded once. A state (200 MB for `base`) serves one decode at a time and is used again.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState, WhisperTokenId,
};

use super::guard::{self, Candidate, Finding};
use super::trim::{Sound, find_sound};
use super::{Detected, SpeechToText, Spoken, SttError, Transcript, Utterance, Word};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::dialog::language::Language;
use crate::engine::CancelFlag;

/// Encoder positions a second of audio takes.
const POSITIONS_PER_SECOND: usize = 50;
/// The whole window of 30 s.
const WHOLE_CONTEXT: usize = 1_500;
/// Context behind the utterance: with less it loops, with more it only takes longer.
const SPARE_CONTEXT: usize = 64;
/// Least context: with less a word of its own is heard badly and looped. 284 prompts, errors in those of one and two
/// words: 77 % without a floor, 42 % at 192, 33 % at 320, 35 % at 384.
const LEAST_CONTEXT: usize = 320;
/// Contexts are multiples of this.
const CONTEXT_STEP: usize = 64;
/// A second decode has at least this much context.
const RETRY_CONTEXT: usize = 768;
/// Words at least this probable are taken from a text that loops; with a less sure one it is decoded again.
const SURE_WORD: f32 = 0.5;
/// whisper.cpp does nothing for less than a tenth of a second.
const SHORTEST_SEARCH: Millis = Millis(120);
/// Whisper wants a second of input.
const SHORTEST: usize = SampleRate::WIDEBAND.samples_in(Millis(1_100));
/// Less sound than this does not tell its language.
const SHORTEST_SPEECH: Millis = Millis(700);
/// How probable another language must be, among those that are spoken here, to be the caller's.
const SURE_OF_ANOTHER: f32 = 0.8;
/// The same for the expected one: with less, the next utterance is asked too, which costs nothing.
const SURE_OF_EXPECTED: f32 = 0.9;
/// From this probability of no speech on there is no language to be told.
const NO_LANGUAGE: f32 = 0.5;
/// Tokens of the prompt made of hints: each costs time in every decode.
const HINT_TOKENS: usize = 80;
/// Tokens of a transcript: fast speech and dictated digits take 7 a second, timestamps included.
const TOKENS_PER_SECOND: usize = 10;
const SPARE_TOKENS: usize = 16;

/// A loaded Whisper model.
pub struct Whisper {
    name: String,
    context: WhisperContext,
    /// Language and the like, set once: whisper-rs never frees the strings it is given.
    params: FullParams<'static, 'static>,
    language: Language,
    /// The same for other languages.
    foreign: Mutex<HashMap<Language, FullParams<'static, 'static>>>,
    idle: Mutex<Vec<WhisperState>>,
}

/// How large a decode is.
#[derive(Clone, Copy)]
struct Size {
    /// Encoder positions.
    context: usize,
    /// Where the sound ends: a time stamp from shortly before it on ends the text.
    end: Millis,
    threads: usize,
}

/// What one decode gave.
struct Decoded {
    text: String,
    words: Vec<Word>,
    avg_logprob: f32,
    no_speech: Probability,
    /// How probable each of the candidates is, among them.
    spoken: Vec<(Language, f32)>,
    out_of_budget: bool,
}

impl Whisper {
    /// Loads a ggml model for `language` (Whisper's two letters) and makes the states of `workers` decodes at once.
    pub fn load(model: &Path, language: &str, workers: usize) -> Result<Self, SttError> {
        static LOGGING: Once = Once::new();
        LOGGING.call_once(whisper_rs::install_logging_hooks);
        let fail = |reason: String| SttError::Load { path: model.display().to_string(), reason };
        if !model.is_file() {
            return Err(fail("no such file".to_owned()));
        }
        let Some(language) = whisper_rs::get_lang_id(language).and_then(whisper_rs::get_lang_str) else {
            return Err(fail(format!("Whisper knows no language `{language}`")));
        };
        let mut options = WhisperContextParameters::new();
        options.use_gpu(false).flash_attn(false);
        let context = WhisperContext::new_with_params(model, options).map_err(|error| fail(error.to_string()))?;
        if !context.is_multilingual() && language != "en" {
            return Err(fail(format!("the model knows English only, not `{language}`")));
        }
        let idle = (0..workers.max(1))
            .map(|_| context.create_state())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fail(error.to_string()))?;
        let code = whisper_rs::print_system_info();
        if code.contains("LLAMAFILE = 1") {
            tracing::debug!(code, "Whisper is loaded");
        } else {
            tracing::warn!(code, "whisper.cpp was built without its batch matrix code: decodes take twice as long");
        }
        let stem = model.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let name = stem.trim_end_matches(".bin").trim_end_matches(".ggml").to_owned();
        let foreign = Mutex::default();
        let spoken = Language::parse(language).unwrap_or_default();
        Ok(Self { name, context, params: params(language), language: spoken, foreign, idle: Mutex::new(idle) })
    }

    /// How `language` is decoded; one the model does not know is decoded as its own.
    fn params_of(&self, language: Language) -> FullParams<'static, 'static> {
        let known = || whisper_rs::get_lang_id(language.as_str()).and_then(whisper_rs::get_lang_str);
        if language == self.language || !self.context.is_multilingual() {
            return self.params.clone();
        }
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        match known() {
            Some(name) => foreign.entry(language).or_insert_with(|| params(name)).clone(),
            None => self.params.clone(),
        }
    }

    fn state(&self) -> Result<WhisperState, SttError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(state) => Ok(state),
            None => self.context.create_state().map_err(|error| SttError::Engine(error.to_string())),
        }
    }

    /// One decode of `pcm`.
    fn decode(
        &self,
        pcm: &[f32],
        sound: Millis,
        size: Size,
        prompt: &[WhisperTokenId],
        spoken: &Spoken,
        cancel: &CancelFlag,
    ) -> Result<Decoded, SttError> {
        let budget = sound.0 as usize * TOKENS_PER_SECOND / 1_000 + SPARE_TOKENS;
        let mut params: FullParams<'_, '_> = self.params_of(spoken.language.unwrap_or(self.language));
        params.set_audio_ctx(size.context as i32);
        params.set_duration_ms(size.end.0.max(SHORTEST_SEARCH.0) as i32);
        params.set_n_threads(size.threads.max(1) as i32);
        params.set_max_tokens(budget as i32);
        params.set_tokens(prompt);
        stop_when(&mut params, cancel);
        let mut state = self.state()?;
        let outcome = state.full(params, pcm);
        let decoded = match outcome {
            _ if cancel.is_cancelled() => Err(SttError::Cancelled),
            Err(error) => Err(SttError::Engine(error.to_string())),
            Ok(()) => read(&state, self.context.token_eot(), budget).and_then(|decoded| {
                let (no_speech, spoken) = self
                    .first_token(&mut state, &spoken.candidates)
                    .map_err(|error| SttError::Engine(error.to_string()))?;
                Ok(Decoded { no_speech, spoken, ..decoded })
            }),
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        decoded
    }

    /// The probability that there is no speech in what `state` has encoded, and of each candidate that it is the language.
    ///
    /// Defined at the start-of-transcript token. whisper.cpp takes it after the language and task tokens, where it is
    /// always zero with a multilingual model; one more step of the decoder gives the real one, and languages with it.
    fn first_token(
        &self,
        state: &mut WhisperState,
        candidates: &[Language],
    ) -> Result<(Probability, Vec<(Language, f32)>), WhisperError> {
        state.decode(&[self.context.token_sot()], 0, 1)?;
        let logits = state.get_logits()?;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let no_speech = logits.get(self.context.token_nosp() as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let token = |language: &Language| {
            let id = whisper_rs::get_lang_id(language.as_str())?;
            let logit = logits.get(usize::try_from(self.context.token_lang(id)).ok()?)?;
            Some((*language, (logit - largest).exp()))
        };
        let candidates = if self.context.is_multilingual() { candidates } else { &[] };
        let mut spoken: Vec<(Language, f32)> = candidates.iter().filter_map(token).collect();
        let sum: f32 = spoken.iter().map(|(_, weight)| weight).sum();
        spoken.iter_mut().for_each(|(_, weight)| *weight /= sum.max(f32::MIN_POSITIVE));
        Ok((Probability::clamped((no_speech - largest).exp() / all), spoken))
    }

    /// The hints as the end of a preceding text, as many as fit.
    fn prompt(&self, hints: &[String]) -> Vec<WhisperTokenId> {
        let mut fitting: Vec<WhisperTokenId> = Vec::new();
        let mut text = String::new();
        for hint in hints.iter().map(|hint| hint.replace('\0', "")).filter(|hint| !hint.trim().is_empty()) {
            text = if text.is_empty() { format!(" {hint}") } else { format!("{text}, {hint}") };
            let whole = format!("{text}.");
            // A token is at least a byte; with less room the tokeniser's answer would be unusable.
            match self.context.tokenize(&whole, whole.len() + 1) {
                Ok(tokens) if tokens.len() <= HINT_TOKENS => fitting = tokens,
                _ => break,
            }
        }
        fitting
    }

    /// Decodes, and once more with more context if the guards object.
    fn recognise(
        &self,
        utterance: &Utterance,
        sound: &Sound,
        threads: usize,
        cancel: &CancelFlag,
    ) -> Result<Recognised, SttError> {
        let span = SampleRate::WIDEBAND.span_of(sound.range.len());
        let mut pcm: Vec<f32> =
            utterance.pcm[sound.range.clone()].iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        pcm.resize(pcm.len().max(SHORTEST), 0.0);
        let context = fitted_context(span);
        let end = SampleRate::WIDEBAND.span_of(sound.bare.end - sound.range.start);
        let prompt = self.prompt(&utterance.hints);
        let size = Size { context, end, threads };
        let first = self.decode(&pcm, span, size, &prompt, &utterance.spoken, cancel)?;
        let expected = utterance.spoken.language.unwrap_or(self.language);
        let language = first.language(end, expected);
        let (first, spoken) = match language {
            Some(Detected { language, sure: true, .. }) if language != expected => {
                let spoken = Spoken::from(language);
                // The hints are in the language that was expected.
                (self.decode(&pcm, span, size, &[], &spoken, cancel)?, spoken)
            }
            _ => (first, Spoken::from(expected)),
        };
        let told = |(decoded, guard): (Decoded, Option<String>)| Ok(Recognised { decoded, guard, language });
        let candidate = first.candidate(span, sound, &utterance.hints);
        let Some(finding) = guard::inspect(&candidate) else { return told((first, None)) };
        if matches!(finding, Finding::Loop | Finding::Doubled)
            && let Some(length) = guard::said_once(&first.text, span)
            && first.is_sure_of(length)
        {
            return told((first.first_words(length), Some("halved".to_owned())));
        }
        if !candidate.another_decode_may_help() {
            return told((first.without_text(), Some(finding.label().to_owned())));
        }
        // Without the hints: they may be what misleads it.
        let context = (context * 2).clamp(RETRY_CONTEXT, WHOLE_CONTEXT);
        let second = self.decode(&pcm, span, Size { context, ..size }, &[], &spoken, cancel)?;
        told(match guard::inspect(&second.candidate(span, sound, &utterance.hints)) {
            None => (second, Some(format!("retried:{}", finding.label()))),
            // Twice in the time of once, whatever the context: it was said, and said once.
            Some(Finding::Doubled) => {
                let half = second.words.len().div_ceil(2);
                (second.first_words(half), Some("halved".to_owned()))
            }
            Some(finding) => (second.without_text(), Some(finding.label().to_owned())),
        })
    }
}

/// What an utterance was recognised as.
struct Recognised {
    decoded: Decoded,
    guard: Option<String>,
    language: Option<Detected>,
}

impl Decoded {
    /// Which of the candidates it is in; none: there is too little to tell by.
    fn language(&self, sound: Millis, expected: Language) -> Option<Detected> {
        let (language, probability) = self.spoken.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if sound < SHORTEST_SPEECH || self.no_speech.get() > NO_LANGUAGE {
            return None;
        }
        let enough = if language == expected { SURE_OF_EXPECTED } else { SURE_OF_ANOTHER };
        Some(Detected { language, probability: Probability::clamped(probability), sure: probability >= enough })
    }

    fn candidate<'a>(&'a self, span: Millis, sound: &Sound, hints: &'a [String]) -> Candidate<'a> {
        Candidate {
            text: &self.text,
            avg_logprob: self.avg_logprob,
            no_speech: self.no_speech,
            sound: span,
            dbfs: sound.dbfs,
            out_of_budget: self.out_of_budget,
            hints,
        }
    }

    /// No word of its first `length` is much of a guess.
    fn is_sure_of(&self, length: usize) -> bool {
        self.words.len() >= length && self.words[..length].iter().all(|word| word.probability.get() >= SURE_WORD)
    }

    /// What is left of a text that says everything more than once.
    fn first_words(mut self, length: usize) -> Self {
        self.words.truncate(length);
        self.text = self.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        self
    }

    fn without_text(self) -> Self {
        Self { text: String::new(), words: Vec::new(), ..self }
    }
}

impl SpeechToText for Whisper {
    fn transcribe(&self, utterance: &Utterance, threads: usize, cancel: &CancelFlag) -> Result<Transcript, SttError> {
        #[expect(clippy::disallowed_methods, reason = "measures the engine's own work, on the engine's thread")]
        let begun = Instant::now();
        let audio = utterance.span();
        let Some(sound) = find_sound(&utterance.pcm) else {
            let no_speech = Probability::clamped(1.0);
            return Ok(Transcript { audio, no_speech, guard: Some("silence".to_owned()), ..Transcript::default() });
        };
        let Recognised { decoded, guard, language } = self.recognise(utterance, &sound, threads, cancel)?;
        let offset = SampleRate::WIDEBAND.span_of(sound.range.start);
        let shift = |at: Millis| Millis((at + offset).0.min(audio.0));
        Ok(Transcript {
            compression_ratio: guard::compression_ratio(&decoded.text),
            words: decoded
                .words
                .into_iter()
                .map(|word| Word { start: shift(word.start), end: shift(word.end), ..word })
                .collect(),
            text: decoded.text,
            avg_logprob: decoded.avg_logprob,
            no_speech: decoded.no_speech,
            audio,
            decode: begun.elapsed().max(Duration::from_micros(1)),
            language,
            guard,
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Encoder positions for a sound of this length.
fn fitted_context(sound: Millis) -> usize {
    let needed = (sound.0 as usize * POSITIONS_PER_SECOND).div_ceil(1_000) + SPARE_CONTEXT;
    needed.next_multiple_of(CONTEXT_STEP).clamp(LEAST_CONTEXT, WHOLE_CONTEXT)
}

fn params(language: &'static str) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_language(Some(language));
    // Everything in one window: an utterance is shorter than 30 s, and a second window over the silence at its end is
    // where text gets invented.
    params.set_single_segment(true);
    params.set_no_context(true);
    params.set_no_timestamps(false);
    params.set_token_timestamps(true);
    params.set_suppress_blank(true);
    params.set_suppress_nst(true);
    // Our guards decide, on the text as it came: no second try with random sampling, nothing withheld.
    params.set_temperature_inc(0.0);
    params.set_no_speech_thold(1.0);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params.set_print_special(false);
    params
}

/// Makes a decode with `params` stop at its next step when `cancel` is set: the encoder is one step, each token another.
#[expect(unsafe_code, reason = "whisper-rs' own closure callback casts to the wrong type and is never freed")]
fn stop_when<'a>(params: &mut FullParams<'a, 'a>, cancel: &'a CancelFlag) {
    unsafe extern "C" fn is_cancelled(flag: *mut c_void) -> bool {
        // SAFETY: `flag` is the `&CancelFlag` below, which outlives `params` by the lifetime above; it is only read.
        unsafe { &*flag.cast::<CancelFlag>().cast_const() }.is_cancelled()
    }
    let flag = std::ptr::from_ref(cancel).cast_mut().cast::<c_void>();
    // SAFETY: the callback and its data match, and neither is used after `params`.
    unsafe {
        params.set_abort_callback(Some(is_cancelled));
        params.set_abort_callback_user_data(flag);
    }
}

/// Takes text, words and measures out of a state that has decoded.
fn read(state: &WhisperState, end_of_text: WhisperTokenId, budget: usize) -> Result<Decoded, SttError> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut words = Words::default();
    let (mut logprobs, mut tokens, mut all) = (0.0, 0, 0);
    for segment in state.as_iter() {
        for index in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(index) else { break };
            all += 1;
            let data = token.token_data();
            if data.id >= end_of_text {
                continue; // timestamps and other marks
            }
            let piece = token.to_bytes().map_err(|error| SttError::Engine(error.to_string()))?;
            bytes.extend_from_slice(piece);
            logprobs += data.plog;
            tokens += 1;
            words.push(piece, centiseconds(data.t0), centiseconds(data.t1), data.p);
        }
    }
    // Tokens split characters, so text is made of all the bytes at once.
    let text = guard::without_descriptions(&String::from_utf8_lossy(&bytes));
    Ok(Decoded {
        words: if text.is_empty() { Vec::new() } else { words.finish() },
        text,
        avg_logprob: if tokens == 0 { 0.0 } else { logprobs / tokens as f32 },
        no_speech: Probability::default(),
        spoken: Vec::new(),
        out_of_budget: all > budget,
    })
}

fn centiseconds(at: i64) -> Millis {
    Millis(u32::try_from(at.max(0)).unwrap_or(u32::MAX).saturating_mul(10))
}

/// Joins tokens into words: a word begins where a token begins with a space.
#[derive(Default)]
struct Words {
    done: Vec<Word>,
    open: Option<(Vec<u8>, Word)>,
}

impl Words {
    fn push(&mut self, piece: &[u8], start: Millis, end: Millis, probability: f32) {
        let probability = Probability::clamped(probability);
        match &mut self.open {
            Some((bytes, word)) if !piece.starts_with(b" ") => {
                bytes.extend_from_slice(piece);
                word.end = word.end.max(end);
                if probability < word.probability {
                    word.probability = probability;
                }
            }
            _ => {
                self.close();
                let word = Word { text: String::new(), start, end: end.max(start), probability };
                self.open = Some((piece.to_vec(), word));
            }
        }
    }

    fn close(&mut self) {
        if let Some((bytes, word)) = self.open.take() {
            let text = guard::without_descriptions(&String::from_utf8_lossy(&bytes));
            if !text.is_empty() {
                self.done.push(Word { text, ..word });
            }
        }
    }

    fn finish(mut self) -> Vec<Word> {
        self.close();
        self.done
    }
}
