//! Phrases already spoken: what is fixed is synthesised once and then starts within one frame.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Finished phrases of one voice, the least recently used dropped first. PURE.
///
/// Keyed by the text with its white space normalised; the voice, its model and its pace are one for the whole cache.
#[derive(Debug)]
pub struct PhraseCache {
    phrases: HashMap<Arc<str>, Phrase>,
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    bytes: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Phrase {
    pcm: Arc<[i16]>,
    last_use: u64,
}

/// What a phrase costs besides its samples: two map entries and its text twice at most.
const OVERHEAD: usize = 160;

impl PhraseCache {
    /// A cache of at most `capacity` bytes, samples and bookkeeping together.
    pub fn new(capacity: usize) -> Self {
        Self { phrases: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0, capacity }
    }

    /// The key of `text`: its words, single spaces between them.
    pub fn key(text: &str) -> String {
        let mut key = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !key.is_empty() {
                key.push(' ');
            }
            key.push_str(word);
        }
        key
    }

    /// The sound of the phrase with this key, 16 kHz, if it is here.
    pub fn get(&mut self, key: &str) -> Option<Arc<[i16]>> {
        let phrase = self.phrases.get_mut(key)?;
        self.uses += 1;
        if let Some(text) = self.by_use.remove(&phrase.last_use) {
            self.by_use.insert(self.uses, text);
        }
        phrase.last_use = self.uses;
        Some(Arc::clone(&phrase.pcm))
    }

    /// Keeps a phrase, in place of an older reading of it. One larger than the whole cache is not kept.
    pub fn insert(&mut self, key: &str, pcm: Arc<[i16]>) {
        self.remove(key);
        let size = size_of(key, &pcm);
        if size > self.capacity {
            return;
        }
        while self.bytes + size > self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        let key: Arc<str> = key.into();
        self.by_use.insert(self.uses, Arc::clone(&key));
        self.phrases.insert(key, Phrase { pcm, last_use: self.uses });
        self.bytes += size;
    }

    fn remove(&mut self, key: &str) {
        if let Some(phrase) = self.phrases.remove(key) {
            self.by_use.remove(&phrase.last_use);
            self.bytes -= size_of(key, &phrase.pcm);
        }
    }

    /// Phrases kept.
    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Bytes used.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size_of(key: &str, pcm: &[i16]) -> usize {
    std::mem::size_of_val(pcm) + key.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound(samples: usize) -> Arc<[i16]> {
        vec![7; samples].into()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let size = size_of("a", &sound(100));
        let mut cache = PhraseCache::new(3 * size);
        for key in ["a", "b", "c"] {
            cache.insert(key, sound(100));
        }
        assert!(cache.get("a").is_some());
        cache.insert("d", sound(100));
        assert!(cache.get("b").is_none(), "b was used longest ago");
        assert_eq!((cache.len(), cache.bytes()), (3, 3 * size));
        cache.insert("a", sound(50));
        assert_eq!(cache.get("a").map(|pcm| pcm.len()), Some(50), "the newer reading counts");
        cache.insert("e", sound(1_000));
        assert!(cache.get("e").is_none() && cache.len() == 3, "too large to keep, and nothing is dropped for it");
    }

    #[test]
    fn white_space_makes_no_difference() {
        assert_eq!(PhraseCache::key("  One\n moment,\tplease. "), "One moment, please.");
        assert_eq!(PhraseCache::key(" \n"), "");
    }

    proptest! {
        #[test]
        fn never_over_its_size_and_always_consistent(ops in prop::collection::vec((0u8..12, 0usize..400, any::<bool>()), 0..80)) {
            let mut cache = PhraseCache::new(2_000);
            for (key, samples, read) in ops {
                let key = format!("phrase {key}");
                if read {
                    let _ = cache.get(&key);
                } else {
                    cache.insert(&key, sound(samples));
                }
                let real: usize = cache.phrases.iter().map(|(key, phrase)| size_of(key, &phrase.pcm)).sum();
                prop_assert_eq!(cache.bytes(), real);
                prop_assert!(real <= 2_000);
                prop_assert_eq!(cache.by_use.len(), cache.len());
            }
        }
    }
}
