//! Which evaluated tokens are kept, and which are reused: the bookkeeping of the key-value cache.
//!
//! One cache of `capacity` cells holds many token sequences. A cell belongs to one token at one position and may be
//! shared by all sequences that begin with the same tokens, so `system prompt + note 1` and `system prompt + note 2`
//! cost the system prompt once. A request reuses the sequence with the longest common beginning and evaluates its tail
//! only:
//!
//! - it continues that sequence in place if it covers all of it and nobody else needs it (the next turn of a call);
//! - otherwise it gets a sequence of its own that shares the common cells (a pinned note, another call).
//!
//! After the request the sequence stays, until cells or sequence numbers run out: then the least recently used one goes.
//! Pinned sequences stay until unpinned; they may take at most three quarters of the cells, so requests always have room.
//!
//! Pure: it decides and counts, and says by [`Op`] what the model's cache must do before the next evaluation.
//! Not here: saving to disk, and shifting positions (a changed beginning is evaluated again).

use crate::model::Token;

/// Number of a sequence in the model's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqId(pub u32);

/// What the model's cache must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make the first `len` tokens of `from` also those of the empty sequence `to`.
    Share { from: SeqId, to: SeqId, len: usize },
    /// Empty the sequence.
    Clear { seq: SeqId },
}

/// A request's hold on a sequence. It can be lost to eviction while the request is paused: see [`PrefixCache::holds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub seq: SeqId,
    id: u64,
}

/// Answer of [`PrefixCache::begin`].
#[derive(Debug, PartialEq, Eq)]
pub struct Begin {
    pub lease: Lease,
    /// Tokens of the prompt that need no evaluation.
    pub reused: usize,
    pub ops: Vec<Op>,
}

/// Nothing more can be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache is full: {pinned} of {capacity} tokens are pinned")]
pub struct Full {
    pub pinned: usize,
    pub capacity: usize,
}

/// One kept sequence, as `/health` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub tokens: usize,
    pub pinned: bool,
    /// Requests that reused it.
    pub hits: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    seq: SeqId,
    tokens: Vec<Token>,
    cells: Vec<usize>,
    pinned: bool,
    /// A request is using it.
    busy: bool,
    hits: u64,
    last_used: u64,
}

/// See the module.
#[derive(Debug)]
pub struct PrefixCache {
    entries: Vec<Entry>,
    free_sequences: Vec<SeqId>,
    sequences: usize,
    cells: Cells,
    /// Counts uses; stands in for a clock.
    tick: u64,
}

impl PrefixCache {
    /// `capacity` cells and `sequences` (at least 4) sequence numbers, all empty.
    pub fn new(capacity: usize, sequences: u32) -> Self {
        assert!(sequences >= 4, "one running, one paused and one evictable sequence are the least, {sequences} given");
        Self {
            entries: Vec::new(),
            free_sequences: (0..sequences).rev().map(SeqId).collect(),
            sequences: sequences as usize,
            cells: Cells::new(capacity),
            tick: 0,
        }
    }

    /// Cells in use; shared ones count once.
    pub fn used(&self) -> usize {
        self.cells.used()
    }

    pub fn capacity(&self) -> usize {
        self.cells.refs.len()
    }

    /// Cells held by pinned sequences; shared ones count once.
    pub fn pinned(&self) -> usize {
        let mut cells: Vec<usize> = self.entries.iter().filter(|e| e.pinned).flat_map(|e| e.cells.clone()).collect();
        cells.sort_unstable();
        cells.dedup();
        cells.len()
    }

