//! Words and their numbers: categories, tags, authors and regions inside are small integers.

use std::sync::Arc;

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use crate::ids::Word;

/// The most words of one vocabulary.
pub const VOCABULARY_WORDS_MAX: usize = 8_000_000;

#[derive(Debug, Default)]
struct Words {
    numbers: FxHashMap<Arc<str>, Word>,
    names: Vec<Arc<str>>,
}

/// A growing list of distinct words. A word keeps its number as long as the process lives; numbers are not stored.
#[derive(Debug, Default)]
pub struct Vocabulary {
    words: RwLock<Words>,
}

impl Vocabulary {
    /// The number of a word, given to it now if it is new; `None` when the vocabulary is full.
    pub fn intern(&self, word: &str) -> Option<Word> {
        if let Some(number) = self.get(word) {
            return Some(number);
        }
        let mut words = self.words.write();
        if let Some(number) = words.numbers.get(word) {
            return Some(*number);
        }
        if words.names.len() >= VOCABULARY_WORDS_MAX {
            return None;
        }
        let number = Word::try_from(words.names.len()).ok()?;
        let name: Arc<str> = Arc::from(word);
        words.names.push(name.clone());
        words.numbers.insert(name, number);
        Some(number)
    }

    /// The number of a known word.
    #[must_use]
    pub fn get(&self, word: &str) -> Option<Word> {
        self.words.read().numbers.get(word).copied()
    }

    /// The word of a number.
    #[must_use]
    pub fn name(&self, number: Word) -> Option<Arc<str>> {
        self.words.read().names.get(number as usize).cloned()
    }

    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.read().names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
