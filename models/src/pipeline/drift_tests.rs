//! How far single signals tilt the feed of a viewer with an established taste.

use super::testing::{Viewer, catalogue_of, event, share_of};
use crate::event::{Event, Signal};
use crate::ids::Row;
use crate::learn::learn_event;
use crate::params::{InterestFusion, Params};
use crate::session::SessionSnapshot;
use crate::time::{DAY_MS, HOUR_MS, SECOND_MS};
use crate::world::World;
use std::sync::Arc;

/// Likes cats for three weeks, and was last here a day ago.
fn established(world: &World) -> Viewer {
    let mut viewer = Viewer::new();
    for row in (0..150).step_by(5) {
        viewer.now = viewer.now.plus_ms(16 * HOUR_MS);
        viewer.act(world, row, Signal::Like);
    }
    viewer.now = viewer.now.plus_ms(DAY_MS);
    viewer
}

/// A signal on an item that was watched to its end.
fn look(world: &World, viewer: &mut Viewer, row: Row, signal: Signal) {
    viewer.now = viewer.now.plus_ms(SECOND_MS);
    let snapshot = world.catalogue.load();
    let entry = snapshot.entry(row).expect("an item");
    let event = Event {
        watch_ms: Some(entry.duration_ms),
        ..event(entry.item.id.as_str(), signal, viewer.now)
    };
    let params = world.params.load();
    learn_event(world, &params, &mut viewer.state, &event, row).expect("an item");
}

/// The mean share of cars over some feeds after that many signals on cars.
fn cars_after(world: &World, viewer: &Viewer, signal: Signal, count: usize) -> (f32, f32) {
    let mut viewer = Viewer {
        now: viewer.now,
        ..Viewer::of(viewer.state.clone())
    };
    for row in (301..600).step_by(5).take(count) {
        look(world, &mut viewer, row, signal);
    }
    let mut shares = (0.0, 0.0);
    for _ in 0..20 {
        let feed = viewer.feed(world, 10);
        shares.0 += share_of(world, &feed, "cars") / 20.0;
        shares.1 += share_of(world, &feed, "cats") / 20.0;
    }
    shares
}

fn without_guard(world: &World) {
    let mut params = Params::default();
    params.interest.drift.enabled = false;
    world.params.store(Arc::new(params));
}

#[test]
fn a_stray_view_does_not_tilt_an_established_taste_and_three_do() {
    let world = catalogue_of(1_000);
    let viewer = established(&world);
    for signal in [Signal::View, Signal::Complete] {
        let shares = [0, 1, 2, 3].map(|count| cars_after(&world, &viewer, signal, count));
        assert!(shares[0].0 < 0.1, "{shares:?}");
        for (cars, cats) in &shares[1..3] {
            assert!(
                *cars <= 0.25 && *cats >= 0.7,
                "one or two are stray: {signal:?} {shares:?}"
            );
        }
        assert!(shares[3].0 >= 0.6, "three are believed: {signal:?} {shares:?}");
    }
    without_guard(&world);
    assert!(
        cars_after(&world, &viewer, Signal::View, 1).0 > 0.5,
        "without the guard one view is enough"
    );
}

#[test]
fn a_like_shows_at_once_and_three_lead() {
    let world = catalogue_of(1_000);
    let viewer = established(&world);
    let (one, three) = (
        cars_after(&world, &viewer, Signal::Like, 1),
        cars_after(&world, &viewer, Signal::Like, 3),
    );
    assert!((0.2..=0.7).contains(&one.0) && one.1 >= 0.3, "{one:?}");
    assert!(three.0 >= 0.8, "{three:?}");
}

#[test]
fn a_viewer_without_an_established_taste_is_believed_at_once() {
    let world = catalogue_of(1_000);
    let guarded = cars_after(&world, &Viewer::new(), Signal::View, 1);
    without_guard(&world);
    assert_eq!(guarded, cars_after(&world, &Viewer::new(), Signal::View, 1));
}

#[test]
fn stray_views_long_apart_are_never_believed_and_stored_ones_are_not_forgotten() {
    let world = catalogue_of(1_000);
    let mut apart = established(&world);
    let mut stored = established(&world);
    for row in [301, 306, 311] {
        look(&world, &mut apart, row, Signal::View);
        apart.now = apart.now.plus_ms(2 * HOUR_MS);
        look(&world, &mut stored, row, Signal::View);
        let words = world.catalogue.words();
        stored = Viewer {
            now: stored.now,
            ..Viewer::of(SessionSnapshot::of(&stored.state, words).restore(stored.state.user.clone(), words))
        };
    }
    assert!(share_of(&world, &apart.feed(&world, 10), "cars") <= 0.3);
    assert!(share_of(&world, &stored.feed(&world, 10), "cars") >= 0.6);
}

#[test]
fn learned_weights_go_to_the_horizon_that_knows_what_is_wanted() {
    let mut params = Params::default().interest;
    params.fusion = InterestFusion::Learned;
    params.drift.enabled = false;
    for (now_counts, expected) in [(true, "short"), (false, "long")] {
        let mut state = Viewer::new().state;
        state.short.positive = vec![1.0, 0.0];
        state.long.positive = vec![0.0, 1.0];
        assert_eq!(state.horizon_weights(&params), (0.6, 0.4));
        for _ in 0..60 {
            state.learn_fusion(now_counts, &[1.0, 0.0], &params);
            state.learn_fusion(!now_counts, &[0.0, 1.0], &params);
        }
        let (short, long) = state.horizon_weights(&params);
        assert!((short + long - 1.0).abs() < 1e-5, "{short} {long}");
        let (winner, loser) = if now_counts { (short, long) } else { (long, short) };
        assert!(winner > 4.0 * loser && loser > 0.0, "{expected}: {short} {long}");
    }
}
