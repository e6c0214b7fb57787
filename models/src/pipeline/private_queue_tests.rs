//! What a ranking leaves: that it is the viewer's next, never a repeat, and gone when anything changes.

use super::*;
use crate::event::Signal;
use crate::ids::Row;
use crate::pipeline::SlateItem;
use crate::pipeline::testing::{Viewer, catalogue_of, delete, item, make_popular, put, rows};

/// A viewer with a taste, the world, and a queue that the first slate of ten left.
fn served() -> (World, Viewer, PrivateQueue, Slate) {
    let world = catalogue_of(300);
    make_popular(&world, &[(3, 9), (4, 8), (5, 7)], None);
    let mut viewer = Viewer::new();
    for row in (0..10).map(|number| 5 * number) {
        viewer.act(&world, row, Signal::Like);
    }
    let first = viewer.feed(&world, 10);
    let mut queue = PrivateQueue::default();
    let stamp = stamp_of(&world, &viewer);
    queue.fill(&first, &world.catalogue.load(), 60, Some(stamp), &mut viewer.scratch);
    (world, viewer, queue, first)
}

fn stamp_of(world: &World, viewer: &Viewer) -> QueueStamp {
    QueueStamp {
        made_at: viewer.now,
        signals: viewer.state.signals(),
        catalogue_version: world.catalogue.load().version(),
        region: viewer.region,
        context: 0,
        params: 1,
        model_loaded_at: TimestampMs(0),
    }
}

fn next(world: &World, viewer: &mut Viewer, queue: &PrivateQueue, stamp: &QueueStamp, n: usize) -> Option<Slate> {
    let params = world.params.load();
    let mut scratch = std::mem::take(&mut viewer.scratch);
    viewer.seed += 1;
    let query = viewer.query(n, &params);
    let slate = queue.serve_fresh(world, &viewer.state, &viewer.pool, &query, stamp, &mut scratch);
    viewer.scratch = scratch;
    slate
}

fn overloaded(world: &World, viewer: &mut Viewer, queue: &PrivateQueue, n: usize) -> Slate {
    let params = world.params.load();
    let mut scratch = std::mem::take(&mut viewer.scratch);
    let query = viewer.query(n, &params);
    let slate = queue.serve_overloaded(world, &viewer.state, &viewer.pool, &query, &mut scratch);
    viewer.scratch = scratch;
    slate
}

#[test]
fn the_next_items_come_and_never_a_repeat() {
    let (world, mut viewer, queue, first) = served();
    assert_eq!(queue.len(), 60);
    let stamp = stamp_of(&world, &viewer);
    let mut shown = rows(&first);
    viewer.see(&world, &first);
    for _ in 0..5 {
        let slate = next(&world, &mut viewer, &queue, &stamp, 10).expect("enough is left");
        assert_eq!((slate.items.len(), slate.degraded), (10, None));
        assert!(rows(&slate).iter().all(|row| !shown.contains(row)));
        let ranked_by = |item: &SlateItem| viewer.scratch.ranked(item.row).is_some() && item.objectives != [0.0; 5];
        assert!(
            slate.items.iter().all(ranked_by),
            "by what it was ranked can be written down"
        );
        shown.extend(rows(&slate));
        viewer.see(&world, &slate);
    }
    assert!(
        next(&world, &mut viewer, &queue, &stamp, 10).is_none(),
        "little is left"
    );
}

#[test]
fn they_are_those_that_a_new_ranking_would_choose() {
    let (world, mut viewer, queue, first) = served();
    viewer.see(&world, &first);
    let stamp = stamp_of(&world, &viewer);
    let next = rows(&next(&world, &mut viewer, &queue, &stamp, 10).expect("enough is left"));
    let again = rows(&viewer.feed(&world, 10));
    let same = next.iter().filter(|row| again.contains(row)).count();
    assert!(same >= 7, "{same} of 10 are the same: {next:?} and {again:?}");
}

#[test]
fn exploration_keeps_its_share() {
    let (world, mut viewer, queue, first) = served();
    viewer.see(&world, &first);
    let stamp = stamp_of(&world, &viewer);
    let explored: usize = (0..200)
        .map(|_| next(&world, &mut viewer, &queue, &stamp, 10).expect("enough is left"))
        .map(|slate| slate.items.iter().filter(|item| item.propensity.is_some()).count())
        .sum();
    assert!((150..=250).contains(&explored), "{explored} of 2 000 slots");
}

