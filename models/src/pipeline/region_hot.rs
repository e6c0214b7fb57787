//! The last thing that an overloaded server still does for a viewer: what is popular where the viewer is, less what the
//! viewer has been shown. Looks at lists that are there already; no recall, no ranking.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Query;
use super::private_queue::admission_of;
use super::slate::{Degraded, Slate, SlateItem};
use crate::ids::Row;
use crate::popularity::PopularWindow;
use crate::rank::ObjectiveRow;
use crate::recall::{Channel, ChannelSet};
use crate::session::SessionState;
use crate::world::World;

/// When the lists hold nothing more for the viewer, so many rows from a place drawn by chance are looked at.
const ROWS_LOOKED_AT_MAX: usize = 2_048;
/// How the score falls with the place.
const SCORE_STEP: f32 = 0.05;

/// Fills a slate up to the length asked for, popular items of the region first, then popular everywhere, then new. Says
/// that the slate is degraded unless it says so already.
pub fn add_region_hot(world: &World, session: &SessionState, query: &Query<'_>, slate: &mut Slate) {
    let snapshot = world.catalogue.load();
    let behaviour = session.behaviour_effects(query.params, query.now);
    let admission = admission_of(session, query, &behaviour, &snapshot);
    let mut take = |row: Row, channel: Channel| {
        let is_new = slate.items.iter().all(|item| item.row != row);
        if slate.items.len() < query.n && is_new && admission.check(row).is_ok() {
            let score = 1.0 / (1.0 + SCORE_STEP * slate.items.len() as f32);
            slate.items.push(hot_item(row, channel, score));
            slate.report.on_slate[channel.number()] += 1;
        }
        slate.items.len() >= query.n
    };
    let lists = world.trending.load();
    let mut is_full = query.n == 0;
    for region in [query.region, None] {
        for window in [PopularWindow::Hour, PopularWindow::AllTime] {
            let mut rows = lists.top(window, region, None).iter();
            is_full = is_full || rows.any(|candidate| take(candidate.row, Channel::Hot));
        }
    }
    is_full = is_full || snapshot.latest(None).iter().any(|row| take(*row, Channel::Fresh));
    let rows_end = snapshot.rows_end();
    if !is_full && rows_end > 0 {
        let start = Xoshiro256PlusPlus::seed_from_u64(query.seed).random_range(0..rows_end);
        let mut rows = (start..rows_end).chain(0..start).take(ROWS_LOOKED_AT_MAX);
        is_full = rows.any(|row| take(row, Channel::Backfill));
    }
    // Only when every row was looked at is it known that nothing is left.
    let is_exhausted = !is_full && rows_end as usize <= ROWS_LOOKED_AT_MAX;
    slate.degraded = if is_exhausted {
        Some(Degraded::Exhausted)
    } else {
        slate.degraded.or(Some(Degraded::RegionHot))
    };
}

fn hot_item(row: Row, channel: Channel, score: f32) -> SlateItem {
    SlateItem {
        row,
        score,
        channels: ChannelSet::of(channel),
        reason: channel,
        propensity: None,
        objectives: ObjectiveRow::default(),
        explain: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{Viewer, catalogue_of, delete, item, make_popular, put, rows};

    fn hot(viewer: &Viewer, world: &World, n: usize) -> Slate {
        let params = world.params.load();
        let mut slate = Slate::default();
        add_region_hot(world, &viewer.state, &viewer.query(n, &params), &mut slate);
        slate
    }

    #[test]
    fn what_is_popular_comes_first_and_nothing_twice() {
        let world = catalogue_of(60);
        make_popular(&world, &[(7, 40), (8, 30), (9, 20)], None);
        let mut viewer = Viewer::new();
        let first = hot(&viewer, &world, 10);
        assert_eq!(rows(&first)[..3], [7, 8, 9]);
        assert_eq!((first.items.len(), first.degraded), (10, Some(Degraded::RegionHot)));
        viewer.see(&world, &first);
        let second = hot(&viewer, &world, 10);
        assert!(rows(&second).iter().all(|row| !rows(&first).contains(row)));
        viewer.see(&world, &second);
        let rest = hot(&viewer, &world, 60);
        assert_eq!((rest.items.len(), rest.degraded), (40, Some(Degraded::Exhausted)));
    }

    #[test]
    fn what_may_not_be_shown_does_not_come() {
        let world = catalogue_of(20);
        make_popular(&world, &[(1, 50), (2, 40), (3, 30)], None);
        delete(&world, "v1");
        let mut hidden = item("v2", "cars", "somebody");
        hidden.hidden = Some(true);
        put(&world, hidden);
        let mut elsewhere = item("v3", "cars", "somebody");
        elsewhere.regions = Some(vec!["norway".to_owned()]);
        put(&world, elsewhere);
        let found = rows(&hot(&Viewer::new(), &world, 20));
        assert_eq!(found.len(), 17);
        assert!([1, 2, 3].iter().all(|row| !found.contains(row)));
    }
}
