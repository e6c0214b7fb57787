//! What an event teaches: the viewer's own state, and what is learned from all viewers together.
//!
//! Owns the order of it. Must not know the journal, actors or statistics of items.

use std::cell::RefCell;

use crate::collaborative::{QUERY_ITEMS_MAX, RecentItem, RecentScratch};
use crate::event::Event;
use crate::ids::Row;
use crate::params::Params;
use crate::popularity::ScoredRow;
use crate::session::{Applied, RecentAction, SessionState};
use crate::time::TimestampMs;
use crate::world::World;

/// Lets one event change the viewer's state and what is learned from viewers together. `None`: the catalogue does not
/// hold the item. `params` are those that hold for the viewer. The caller has checked [`SessionState::is_duplicate`].
pub fn learn_event(
    world: &World,
    params: &Params,
    state: &mut SessionState,
    event: &Event,
    row: Row,
) -> Option<Applied> {
    let snapshot = world.catalogue.load();
    let entry = snapshot.entry(row)?;
    state.short.fit_dimension(snapshot.dimension());
    state.long.fit_dimension(snapshot.dimension());
    let mut before: Vec<RecentAction> = Vec::new();
    state.recent_positive(params.collaborative.pair_window as usize, &mut before);
    let is_new = !state.exposure.contains(entry.hash);
    let mut applied = state.apply(event, row, entry, snapshot.vector(row), params);
    state.observe(event, row, entry, params, world.catalogue.words(), &mut applied);
    if applied.weight > 0.0 {
        let actions = before.iter().rev().filter(|action| action.row != row);
        let recent: Vec<RecentItem> = actions.map(RecentItem::from).collect();
        if is_new && !recent.is_empty() && world.profiles.is_due() {
            observe_profiles(world, state, &recent, row, event.at, params);
        }
        let collaborative = &params.collaborative;
        world
            .co_visits
            .record(row, &recent, event.at, applied.weight, collaborative);
        let running = state.knn_session;
        state.knn_session = Some(
            world
                .session_knn
                .extend(running, row, event.at, applied.weight, collaborative),
        );
        world.linear.count_events(1);
        let own = state.knn_user;
        state.knn_user = world
            .similar_users
            .record(own, row, event.signal, event.at, &params.similar_users);
    }
    Some(applied)
}

thread_local! {
    /// Memory of [`observe_profiles`], for every event of a thread.
    static SCRATCH: RefCell<(RecentScratch, Vec<ScoredRow>)> = RefCell::default();
}

/// Asks where each profile would have placed what the viewer has just liked.
fn observe_profiles(
    world: &World,
    state: &SessionState,
    recent: &[RecentItem],
    target: Row,
    now: TimestampMs,
    params: &Params,
) {
    let snapshot = world.catalogue.load();
    let newest = &recent[recent.len().saturating_sub(QUERY_ITEMS_MAX)..];
    let is_unseen = |row: Row| snapshot.hash(row).is_some_and(|hash| !state.exposure.contains(hash));
    let places = SCRATCH.with_borrow_mut(|(scratch, scored)| {
        params.collaborative.profiles().map(|profile| {
            let collaborative = &params.collaborative;
            world
                .co_visits
                .score_from_recent(newest, profile, now, collaborative, None, scratch, scored);
            let liked = *scored.iter().find(|one| one.row == target)?;
            // Its place is how many stand before it; to sort them for that would be in vain.
            let before = scored.iter().filter(|one| one.best_first(&liked).is_lt());
            Some(before.filter(|one| is_unseen(one.row)).count())
        })
    });
    world.profiles.observe(places);
}
