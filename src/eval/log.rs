//! Logs as the evaluation holds them: events by dense numbers, and what is known of the things behind the numbers.
//!
//! Owns the types of a log and its catalogue. Must not read files, and a catalogue must never hold anything that was
//! counted from events: that would carry the future to the methods.

use std::cmp::Ordering;

/// One event of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interaction {
    /// The viewer (in session logs: the session), a row of [`Catalogue::user_ids`].
    pub(crate) user: u32,
    /// The item, a row of [`Catalogue::item_ids`].
    pub(crate) item: u32,
    /// When, in milliseconds; logs without times count their lines.
    pub(crate) at_ms: i64,
    /// How much it was liked: the stars of a rating, 1 for a click.
    pub(crate) value: f32,
}

/// What a log's files say about an item besides its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ItemFacts {
    /// Its title.
    pub(crate) title: Option<String>,
    /// Who made it.
    pub(crate) author: Option<String>,
    /// Genres, categories and tags.
    pub(crate) categories: Vec<String>,
    /// How long it plays, in milliseconds.
    pub(crate) duration_ms: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created_at_ms: Option<i64>,
}

/// What may be known at any time: the names behind the numbers, and the items' content.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Catalogue {
    /// The original ids of the viewers.
    pub(crate) user_ids: Vec<String>,
    /// The original ids of the items.
    pub(crate) item_ids: Vec<String>,
    /// One per item, or none at all when the log came without item files.
    pub(crate) items: Vec<ItemFacts>,
}

impl Catalogue {
    /// How many items there are.
    pub(crate) fn item_count(&self) -> usize {
        self.item_ids.len()
    }

    /// How many viewers there are.
    pub(crate) fn user_count(&self) -> usize {
        self.user_ids.len()
    }

    /// The place of every item in the order of the original ids, which decides between equal scores.
    pub(crate) fn id_places(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.item_ids.len() as u32).collect();
        let numbers: Option<Vec<u64>> = self.item_ids.iter().map(|id| id.parse().ok()).collect();
        match numbers {
            Some(numbers) => order.sort_by_key(|item| numbers[*item as usize]),
            None => order.sort_by(|left, right| compare_text(&self.item_ids, *left, *right)),
        }
        let mut places = vec![0; order.len()];
        for (place, item) in order.into_iter().enumerate() {
            places[item as usize] = place as u32;
        }
        places
    }
}

fn compare_text(ids: &[String], left: u32, right: u32) -> Ordering {
    ids[left as usize].cmp(&ids[right as usize])
}

/// A log as it was read: events in no particular order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct InteractionLog {
    /// What the numbers stand for.
    pub(crate) catalogue: Catalogue,
    /// The events.
    pub(crate) interactions: Vec<Interaction>,
}

/// A log cut by a protocol: what a method may be fitted on, and what is replayed before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SplitLog {
    /// What the numbers stand for.
    pub(crate) catalogue: Catalogue,
    /// The training part, in the protocol's order.
    pub(crate) history: Vec<Interaction>,
    /// The test part, in the protocol's order.
    pub(crate) stream: Vec<Interaction>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ids: &[&str]) -> Vec<u32> {
        let item_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Catalogue {
            item_ids,
            ..Catalogue::default()
        }
        .id_places()
    }

    #[test]
    fn numeric_ids_are_ordered_as_numbers_and_others_as_text() {
        assert_eq!(places(&["10", "9", "100"]), [1, 0, 2]);
        assert_eq!(places(&["10", "9", "x"]), [0, 1, 2]);
        assert_eq!(places(&[]), [0_u32; 0]);
    }
}
