//! Trending lists: the best items per window, overall, per category, per region and per region and category.
//!
//! Owns the choice of lists, their bounds and their order. Must not know how a score comes about.
//!
//! Bounds: at most 1 + [`CATEGORY_LISTS_MAX`] + [`REGION_LISTS_MAX`] + [`REGION_CATEGORY_LISTS_MAX`] places with five
//! lists each; what comes after a bound is reached is not listed and counted in [`TrendingLists::places_refused`]. A
//! full house takes about 45 MB; a hundred categories and ten regions of 100 k active items take about 7.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::item_stats::ItemReading;
use super::popular_window::{POPULAR_WINDOW_COUNT, PopularWindow};
use super::scored_row::ScoredRow;
use super::top_list::TopList;
use super::trending_place::{
    CATEGORY_LISTS_MAX, OVERALL, Place, REGION_CATEGORY_LISTS_MAX, REGION_LISTS_MAX, list_length,
};
use super::windows::WINDOW_COUNT;
use crate::ids::{Row, Word};
use crate::item::ITEM_CATEGORIES_MAX;
use crate::params::PopularityParams;
use crate::time::TimestampMs;

/// The most viral items that are marked as such.
pub(super) const VIRAL_ITEMS_MAX: usize = 1_000;

/// The lists of one place, by window.
pub(super) type Lists = [Box<[ScoredRow]>; POPULAR_WINDOW_COUNT];

/// The finished lists; immutable, to be shared behind a pointer that is swapped.
#[derive(Debug, Clone, Default)]
pub struct TrendingLists {
    pub(super) places: FxHashMap<Place, Arc<Lists>>,
    places_refused: usize,
    pub(super) made_at: TimestampMs,
    /// How many single items were put into them since.
    pub(super) patches: u64,
    /// Ascending.
    pub(super) viral: Vec<Row>,
    /// Showings and rejections of all items.
    showings: u64,
    rejections: u64,
}

impl TrendingLists {
    /// The best items of exactly this place, best first, equal scores by the smaller row; empty when there are none.
    #[must_use]
    pub fn top(&self, window: PopularWindow, region: Option<Word>, category: Option<Word>) -> &[ScoredRow] {
        self.places
            .get(&Place { region, category })
            .map_or(&[], |lists| &lists[window as usize])
    }

    /// The first list that is not empty: of region and category, of the category, of the region, of all.
    #[must_use]
    pub fn top_with_fallback(
        &self,
        window: PopularWindow,
        region: Option<Word>,
        category: Option<Word>,
    ) -> &[ScoredRow] {
        let places = [(region, category), (None, category), (region, None), (None, None)];
        let lists = places
            .into_iter()
            .map(|(region, category)| self.top(window, region, category));
        lists.into_iter().find(|list| !list.is_empty()).unwrap_or(&[])
    }

    /// How often an item was left out of a place because the bound on places was reached.
    #[must_use]
    pub fn places_refused(&self) -> usize {
        self.places_refused
    }

    /// The `now` that the lists were made for.
    #[must_use]
    pub fn made_at(&self) -> TimestampMs {
        self.made_at
    }

    /// How many single items were put into the lists since they were made.
    #[must_use]
    pub fn patches(&self) -> u64 {
        self.patches
    }

    /// Whether the item counts as viral.
    #[must_use]
    pub fn is_viral(&self, row: Row) -> bool {
        self.viral.binary_search(&row).is_ok()
    }

    /// How many items count as viral, at most [`VIRAL_ITEMS_MAX`].
    #[must_use]
    pub fn viral_count(&self) -> usize {
        self.viral.len()
    }

    /// The share of all showings that ended in a skip, a dislike or a report; near the prior while there are few.
    #[must_use]
    pub fn usual_skip_rate(&self, params: &PopularityParams) -> f32 {
        let showings = self.showings as f32 + params.prior_impressions;
        if showings <= 0.0 {
            return params.prior_skip_rate;
        }
        (self.rejections as f32 + params.prior_skip_rate * params.prior_impressions) / showings
    }
}

/// The lists of one place while they are made.
#[derive(Debug)]
struct PlaceLists {
    length: usize,
    lists: [TopList; POPULAR_WINDOW_COUNT],
}

/// Makes [`TrendingLists`] in one pass over the active items.
#[derive(Debug)]
pub struct TrendingBuilder {
    now: TimestampMs,
    half_life_ms: i64,
    list_items: usize,
    numbers: FxHashMap<Place, usize>,
    lists: Vec<PlaceLists>,
    /// Places so far: of categories, of regions, of both.
    taken: [usize; 3],
    places_refused: usize,
    viral: Vec<Row>,
    viral_boost: f32,
    showings: u64,
    rejections: u64,
}

