//! What an event teaches: the viewer's own state, and what is learned from all viewers together.
//!
//! Owns the order of it. Must not know the journal, actors or statistics of items.

use std::cell::RefCell;

use crate::collaborative::{QUERY_ITEMS_MAX, RecentItem, RecentScratch};
use crate::event::Event;
use crate::ids::Row;
use crate::params::Params;
use crate::popularity::ScoredRow;
use crate::session::{Applied, RecentAction, SessionState, signal_weight};
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
    if applied.repeats_showing {
        return Some(applied);
    }
    state.observe(event, row, entry, params, world.catalogue.words(), &mut applied);
    if applied.weight > 0.0 {
        teach_world(world, params, state, event, row, (applied.weight, is_new), &before);
    }
    Some(applied)
}

/// Lets an event that the viewer's state holds already count in what is learned from viewers together: a session may have
/// been written down after the rest of the world. What preceded the event is read from what the viewer did lately.
pub fn learn_event_again(world: &World, params: &Params, state: &mut SessionState, event: &Event, row: Row) {
    let snapshot = world.catalogue.load();
    let Some(entry) = snapshot.entry(row) else { return };
    let weight = signal_weight(event, entry, params);
    if weight <= 0.0 {
        return;
    }
    let mut before: Vec<RecentAction> = Vec::new();
    state.recent_positive_before(event, row, params.collaborative.pair_window as usize, &mut before);
    teach_world(world, params, state, event, row, (weight, false), &before);
}

/// Co-engagements, similar sessions and similar users learn a positive event; `before` are the viewer's positive actions
/// before it, the newest first. What is new to the viewer also tells how well each profile of requests does.
fn teach_world(
    world: &World,
    params: &Params,
    state: &mut SessionState,
    event: &Event,
    row: Row,
    (weight, is_new): (f32, bool),
    before: &[RecentAction],
) {
    let actions = before.iter().rev().filter(|action| action.row != row);
    let recent: Vec<RecentItem> = actions.map(RecentItem::from).collect();
    if is_new && !recent.is_empty() && world.profiles.is_due() {
        observe_profiles(world, state, &recent, row, event.at, params);
    }
    let collaborative = &params.collaborative;
    world.co_visits.record(row, &recent, event.at, weight, collaborative);
    let running = state.knn_session;
    let session = world.session_knn.extend(running, row, event.at, weight, collaborative);
    state.knn_session = Some(session);
    world.linear.count_events(1);
    let own = state.knn_user;
    state.knn_user = world
        .similar_users
        .record(own, row, event.signal, event.at, &params.similar_users);
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
