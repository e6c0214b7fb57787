//! The catalogue as a back end looks through it: items by words, names and order, page by page; names with their numbers.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use swipeline_models::catalogue::{Entry, FilterTest, Vocabulary};
use swipeline_models::ids::Word;
use swipeline_models::time::TimestampMs;

use super::lists::is_listed;
use super::*;

/// Popularity is compared as of this moment: the order of items does not depend on it, and a page's last key means the
/// same to the next.
const POPULARITY_AS_OF: TimestampMs = TimestampMs(0);

/// An item among the best of a page, the worst on top of the heap.
#[derive(PartialEq)]
struct Ranked(BrowsePlace);

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    /// Less is better.
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.key.total_cmp(&self.0.key).then(self.0.row.cmp(&other.0.row))
    }
}

/// Names of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// Categories.
    Categories,
    /// Tags.
    Tags,
}

impl Engine {
    /// A page of the items that are wanted. Walks over all items that have the words and names: call it beside the threads
    /// that serve.
    #[must_use]
    pub fn browse(&self, query: &BrowseQuery) -> BrowsePage {
        let world = &self.shared.world;
        let (snapshot, now) = (world.catalogue.load(), clock::now());
        let test = FilterTest::of(&[&query.filter], world.catalogue.words());
        let half_life_ms = world.params.load().popularity.half_life_ms;
        let is_wanted = |entry: &Entry| {
            (query.hidden || is_listed(entry, now)) && test.as_ref().is_none_or(|test| test.admits(entry, &[]))
        };
        let key_of = |row: u32, entry: &Entry, relevance: f32| match query.order {
            ItemOrder::Created => entry.created_at.0 as f64,
            ItemOrder::Popular => world.board.read(row).map_or(f64::MIN, |shown| {
                shown.popularity.log2_at(POPULARITY_AS_OF, half_life_ms).max(f64::MIN)
            }),
            ItemOrder::Relevance => f64::from(relevance),
        };
        let mut best: BinaryHeap<Ranked> = BinaryHeap::with_capacity(query.n + 2);
        let mut offer = |row: u32, entry: &Entry, relevance: f32| {
            if !is_wanted(entry) {
                return;
            }
            let key = key_of(row, entry, relevance);
            let ranked = Ranked(BrowsePlace { key, row });
            if query.after.is_some_and(|after| ranked <= Ranked(after)) {
                return;
            }
            best.push(ranked);
            // One more than the page, to know whether another follows.
            if best.len() > query.n + 1 {
                best.pop();
            }
        };
        if let Some(text) = &query.text {
            for (row, relevance) in world.catalogue.search(text) {
                if let Some(entry) = snapshot.entry(row) {
                    offer(row, entry, relevance);
                }
            }
        } else if let Some(rows) = self.rows_of(&query.filter) {
            for row in rows {
                if let Some(entry) = snapshot.entry(row) {
                    offer(row, entry, 0.0);
                }
            }
        } else {
            snapshot.iter().for_each(|(row, entry)| offer(row, entry, 0.0));
        }
        let mut places: Vec<BrowsePlace> = best.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect();
        let is_more = places.len() > query.n;
        places.truncate(query.n);
        BrowsePage {
            next: places.last().copied().filter(|_| is_more),
            items: places
                .iter()
                .filter_map(|place| snapshot.entry(place.row).map(|entry| entry.item.clone()))
                .collect(),
        }
    }

    /// The names of a kind that items which may be shown now have, with how many have them: the most frequent first. Walks
    /// over all items.
    #[must_use]
    pub fn names(&self, kind: NameKind) -> Vec<(String, usize)> {
        let world = &self.shared.world;
        let (snapshot, now, words) = (world.catalogue.load(), clock::now(), world.catalogue.words());
        let mut counts: rustc_hash::FxHashMap<Word, usize> = Default::default();
        for (_, entry) in snapshot.iter().filter(|(_, entry)| is_listed(entry, now)) {
            let has: &[Word] = match kind {
                NameKind::Categories => &entry.categories,
                NameKind::Tags => entry.own_tags(),
            };
            has.iter().for_each(|word| *counts.entry(*word).or_default() += 1);
        }
        let vocabulary: &Vocabulary = match kind {
            NameKind::Categories => &words.categories,
            NameKind::Tags => &words.tags,
        };
        let mut names: Vec<(String, usize)> = counts
            .into_iter()
            .filter_map(|(word, count)| Some((vocabulary.name(word)?.to_string(), count)))
            .collect();
        names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        names
    }
}