    /// The kept sequences, most recently used first.
    pub fn prefixes(&self) -> Vec<Prefix> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.last_used));
        entries.iter().map(|e| Prefix { tokens: e.tokens.len(), pinned: e.pinned, hits: e.hits }).collect()
    }

    /// Finds or makes a sequence that begins like `prompt` and reserves it.
    ///
    /// `logits`: the scores after the last token are wanted, so at least that token is left to evaluate.
    pub fn begin(&mut self, prompt: &[Token], logits: bool) -> Result<Begin, Full> {
        let usable = prompt.len().saturating_sub(usize::from(logits));
        // Of equally good ones take the shortest: if it is covered whole it can be continued in place.
        let best = (0..self.entries.len())
            .map(|i| (common(&self.entries[i].tokens, prompt).min(usable), i))
            .filter(|(reused, _)| *reused > 0)
            .max_by_key(|&(reused, i)| (reused, std::cmp::Reverse(self.entries[i].tokens.len())));
        if let Some((reused, i)) = best {
            self.tick += 1;
            let entry = &mut self.entries[i];
            entry.last_used = self.tick;
            entry.hits += 1;
            if reused == entry.tokens.len() && !entry.pinned && !entry.busy {
                entry.busy = true;
                return Ok(Begin { lease: entry.lease(), reused, ops: Vec::new() });
            }
        }
        let source = best.map(|(reused, i)| (reused, self.entries[i].id));
        let mut ops = Vec::new();
        if self.free_sequences.is_empty() {
            ops.extend(self.evict(source.map(|(_, id)| id)));
        }
        let seq = self.free_sequences.pop().ok_or_else(|| self.full())?;
        let (tokens, cells) = match source.and_then(|(reused, id)| Some((reused, self.find(id)?))) {
            Some((reused, from)) => {
                ops.push(Op::Share { from: from.seq, to: seq, len: reused });
                (from.tokens[..reused].to_vec(), from.cells[..reused].to_vec())
            }
            None => (Vec::new(), Vec::new()),
        };
        for &cell in &cells {
            self.cells.retain(cell);
        }
        self.tick += 1;
        let reused = tokens.len();
        let entry =
            Entry { id: self.tick, seq, tokens, cells, pinned: false, busy: true, hits: 0, last_used: self.tick };
        let lease = entry.lease();
        self.entries.push(entry);
        Ok(Begin { lease, reused, ops })
    }

    /// Makes sure that `count` cells are free for the sequence, evicting others if needed.
    pub fn reserve(&mut self, lease: Lease, count: usize) -> Result<Vec<Op>, Full> {
        let mut ops = Vec::new();
        while self.cells.free.len() < count {
            match self.evict(Some(lease.id)) {
                Some(op) => ops.push(op),
                // What was evicted is gone and the model must hear of it, so a part of the room is still an answer.
                None if ops.is_empty() => return Err(self.full()),
                None => break,
            }
        }
        Ok(ops)
    }

    /// Free cells.
    pub fn free(&self) -> usize {
        self.cells.free.len()
    }

    /// Records tokens that were evaluated at the end of the sequence. The cells must be free: see [`Self::reserve`].
    pub fn append(&mut self, lease: Lease, tokens: &[Token]) {
        let entry = self.entries.iter_mut().find(|e| e.id == lease.id).expect("only a held lease is appended to");
        for &token in tokens {
            entry.cells.push(self.cells.take().expect("cells were reserved before the evaluation"));
            entry.tokens.push(token);
        }
    }

    /// Is the sequence still there?
    pub fn holds(&self, lease: Lease) -> bool {
        self.find(lease.id).is_some()
    }

    /// Tokens in the sequence; 0 if it is gone.
    pub fn len(&self, lease: Lease) -> usize {
        self.find(lease.id).map_or(0, |entry| entry.tokens.len())
    }

    /// The request is done; its tokens stay for the next one. An empty sequence is given back.
    #[must_use]
    pub fn end(&mut self, lease: Lease, pin: bool) -> Option<Op> {
        let index = self.entries.iter().position(|e| e.id == lease.id)?;
        let entry = &mut self.entries[index];
        entry.busy = false;
        entry.pinned |= pin;
        entry.tokens.is_empty().then(|| self.remove(index))
    }

    /// Forgets a sequence whose content is in doubt.
    #[must_use]
    pub fn forget(&mut self, lease: Lease) -> Option<Op> {
        let index = self.entries.iter().position(|e| e.id == lease.id)?;
        Some(self.remove(index))
    }

    /// Would pinning `prompt` leave enough room for requests?
    pub fn may_pin(&self, prompt: &[Token]) -> Result<(), Full> {
        let pinned = self.entries.iter().filter(|e| e.pinned);
        let shared = pinned.clone().map(|e| common(&e.tokens, prompt)).max().unwrap_or(0);
        let cells = self.pinned() + prompt.len() - shared;
        if cells > self.capacity() / 4 * 3 || pinned.count() + 4 > self.sequences {
            return Err(self.full());
        }
        Ok(())
    }

    /// Is exactly this prompt pinned already?
    pub fn is_pinned(&self, prompt: &[Token]) -> bool {
        self.entries.iter().any(|e| e.pinned && e.tokens == prompt)
    }

    /// Unpins exactly this prompt; returns whether it was pinned.
    pub fn unpin(&mut self, prompt: &[Token]) -> bool {
        let mut found = false;
        for entry in self.entries.iter_mut().filter(|e| e.pinned && e.tokens == prompt) {
            entry.pinned = false;
            found = true;
        }
        found
    }

    /// Unpins everything; returns how many sequences were pinned. Their tokens stay until the room is needed.
    pub fn unpin_all(&mut self) -> usize {
        let pinned = self.entries.iter_mut().filter(|e| e.pinned);
        pinned.map(|entry| entry.pinned = false).count()
    }

    fn find(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn full(&self) -> Full {
        Full { pinned: self.pinned(), capacity: self.capacity() }
    }

    /// Removes the least recently used sequence that is not pinned; a paused request's only if there is no other.
    fn evict(&mut self, spare: Option<u64>) -> Option<Op> {
        let index = (0..self.entries.len())
            .filter(|&i| !self.entries[i].pinned && Some(self.entries[i].id) != spare)
            .min_by_key(|&i| (self.entries[i].busy, self.entries[i].last_used))?;
        Some(self.remove(index))
    }

    fn remove(&mut self, index: usize) -> Op {
        let entry = self.entries.swap_remove(index);
        for cell in entry.cells {
            self.cells.release(cell);
        }
        self.free_sequences.push(entry.seq);
        Op::Clear { seq: entry.seq }
    }
}

