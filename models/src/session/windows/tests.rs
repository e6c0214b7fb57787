//! Windows against a brute-force count.

use super::*;
use crate::catalogue::Vocabularies;
use crate::time::{DAY_MS, HOUR_MS, SECOND_MS};
use proptest::prelude::*;

const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS + 7 * HOUR_MS + 33 * MINUTE_MS + 20 * SECOND_MS);

fn signal() -> impl Strategy<Value = Signal> {
    proptest::sample::select(vec![Signal::Impression, Signal::Like, Signal::Skip, Signal::Report])
}

/// Mostly a few seconds apart, sometimes hours, in any order.
fn event() -> impl Strategy<Value = (Signal, Word, i64)> {
    let ago_ms = prop_oneof![0_i64..3 * MINUTE_MS, 0_i64..2 * HOUR_MS, 0_i64..30 * HOUR_MS];
    (signal(), 0_u32..4, ago_ms)
}

fn brute_force(counted: &[(Signal, Word, i64)], span: WindowSpan, now: TimestampMs) -> WindowCounts {
    let mut counts = WindowCounts::default();
    for (signal, category, ago_ms) in counted {
        let at = NOW.plus_ms(-ago_ms);
        if at.0 < span.first_minute(now) * MINUTE_MS {
            continue;
        }
        counts.all[*signal as usize] += 1;
        let place = counts
            .categories
            .iter()
            .position(|(known, _)| known == category)
            .unwrap_or_else(|| {
                counts.categories.push((*category, SignalCounts::default()));
                counts.categories.len() - 1
            });
        counts.categories[place].1[*signal as usize] += 1;
    }
    counts.categories.sort_unstable();
    counts
}

fn sorted(mut counts: WindowCounts) -> WindowCounts {
    counts.categories.sort_unstable();
    counts
}

proptest! {
    #[test]
    fn windows_equal_a_brute_force_count_for_any_order(
        events in proptest::collection::vec(event(), 0..120),
        lateness_ms in prop_oneof![Just(0_i64), Just(30_000), Just(HOUR_MS), Just(40 * HOUR_MS)],
        asked_after_ms in prop_oneof![Just(0_i64), 0_i64..30 * HOUR_MS],
    ) {
        let params = WindowParams { lateness_ms, ..WindowParams::default() };
        let mut windows = Windows::default();
        let (mut in_time, mut newest, mut late) = (Vec::new(), i64::MIN, 0);
        for event in events {
            let at = NOW.plus_ms(-event.2);
            let is_late = newest != i64::MIN && at.0 < newest - lateness_ms;
            prop_assert_eq!(windows.add(event.0, &[event.1], at, &params), !is_late);
            late += u64::from(is_late);
            if !is_late {
                newest = newest.max(at.0);
                in_time.push(event);
            }
        }
        prop_assert_eq!(windows.late(), late);
        let now = NOW.plus_ms(asked_after_ms);
        for span in WindowSpan::ALL {
            prop_assert_eq!(sorted(windows.counts(span, now)), brute_force(&in_time, span, now));
        }
        // What is stored, and what rests, counts the same.
        let words = Vocabularies::default();
        (0..4).for_each(|number| { words.categories.intern(&format!("c{number}")); });
        let packed = rmp_serde::to_vec_named(&WindowsSnapshot::of(&windows, &words)).expect("packs");
        let mut restored = rmp_serde::from_slice::<WindowsSnapshot>(&packed).expect("reads").restore(&words);
        restored.rest(now);
        for span in WindowSpan::ALL {
            prop_assert_eq!(sorted(restored.counts(span, now)), sorted(windows.counts(span, now)));
        }
    }
}

#[test]
fn the_least_lately_heard_of_category_makes_room() {
    let params = WindowParams {
        categories_max: 2,
        ..WindowParams::default()
    };
    let mut windows = Windows::default();
    for (minute, category) in [(0, 1), (1, 2), (2, 1), (3, 3)] {
        windows.add(Signal::Like, &[category], NOW.plus_ms(minute * MINUTE_MS), &params);
    }
    let counts = sorted(windows.counts(WindowSpan::Hour, NOW.plus_ms(3 * MINUTE_MS)));
    let likes: Vec<(Word, u32)> = counts
        .categories
        .iter()
        .map(|(word, counts)| (*word, counts[Signal::Like as usize]))
        .collect();
    assert_eq!(likes, [(1, 2), (3, 1)]);
    assert_eq!(
        counts.all[Signal::Like as usize],
        4,
        "the viewer's own counts lose nothing"
    );
}

#[test]
fn a_viewer_who_has_gone_holds_nothing_after_a_day_and_little_before() {
    let mut windows = Windows::default();
    for second in 0..1_000 {
        let signal = if second % 9 == 0 { Signal::Like } else { Signal::Skip };
        windows.add(
            signal,
            &[second % 7],
            NOW.plus_ms(i64::from(second) * SECOND_MS),
            &WindowParams::default(),
        );
    }
    assert!(
        windows.cells.len() < 130,
        "{} cells after 17 minutes",
        windows.cells.len()
    );
    windows.rest(NOW.plus_ms(2 * HOUR_MS));
    assert!(
        windows.cells.len() <= 32,
        "{} cells after two hours",
        windows.cells.len()
    );
    windows.rest(NOW.plus_ms(26 * HOUR_MS));
    assert!(windows.is_empty());
}
