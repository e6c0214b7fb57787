//! The stored form of windows.

use serde::{Deserialize, Serialize};

use super::Windows;
use super::cell::Cell;
use crate::catalogue::{NO_WORD, Vocabularies};
use crate::ids::Word;
use crate::time::{MINUTE_MS, TimestampMs};

/// Windows as they are stored; names stand for words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowsSnapshot {
    categories: Vec<(String, i64)>,
    cells: Vec<Cell>,
    newest: i64,
    late: u64,
}

impl WindowsSnapshot {
    /// The stored form.
    #[must_use]
    pub fn of(windows: &Windows, words: &Vocabularies) -> Self {
        let name = |(word, minute): &(Word, i64)| {
            let name = words.categories.name(*word);
            (name.map_or_else(String::new, |name| name.to_string()), *minute)
        };
        Self {
            categories: windows.categories.iter().map(name).collect(),
            cells: windows.cells.clone(),
            newest: windows.newest.0,
            late: windows.late,
        }
    }

    /// What was stored.
    #[must_use]
    pub fn restore(self, words: &Vocabularies) -> Windows {
        // The keys are places: a category that has no number keeps its place.
        let number = |name: &str| match name {
            "" => NO_WORD,
            name => words.categories.intern(name).unwrap_or(NO_WORD),
        };
        let categories = self.categories.iter().map(|(name, minute)| (number(name), *minute));
        let mut cells = self.cells;
        // The order is not taken on trust.
        cells.sort_unstable_by_key(|cell| cell.place());
        Windows {
            categories: categories.collect(),
            cells,
            newest: TimestampMs(self.newest),
            joined_minute: self.newest.div_euclid(MINUTE_MS),
            late: self.late,
        }
    }
}