impl TrendingBuilder {
    /// Lists as of `now`, of the lengths that `params` says.
    #[must_use]
    pub fn new(now: TimestampMs, params: &PopularityParams) -> Self {
        Self {
            now,
            half_life_ms: params.half_life_ms,
            list_items: params.list_items as usize,
            numbers: FxHashMap::default(),
            lists: Vec::new(),
            taken: [0; 3],
            places_refused: 0,
            viral: Vec::new(),
            viral_boost: params.viral.boost,
            showings: 0,
            rejections: 0,
        }
    }

    /// Offers one item with its categories (a repeated one counts once) to all lists that it belongs to.
    pub fn add(&mut self, row: Row, categories: &[Word], reading: &ItemReading) {
        let mut unique: SmallVec<[Word; ITEM_CATEGORIES_MAX]> = SmallVec::new();
        for &category in categories.iter().take(ITEM_CATEGORIES_MAX) {
            if !unique.contains(&category) {
                unique.push(category);
            }
        }
        self.showings += u64::from(reading.impressions);
        self.rejections += u64::from(reading.rejections);
        if reading.is_viral && self.viral.len() < VIRAL_ITEMS_MAX {
            self.viral.push(row);
        }
        let boost = if reading.is_viral { self.viral_boost } else { 1.0 };
        let boosted =
            |[five_minutes, hour, day, week]: [f32; WINDOW_COUNT]| [boost * five_minutes, boost * hour, day, week];
        let all_time = reading.popularity.log2_at(self.now, self.half_life_ms) as f32;
        self.offer_everywhere(row, None, &unique, boosted(reading.window_scores), all_time);
        for region in &reading.regions {
            let all_time = region.popularity.log2_at(self.now, self.half_life_ms) as f32;
            self.offer_everywhere(
                row,
                Some(region.region),
                &unique,
                boosted(region.window_scores),
                all_time,
            );
        }
    }

    /// The lists.
    #[must_use]
    pub fn build(mut self) -> TrendingLists {
        self.viral.sort_unstable();
        let mut lists: Vec<Option<PlaceLists>> = self.lists.into_iter().map(Some).collect();
        let mut places = FxHashMap::default();
        for (place, number) in self.numbers {
            if let Some(PlaceLists { length, lists }) = lists[number].take() {
                places.insert(place, Arc::new(lists.map(|list| list.into_best(length))));
            }
        }
        TrendingLists {
            places,
            places_refused: self.places_refused,
            made_at: self.now,
            patches: 0,
            viral: self.viral,
            showings: self.showings,
            rejections: self.rejections,
        }
    }

    fn offer_everywhere(
        &mut self,
        row: Row,
        region: Option<Word>,
        categories: &[Word],
        window_scores: [f32; WINDOW_COUNT],
        all_time: f32,
    ) {
        // A window in which nothing happened lists nothing; the logarithm of the last may be negative.
        let [five_minutes, hour, day, week] =
            window_scores.map(|score| if score > 0.0 { score } else { f32::NEG_INFINITY });
        let scores = [five_minutes, hour, day, week, all_time];
        if scores.iter().all(|score| !score.is_finite()) {
            return;
        }
        self.offer(row, Place { region, category: None }, &scores);
        for &category in categories {
            self.offer(
                row,
                Place {
                    region,
                    category: Some(category),
                },
                &scores,
            );
        }
    }

    fn offer(&mut self, row: Row, place: Place, scores: &[f32; POPULAR_WINDOW_COUNT]) {
        let Some(number) = self.number_of(place) else {
            self.places_refused += 1;
            return;
        };
        let PlaceLists { length, lists } = &mut self.lists[number];
        for (list, &score) in lists.iter_mut().zip(scores) {
            list.offer(ScoredRow { row, score }, *length);
        }
    }

