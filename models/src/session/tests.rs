//! What events do to a viewer's state, and that a stored state is the same state.

use proptest::prelude::*;

use super::{RECENT_ACTIONS_MAX, SessionSnapshot, SessionState};
use crate::event::{Event, Signal};
use crate::ids::{Row, UserId};
use crate::pipeline::testing::{NOW, Viewer, catalogue_of, event, named_event};
use crate::time::{HOUR_MS, MINUTE_MS};
use crate::wire::UserDto;
use crate::world::World;

fn viewer() -> SessionState {
    SessionState::new(UserId::new("viewer").expect("an id"))
}

/// What an actor does with an event: nothing when it is a duplicate. Says whether it counted.
fn take(world: &World, state: &mut SessionState, event: &Event) -> bool {
    if state.is_duplicate(event) {
        return false;
    }
    let row = world.catalogue.row(event.item.as_str()).expect("an item");
    let snapshot = world.catalogue.load();
    let entry = snapshot.entry(row).expect("an item");
    let params = world.params.load();
    let mut applied = state.apply(event, row, entry, snapshot.vector(row), &params);
    state.observe(event, row, entry, &params, world.catalogue.words(), &mut applied);
    true
}

#[test]
fn a_duplicate_counts_once() {
    let world = catalogue_of(10);
    let mut state = viewer();
    let like = named_event("e1", "v0", Signal::Like, NOW);
    assert!(take(&world, &mut state, &like));
    let once = (state.short.clone(), state.counts, state.shown);
    assert!(!take(&world, &mut state, &like));
    assert_eq!((state.short.clone(), state.counts, state.shown), once);
    assert!(
        take(&world, &mut state, &event("v0", Signal::Like, NOW)),
        "an event without a name is never a duplicate"
    );
    assert_eq!((state.counts[Signal::Like as usize], state.shown), (2, 1));
}

