//! Lists that are the same for everybody: similar, popular, latest.

use super::*;

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
        let world = &self.shared.world;
        let row = world.catalogue.row(id)?;
        let snapshot = world.catalogue.load();
        let query = snapshot.vector(row)?;
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
        Some(self.listed(scored.into_iter()))
    }

    /// What is popular in a window, a category, a region.
    #[must_use]
    pub fn popular(&self, query: &PopularQuery) -> ScoredItemsReply {
        let words = self.shared.world.catalogue.words();
        let category = query.category.as_deref().map(|name| words.categories.get(name));
        let region = query.region.as_deref().map(|name| words.regions.get(name));
        if category == Some(None) || region == Some(None) {
            return ScoredItemsReply::default();
        }
        let window = match query.window {
            Window::FiveMinutes => PopularWindow::FiveMinutes,
            Window::OneHour => PopularWindow::Hour,
            Window::OneDay => PopularWindow::Day,
            Window::OneWeek => PopularWindow::Week,
        };
        let lists = self.shared.world.trending.load();
        let snapshot = self.shared.world.catalogue.load();
        let region = region.flatten();
        let shown = |row: u32| snapshot.entry(row).is_some_and(|entry| !entry.item.hidden);
        let top = lists
            .top(window, region, category.flatten())
            .iter()
            .filter(|candidate| shown(candidate.row));
        self.listed(top.take(query.n).map(|candidate| (candidate.row, candidate.score)))
    }

    /// The newest items.
    #[must_use]
    pub fn latest(&self, n: usize, category: Option<&str>) -> ScoredItemsReply {
        let world = &self.shared.world;
        let category = category.map(|name| world.catalogue.words().categories.get(name));
        if category == Some(None) {
            return ScoredItemsReply::default();
        }
        let snapshot = world.catalogue.load();
        let rows = snapshot.latest(category.flatten()).iter().take(n);
        self.listed(rows.map(|row| {
            let created_at = snapshot.entry(*row).map_or(0, |entry| entry.created_at.0);
            // The score of a newest-first list is the time in seconds.
            (*row, (created_at / 1_000) as f32)
        }))
    }

    fn listed(&self, rows: impl Iterator<Item = (u32, f32)>) -> ScoredItemsReply {
        let snapshot = self.shared.world.catalogue.load();
        let item = |(row, score): (u32, f32)| {
            let entry = snapshot.entry(row)?;
            let item_id = entry.item.id.as_str().to_owned();
            Some(ScoredItemDto {
                item_id,
                score,
                item: Some(Arc::new(ItemDto::card(&entry.item))),
            })
        };
        ScoredItemsReply {
            items: rows.filter_map(item).collect(),
        }
    }
}
