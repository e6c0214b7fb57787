//! Lists that are the same for everybody: similar, popular, latest.

use swipeline_models::popularity::BoardEntry;
use swipeline_models::wire::ExplorationDto;

use super::*;
use crate::caches::{PopularKey, PopularStamp, SimilarStamp};

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
    pub fn similar(&self, id: &str, n: usize) -> Option<ScoredItemsReply> {
        let (world, caches) = (&self.shared.world, &self.shared.caches);
        let row = world.catalogue.row(id)?;
        let catalogue_version = world.catalogue.load().version();
        let stamp = SimilarStamp {
            catalogue_version,
            params_version: self.shared.params.current().version,
            engaged_at: world.co_visits.last_engaged_at(row),
        };
        let kept_ms = world.params.load().caches.similar_ms;
        let make = || self.similar_rows(row, n).into();
        let scored = caches.similar.get_or_make((row, n), stamp, clock::now(), kept_ms, make);
        Some(self.listed(scored.iter().copied()))
    }

    fn similar_rows(&self, row: u32, n: usize) -> Vec<(u32, f32)> {
        let world = &self.shared.world;
        let snapshot = world.catalogue.load();
        let Some(query) = snapshot.vector(row) else {
            return Vec::new();
        };
        let admitted = |other: u32| other != row && snapshot.entry(other).is_some_and(|entry| !entry.item.hidden);
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
    #[must_use]
    pub fn popular(&self, query: &PopularQuery) -> Arc<ScoredItemsReply> {
        let world = &self.shared.world;
        let words = world.catalogue.words();
        let category = query.category.as_deref().map(|name| words.categories.get(name));
        let region = query.region.as_deref().map(|name| words.regions.get(name));
        if category == Some(None) || region == Some(None) {
            return Arc::default();
        }
        let window = match query.window {
            Window::FiveMinutes => PopularWindow::FiveMinutes,
            Window::OneHour => PopularWindow::Hour,
            Window::OneDay => PopularWindow::Day,
            Window::OneWeek => PopularWindow::Week,
        };
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
        let shown = |row: u32| {
            let entry = snapshot.entry(row);
            entry.is_some_and(|entry| !entry.hidden && (key.region.is_none() || entry.is_in_region(key.region)))
        };
        let make = || {
            let top = lists.top(window, key.region, key.category).iter();
            let top = top.filter(|candidate| shown(candidate.row)).take(query.n);
            let mut reply = self.listed(top.map(|candidate| (candidate.row, candidate.score)));
            if lists.viral_count() > 0 {
                for item in &mut reply.items {
                    let row = world.catalogue.row(&item.item_id);
                    item.viral = row.is_some_and(|row| lists.is_viral(row));
                }
            }
            Arc::new(reply)
        };
        let kept_ms = world.params.load().caches.popular_ms;
        let caches = &self.shared.caches;
        caches.popular.get_or_make(key, stamp, clock::now(), kept_ms, make)
    }

    /// The newest items, of a category, that may be shown in a region.
    #[must_use]
    pub fn latest(&self, n: usize, category: Option<&str>, region: Option<&str>) -> ScoredItemsReply {
        let world = &self.shared.world;
        let category = category.map(|name| world.catalogue.words().categories.get(name));
        if category == Some(None) {
            return ScoredItemsReply::default();
        }
        let snapshot = world.catalogue.load();
        // A region that no item is limited to has what is limited to none.
        let here = region.map(|name| world.catalogue.words().regions.get(name));
        let shown = |row: &&u32| {
            let entry = snapshot.entry(**row);
            here.is_none_or(|here| entry.is_some_and(|entry| entry.is_in_region(here)))
        };
        let rows = snapshot.latest(category.flatten()).iter().filter(shown).take(n);
        self.listed(rows.map(|row| {
            let created_at = snapshot.entry(*row).map_or(0, |entry| entry.created_at.0);
            // The score of a newest-first list is the time in seconds.
            (*row, (created_at / 1_000) as f32)
        }))
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
        let snapshot = self.shared.world.catalogue.load();
        let item = |(row, score): (u32, f32)| {
            // A list that was kept may name what was hidden since.
            let entry = snapshot.entry(row).filter(|entry| !entry.item.hidden)?;
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
