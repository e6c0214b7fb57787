//! What labels do to feeds.

use super::testing::{Viewer, catalogue_of, rows, share_of};
use crate::event::Signal;
use crate::ids::{Row, Word};
use crate::params::parse;
use crate::world::World;
use serde_json::json;
use std::sync::Arc;

fn leading(world: &World, row: Row) -> Word {
    world.catalogue.load().entry(row).expect("an item").leading_category()
}

/// A viewer with a taste for cats (every fifth item).
fn cat_lover(world: &World) -> Viewer {
    let mut viewer = Viewer::new();
    for row in (0..40).step_by(5) {
        viewer.act(world, row, Signal::Like);
    }
    viewer
}

#[test]
fn a_bored_viewer_gets_another_leading_category_and_more_exploration() {
    let world = catalogue_of(600);
    let mut viewer = cat_lover(&world);
    let before = viewer.feed(&world, 10);
    let led_by = leading(&world, before.items[0].row);
    assert_eq!(led_by, leading(&world, 0), "a feed for who likes cats is led by cats");
    let skipped: Vec<Row> = rows(&before)
        .into_iter()
        .filter(|row| leading(&world, *row) == led_by)
        .take(4)
        .collect();
    assert_eq!(skipped.len(), 4);
    for row in skipped {
        viewer.act(&world, row, Signal::Skip);
    }
    let almost = viewer.feed(&world, 10);
    assert!(!viewer.state.has_label("bored", viewer.now));
    let fifth = rows(&almost)
        .into_iter()
        .find(|row| leading(&world, *row) == led_by)
        .expect("a cat");
    viewer.act(&world, fifth, Signal::Skip);
    assert!(viewer.state.has_label("bored", viewer.now));
    let mut explored = [0, 0];
    for (place, is_bored) in [(0, true), (1, false)] {
        if !is_bored {
            viewer.state.behaviour = None;
        }
        for _ in 0..40 {
            let feed = viewer.feed(&world, 10);
            explored[place] += feed.items.iter().filter(|item| item.propensity.is_some()).count();
            assert!(
                !is_bored || leading(&world, feed.items[0].row) != led_by,
                "a bored viewer's feed leads elsewhere"
            );
        }
    }
    assert!(explored[0] > 2 * explored[1], "{explored:?} slots explore");
    viewer.act(&world, 45, Signal::Like);
    assert_eq!(
        leading(&world, viewer.feed(&world, 10).items[0].row),
        led_by,
        "a like is answered by more of it"
    );
}

#[test]
fn the_lead_changes_even_when_all_candidates_are_of_the_unwanted_category() {
    let world = catalogue_of(600);
    let params = parse(json!({"pool": {"rank_max": 10}, "rerank": {"exploration_share": 0.0},
                              "patterns": [{"name": "bored", "label": "bored", "signals": ["skip"],
                                            "effect": {"changes_lead": true}}]}));
    world.params.store(Arc::new(params.expect("valid")));
    let mut viewer = cat_lover(&world);
    viewer.act(&world, 40, Signal::Skip);
    let feed = viewer.feed(&world, 5);
    assert_ne!(leading(&world, feed.items[0].row), leading(&world, 0));
    assert!(share_of(&world, &feed, "cats") > 0.5, "the rest is as it was");
}

#[test]
fn a_binge_of_an_author_pushes_the_author_down_and_says_so() {
    let world = catalogue_of(60);
    let params = parse(json!({"rerank": {"author_penalty": 0.0, "exploration_share": 0.0},
        "patterns": [{"name": "fatigue", "label": "fatigue:{author}", "signals": ["complete"], "same": "author",
                      "count": 2, "lifetime_ms": 60_000, "effect": {"penalty": 1.0, "target": "author"}}]}));
    world.params.store(Arc::new(params.expect("valid")));
    let mut viewer = Viewer::new();
    viewer.explain = true;
    viewer.act(&world, 0, Signal::Complete);
    let author_place = |viewer: &mut Viewer| {
        let feed = viewer.feed(&world, 58);
        let place = feed.items.iter().position(|item| item.row == 10)?;
        let moves = feed.items[place].explain.as_ref().expect("explained").moves.clone();
        Some((
            place,
            moves.iter().any(|one| one.rule == "behaviour" && one.delta < -0.5),
        ))
    };
    let (before, was_moved) = author_place(&mut viewer).expect("the author's third item is near the first");
    viewer.act(&world, 5, Signal::Complete);
    let after = author_place(&mut viewer);
    assert!(before < 12 && !was_moved, "{before} {was_moved} {after:?}");
    assert!(
        after.is_none_or(|(place, is_moved)| place > before + 3 && is_moved),
        "{before} {after:?}"
    );
    viewer.now = viewer.now.plus_ms(60_000);
    let (later, is_moved) = author_place(&mut viewer).expect("back again");
    assert!(later < 12 && !is_moved, "the label has ended: {later}");
}

#[test]
fn a_label_may_hide_an_author_while_it_lives() {
    let world = catalogue_of(60);
    let params = parse(
        json!({"patterns": [{"name": "enough", "label": "enough:{author}", "signals": ["dislike"],
        "same": "author", "lifetime_ms": 60_000, "effect": {"hides": true, "target": "author"}}]}),
    );
    world.params.store(Arc::new(params.expect("valid")));
    let mut viewer = Viewer::new();
    let has_author = |viewer: &mut Viewer| rows(&viewer.feed(&world, 50)).iter().any(|row| [5, 10].contains(row));
    assert!(has_author(&mut viewer));
    viewer.act(&world, 0, Signal::Dislike);
    assert!(!has_author(&mut viewer), "also what was in the pool already");
    viewer.now = viewer.now.plus_ms(60_000);
    assert!(has_author(&mut viewer), "the label has ended");
}
