//! Lists that are the same for everybody: similar, popular, latest.

use swipeline_models::catalogue::{Entry, FilterTest, ItemFilter};
use swipeline_models::popularity::{BoardEntry, WindowSpan};
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ExplorationDto;

use super::*;
use crate::caches::{PopularKey, PopularStamp, SimilarStamp};

/// How many items are asked for their statistics at a time.
const ITEMS_AT_A_TIME: usize = 64;
/// At least so many candidates are asked.
const CANDIDATES_MIN: usize = 256;

/// The window of a length that lists are made for.
fn fixed_window(length_ms: i64) -> Option<PopularWindow> {
    let place = WindowSpan::ALL.iter().position(|span| span.length_ms() == length_ms)?;
    [
        PopularWindow::FiveMinutes,
        PopularWindow::Hour,
        PopularWindow::Day,
        PopularWindow::Week,
    ]
    .get(place)
    .copied()
}

/// Whether a list may name an item at a time.
pub(super) fn is_listed(entry: &Entry, now: TimestampMs) -> bool {
    !entry.hidden && (!entry.is_limited() || entry.item.is_available(now))
}

impl Engine {
    /// The tags that were inferred from an item's text, because its owner gave it few.
    #[must_use]
    pub fn inferred_tags(&self, id: &str) -> Vec<String> {
        let catalogue = &self.shared.world.catalogue;
        let snapshot = catalogue.load();
        let entry = catalogue.row(id).and_then(|row| snapshot.entry(row));
        entry.map_or_else(Vec::new, |entry| entry.inferred_names(catalogue.words()))
    }

    /// The items most like an item: by co-engagement first, by embedding behind. `None` for an unknown item.
    #[must_use]
    pub fn similar(&self, id: &str, n: usize, filter: &ItemFilter) -> Option<ScoredItemsReply> {
        let (world, caches) = (&self.shared.world, &self.shared.caches);
        let row = world.catalogue.row(id)?;
        if let Some(test) = FilterTest::of(&[filter], world.catalogue.words()) {
            return Some(self.listed(self.similar_rows(row, n, Some(&test)).into_iter()));
        }
        let catalogue_version = world.catalogue.load().version();
        let stamp = SimilarStamp {
            catalogue_version,
            params_version: self.shared.params.current().version,
            engaged_at: world.co_visits.last_engaged_at(row),
        };
        let kept_ms = world.params.load().caches.similar_ms;
        let make = || self.similar_rows(row, n, None).into();
        let scored = caches.similar.get_or_make((row, n), stamp, clock::now(), kept_ms, make);
        Some(self.listed(scored.iter().copied()))
    }

    fn similar_rows(&self, row: u32, n: usize, test: Option<&FilterTest>) -> Vec<(u32, f32)> {
        let world = &self.shared.world;
        let snapshot = world.catalogue.load();
        let Some(query) = snapshot.vector(row) else {
            return Vec::new();
        };
        let now = clock::now();
        let is_shown = |entry: &Arc<Entry>| is_listed(entry, now) && test.is_none_or(|test| test.admits(entry, &[]));
        let admitted = |other: u32| other != row && snapshot.entry(other).is_some_and(is_shown);
        let mut nearest = Vec::new();
        let mut scratch = Default::default();
        snapshot.nearest(query, n, &mut |other| admitted(other), &mut scratch, &mut nearest);
        let mut together = Vec::new();
        if let Some(as_of) = world.co_visits.last_engaged_at(row) {
            let params = world.params.load();
            world
                .co_visits
                .neighbours(row, as_of, &params.collaborative, &mut together);
        }
        together.retain(|other| admitted(other.row));
        let most = together.first().map_or(1.0, |first| first.score.max(f32::MIN_POSITIVE));
        // Cosines stay below 1; an item liked together with this one stands above all that are only alike.
        let mut scored: Vec<(u32, f32)> = together
            .iter()
            .map(|other| (other.row, 1.0 + other.score / most))
            .collect();
        for near in nearest {
            match scored.iter_mut().find(|(other, _)| *other == near.row) {
                Some((_, score)) => *score += near.score.max(0.0),
                None => scored.push((near.row, near.score)),
            }
        }
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scored.truncate(n);
        scored
    }

    /// What is popular in a window, a category, a region.
    pub async fn popular(&self, query: &PopularQuery) -> Arc<ScoredItemsReply> {
        let filter = &query.filter;
        let has_one_category = filter.categories.len() <= 1;
        let rest = ItemFilter {
            categories: Vec::new(),
            ..filter.clone()
        };
        match fixed_window(query.window_ms) {
            Some(window) if has_one_category && rest.is_empty() => self.popular_list(query, window),
            Some(_) | None => Arc::new(self.popular_among(query).await),
        }
    }

