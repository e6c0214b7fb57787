//! What less effort leaves out, and that it shows.

use super::testing::{Viewer, catalogue_of, make_popular};
use super::*;
use crate::event::Signal;

fn viewer(world: &crate::world::World) -> Viewer {
    make_popular(world, &[(3, 9), (4, 8), (5, 7)], None);
    let mut viewer = Viewer::new();
    for row in (0..10).map(|number| 5 * number) {
        viewer.act(world, row, Signal::Like);
    }
    viewer
}

#[test]
fn a_smaller_set_is_recalled_and_ranked_and_the_whole_one_again_afterwards() {
    let world = catalogue_of(600);
    let (mut spared, mut served) = (viewer(&world), viewer(&world));
    let full = served.feed(&world, 10);
    assert_eq!(full.degraded, None);
    spared.effort = Effort::SmallerSet;
    let small = spared.feed(&world, 10);
    assert_eq!((small.items.len(), small.degraded), (10, Some(Degraded::SmallerSet)));
    assert!(
        2 * small.report.ranked < full.report.ranked,
        "{} of {}",
        small.report.ranked,
        full.report.ranked
    );
    assert!(2 * spared.pool.len() < served.pool.len());
    assert_eq!(
        spared.feed(&world, 10).report.refill,
        Refill::None,
        "a small pool is enough for now"
    );
    spared.effort = Effort::Full;
    let again = spared.feed(&world, 10);
    assert_eq!(
        (again.report.refill, again.degraded),
        (Refill::Full(RecallCause::Reduced), None)
    );
    assert!(
        10 * again.report.ranked > 8 * full.report.ranked,
        "{} of {}",
        again.report.ranked,
        full.report.ranked
    );
    assert_eq!(spared.feed(&world, 10).report.refill, Refill::None);
}

#[test]
fn the_model_is_not_asked_when_the_linear_scorer_is_enough() {
    let world = catalogue_of(300);
    let mut viewer = viewer(&world);
    viewer.effort = Effort::LinearRanker;
    let slate = viewer.feed(&world, 10);
    assert_eq!((slate.items.len(), slate.degraded), (10, Some(Degraded::LinearRanker)));
    let liked = slate.items[0].objectives;
    // A model that cannot answer changes nothing: it is not asked.
    world.ranker.serve_broken_model();
    viewer.seed -= 1;
    viewer.pool = crate::recall::Pool::default();
    assert_eq!(viewer.feed(&world, 10).items[0].objectives, liked);
}

#[test]
fn a_long_feed_is_whole_at_any_effort() {
    let world = catalogue_of(600);
    for effort in [Effort::SmallerSet, Effort::LinearRanker] {
        let mut viewer = viewer(&world);
        viewer.effort = effort;
        let slate = viewer.feed(&world, 200);
        assert_eq!(slate.items.len(), 200);
    }
}
