//! What came of slates changes the slates after it, and only where it may.

use std::sync::Arc;

use super::testing::{NOW, Viewer, catalogue_of, rows, share_of};
use crate::ids::UserId;
use crate::learner::{Learner, Level, Sample, ServedRow, ViewerKeys};
use crate::params::Params;
use crate::rank::Objective;
use crate::session::SessionState;
use crate::world::World;

/// What everybody likes.
const LIKED: &str = "chess";

fn stranger(name: &str) -> Viewer {
    Viewer::of(SessionState::new(UserId::new(name).expect("an id")))
}

/// Viewers of whom nothing is known are shown slates, and like one category of them.
fn learn_from_slates(world: &World, slates: usize) -> Learner {
    let mut learner = Learner::new(world.params.load().learner);
    let category = world.catalogue.words().categories.get(LIKED).expect("a category");
    let snapshot = world.catalogue.load();
    for number in 0..slates {
        let mut viewer = stranger(&format!("u{number}"));
        viewer.seed = number as u64;
        let slate = viewer.feed(world, 10);
        let keys = ViewerKeys::of(&viewer.state, None, NOW);
        for (position, row) in rows(&slate).into_iter().enumerate() {
            let entry = snapshot.entry(row).expect("an item");
            let ranked = viewer.scratch.ranked_by(row).expect("it was ranked");
            let liked = f32::from(u8::from(entry.categories.contains(&category)));
            learner.learn(&Sample {
                row: ServedRow::new(&keys, entry, &ranked, position),
                labels: [Some(liked), Some(liked), Some(0.0), Some(1.0 - liked), Some(liked)],
            });
        }
    }
    learner
}

fn world_of_the_impatient() -> World {
    let world = catalogue_of(150);
    let mut params = Params::default();
    params.learner.updates_min = 100;
    params.learner.window = 200;
    world.params.store(Arc::new(params));
    world
}

#[test]
fn what_came_of_slates_turns_the_feeds_of_strangers() {
    let world = world_of_the_impatient();
    let before = stranger("nobody").feed(&world, 10);
    let mut learner = learn_from_slates(&world, 80);
    assert_eq!(learner.levels()[Objective::Like.index()], Level::Corrected);
    world.learner.publish(learner.publish().expect("it has learned"));

    let mut viewer = stranger("nobody");
    viewer.explain = true;
    let after = viewer.feed(&world, 10);
    let (was, is) = (share_of(&world, &before, LIKED), share_of(&world, &after, LIKED));
    assert!(is >= was + 0.2, "{was} {is}");
    for item in &after.items {
        let explain = item.explain.as_ref().expect("explained");
        let like = &explain.learner["like"];
        assert_eq!(like.served, explain.objectives["like"]);
        let factor = like.weight_factor * Params::default().fusion.like;
        assert!((explain.weights["like"] - factor).abs() < 1e-6, "{explain:?}");
        let known: f32 = like.terms.iter().map(|term| term.value).sum();
        assert!(like.terms.len() > 1 && known.is_finite(), "{like:?}");
    }

    let mut params = Params::clone(&world.params.load());
    params.learner.correct = false;
    world.params.store(Arc::new(params));
    let off = stranger("nobody").feed(&world, 10);
    assert_eq!(rows(&off), rows(&before));
}

#[test]
fn a_learner_that_knows_too_little_changes_nothing() {
    let world = world_of_the_impatient();
    let before = stranger("nobody").feed(&world, 10);
    let mut learner = learn_from_slates(&world, 9);
    world.learner.publish(learner.publish().expect("it has learned"));
    let after = stranger("nobody").feed(&world, 10);
    assert_eq!(after.items, before.items);
}