    /// What is popular of the last week, of a category.
    #[must_use]
    pub fn popular_of_week(&self, n: usize, category: Option<&str>) -> Arc<ScoredItemsReply> {
        let query = PopularQuery {
            n,
            window_ms: WindowSpan::Week.length_ms(),
            filter: ItemFilter::of_category(category),
            region: None,
        };
        self.popular_list(&query, PopularWindow::Week)
    }

    /// One of the lists that are made all the time.
    fn popular_list(&self, query: &PopularQuery, window: PopularWindow) -> Arc<ScoredItemsReply> {
        let world = &self.shared.world;
        let words = world.catalogue.words();
        let category = query.filter.categories.first().map(|name| words.categories.get(name));
        let region = query.region.as_deref().map(|name| words.regions.get(name));
        if category == Some(None) || region == Some(None) {
            return Arc::default();
        }
        let lists = world.trending.load();
        let snapshot = world.catalogue.load();
        let key = PopularKey {
            window,
            category: category.flatten(),
            region: region.flatten(),
            n: query.n,
        };
        let stamp = PopularStamp {
            catalogue_version: snapshot.version(),
            made_at: lists.made_at(),
            address: Arc::as_ptr(&lists) as usize,
            patches: lists.patches(),
        };
        let now = clock::now();
        let shown = |row: u32| {
            let entry = snapshot.entry(row);
            entry.is_some_and(|entry| is_listed(entry, now) && (key.region.is_none() || entry.is_in_region(key.region)))
        };
        let make = || {
            let top = lists.top(window, key.region, key.category).iter();
            let top = top.filter(|candidate| shown(candidate.row)).take(query.n);
            let mut reply = self.listed(top.map(|candidate| (candidate.row, candidate.score)));
            self.mark_viral(&mut reply);
            Arc::new(reply)
        };
        let kept_ms = world.params.load().caches.popular_ms;
        let caches = &self.shared.caches;
        caches.popular.get_or_make(key, stamp, now, kept_ms, make)
    }

    /// What is popular among the items that a filter leaves, or in a window that no list is made for: the statistics of the
    /// best candidates are asked for.
    async fn popular_among(&self, query: &PopularQuery) -> ScoredItemsReply {
        let now = clock::now();
        let Some(newest) = WindowSpan::covering(query.window_ms) else {
            return ScoredItemsReply::default();
        };
        let rows = self.popular_candidates(query, now);
        let mut scored = Vec::with_capacity(rows.len());
        let params = self.shared.world.params.load_full();
        for batch in rows.chunks(ITEMS_AT_A_TIME) {
            let asked = batch.iter().map(|row| self.shared.items.stats(&self.shared, *row));
            for (row, stats) in batch.iter().zip(futures_util::future::join_all(asked).await) {
                let score = stats.score_of(newest, now, &params.popularity);
                if score > 0.0 {
                    scored.push((*row, score));
                }
            }
        }
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scored.truncate(query.n);
        let mut reply = self.listed(scored.into_iter());
        self.mark_viral(&mut reply);
        reply
    }

