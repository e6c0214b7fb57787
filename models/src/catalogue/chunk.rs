//! Some rows of the catalogue in a row: their entries, and beside them the little of each that filters ask for.
//!
//! A filter is asked for hundreds of rows a recall, and an entry lies anywhere in memory: the briefs lie side by side, so
//! that most of the asking costs one cache line for four rows instead of two for each.

use std::sync::Arc;

use super::Entry;
use crate::ids::Word;

/// Rows per chunk; a change copies one chunk of pointers and briefs.
pub(super) const CHUNK_ROWS: usize = 256;

const LIVE: u8 = 1;
const HIDDEN: u8 = 2;
const REGIONAL: u8 = 4;
const LIMITED: u8 = 8;

/// What filters ask of a row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Brief {
    /// The hash of the item's id; 0 when no item lives here.
    pub(crate) hash: u64,
    /// Its author, or `NO_WORD`.
    pub(crate) author: Word,
    flags: u8,
}

impl Brief {
    fn of(entry: &Entry) -> Self {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        Self {
            hash: entry.hash,
            author: entry.author,
            flags: LIVE
                | flag(entry.hidden, HIDDEN)
                | flag(!entry.regions.is_empty(), REGIONAL)
                | flag(entry.is_limited(), LIMITED),
        }
    }

    /// Whether an item lives in the row.
    pub(crate) fn is_live(self) -> bool {
        self.flags & LIVE != 0
    }

    /// Whether the item must not be shown.
    pub(crate) fn is_hidden(self) -> bool {
        self.flags & HIDDEN != 0
    }

    /// Whether the item is limited to a time or to kinds of devices.
    pub(crate) fn is_limited(self) -> bool {
        self.flags & LIMITED != 0
    }

    /// Whether the item is limited to some regions.
    pub(crate) fn is_regional(self) -> bool {
        self.flags & REGIONAL != 0
    }
}

/// Some rows in a row.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    entries: Vec<Option<Arc<Entry>>>,
    briefs: Vec<Brief>,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            entries: vec![None; CHUNK_ROWS],
            briefs: vec![Brief::default(); CHUNK_ROWS],
        }
    }
}

impl Chunk {
    /// The item in a place; `None` where no item lives (any more).
    pub(super) fn entry(&self, place: usize) -> Option<&Arc<Entry>> {
        self.entries.get(place)?.as_ref()
    }

    /// What filters ask of a place.
    pub(super) fn brief(&self, place: usize) -> Brief {
        self.briefs.get(place).copied().unwrap_or_default()
    }

    /// Puts an item into a place, or nothing; returns what lived there.
    pub(super) fn replace(&mut self, place: usize, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        self.briefs[place] = entry.as_deref().map_or_else(Brief::default, Brief::of);
        std::mem::replace(&mut self.entries[place], entry)
    }

    /// The items with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Arc<Entry>)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }
}
