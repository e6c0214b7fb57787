//! One item as the pipeline reads it: words as numbers, times as integers.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Vocabularies;
use crate::ids::Word;
use crate::item::Item;
use crate::learner::name_key;
use crate::time::TimestampMs;
use crate::wire::FieldError;

/// Stands for "no word" (no author, no category).
pub const NO_WORD: Word = Word::MAX;

/// One item as the pipeline reads it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The item as its owner described it.
    pub item: Arc<Item>,
    /// The id's hash, under which exposure filters know the item.
    pub hash: u64,
    /// Its author, or [`NO_WORD`].
    pub author: Word,
    /// The hash of its author's name, the same after a restart; 0 without one.
    pub author_key: u64,
    /// The hash of its leading category's name; 0 without one.
    pub category_key: u64,
    /// Its categories, the leading one first.
    pub categories: SmallVec<[Word; 2]>,
    /// Its tags: those of its owner, then the inferred ones.
    pub tags: SmallVec<[Word; 6]>,
    /// How many of the tags, the last ones, were inferred from its text.
    pub inferred: u8,
    /// The regions it is limited to; everywhere when empty.
    pub regions: SmallVec<[Word; 2]>,
    /// Keys of the kinds of devices it is limited to; all when empty.
    pub devices: SmallVec<[u64; 1]>,
    /// When it was made.
    pub created_at: TimestampMs,
    /// Its playing time in milliseconds; 0 when unknown.
    pub duration_ms: u32,
    /// Whether it must not be shown; a copy beside what the filters read, which are asked thousands of times a recall.
    pub hidden: bool,
}

impl Entry {
    /// Reads an item, giving numbers to its words.
    pub(super) fn new(item: Arc<Item>, words: &Vocabularies) -> Result<Self, FieldError> {
        let full = |field: &str| {
            FieldError::new(
                field,
                "too_many_words",
                "the catalogue holds too many distinct names of this kind",
            )
        };
        let author = match &item.author {
            Some(author) => words.authors.intern(author.as_str()).ok_or_else(|| full("author_id"))?,
            None => NO_WORD,
        };
        let categories = intern_all(&words.categories, &item.categories).ok_or_else(|| full("categories"))?;
        let tags = intern_all(&words.tags, &item.tags).ok_or_else(|| full("tags"))?;
        let regions = intern_all(&words.regions, &item.regions).ok_or_else(|| full("regions"))?;
        Ok(Self {
            hash: item.id.hash64(),
            author,
            author_key: item.author.as_ref().map_or(0, |author| name_key(author.as_str())),
            category_key: item.categories.first().map_or(0, |category| name_key(category)),
            categories: categories.into(),
            tags: tags.into(),
            inferred: 0,
            regions: regions.into(),
            devices: item.devices.iter().map(|device| device_key(device)).collect(),
            created_at: item.created_at,
            duration_ms: item.duration_ms.unwrap_or(0),
            hidden: item.hidden,
            item,
        })
    }

    /// The leading category, or [`NO_WORD`].
    #[must_use]
    pub fn leading_category(&self) -> Word {
        self.categories.first().copied().unwrap_or(NO_WORD)
    }

    /// Whether it is limited to a time or to kinds of devices.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.devices.is_empty() || self.item.available_from.is_some() || self.item.expires_at.is_some()
    }

    /// Whether it may be shown on a device; a viewer whose device is unknown sees what is limited to none.
    #[must_use]
    pub fn is_for_device(&self, device: Option<u64>) -> bool {
        self.devices.is_empty() || device.is_some_and(|device| self.devices.contains(&device))
    }

    /// Its author as a list: none or one.
    #[must_use]
    pub(super) fn authors(&self) -> &[Word] {
        if self.author == NO_WORD {
            &[]
        } else {
            std::slice::from_ref(&self.author)
        }
    }

    /// Whether the item may be shown in a region; `None` is a viewer whose region is unknown, who sees what is limited
    /// to no region.
    #[must_use]
    pub fn is_in_region(&self, region: Option<Word>) -> bool {
        self.regions.is_empty() || region.is_some_and(|region| self.regions.contains(&region))
    }
}

/// Stands for a kind of device, the same after a restart.
#[must_use]
pub fn device_key(device: &str) -> u64 {
    name_key(device)
}

/// Distinct words in their order; `None` when a vocabulary is full.
fn intern_all(vocabulary: &super::Vocabulary, names: &[String]) -> Option<Vec<Word>> {
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        let number = vocabulary.intern(name)?;
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    Some(numbers)
}