    fn number_of(&mut self, place: Place) -> Option<usize> {
        if let Some(&number) = self.numbers.get(&place) {
            return Some(number);
        }
        if place != OVERALL {
            let (kind, places_max) = match (place.region, place.category) {
                (None, _) => (0, CATEGORY_LISTS_MAX),
                (Some(_), None) => (1, REGION_LISTS_MAX),
                (Some(_), Some(_)) => (2, REGION_CATEGORY_LISTS_MAX),
            };
            if self.taken[kind] >= places_max {
                return None;
            }
            self.taken[kind] += 1;
        }
        self.numbers.insert(place, self.lists.len());
        self.lists.push(PlaceLists {
            length: list_length(place, self.list_items),
            lists: Default::default(),
        });
        Some(self.lists.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Signal;
    use crate::popularity::{ItemSignal, ItemStats};
    use crate::time::{DAY_MS, MINUTE_MS};
    use proptest::prelude::*;

    const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

    fn reading(likes: u32, ago_ms: i64, region: Option<Word>) -> ItemReading {
        let (mut stats, params) = (ItemStats::default(), PopularityParams::default());
        for _ in 0..likes {
            let signal = ItemSignal {
                signal: Signal::Like,
                at: NOW.plus_ms(-ago_ms),
                watch_ms: 0,
                region,
                viewer: None,
            };
            stats.record(&signal, NOW, &params);
        }
        stats.reading(NOW, &params)
    }

    fn rows(list: &[ScoredRow]) -> Vec<Row> {
        list.iter().map(|scored| scored.row).collect()
    }

    fn example() -> TrendingLists {
        let mut builder = TrendingBuilder::new(NOW, &PopularityParams::default());
        builder.add(1, &[10, 10], &reading(3, MINUTE_MS, Some(7)));
        builder.add(2, &[10, 11], &reading(5, 2 * DAY_MS, Some(7)));
        builder.add(3, &[11], &reading(4, MINUTE_MS, Some(8)));
        builder.add(5, &[], &reading(3, MINUTE_MS, None));
        builder.add(4, &[11], &reading(1, 4_000 * DAY_MS, None));
        builder.add(6, &[12], &reading(0, 0, None));
        builder.build()
    }

    #[test]
    fn every_list_has_its_items_in_order() {
        let lists = example();
        assert_eq!(
            rows(lists.top(PopularWindow::Hour, None, None)),
            [3, 1, 5],
            "ties go by row"
        );
        assert_eq!(rows(lists.top(PopularWindow::Week, None, None)), [2, 3, 1, 5]);
        assert_eq!(rows(lists.top(PopularWindow::Week, None, Some(10))), [2, 1]);
        assert_eq!(rows(lists.top(PopularWindow::Week, Some(7), None)), [2, 1]);
        assert_eq!(rows(lists.top(PopularWindow::Week, Some(7), Some(11))), [2]);
        assert_eq!(
            rows(lists.top(PopularWindow::AllTime, None, Some(11))),
            [3, 2, 4],
            "old items keep an order"
        );
        assert!(lists.top(PopularWindow::AllTime, None, Some(12)).is_empty());
        assert_eq!((lists.places_refused(), lists.made_at()), (0, NOW));
    }

    #[test]
    fn the_fallback_widens_step_by_step() {
        let lists = example();
        let found = |region, category| rows(lists.top_with_fallback(PopularWindow::Hour, region, category));
        assert_eq!(found(Some(8), Some(11)), [3]);
        assert_eq!(found(Some(8), Some(10)), [1], "the category before the region");
        assert_eq!(found(Some(8), Some(99)), [3], "the region before all");
        assert_eq!(found(Some(99), Some(99)), [3, 1, 5]);
        assert!(lists.top(PopularWindow::Hour, Some(8), Some(10)).is_empty());
    }

    #[test]
    fn places_are_bounded() {
        let mut builder = TrendingBuilder::new(NOW, &PopularityParams::default());
        let liked = reading(1, 0, None);
        for category in 0..CATEGORY_LISTS_MAX as Word + 5 {
            builder.add(category, &[category], &liked);
        }
        let lists = builder.build();
        assert_eq!(lists.places_refused(), 5);
        assert_eq!(lists.top(PopularWindow::Hour, None, None).len(), 500);
        assert!(
            lists
                .top(PopularWindow::Hour, None, Some(CATEGORY_LISTS_MAX as Word))
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn a_list_equals_sorting(items in prop::collection::vec((0..6_u32, 0..3_u32, 0..2_u32), 1..60)) {
            let params = PopularityParams { list_items: 10, ..PopularityParams::default() };
            let mut builder = TrendingBuilder::new(NOW, &params);
            let mut expected = Vec::new();
            for (&(likes, category, region), row) in items.iter().zip(0..) {
                let reading = reading(likes, MINUTE_MS, Some(region));
                builder.add(row, &[category], &reading);
                if category == 1 && region == 0 && likes > 0 {
                    expected.push(ScoredRow { row, score: reading.regions[0].window_scores[0] });
                }
            }
            crate::popularity::keep_best(&mut expected, 10);
            let lists = builder.build();
            prop_assert_eq!(lists.top(PopularWindow::FiveMinutes, Some(0), Some(1)), &expected[..]);
        }
    }
}
