//! A scripted model for tests: tokens are bytes, and after the last `>` of a sequence it says its script.
//!
//! It keeps its sequences like the real one, so a wrong position or a lost cell fails the test that caused it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::job::{CancelFlag, Event, Generation, Job, JobKind};
use crate::cache::SeqId;
use crate::model::{Backend, DecodeError, Evaluation, Token};

/// Ends a generation.
pub const END: Token = 0;

/// One evaluation that happened, or was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub text: String,
    pub from: usize,
    pub threads: u32,
    pub done: bool,
}

type Hook = Box<dyn FnMut(&Record) + Send>;

pub struct FakeBackend {
    pub script: Vec<u8>,
    pub cells: usize,
    pub limit: usize,
    pub log: Arc<Mutex<Vec<Record>>>,
    /// Called before each token of an evaluation.
    pub hook: Option<Hook>,
    /// The evaluation of this byte fails.
    pub fails_on: Option<u8>,
    sequences: BTreeMap<SeqId, Vec<(Token, u64)>>,
    written: u64,
    logits: Vec<f32>,
}

impl FakeBackend {
    pub fn new(script: &str) -> Self {
        Self {
            script: script.as_bytes().to_vec(),
            cells: 1_000,
            limit: 500,
            log: Arc::default(),
            hook: None,
            fails_on: None,
            sequences: BTreeMap::new(),
            written: 0,
            logits: Vec::new(),
        }
    }

    fn used(&self) -> usize {
        self.sequences.values().flatten().map(|(_, cell)| cell).collect::<HashSet<_>>().len()
    }
}

impl Backend for FakeBackend {
    fn cells(&self) -> usize {
        self.cells
    }
    fn sequences(&self) -> u32 {
        8
    }
    fn max_batch(&self) -> usize {
        64
    }
    fn limit(&self) -> usize {
        self.limit
    }

    fn evaluate(&mut self, what: Evaluation<'_>, interrupt: &dyn Fn() -> bool) -> Result<(), DecodeError> {
        let held = self.sequences.get(&what.seq).map_or(0, Vec::len);
        assert_eq!(held, what.from, "positions follow on");
        let bytes: Vec<u8> = what.tokens.iter().map(|token| *token as u8).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut record = Record { text, from: what.from, threads: what.threads, done: false };
        for byte in &bytes {
            if let Some(hook) = &mut self.hook {
                hook(&record);
            }
            if interrupt() {
                self.log.lock().expect("no test panics in here").push(record);
                return Err(DecodeError::Interrupted);
            }
            if self.fails_on == Some(*byte) {
                return Err(DecodeError::Failed(-3));
            }
        }
        if self.used() + what.tokens.len() > self.cells {
            return Err(DecodeError::NoCell);
        }
        record.done = true;
        self.log.lock().expect("no test panics in here").push(record);
        let sequence = self.sequences.entry(what.seq).or_default();
        for token in what.tokens {
            self.written += 1;
            sequence.push((*token, self.written));
        }
        self.logits.clear();
        if what.logits {
            let said = sequence.iter().rev().take_while(|(token, _)| *token != Token::from(b'>')).count();
            let next = self.script.get(said).copied().map_or(END, Token::from);
            self.logits = (0..256).map(|token| if token == next { 5.0 } else { 0.0 }).collect();
        }
        Ok(())
    }

    fn logits(&self) -> &[f32] {
        assert!(!self.logits.is_empty(), "scores were asked for with the evaluation");
        &self.logits
    }

    fn share(&mut self, from: SeqId, to: SeqId, len: usize) {
        let shared = self.sequences[&from][..len].to_vec();
        assert!(self.sequences.insert(to, shared).is_none(), "shares into an empty sequence");
    }

    fn clear(&mut self, seq: SeqId) {
        self.sequences.remove(&seq);
    }

    fn piece(&self, token: Token, out: &mut Vec<u8>) {
        out.push(token as u8);
    }

    fn ends(&self, token: Token) -> bool {
        token == END
    }
}

/// A job that generates nothing in particular; keep the receiver to keep the job wanted.
pub fn job(prompt: &[Token], background: bool) -> (Job, mpsc::Receiver<Event>) {
    let (events, receiver) = mpsc::channel(Job::events_needed(500));
    let kind = JobKind::Generate(generation());
    let prompt = prompt.to_vec();
    (Job { prompt, kind, background, cancel: CancelFlag::default(), events, queued: super::run::now() }, receiver)
}

/// Greedy, up to 400 tokens.
pub fn generation() -> Generation {
    Generation {
        max_tokens: 400,
        temperature: 0.0,
        top_p: 1.0,
        seed: 1,
        stop: Vec::new(),
        logprobs: None,
        constraint: None,
    }
}