    /// The items that may be the most popular: by what is read of them in the windows that are kept.
    fn popular_candidates(&self, query: &PopularQuery, now: TimestampMs) -> Vec<u32> {
        let world = &self.shared.world;
        let (catalogue, snapshot) = (&world.catalogue, world.catalogue.load());
        let words = catalogue.words();
        let test = FilterTest::of(&[&query.filter], words);
        let region = query.region.as_deref().map(|name| words.regions.get(name));
        if region == Some(None) {
            return Vec::new();
        }
        let lists = world.trending.load();
        let mut rows: Vec<u32> = Vec::new();
        let (authors, tags) = (&query.filter.authors, &query.filter.tags);
        if !authors.is_empty() {
            let known = authors.iter().filter_map(|name| words.authors.get(name));
            known.for_each(|author| rows.extend(catalogue.by_author().copy(author)));
        } else if !tags.is_empty() {
            let known = tags.iter().filter_map(|name| words.tags.get(name));
            known.for_each(|tag| rows.extend(catalogue.by_tag().copy(tag)));
        } else {
            let known = query.filter.categories.iter().map(|name| words.categories.get(name));
            let mut categories: Vec<Option<u32>> = known.filter(Option::is_some).collect();
            if query.filter.categories.is_empty() {
                categories.push(None);
            }
            for category in categories {
                for window in PopularWindow::ALL {
                    let list = lists.top(window, region.flatten(), category);
                    rows.extend(list.iter().map(|candidate| candidate.row));
                }
            }
        }
        rows.sort_unstable();
        rows.dedup();
        let is_wanted = |row: &u32| {
            snapshot.entry(*row).is_some_and(|entry| {
                is_listed(entry, now)
                    && (region.is_none() || entry.is_in_region(region.flatten()))
                    && test.as_ref().is_none_or(|test| test.admits(entry, &[]))
            })
        };
        rows.retain(is_wanted);
        let length_ms = query.window_ms;
        let spans = WindowSpan::ALL.map(|span| (span.length_ms() - length_ms).abs());
        // By the kept window that is nearest in length, and by the longest where that says nothing.
        let nearest = (0..spans.len()).min_by_key(|place| spans[*place]).unwrap_or(0);
        let score = |row: &u32| {
            let entry = world.board.read(*row);
            entry.map_or(0.0, |entry| {
                let scores = entry.window_scores;
                scores[nearest] + scores.iter().sum::<f32>() * f32::EPSILON
            })
        };
        let mut scored: Vec<(f32, u32)> = rows.iter().map(|row| (score(row), *row)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate((4 * query.n).max(CANDIDATES_MIN));
        scored.into_iter().map(|(_, row)| row).collect()
    }

    fn mark_viral(&self, reply: &mut ScoredItemsReply) {
        let world = &self.shared.world;
        let lists = world.trending.load();
        if lists.viral_count() == 0 {
            return;
        }
        for item in &mut reply.items {
            let row = world.catalogue.row(&item.item_id);
            item.viral = row.is_some_and(|row| lists.is_viral(row));
        }
    }

    /// The newest items that a filter leaves and that may be shown in a region.
    #[must_use]
    pub fn latest(&self, n: usize, filter: &ItemFilter, region: Option<&str>) -> ScoredItemsReply {
        let world = &self.shared.world;
        let words = world.catalogue.words();
        let snapshot = world.catalogue.load();
        // A region that no item is limited to has what is limited to none.
        let here = region.map(|name| words.regions.get(name));
        let test = FilterTest::of(&[filter], words);
        let now = clock::now();
        let shown = |row: &u32| {
            snapshot.entry(*row).is_some_and(|entry| {
                is_listed(entry, now)
                    && here.is_none_or(|here| entry.is_in_region(here))
                    && test.as_ref().is_none_or(|test| test.admits(entry, &[]))
            })
        };
        let rows = match self.rows_of(filter) {
            Some(rows) => rows,
            None => snapshot.latest(None).to_vec(),
        };
        let created_at = |row: u32| snapshot.entry(row).map_or(0, |entry| entry.created_at.0);
        let mut rows: Vec<u32> = rows.into_iter().filter(shown).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(created_at(*row)), *row));
        rows.truncate(n);
        // The score of a newest-first list is the time in seconds.
        self.listed(rows.into_iter().map(|row| (row, (created_at(row) / 1_000) as f32)))
    }

    /// The rows of which a filter leaves some, found by its names; `None` when it has none.
    pub(super) fn rows_of(&self, filter: &ItemFilter) -> Option<Vec<u32>> {
        let catalogue = &self.shared.world.catalogue;
        let words = catalogue.words();
        let (postings, vocabulary, names) = if !filter.authors.is_empty() {
            (catalogue.by_author(), &words.authors, &filter.authors)
        } else if !filter.tags.is_empty() {
            (catalogue.by_tag(), &words.tags, &filter.tags)
        } else if !filter.categories.is_empty() {
            (catalogue.by_category(), &words.categories, &filter.categories)
        } else {
            return None;
        };
        let known = names.iter().filter_map(|name| vocabulary.get(name));
        let mut rows: Vec<u32> = known.flat_map(|word| postings.copy(word)).collect();
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }

    /// How far a new item has come with the impressions that it is guaranteed; `None` for one that is not new.
    #[must_use]
    pub fn exploration(&self, id: &str) -> Option<ExplorationDto> {
        let world = &self.shared.world;
        let row = world.catalogue.row(id)?;
        let created_at = world.catalogue.load().entry(row)?.created_at;
        let params = world.params.load();
        let prior = BoardEntry::prior(&params.popularity);
        let entry = world.board.read_or(row, &prior);
        let (new_items, cold_start) = (&world.new_items, &params.cold_start);
        let progress = new_items.progress(created_at, &entry, cold_start, &prior, clock::now())?;
        Some(ExplorationDto {
            target: progress.target,
            shown: progress.shown,
            deadline: progress.deadline.0,
            state: progress.state.name().into(),
        })
    }

    fn listed(&self, rows: impl Iterator<Item = (u32, f32)>) -> ScoredItemsReply {
        let (snapshot, now) = (self.shared.world.catalogue.load(), clock::now());
        let item = |(row, score): (u32, f32)| {
            // A list that was kept may name what was hidden since.
            let entry = snapshot.entry(row).filter(|entry| is_listed(entry, now))?;
            let item_id = entry.item.id.as_str().to_owned();
            Some(ScoredItemDto {
                item_id,
                score,
                viral: false,
                item: Some(Arc::new(ItemDto::card(&entry.item))),
            })
        };
        ScoredItemsReply {
            items: rows.filter_map(item).collect(),
        }
    }
}
