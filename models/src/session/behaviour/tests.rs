//! Which behaviour earns which label, whatever the order of arrival.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::event::{Event, Signal};
use crate::params::{Params, parse};
use crate::pipeline::testing::{NOW, Viewer, catalogue_of, event};
use crate::session::{Applied, BehaviourSnapshot, SessionState};
use crate::time::{MINUTE_MS, SECOND_MS, TimestampMs};
use crate::world::World;

/// Items of `catalogue_of` are of five categories by turns; these are of the first.
const CATS: [&str; 6] = ["v0", "v5", "v10", "v15", "v20", "v25"];

fn take(world: &World, params: &Params, state: &mut SessionState, event: &Event) -> usize {
    let row = world.catalogue.row(event.item.as_str()).expect("an item");
    let snapshot = world.catalogue.load();
    let entry = snapshot.entry(row).expect("an item");
    let mut applied = Applied {
        weight: 0.0,
        newly_shown: false,
        repeats_showing: false,
        is_late: false,
        labels_earned: 0,
    };
    state.observe(event, row, entry, params, world.catalogue.words(), &mut applied);
    applied.labels_earned
}

/// The labels after some acts at so many seconds, in the order of arrival.
fn labels_of(params: &Params, acts: &[(&str, Signal, i64)]) -> Vec<String> {
    let world = catalogue_of(60);
    let mut state = Viewer::new().state;
    for (id, signal, second) in acts {
        take(
            &world,
            params,
            &mut state,
            &event(id, *signal, NOW.plus_ms(second * SECOND_MS)),
        );
    }
    let now = NOW.plus_ms(120 * SECOND_MS);
    let mut labels: Vec<String> = state.labels(now).map(|label| label.name.to_string()).collect();
    labels.sort();
    labels
}

fn params_with(pattern: Value) -> Params {
    parse(json!({"patterns": [pattern]})).expect("valid")
}

#[test]
fn three_likes_or_clicks_in_one_category_within_a_minute_make_a_lover() {
    let shipped = Params::default();
    let third_at = |second: i64| {
        [
            ("v0", Signal::Like, 0),
            ("v5", Signal::View, 20),
            ("v10", Signal::Like, second),
        ]
    };
    assert_eq!(labels_of(&shipped, &third_at(60)), ["cats_lover"]);
    assert!(labels_of(&shipped, &third_at(61)).is_empty(), "too late");
    let other = [
        ("v0", Signal::Like, 0),
        ("v5", Signal::Like, 1),
        ("v1", Signal::Like, 2),
    ];
    assert!(labels_of(&shipped, &other).is_empty(), "two categories");
    let same_item = [
        ("v0", Signal::View, 0),
        ("v0", Signal::Like, 1),
        ("v5", Signal::Like, 2),
    ];
    assert!(
        labels_of(&shipped, &same_item).is_empty(),
        "a click and a like on one item are one"
    );
    // A late event counts by its own time.
    let late = [
        ("v10", Signal::Like, 59),
        ("v5", Signal::Like, 58),
        ("v0", Signal::Like, 0),
    ];
    assert_eq!(labels_of(&shipped, &late), ["cats_lover"]);
}

#[test]
fn a_short_view_is_no_click() {
    let world = catalogue_of(60);
    let params = Params::default();
    let lover_after = |watch_ms: u32| {
        let mut state = Viewer::new().state;
        for (second, id) in (0..).zip(&CATS[..3]) {
            let view = event(id, Signal::View, NOW.plus_ms(second * SECOND_MS));
            take(
                &world,
                &params,
                &mut state,
                &Event {
                    watch_ms: Some(watch_ms),
                    ..view
                },
            );
        }
        state.has_label("cats_lover", NOW.plus_ms(MINUTE_MS))
    };
    // The items play for 20 seconds.
    assert!(lover_after(6_000) && !lover_after(5_000));
}

#[test]
fn a_label_lives_from_its_last_event_and_ends_at_its_time() {
    let world = catalogue_of(60);
    let params = Params::default();
    let mut state = Viewer::new().state;
    for (second, id) in (0..).zip(&CATS[..4]) {
        take(
            &world,
            &params,
            &mut state,
            &event(id, Signal::Like, NOW.plus_ms(second * SECOND_MS)),
        );
    }
    let label = state
        .labels(NOW.plus_ms(5 * SECOND_MS))
        .next()
        .cloned()
        .expect("a label");
    assert_eq!(label.since, NOW.plus_ms(2 * SECOND_MS), "the third like earned it");
    assert_eq!(
        label.expires_at,
        NOW.plus_ms(3 * SECOND_MS + 30 * MINUTE_MS),
        "the fourth prolonged it"
    );
    assert!(state.has_label("cats_lover", label.expires_at.plus_ms(-1)));
    assert!(!state.has_label("cats_lover", label.expires_at));
    state.rest(label.expires_at, &params);
    assert!(state.behaviour.is_none(), "nothing is held when nothing lives");
}

#[test]
fn two_comments_make_active_and_a_binge_of_an_author_fatigue() {
    let shipped = Params::default();
    let comments = [("v0", Signal::Comment, -299), ("v1", Signal::Comment, 1)];
    assert_eq!(labels_of(&shipped, &comments), ["active"]);
    // Three items of each category are of one author; the other two signals come from the next three.
    let binge = parse(
        json!({"patterns": [{"name": "f", "label": "fatigue:{author}", "signals": ["like"],
                                           "same": "author", "count": 3}]}),
    )
    .expect("valid");
    let acts = [
        ("v0", Signal::Like, 0),
        ("v5", Signal::Like, 1),
        ("v10", Signal::Like, 2),
    ];
    assert_eq!(labels_of(&binge, &acts), ["fatigue:cats-author-0"]);
    assert!(labels_of(&binge, &[acts[0], acts[1], ("v15", Signal::Like, 2)]).is_empty());
}

