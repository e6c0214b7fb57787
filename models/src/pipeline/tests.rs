//! What a viewer may expect of a slate: that it follows the taste, explains itself, and is the same for the same seed.

use std::sync::Arc;

use super::testing::{CATEGORIES, NOW, Viewer, catalogue_of, delete, item, make_popular, put, rows, share_of};
use super::{Degraded, RecallCause, Refill, Scratch, Slate};
use crate::event::Signal;
use crate::features::schema::{FEATURE_COUNT, Feature};
use crate::ids::{Row, UserId};
use crate::params::Params;
use crate::recall::{Channel, ChannelSet, Pool};
use crate::session::SessionState;
use crate::time::DAY_MS;
use crate::wire::UserDto;
use crate::world::World;

fn set_params(world: &World, change: impl FnOnce(&mut Params)) {
    let mut params = Params::clone(&world.params.load());
    change(&mut params);
    assert_eq!(params.validate(), vec![]);
    world.params.store(Arc::new(params));
}

/// A viewer who likes or skips one item of a category after the other, far behind what feeds show.
fn react(world: &World, viewer: &mut Viewer, category: usize, signal: Signal, count: usize) {
    for number in 0..count {
        viewer.act(world, (category + number * CATEGORIES.len()) as Row, signal);
    }
}

/// The mean share of a category over several slates of one viewer.
fn mean_share(world: &World, viewer: &mut Viewer, category: &str) -> f32 {
    (0..10)
        .map(|_| share_of(world, &viewer.feed(world, 10), category))
        .sum::<f32>()
        / 10.0
}

#[test]
fn likes_raise_the_share_of_a_category_and_skips_lower_it() {
    let world = catalogue_of(600);
    let mut viewer = Viewer::new();
    let before = mean_share(&world, &mut viewer, "cats");
    viewer.act(&world, 0, Signal::Like);
    let after_one = mean_share(&world, &mut viewer, "cats");
    react(&world, &mut viewer, 0, Signal::Like, 3);
    let after_three = mean_share(&world, &mut viewer, "cats");
    assert!(
        before < 0.4 && after_one > before + 0.15 && after_three > 0.5,
        "{before} {after_one} {after_three}"
    );

    react(&world, &mut viewer, 1, Signal::Like, 3);
    let cars = mean_share(&world, &mut viewer, "cars");
    for number in 10..18 {
        viewer.act(&world, 1 + number * 5, Signal::Skip);
    }
    let cars_skipped = mean_share(&world, &mut viewer, "cars");
    assert!(cars > 0.25 && cars_skipped < cars / 2.0, "{cars} {cars_skipped}");
}

#[test]
fn the_next_slate_already_reflects_one_like() {
    let world = catalogue_of(600);
    for (number, category) in CATEGORIES.into_iter().enumerate() {
        let mut viewer = Viewer::new();
        react(&world, &mut viewer, (number + 1) % CATEGORIES.len(), Signal::Like, 1);
        let before = share_of(&world, &viewer.feed(&world, 10), category);
        viewer.act(&world, number as Row, Signal::Like);
        let after = share_of(&world, &viewer.feed(&world, 10), category);
        assert!(
            after >= before + 0.2,
            "{category}: {before} before, {after} after a like"
        );
    }
}

#[test]
fn same_inputs_give_the_same_slate_whatever_the_scratch_held_before() {
    let world = catalogue_of(600);
    make_popular(&world, &[(3, 9), (8, 20), (41, 4)], None);
    let slates = |scratch: Scratch| -> Vec<Slate> {
        let mut viewer = Viewer::new();
        viewer.scratch = scratch;
        (0..8)
            .map(|step| {
                let slate = viewer.feed(&world, 10);
                viewer.act(
                    &world,
                    slate.items[step % 3].row,
                    [Signal::Like, Signal::Skip][step % 2],
                );
                slate
            })
            .collect()
    };
    let first = slates(Scratch::default());
    let mut other = Viewer::new();
    react(&world, &mut other, 2, Signal::Share, 5);
    other.feed(&world, 50);
    assert_eq!(slates(other.scratch), first);
    let mut reseeded = Viewer::new();
    reseeded.seed = 1_000;
    assert_ne!(
        rows(&reseeded.feed(&world, 10)),
        rows(&first[0]),
        "the seed must matter"
    );
}