#[test]
fn whatever_changes_asks_the_pipeline_again() {
    let (world, mut viewer, queue, _) = served();
    let stamp = stamp_of(&world, &viewer);
    let feed_ms = world.params.load().caches.feed_ms;
    assert!(next(&world, &mut viewer, &queue, &stamp, 10).is_some());
    let changed = [
        QueueStamp {
            made_at: stamp.made_at.plus_ms(feed_ms),
            ..stamp
        },
        QueueStamp {
            made_at: stamp.made_at.plus_ms(-1),
            ..stamp
        },
        QueueStamp {
            signals: stamp.signals + 1,
            ..stamp
        },
        QueueStamp {
            catalogue_version: stamp.catalogue_version + 1,
            ..stamp
        },
        QueueStamp {
            region: Some(3),
            ..stamp
        },
        QueueStamp { params: 2, ..stamp },
        QueueStamp { context: 3, ..stamp },
        QueueStamp {
            model_loaded_at: TimestampMs(9),
            ..stamp
        },
    ];
    for other in changed {
        assert!(next(&world, &mut viewer, &queue, &other, 10).is_none(), "{other:?}");
    }
    let later = QueueStamp {
        made_at: stamp.made_at.plus_ms(feed_ms - 1),
        ..stamp
    };
    assert!(next(&world, &mut viewer, &queue, &later, 10).is_some());
    viewer.explain = true;
    assert!(
        next(&world, &mut viewer, &queue, &stamp, 10).is_none(),
        "an explanation"
    );
}

#[test]
fn what_was_hidden_or_deleted_since_does_not_come() {
    let (world, mut viewer, queue, first) = served();
    let snapshot = world.catalogue.load();
    let names: Vec<String> = rows(&first)
        .iter()
        .map(|row| snapshot.entry(*row).expect("an item").item.id.as_str().to_owned())
        .collect();
    drop(snapshot);
    delete(&world, &names[0]);
    let mut hidden = item(&names[1], "cars", "somebody");
    hidden.hidden = Some(true);
    put(&world, hidden);
    // Another item may be given the deleted one's row; it is not what was ranked.
    put(&world, item("another", "cars", "somebody"));
    let slate = overloaded(&world, &mut viewer, &queue, 10);
    let snapshot = world.catalogue.load();
    let ids: Vec<&str> = slate
        .items
        .iter()
        .map(|item| snapshot.entry(item.row).expect("an item").item.id.as_str())
        .collect();
    assert_eq!(ids.len(), 10);
    assert!(!ids.contains(&names[0].as_str()) && !ids.contains(&names[1].as_str()));
    let again = names[2..].iter().filter(|name| ids.contains(&name.as_str())).count();
    assert!(again >= 5, "what nobody has seen yet comes: {again} of 8");
}

#[test]
fn an_overloaded_server_serves_the_queue_and_then_the_pool() {
    let (world, mut viewer, queue, first) = served();
    viewer.see(&world, &first);
    let slate = overloaded(&world, &mut viewer, &queue, 40);
    assert_eq!((slate.items.len(), slate.degraded), (40, Some(Degraded::PrivateQueue)));
    let more = overloaded(&world, &mut viewer, &queue, 120);
    assert!(more.items.len() > 60, "{} of the pool as well", more.items.len());
    viewer.see(&world, &more);
    let none = overloaded(&world, &mut viewer, &PrivateQueue::default(), 10);
    let again = |row: &Row| rows(&more).contains(row) || rows(&first).contains(row);
    assert!(!rows(&none).iter().any(again));
}

#[test]
fn nothing_is_kept_when_the_params_say_so() {
    let (world, mut viewer, mut queue, first) = served();
    let stamp = stamp_of(&world, &viewer);
    queue.fill(&first, &world.catalogue.load(), 0, Some(stamp), &mut viewer.scratch);
    assert!(queue.is_empty());
    assert!(next(&world, &mut viewer, &queue, &stamp, 1).is_none());
}
