//! Putting one item into finished trending lists, without making all of them again.
//!
//! Owns the merge. A viral item must be listed at once, also where a whole making takes long: this costs microseconds
//! and one pointer per place, whatever the number of items is.

use std::sync::Arc;

use super::item_stats::ItemReading;
use super::scored_row::ScoredRow;
use super::trending::{Lists, TrendingBuilder, TrendingLists, VIRAL_ITEMS_MAX};
use super::trending_place::{CATEGORY_LISTS_MAX, REGION_CATEGORY_LISTS_MAX, REGION_LISTS_MAX, list_length};
use crate::ids::{Row, Word};
use crate::params::PopularityParams;

/// The most places that lists have.
const PLACES_MAX: usize = 1 + CATEGORY_LISTS_MAX + REGION_LISTS_MAX + REGION_CATEGORY_LISTS_MAX;

impl TrendingLists {
    /// These lists with one item's newest reading in the place of the one that they were made of.
    #[must_use]
    pub fn with_item(
        &self,
        row: Row,
        categories: &[Word],
        reading: &ItemReading,
        params: &PopularityParams,
    ) -> TrendingLists {
        let mut lists = self.clone();
        lists.patches += 1;
        // As of the lists' making, so that the scores of all time compare.
        let mut builder = TrendingBuilder::new(self.made_at, params);
        builder.add(row, categories, reading);
        for (place, fresh) in builder.build().places {
            let length = list_length(place, params.list_items as usize);
            let has_room = lists.places.len() < PLACES_MAX;
            match lists.places.get_mut(&place) {
                Some(known) => *known = Arc::new(merge(known, &fresh, row, length)),
                None if has_room => {
                    lists.places.insert(place, fresh);
                }
                None => {}
            }
        }
        match lists.viral.binary_search(&row) {
            Ok(place) if !reading.is_viral => {
                lists.viral.remove(place);
            }
            Err(place) if reading.is_viral && lists.viral.len() < VIRAL_ITEMS_MAX => lists.viral.insert(place, row),
            Ok(_) | Err(_) => {}
        }
        lists
    }
}

fn merge(known: &Lists, fresh: &Lists, row: Row, length: usize) -> Lists {
    std::array::from_fn(|window| {
        let mut rows: Vec<ScoredRow> = known[window].iter().filter(|one| one.row != row).copied().collect();
        for one in fresh[window].iter() {
            let place = rows.partition_point(|other| other.best_first(one).is_lt());
            rows.insert(place, *one);
        }
        rows.truncate(length);
        rows.into_boxed_slice()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Signal;
    use crate::popularity::{ItemSignal, ItemStats, PopularWindow};
    use crate::time::{DAY_MS, TimestampMs};
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn reading(likes: u32, region: Word) -> ItemReading {
        let (mut stats, params) = (ItemStats::default(), PopularityParams::default());
        for _ in 0..likes {
            let signal = ItemSignal {
                signal: Signal::Like,
                at: NOW,
                watch_ms: 0,
                region: Some(region),
                viewer: None,
            };
            stats.record(&signal, NOW, &params);
        }
        stats.detect_burst(NOW, &params.viral);
        stats.reading(NOW, &params)
    }

    proptest! {
        #[test]
        fn patched_lists_equal_lists_made_anew(
            items in prop::collection::vec((0..20_u32, 0..3_u32, 0..2_u32), 1..40),
            patched in (0..40_u32, 0..40_u32),
        ) {
            let params = PopularityParams { list_items: 10, ..PopularityParams::default() };
            let (row, likes) = (patched.0 % items.len() as u32, patched.1 + 20);
            let make = |likes_of: &dyn Fn(u32, u32) -> u32| {
                let mut builder = TrendingBuilder::new(NOW, &params);
                for (&(likes, category, region), row) in items.iter().zip(0..) {
                    builder.add(row, &[category], &reading(likes_of(row, likes), region));
                }
                builder.build()
            };
            let (_, category, region) = items[row as usize];
            let fresh = reading(likes, region);
            let found = make(&|_, likes| likes).with_item(row, &[category], &fresh, &params);
            let expected = make(&|other, before| if other == row { likes } else { before });
            prop_assert!(found.is_viral(row) && expected.is_viral(row));
            prop_assert_eq!((found.patches(), expected.patches()), (1, 0));
            prop_assert_eq!(found.viral_count(), expected.viral_count());
            for window in PopularWindow::ALL {
                for region in [None, Some(0), Some(1)] {
                    for category in [None, Some(0), Some(1), Some(2)] {
                        // A list that was cut at its end does not know who would have moved up; nobody does, when one
                        // item only rises.
                        prop_assert_eq!(
                            found.top(window, region, category),
                            expected.top(window, region, category)
                        );
                    }
                }
            }
        }
    }
}
