//! Nothing twice: whatever a viewer does, an item that was shown never comes back, and a feed is only short when
//! everything admissible has been shown.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Degraded;
use super::testing::{Viewer, catalogue_of, delete, rows};
use crate::event::Signal;
use crate::ids::Row;

#[derive(Debug, Clone)]
enum Step {
    /// Ask for a feed of that length and see it up to a place.
    Feed { n: usize, seen: usize },
    /// React to an item of the last feed.
    React { place: usize, signal: Signal },
    /// An item disappears.
    Delete { number: usize },
    /// Time passes, in milliseconds.
    Wait { ms: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signals = vec![
        Signal::Like,
        Signal::Skip,
        Signal::Impression,
        Signal::Complete,
        Signal::Unlike,
        Signal::View,
    ];
    let step = prop_oneof![
        4 => (1_usize..12, 0_usize..12).prop_map(|(n, seen)| Step::Feed { n, seen }),
        4 => (0_usize..12, proptest::sample::select(signals)).prop_map(|(place, signal)| Step::React { place, signal }),
        1 => (0_usize..40).prop_map(|number| Step::Delete { number }),
        1 => (0_i64..60_000).prop_map(|ms| Step::Wait { ms }),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_comes_twice_until_everything_was_shown(steps in steps(), seed in any::<u32>()) {
        let world = catalogue_of(40);
        let mut admissible: BTreeSet<Row> = (0..40).collect();
        let mut viewer = Viewer::new();
        viewer.seed = u64::from(seed);
        let mut last: Vec<Row> = Vec::new();
        // At the end everything that is left is asked for.
        let rest = (0..7).map(|_| Step::Feed { n: 7, seen: 7 });
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Feed { n, seen } => {
                    let slate = viewer.feed(&world, n);
                    last = rows(&slate);
                    prop_assert!(last.iter().all(|row| admissible.contains(row)), "{last:?} of {admissible:?}");
                    prop_assert_eq!(last.iter().collect::<BTreeSet<_>>().len(), last.len());
                    prop_assert_eq!(last.len(), n.min(admissible.len()));
                    prop_assert_eq!(slate.degraded == Some(Degraded::Exhausted), admissible.len() < n);
                    prop_assert!(slate.items.iter().all(|item| !item.channels.is_empty() && item.score.is_finite()));
                    let snapshot = world.catalogue.load();
                    for row in last.iter().take(seen) {
                        viewer.state.show(snapshot.entry(*row).expect("an item").hash, &world.params.load());
                        admissible.remove(row);
                    }
                }
                Step::React { place, signal } => {
                    if let Some(row) = last.get(place).filter(|row| world.catalogue.load().entry(**row).is_some()) {
                        viewer.act(&world, *row, signal);
                        admissible.remove(row);
                    }
                }
                Step::Delete { number } => {
                    delete(&world, &format!("v{number}"));
                    admissible.remove(&(number as Row));
                }
                Step::Wait { ms } => viewer.now = viewer.now.plus_ms(ms),
            }
        }
        prop_assert!(admissible.is_empty());
        prop_assert_eq!(viewer.feed(&world, 5).degraded, Some(Degraded::Exhausted));
    }
}

#[test]
fn a_long_history_is_kept_out_behind_the_exact_memory_too() {
    let world = catalogue_of(3_000);
    let mut viewer = Viewer::new();
    viewer.act(&world, 0, Signal::Like);
    let mut shown = BTreeSet::from([0]);
    for _ in 0..25 {
        let slate = viewer.feed(&world, 100);
        assert!(
            rows(&slate).into_iter().all(|row| shown.insert(row)),
            "a repeat after {} items",
            shown.len()
        );
        viewer.see(&world, &slate);
    }
    assert_eq!(shown.len(), 2_501);
}