#[test]
fn a_late_event_counts_by_its_own_time() {
    let world = catalogue_of(10);
    let (mut in_time, mut late) = (viewer(), viewer());
    let old = event("v0", Signal::Like, NOW.plus_ms(-3 * HOUR_MS));
    let new = event("v1", Signal::Like, NOW);
    take(&world, &mut in_time, &old);
    take(&world, &mut in_time, &new);
    take(&world, &mut late, &new);
    take(&world, &mut late, &old);
    for (a, b) in in_time.long.positive.iter().zip(&late.long.positive) {
        assert!(
            (a - b).abs() < 1e-5,
            "the long-term interest does not depend on the order of arrival"
        );
    }
    let snapshot = world.catalogue.load();
    let weight_of = |state: &SessionState, row: Row| {
        state
            .short
            .categories
            .raw(snapshot.entry(row).expect("an item").leading_category())
    };
    assert!(
        weight_of(&late, 0) < 0.2 * weight_of(&late, 1),
        "three hours ago says little about now"
    );
    assert_eq!(late.recent.iter().map(|action| action.row).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(late.last_positive().map(|action| action.row), Some(1));
    assert_eq!(late.short.at, NOW);
}

#[test]
fn recent_positives_are_distinct_and_without_what_was_taken_back() {
    let world = catalogue_of(10);
    let mut state = viewer();
    let acts = [
        ("v0", Signal::Like),
        ("v1", Signal::Like),
        ("v2", Signal::Skip),
        ("v0", Signal::Share),
        ("v1", Signal::Unlike),
        ("v3", Signal::Dislike),
        ("v3", Signal::Like),
        ("v4", Signal::Like),
        ("v4", Signal::Skip),
    ];
    for (minute, (id, signal)) in (0..).zip(acts) {
        take(&world, &mut state, &event(id, signal, NOW.plus_ms(minute * MINUTE_MS)));
    }
    let mut recent = Vec::new();
    state.recent_positive(10, &mut recent);
    assert_eq!(recent.iter().map(|action| action.row).collect::<Vec<_>>(), [4, 3, 0]);
    state.recent_positive(2, &mut recent);
    assert_eq!(recent.len(), 2);
}

#[test]
fn a_view_counts_by_what_was_watched() {
    let world = catalogue_of(10);
    let weight_of = |watch_ms: Option<u32>| {
        let mut state = viewer();
        let snapshot = world.catalogue.load();
        let view = Event {
            watch_ms,
            ..event("v0", Signal::View, NOW)
        };
        let entry = snapshot.entry(0).expect("an item");
        let applied = state.apply(&view, 0, entry, snapshot.vector(0), &world.params.load());
        (applied.weight, state.watch_ratio)
    };
    // The items of the test catalogue play for 20 seconds; 30 % is neutral.
    assert!(weight_of(Some(20_000)).0 > 0.45 && weight_of(Some(60_000)) == weight_of(Some(20_000)));
    assert!(weight_of(Some(6_000)).0.abs() < 1e-6);
    assert!(weight_of(Some(1_000)).0 < -0.1);
    assert!(weight_of(None).0 > 0.0);
    assert!(weight_of(Some(20_000)).1 > 0.5 && weight_of(Some(0)).1 < 0.5);
}

#[test]
fn a_follow_is_kept_and_actions_are_bounded() {
    let world = catalogue_of(10);
    let mut state = viewer();
    take(&world, &mut state, &event("v0", Signal::Follow, NOW));
    let author = world.catalogue.load().entry(0).expect("an item").author;
    assert!(state.is_following(author));
    for minute in 0..300 {
        take(&world, &mut state, &event("v1", Signal::Like, NOW.plus_ms(minute)));
    }
    assert_eq!(state.recent.len(), RECENT_ACTIONS_MAX);
    // Older than everything that is remembered: it counts, but has no place among the recent ones.
    take(&world, &mut state, &event("v2", Signal::Like, NOW.plus_ms(-HOUR_MS)));
    assert!(state.recent.iter().all(|action| action.row == 1));
    assert_eq!(state.counts[Signal::Like as usize], 301);
}

fn any_event() -> impl Strategy<Value = (usize, Signal, i64, Option<u32>, bool)> {
    let signal = proptest::sample::select(Signal::ALL.to_vec());
    (
        0_usize..80,
        signal,
        0_i64..100 * HOUR_MS,
        proptest::option::of(0_u32..40_000),
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_stored_session_is_the_same_session(
        events in proptest::collection::vec(any_event(), 0..60),
        shown in 0_u64..1_500,
        described in any::<bool>(),
    ) {
        let world = catalogue_of(80);
        let mut state = viewer();
        if described {
            let dto = UserDto {
                id: "viewer".to_owned(),
                region: Some("se".to_owned()),
                tags: Some(vec!["cats-1".to_owned()]),
                follows: Some(vec!["chess-author-0".to_owned()]),
                ..UserDto::default()
            };
            state.describe(dto.into_user().expect("valid"), world.catalogue.words());
        }
        for (number, (item, signal, ago_ms, watch_ms, has_name)) in events.into_iter().enumerate() {
            let at = NOW.plus_ms(-ago_ms);
            let id = format!("v{item}");
            let event = if has_name { named_event(&format!("e{number}"), &id, signal, at) } else { event(&id, signal, at) };
            take(&world, &mut state, &Event { watch_ms, ..event });
        }
        (0..shown).for_each(|hash| {
            state.show(hash, &world.params.load());
        });
        state.journal_sequence = 77;

        let words = world.catalogue.words();
        let packed = rmp_serde::to_vec_named(&SessionSnapshot::of(&state, words)).expect("packs");
        let stored: SessionSnapshot = rmp_serde::from_slice(&packed).expect("reads");
        let restored = stored.clone().restore(state.user.clone(), words);
        prop_assert_eq!(&SessionSnapshot::of(&restored, words), &stored);
        prop_assert_eq!(&restored.recent, &state.recent);
        prop_assert_eq!(restored.journal_sequence, 77);
        for hash in 0..3_000 {
            prop_assert_eq!(restored.exposure.contains(hash), state.exposure.contains(hash));
        }
        let (mut before, mut after) = (Viewer::of(state), Viewer::of(restored));
        prop_assert_eq!(before.feed(&world, 10), after.feed(&world, 10));
    }
}
