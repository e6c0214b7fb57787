//! One session in the ring: its last distinct positive items.
//!
//! Owns the bound on items, the key of a session and its snapshot form. Must not know the ring.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::ids::Row;
use crate::time::TimestampMs;

/// The most items kept per session.
pub const SESSION_ITEMS_MAX: usize = 200;

/// So many items stand in the session's own memory; those of a longer one lie elsewhere, which is a wait more.
const INLINE_ITEMS: usize = 3;

/// The name of a session in the index: the number in the order of all sessions ever opened. Its viewer's state keeps
/// it; a key whose place in the ring has been taken over by a newer session is known to be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionKey(pub u64);

/// A session as a snapshot keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its key.
    pub key: SessionKey,
    /// The time of its last positive event.
    pub last_at: TimestampMs,
    /// Its distinct positive items, newest last; at most [`SESSION_ITEMS_MAX`].
    pub items: Vec<Row>,
    /// How strongly each was engaged with; 1 where it is missing.
    #[serde(default)]
    pub weights: Vec<f32>,
}

/// What became of an item that was put into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It was there already.
    Known,
    /// It is new there.
    Added,
    /// It is new there and has displaced the oldest one.
    Displaced(Row),
}

/// A session while it stands in the ring.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionSlot {
    pub(super) key: Option<SessionKey>,
    pub(super) last_at: TimestampMs,
    /// Distinct, newest last; at most [`SESSION_ITEMS_MAX`]. Each with how strongly it was engaged with.
    items: SmallVec<[(Row, f32); INLINE_ITEMS]>,
}

/// A place of the ring: one line of memory, because sessions come from anywhere in it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct SessionCell(pub(super) Mutex<SessionSlot>);

impl SessionCell {
    /// Brings the session towards the caches; answers something that depends on it.
    pub(super) fn fetch(&self) -> bool {
        self.0.is_locked()
    }
}

impl SessionRecord {
    /// The items with their weights.
    pub fn weighted(&self) -> impl Iterator<Item = (Row, f32)> + '_ {
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1.0));
        self.items.iter().copied().zip(weights)
    }
}

impl SessionSlot {
    /// An empty session.
    pub(super) fn new(key: SessionKey, at: TimestampMs) -> Self {
        Self {
            key: Some(key),
            last_at: at,
            ..Self::default()
        }
    }

    /// The distinct items, newest last, each with how strongly it was engaged with.
    pub(super) fn items(&self) -> &[(Row, f32)] {
        &self.items
    }

    /// Puts an item at the newest end; a known one moves there and keeps its largest weight.
    pub(super) fn push(&mut self, row: Row, weight: f32) -> Pushed {
        if let Some(place) = self.items.iter().position(|(known, _)| *known == row) {
            self.items[place].1 = self.items[place].1.max(weight);
            self.items[place..].rotate_left(1);
            return Pushed::Known;
        }
        if self.items.len() < SESSION_ITEMS_MAX {
            self.items.push((row, weight));
            return Pushed::Added;
        }
        let (oldest, _) = self.items[0];
        self.items.rotate_left(1);
        self.items[SESSION_ITEMS_MAX - 1] = (row, weight);
        Pushed::Displaced(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_session_is_one_line_of_memory() {
        assert_eq!(size_of::<SessionCell>(), 64);
    }

    proptest! {
        #[test]
        fn it_keeps_the_last_distinct_items(rows in prop::collection::vec(0..300_u32, 0..900)) {
            let mut slot = SessionSlot::new(SessionKey(0), TimestampMs(0));
            let mut expected: Vec<Row> = Vec::new();
            for row in rows {
                let known = expected.contains(&row);
                expected.retain(|kept| *kept != row);
                expected.push(row);
                let displaced = (expected.len() > SESSION_ITEMS_MAX).then(|| expected.remove(0));
                let outcome = slot.push(row, row as f32);
                prop_assert_eq!(outcome, match (known, displaced) {
                    (true, _) => Pushed::Known,
                    (false, None) => Pushed::Added,
                    (false, Some(oldest)) => Pushed::Displaced(oldest),
                });
                let weighted: Vec<(Row, f32)> = expected.iter().map(|row| (*row, *row as f32)).collect();
                prop_assert_eq!(slot.items(), &weighted[..]);
            }
        }
    }
}