#[test]
fn a_viewer_of_whom_nothing_is_known_gets_what_is_popular_and_new() {
    let world = catalogue_of(600);
    let popular: Vec<(Row, u32)> = (100..130).map(|row| (row, 40)).collect();
    make_popular(&world, &popular, None);
    let mut viewer = Viewer::new();
    let slate = viewer.feed(&world, 10);
    assert_eq!((slate.items.len(), slate.degraded), (10, None));
    let hot = slate
        .items
        .iter()
        .filter(|item| item.channels.contains(Channel::Hot))
        .count();
    assert!(hot >= 5, "{hot} of 10 are popular");
    assert!(slate.report.channels[Channel::Hot.number()].recalled >= 30);
    assert!(slate.items.iter().all(|item| item.score.is_finite()));
}

#[test]
fn tags_given_at_registration_shape_the_first_feed() {
    let world = catalogue_of(600);
    let mut state = SessionState::new(UserId::new("viewer").expect("an id"));
    let tags = Some((0..3).map(|kind| format!("chess-{kind}")).collect());
    let dto = UserDto {
        id: "viewer".to_owned(),
        tags,
        ..UserDto::default()
    };
    state.describe(dto.into_user().expect("valid"), world.catalogue.words());
    let mut viewer = Viewer::of(state);
    let share = mean_share(&world, &mut viewer, "chess");
    assert!(share > 0.4, "{share}");
}

#[test]
fn about_a_tenth_of_the_slots_explore_and_say_with_which_probability() {
    let world = catalogue_of(600);
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 5);
    let mut explored = 0;
    for _ in 0..200 {
        let slate = viewer.feed(&world, 10);
        assert!(slate.items[0].propensity.is_none(), "the first slot never explores");
        for item in slate.items.iter().filter(|item| item.propensity.is_some()) {
            let propensity = item.propensity.expect("filtered");
            assert!(propensity > 0.0 && propensity <= 1.0);
            assert_eq!(item.reason, Channel::Explore);
            explored += 1;
        }
    }
    assert!((150..250).contains(&explored), "{explored} of 2 000 slots explore");
}

#[test]
fn an_explanation_names_everything_and_adds_up() {
    let world = catalogue_of(600);
    make_popular(&world, &[(3, 9), (8, 20), (41, 4)], None);
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 5);
    viewer.explain = true;
    let slate = viewer.feed(&world, 20);
    assert_eq!(slate.report.refill, Refill::Full(RecallCause::First));
    for item in &slate.items {
        let explain = item.explain.as_deref().expect("asked for");
        assert_eq!((explain.objectives.len(), explain.weights.len()), (5, 7));
        assert_eq!(
            explain.features.values().map(|group| group.len()).sum::<usize>(),
            FEATURE_COUNT
        );
        assert!(!item.channels.is_empty());
        let named: Vec<&str> = item.channels.iter().map(Channel::name).collect();
        assert!(named.iter().all(|name| explain.channel_scores.contains_key(*name)));
        assert_eq!(explain.channel_scores.len(), named.len());
        let fused: f32 = explain
            .objectives
            .iter()
            .map(|(name, value)| explain.weights[name] * value)
            .sum();
        let cheap =
            explain.weights["pre_rank"] * explain.pre_rank + explain.weights["collaborative"] * explain.collaborative;
        assert!((fused + cheap - explain.fused).abs() < 1e-4);
        let moved: f32 = explain.moves.iter().map(|one| one.delta).sum();
        assert!((explain.fused + moved - item.score).abs() < 1e-5);
        let explores = explain.moves.iter().any(|one| one.rule == "exploration");
        assert_eq!(explores, item.propensity.is_some());
    }
    let kinds = |rule: &str| {
        slate
            .items
            .iter()
            .filter_map(|item| item.explain.as_deref())
            .any(|explain| explain.moves.iter().any(|one| one.rule == rule))
    };
    assert!(kinds("category_diversity") && kinds("similarity"));
    let kept: u32 = slate.report.kept.iter().sum();
    assert!(kept >= slate.report.ranked, "every ranked candidate has a channel");
}

#[test]
fn every_feature_of_every_candidate_is_in_its_range() {
    let world = catalogue_of(300);
    make_popular(&world, &(0..100).map(|row| (row, row * 7)).collect::<Vec<_>>(), None);
    let mut viewer = Viewer::new();
    for number in 0..60 {
        let signal = Signal::ALL[number % Signal::ALL.len()];
        viewer.act(&world, (number * 5 % 300) as Row, signal);
    }
    viewer.feed(&world, 100);
    let candidates = &viewer.scratch.candidates;
    assert!(candidates.len() > 100 && candidates.features.len() == candidates.len() * FEATURE_COUNT);
    for columns in candidates.features.chunks_exact(FEATURE_COUNT) {
        for (value, feature) in columns.iter().zip(Feature::ALL) {
            let (low, high) = feature.range();
            assert!((low..=high).contains(value), "{feature:?} is {value}");
        }
    }
}