impl Entry {
    fn lease(&self) -> Lease {
        Lease { seq: self.seq, id: self.id }
    }
}

/// Number of equal tokens at the start.
fn common(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Counts how many sequences hold each cell. The numbers are our own; the model places tokens where it likes.
#[derive(Debug)]
struct Cells {
    refs: Vec<u32>,
    free: Vec<usize>,
}

impl Cells {
    fn new(capacity: usize) -> Self {
        Self { refs: vec![0; capacity], free: (0..capacity).rev().collect() }
    }

    fn used(&self) -> usize {
        self.refs.len() - self.free.len()
    }

    fn take(&mut self) -> Option<usize> {
        let cell = self.free.pop()?;
        self.refs[cell] = 1;
        Some(cell)
    }

    fn retain(&mut self, cell: usize) {
        self.refs[cell] += 1;
    }

    fn release(&mut self, cell: usize) {
        self.refs[cell] -= 1;
        if self.refs[cell] == 0 {
            self.free.push(cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    /// The model's side, kept naively: every sequence with its tokens, every token with the cell it was written to.
    #[derive(Default)]
    struct Model {
        sequences: HashMap<SeqId, Vec<(Token, u64)>>,
        written: u64,
    }

    impl Model {
        fn apply(&mut self, ops: impl IntoIterator<Item = Op>) {
            for op in ops {
                match op {
                    Op::Share { from, to, len } => {
                        assert!(!self.sequences.contains_key(&to), "sharing into an empty sequence only");
                        let shared = self.sequences[&from][..len].to_vec();
                        self.sequences.insert(to, shared);
                    }
                    Op::Clear { seq } => drop(self.sequences.remove(&seq)),
                }
            }
        }

        fn cells(&self) -> usize {
            self.sequences.values().flatten().map(|(_, cell)| cell).collect::<HashSet<_>>().len()
        }
    }

    struct Bench {
        cache: PrefixCache,
        model: Model,
    }

    impl Bench {
        fn new(capacity: usize, sequences: u32) -> Self {
            Self { cache: PrefixCache::new(capacity, sequences), model: Model::default() }
        }

        /// A whole request; returns how many tokens were reused, or `None` if there was no room.
        fn request(&mut self, prompt: &[Token], logits: bool, pin: bool) -> Option<usize> {
            let begin = self.cache.begin(prompt, logits).ok()?;
            self.model.apply(begin.ops);
            let reused = begin.reused;
            let fits = self.evaluate(begin.lease, &prompt[reused..]);
            let op = self.cache.end(begin.lease, pin && fits);
            self.model.apply(op);
            self.check();
            fits.then_some(reused)
        }

        fn evaluate(&mut self, lease: Lease, tokens: &[Token]) -> bool {
            let Ok(ops) = self.cache.reserve(lease, tokens.len()) else { return false };
            self.model.apply(ops);
            if self.cache.free() < tokens.len() {
                return false;
            }
            self.cache.append(lease, tokens);
            let sequence = self.model.sequences.entry(lease.seq).or_default();
            for &token in tokens {
                self.model.written += 1;
                sequence.push((token, self.model.written));
            }
            true
        }

        #[track_caller]
        fn check(&self) {
            assert_eq!(self.cache.used(), self.model.cells(), "our count of cells is the model's");
            assert!(self.cache.used() <= self.cache.capacity());
            for entry in &self.cache.entries {
                let tokens: Vec<Token> =
                    self.model.sequences.get(&entry.seq).into_iter().flatten().map(|(token, _)| *token).collect();
                assert_eq!(tokens, entry.tokens, "the model holds what we believe it holds");
            }
        }
    }

    fn tokens(text: &str) -> Vec<Token> {
        text.bytes().map(Token::from).collect()
    }

    #[test]
    fn the_next_turn_continues_in_place() {
        let mut bench = Bench::new(100, 4);
        assert_eq!(bench.request(&tokens("system hello"), true, false), Some(0));
        assert_eq!(bench.request(&tokens("system hello reply more"), true, false), Some(12));
        assert_eq!(bench.cache.prefixes().len(), 1);
        assert_eq!(bench.cache.used(), 23);
    }

    #[test]
    fn notes_share_the_system_prompt_and_requests_share_the_notes() {
        let mut bench = Bench::new(100, 8);
        assert_eq!(bench.request(&tokens("system note one."), false, true), Some(0));
        assert_eq!(bench.request(&tokens("system note two."), false, true), Some(12));
        assert_eq!(bench.cache.pinned(), 20);
        assert_eq!(bench.request(&tokens("system note two. when?"), true, false), Some(16));
        assert_eq!(bench.request(&tokens("system note one. where?"), true, false), Some(16));
        assert_eq!(bench.cache.pinned(), 20);
        assert_eq!(bench.cache.used(), 33);
    }

    #[test]
    fn the_same_prompt_again_leaves_one_token_to_evaluate() {
        let mut bench = Bench::new(100, 4);
        bench.request(&tokens("abcdef"), true, false);
        assert_eq!(bench.request(&tokens("abcdef"), true, false), Some(5));
        assert_eq!(bench.request(&tokens("abcdef"), false, false), Some(6));
    }

    #[test]
    fn the_least_recently_used_goes_first_and_pins_stay() {
        let mut bench = Bench::new(30, 8);
        bench.request(&tokens("pinned...."), false, true);
        bench.request(&tokens("old......."), true, false);
        bench.request(&tokens("new......."), true, false);
        assert_eq!(bench.request(&tokens("third....."), true, false), Some(0));
        assert_eq!(bench.request(&tokens("new......."), true, false), Some(9), "the old one went, not this");
        assert_eq!(bench.request(&tokens("pinned...."), false, false), Some(10));
        assert_eq!(bench.request(&tokens("a prompt of more than twenty."), true, false), None, "pins leave 20");
        assert!(bench.cache.is_pinned(&tokens("pinned....")));
    }

    #[test]
    fn sequence_numbers_run_out_before_cells() {
        let mut bench = Bench::new(1_000, 4);
        for name in ["a1", "b1", "c1", "d1", "e1", "f1"] {
            assert_eq!(bench.request(&tokens(name), true, false), Some(0));
        }
        assert_eq!(bench.cache.prefixes().len(), 4);
    }

    #[test]
    fn pins_are_bounded_and_can_be_released() {
        let mut bench = Bench::new(40, 8);
        assert!(bench.cache.may_pin(&[1; 31]).is_err());
        assert!(bench.cache.may_pin(&[1; 30]).is_ok());
        bench.request(&[1; 30], false, true);
        assert!(bench.cache.may_pin(&[1; 30]).is_ok(), "already there");
        assert!(bench.cache.may_pin(&[2]).is_err());
        assert!(!bench.cache.unpin(&[1; 29]));
        assert!(bench.cache.unpin(&[1; 30]));
        assert!(bench.cache.may_pin(&[2]).is_ok());
        bench.request(&[2], false, true);
        assert_eq!(bench.cache.unpin_all(), 1);
        assert_eq!(bench.cache.pinned(), 0);
    }

    #[test]
    fn a_paused_request_loses_its_sequence_only_as_the_last_resort() {
        let mut bench = Bench::new(20, 4);
        let paused = bench.cache.begin(&tokens("paused"), true).expect("room");
        assert!(bench.evaluate(paused.lease, &tokens("paused")));
        bench.request(&tokens("idle......"), true, false);
        bench.request(&tokens("urgent...."), true, false);
        assert!(bench.cache.holds(paused.lease), "the idle one went");
        bench.request(&tokens("a really urgent one"), true, false);
        assert!(!bench.cache.holds(paused.lease));
        assert_eq!(bench.cache.len(paused.lease), 0);
        assert_eq!(bench.cache.end(paused.lease, false), None);
        bench.check();
    }

    #[test]
    fn a_busy_sequence_is_shared_not_continued() {
        let mut bench = Bench::new(40, 4);
        let first = bench.cache.begin(&tokens("abc"), true).expect("room");
        assert!(bench.evaluate(first.lease, &tokens("abc")));
        let second = bench.cache.begin(&tokens("abcdef"), true).expect("room");
        assert_eq!(second.reused, 3);
        assert_ne!(second.lease.seq, first.lease.seq);
        bench.model.apply(second.ops);
        let op = bench.cache.forget(second.lease);
        bench.model.apply(op);
        bench.check();
    }

    proptest! {
        #[test]
        fn counts_and_contents_agree_with_the_model(
            capacity in 8usize..60,
            requests in prop::collection::vec(("[ab]{1,20}", any::<bool>(), any::<bool>()), 1..60),
        ) {
            let mut bench = Bench::new(capacity, 6);
            for (prompt, logits, pin) in requests {
                let prompt = tokens(&prompt);
                let pin = pin && bench.cache.may_pin(&prompt).is_ok();
                let pinned = bench.cache.pinned();
                let done = bench.request(&prompt, logits, pin);
                prop_assert!(done.is_some() || prompt.len() + pinned > capacity, "room was left");
            }
        }
    }
}