#[test]
fn five_skips_in_a_row_bore_and_a_like_ends_it() {
    let shipped = Params::default();
    let skips = [0, 1, 2, 3, 4].map(|second| (CATS[second as usize], Signal::Skip, second));
    assert_eq!(labels_of(&shipped, &skips), ["bored"]);
    let with_views: Vec<_> = skips
        .into_iter()
        .flat_map(|(id, signal, at)| [(id, Signal::View, at), (id, signal, at)])
        .collect();
    let labels = labels_of(&shipped, &with_views);
    assert!(
        labels.contains(&"bored".to_owned()),
        "a view does not break the row: {labels:?}"
    );
    let mut broken = skips.to_vec();
    broken.insert(3, ("v1", Signal::Like, 2));
    assert!(labels_of(&shipped, &broken).is_empty());
    let ended = [&skips[..], &[("v1", Signal::Like, 9)]].concat();
    assert!(
        labels_of(&shipped, &ended).is_empty(),
        "who likes is not bored any more"
    );
}

#[test]
fn a_sequence_takes_its_steps_in_the_order_of_their_own_time() {
    let params = params_with(
        json!({"name": "share", "label": "convinced", "kind": "sequence", "same": "author",
        "within_ms": 60_000, "lifetime_ms": 600_000,
        "steps": [{"signals": ["view"]}, {"signals": ["like"]}, {"signals": ["follow"]}]}),
    );
    let acts = [
        ("v0", Signal::View, 0),
        ("v5", Signal::Like, 10),
        ("v10", Signal::Follow, 20),
    ];
    assert_eq!(labels_of(&params, &acts), ["convinced"]);
    assert_eq!(
        labels_of(&params, &[acts[2], acts[0], acts[1]]),
        ["convinced"],
        "in any order of arrival"
    );
    let wrong = [
        ("v0", Signal::Like, 0),
        ("v5", Signal::View, 10),
        ("v10", Signal::Follow, 20),
    ];
    assert!(labels_of(&params, &wrong).is_empty());
    assert!(
        labels_of(&params, &[acts[0], acts[1], ("v15", Signal::Follow, 20)]).is_empty(),
        "another author"
    );
    assert!(
        labels_of(&params, &[acts[0], acts[1], ("v10", Signal::Follow, 61)]).is_empty(),
        "too late"
    );
}

#[test]
fn a_pattern_may_be_about_named_categories_only() {
    let named = params_with(json!({"name": "cook", "label": "cook", "signals": ["like"], "categories": ["cooking"]}));
    assert_eq!(labels_of(&named, &[("v2", Signal::Like, 0)]), ["cook"]);
    assert!(labels_of(&named, &[("v0", Signal::Like, 0)]).is_empty());
}

fn any_act() -> impl Strategy<Value = (usize, Signal, i64)> {
    let signals = vec![Signal::Like, Signal::View, Signal::Skip, Signal::Comment];
    (0_usize..15, proptest::sample::select(signals), 0_i64..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_order_of_arrival_does_not_decide_who_is_a_lover(acts in proptest::collection::vec(any_act(), 0..40)) {
        let world = catalogue_of(60);
        let shipped = Params::default();
        let lovers = |acts: &[(usize, Signal, i64)]| {
            let mut state = Viewer::new().state;
            for (item, signal, second) in acts {
                let one = event(&format!("v{item}"), *signal, NOW.plus_ms(second * SECOND_MS));
                take(&world, &shipped, &mut state, &one);
            }
            let labels = state.labels(NOW).filter(|label| &*label.pattern == "lover");
            let mut labels: Vec<(String, TimestampMs)> = labels.map(|one| (one.name.to_string(), one.expires_at)).collect();
            labels.sort();
            labels
        };
        // By brute force: some likes or views of three items of a category within a minute.
        let mut naive: Vec<(String, TimestampMs)> = Vec::new();
        for (place, category) in crate::pipeline::testing::CATEGORIES.iter().enumerate() {
            let of = |act: &&(usize, Signal, i64)| act.0 % 5 == place && matches!(act.1, Signal::Like | Signal::View);
            let own: Vec<_> = acts.iter().filter(of).collect();
            let ends = own.iter().filter(|end| {
                let near = own.iter().filter(|one| (end.2 - 60..=end.2).contains(&one.2));
                near.map(|one| one.0).collect::<std::collections::BTreeSet<_>>().len() >= 3
            });
            if let Some(last) = ends.map(|end| end.2).max() {
                naive.push((format!("{category}_lover"), NOW.plus_ms(last * SECOND_MS + 30 * MINUTE_MS)));
            }
        }
        naive.sort();
        prop_assert_eq!(lovers(&acts), naive.clone());
        let backwards: Vec<_> = acts.iter().rev().copied().collect();
        prop_assert_eq!(lovers(&backwards), naive);
    }

    #[test]
    fn what_patterns_know_is_stored_whole(acts in proptest::collection::vec(any_act(), 0..80)) {
        let world = catalogue_of(60);
        let shipped = Params::default();
        let mut state = Viewer::new().state;
        for (item, signal, second) in acts {
            take(&world, &shipped, &mut state, &event(&format!("v{item}"), signal, NOW.plus_ms(second * SECOND_MS)));
        }
        if let Some(behaviour) = state.behaviour {
            let words = world.catalogue.words();
            let packed = rmp_serde::to_vec_named(&BehaviourSnapshot::of(&behaviour, words)).expect("packs");
            let stored: BehaviourSnapshot = rmp_serde::from_slice(&packed).expect("reads");
            prop_assert_eq!(stored.restore(words), *behaviour);
        }
    }
}