#[test]
fn a_new_item_close_to_the_taste_appears_within_two_requests() {
    for reuse_pool in [true, false] {
        let world = catalogue_of(1_000);
        let mut viewer = Viewer::new();
        react(&world, &mut viewer, 0, Signal::Like, 5);
        let warm = viewer.feed(&world, 10);
        viewer.see(&world, &warm);
        let taste = viewer.scratch.taste.blended.clone();
        let embedding = Some(
            taste
                .iter()
                .zip(0_u8..)
                .map(|(part, place)| part + 0.02 * f32::from(place % 3))
                .collect(),
        );
        let created_at = Some(NOW.0);
        let row = put(
            &world,
            ItemDtoWith { embedding, created_at }.of(item("fresh-one", "cats", "newcomer")),
        );
        if !reuse_pool {
            viewer.pool = Pool::default();
        }
        let mut shown = false;
        for _ in 0..2 {
            let slate = viewer.feed(&world, 10);
            shown |= rows(&slate).contains(&row);
            viewer.see(&world, &slate);
        }
        assert!(shown, "with the pool kept: {reuse_pool}");
    }
}

struct ItemDtoWith {
    embedding: Option<Vec<f32>>,
    created_at: Option<i64>,
}

impl ItemDtoWith {
    fn of(self, item: crate::wire::ItemDto) -> crate::wire::ItemDto {
        crate::wire::ItemDto {
            embedding: self.embedding,
            created_at: self.created_at,
            ..item
        }
    }
}

#[test]
fn what_is_hidden_deleted_or_for_another_region_never_appears() {
    let world = catalogue_of(60);
    let regional = |id: &str, region: &str| crate::wire::ItemDto {
        regions: Some(vec![region.to_owned()]),
        ..item(id, "cats", "somebody")
    };
    let (here, there) = (
        put(&world, regional("here", "se")),
        put(&world, regional("there", "jp")),
    );
    let mut viewer = Viewer::new();
    viewer.region = world.catalogue.words().regions.get("se");
    react(&world, &mut viewer, 0, Signal::Like, 3);
    let all = rows(&viewer.feed(&world, 100));
    assert!(all.contains(&here) && !all.contains(&there), "only the own region");

    delete(&world, "v20");
    put(
        &world,
        crate::wire::ItemDto {
            hidden: Some(true),
            ..item("v25", "cats", "cats-author-1")
        },
    );
    let gone: Vec<Row> = vec![20, 25, there];
    for _ in 0..2 {
        let slate = viewer.feed(&world, 100);
        assert!(rows(&slate).iter().all(|row| !gone.contains(row)));
        assert_eq!(slate.items.len(), all.len() - 2);
    }

    viewer.region = world.catalogue.words().regions.get("jp");
    let moved = rows(&viewer.feed(&world, 100));
    assert!(moved.contains(&there) && !moved.contains(&here), "the viewer has moved");
    viewer.region = None;
    assert!(
        rows(&viewer.feed(&world, 100))
            .iter()
            .all(|row| *row != here && *row != there)
    );
}

#[test]
fn what_a_request_leaves_out_is_wanted_again_by_the_next() {
    let world = catalogue_of(600);
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 3);
    set_params(&world, |params| params.rerank.exploration_share = 0.0);
    let first = viewer.feed(&world, 10);
    let snapshot = world.catalogue.load();
    viewer.excluded = rows(&first)
        .iter()
        .map(|row| snapshot.entry(*row).expect("an item").hash)
        .collect();
    viewer.excluded.sort_unstable();
    for explain in [false, true] {
        viewer.explain = explain;
        let second = viewer.feed(&world, 10);
        let expected = if explain {
            Refill::Full(RecallCause::Explained)
        } else {
            Refill::None
        };
        assert_eq!(second.report.refill, expected);
        assert_eq!(second.items.len(), 10);
        assert!(rows(&second).iter().all(|row| !rows(&first).contains(row)));
        assert!(
            rows(&first).iter().all(|row| viewer.pool.contains(*row)),
            "also when the pool is filled again"
        );
        if !explain {
            let excluded = std::mem::take(&mut viewer.excluded);
            assert_eq!(rows(&viewer.feed(&world, 10)), rows(&first));
            viewer.excluded = excluded;
        }
    }
}

#[test]
fn one_author_does_not_fill_the_top_while_others_have_as_much_to_show() {
    let world = World::new(None, Default::default()).expect("a world");
    for number in 0..200 {
        let author = if number % 4 == 0 {
            "prolific".to_owned()
        } else {
            format!("author-{}", number % 50)
        };
        put(&world, item(&format!("v{number}"), "cats", &author));
    }
    set_params(&world, |params| params.rerank.exploration_share = 0.0);
    let mut viewer = Viewer::new();
    for row in [1, 2, 5] {
        viewer.act(&world, row, Signal::Like);
    }
    viewer.act(&world, 4, Signal::Complete);
    let slate = viewer.feed(&world, 10);
    let snapshot = world.catalogue.load();
    let prolific = world.catalogue.words().authors.get("prolific");
    let count = rows(&slate)
        .iter()
        .filter(|row| Some(snapshot.entry(**row).expect("an item").author) == prolific)
        .count();
    assert!(count <= 3, "{count} of 10 by one author");
}

#[test]
fn the_pool_is_kept_after_a_skip_and_extended_after_a_like() {
    let world = catalogue_of(600);
    let params = world.params.load();
    let at = NOW.plus_ms(-DAY_MS);
    // Everybody who likes cats 0 goes on to 500.
    for _ in 0..20 {
        let key = world.session_knn.extend(None, 0, at, 1.0, &params.collaborative);
        world.session_knn.extend(Some(key), 500, at, 1.0, &params.collaborative);
    }
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 8);
    assert_eq!(viewer.feed(&world, 10).report.refill, Refill::Full(RecallCause::First));
    viewer.act(&world, 300, Signal::Skip);
    assert_eq!(viewer.feed(&world, 10).report.refill, Refill::None);
    viewer.act(&world, 0, Signal::Like);
    let slate = viewer.feed(&world, 10);
    assert_eq!(slate.report.refill, Refill::Live);
    let place = viewer
        .pool
        .rows
        .iter()
        .position(|row| *row == 500)
        .expect("the neighbours join");
    assert!(viewer.pool.channels[place].contains(Channel::SessionKnn));
    assert!(
        viewer
            .pool
            .channels
            .iter()
            .all(|channels| *channels != ChannelSet::default())
    );
    viewer.act(&world, 0, Signal::Unlike);
    viewer.feed(&world, 10);
    let place = viewer.pool.rows.iter().position(|row| *row == 500);
    assert!(
        place.is_none_or(|place| viewer.pool.evidence[place][2] == 0.0),
        "taken back"
    );
}

#[test]
fn the_linear_scorer_serves_when_the_model_fails() {
    let world = catalogue_of(100);
    world.ranker.serve_broken_model();
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 3);
    let slate = viewer.feed(&world, 10);
    assert_eq!((slate.items.len(), slate.degraded), (10, Some(Degraded::LinearRanker)));
    assert!(share_of(&world, &slate, "cats") > 0.4);
}

#[test]
fn feeds_of_one_and_of_five_hundred_and_of_an_empty_catalogue() {
    let world = catalogue_of(1_200);
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 3);
    assert_eq!(viewer.feed(&world, 1).items.len(), 1);
    let long = viewer.feed(&world, 500);
    assert_eq!((long.items.len(), long.degraded), (500, None));
    let mut distinct = rows(&long);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 500);

    let empty = World::new(None, Default::default()).expect("a world");
    let mut viewer = Viewer::new();
    let slate = viewer.feed(&empty, 10);
    assert_eq!((slate.items.len(), slate.degraded), (0, Some(Degraded::Exhausted)));
    assert_eq!(viewer.feed(&empty, 500).items.len(), 0);
}

#[test]
fn no_channel_is_crowded_out_of_a_small_pool() {
    let world = catalogue_of(2_000);
    make_popular(&world, &(1_000..1_100).map(|row| (row, 5)).collect::<Vec<_>>(), None);
    set_params(&world, |params| params.pool.size_max = 60);
    let mut viewer = Viewer::new();
    react(&world, &mut viewer, 0, Signal::Like, 20);
    viewer.feed(&world, 10);
    assert!(viewer.pool.len() <= 60);
    for channel in [
        Channel::Embedding,
        Channel::Tags,
        Channel::Hot,
        Channel::Fresh,
        Channel::Explore,
    ] {
        let count = viewer
            .pool
            .channels
            .iter()
            .filter(|channels| channels.contains(channel))
            .count();
        assert!(
            count >= 2,
            "{} has {count} candidates of {}",
            channel.name(),
            viewer.pool.len()
        );
    }
}
