//! Tests of item-item co-engagement: directions, discounts, fading, removal, snapshots and threads.

use super::co_visits::{closeness, query_weights};
use super::*;
use crate::ids::Row;
use crate::params::CollaborativeParams;
use crate::params::QueryProfile;
use crate::popularity::ScoredRow;
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, TimestampMs};

const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

/// Viewers who engage with the given items in order, one a second.
fn watch(visits: &CoVisits, items: &[Row], start: TimestampMs) {
    let params = CollaborativeParams::default();
    let mut recent: Vec<RecentItem> = Vec::new();
    for (&row, second) in items.iter().zip(0..) {
        let at = start.plus_ms(second * SECOND_MS);
        visits.record(row, &recent, at, 1.0, &params);
        recent.push(RecentItem { row, at, weight: 1.0 });
    }
}

fn neighbours(visits: &CoVisits, row: Row, now: TimestampMs) -> Vec<ScoredRow> {
    let mut out = Vec::new();
    visits.neighbours(row, now, &CollaborativeParams::default(), &mut out);
    out
}

fn rows(list: &[ScoredRow]) -> Vec<Row> {
    list.iter().map(|scored| scored.row).collect()
}

#[test]
fn near_and_later_items_are_the_closest() {
    let visits = CoVisits::default();
    watch(&visits, &[1, 2, 3, 4], NOW);
    assert_eq!(rows(&neighbours(&visits, 2, NOW)), [3, 4, 1]);
    let (forward, backward) = (neighbours(&visits, 2, NOW)[0].score, neighbours(&visits, 3, NOW)[1]);
    assert_eq!(backward.row, 2);
    assert!((forward / backward.score - 1.0 / 0.7).abs() < 1e-3);
    assert!(neighbours(&visits, 99, NOW).is_empty());
}

#[test]
fn popular_items_are_discounted() {
    let visits = CoVisits::default();
    for viewer in 0..50 {
        watch(&visits, &[1_000 + viewer, 7], NOW);
    }
    watch(&visits, &[1, 7], NOW);
    watch(&visits, &[1, 8], NOW);
    let found = neighbours(&visits, 1, NOW);
    assert_eq!(rows(&found), [8, 7]);
    let expected = (56.0_f32 / 6.0).sqrt();
    assert!((found[0].score / found[1].score - expected).abs() < 0.01, "{found:?}");
}

#[test]
fn a_late_event_is_paired_in_the_order_of_its_time() {
    let (in_order, late, params) = (CoVisits::default(), CoVisits::default(), CollaborativeParams::default());
    watch(&in_order, &[1, 2], NOW);
    let second = RecentItem {
        row: 2,
        at: NOW.plus_ms(SECOND_MS),
        weight: 1.0,
    };
    late.record(2, &[], second.at, 1.0, &params);
    late.record(1, &[second], NOW, 1.0, &params);
    for row in [1, 2] {
        let (a, b) = (neighbours(&in_order, row, NOW)[0], neighbours(&late, row, NOW)[0]);
        assert!(a.row == b.row && (a.score - b.score).abs() < 1e-4, "{a:?} {b:?}");
    }
}

#[test]
fn what_is_too_far_apart_is_not_paired_and_old_pairs_fade() {
    let (visits, params) = (CoVisits::default(), CollaborativeParams::default());
    let first = RecentItem {
        row: 1,
        at: NOW,
        weight: 1.0,
    };
    visits.record(2, &[first], NOW.plus_ms(params.pair_gap_ms_max + 1), 1.0, &params);
    assert!(neighbours(&visits, 1, NOW).is_empty());
    visits.record(3, &[first], NOW.plus_ms(MINUTE_MS), 1.0, &params);
    let (fresh, year) = (
        neighbours(&visits, 1, NOW),
        neighbours(&visits, 1, NOW.plus_ms(365 * DAY_MS)),
    );
    assert_eq!((rows(&fresh), rows(&year)), (vec![3], vec![3]));
    assert!(year[0].score < fresh[0].score / 1_000.0);
}

#[test]
fn recent_items_vote_by_recency_and_are_not_named() {
    let visits = CoVisits::default();
    watch(&visits, &[1, 10], NOW);
    watch(&visits, &[2, 20], NOW);
    watch(&visits, &[1, 30], NOW);
    watch(&visits, &[2, 30], NOW);
    let (mut scratch, mut out) = (RecentScratch::default(), Vec::new());
    let params = CollaborativeParams::default();
    let recent = |rows: &[Row]| -> Vec<RecentItem> {
        let item = |row: &Row| RecentItem {
            row: *row,
            at: NOW,
            weight: 1.0,
        };
        rows.iter().map(item).collect()
    };
    for _ in 0..2 {
        visits.score_from_recent(
            &recent(&[1, 2]),
            &QueryProfile::NARROW,
            NOW,
            &params,
            Some(10),
            &mut scratch,
            &mut out,
        );
        assert_eq!(rows(&out), [30, 20, 10]);
    }
    visits.score_from_recent(
        &recent(&[10, 1]),
        &QueryProfile::WIDE,
        NOW,
        &params,
        Some(1),
        &mut scratch,
        &mut out,
    );
    assert_eq!(rows(&out), [30]);
}

#[test]
fn a_removed_item_disappears_everywhere_and_may_come_back() {
    let visits = CoVisits::default();
    watch(&visits, &[1, 2, 3], NOW);
    visits.remove(2);
    assert!(neighbours(&visits, 2, NOW).is_empty() && visits.export_row(2).is_none());
    assert_eq!(rows(&neighbours(&visits, 1, NOW)), [3]);
    watch(&visits, &[1, 2], NOW);
    assert_eq!(rows(&neighbours(&visits, 2, NOW)), [1]);
}

#[test]
fn dirty_rows_are_named_once_and_restore_the_table() {
    let (visits, restored, params) = (CoVisits::default(), CoVisits::default(), CollaborativeParams::default());
    watch(&visits, &[1, 70, 200_000, 65, 4], NOW);
    let mut dirty = Vec::new();
    for expected in [2, 4, 5, 5] {
        visits.take_dirty(2, &mut dirty);
        assert_eq!(dirty.len(), expected);
    }
    dirty.sort_unstable();
    assert_eq!(dirty, [1, 4, 65, 70, 200_000]);
    for row in dirty {
        let bytes = rmp_serde::to_vec(&visits.export_row(row).expect("kept")).expect("encodes");
        assert!(restored.import_row(row, rmp_serde::from_slice(&bytes).expect("decodes"), &params));
    }
    assert_eq!(neighbours(&restored, 70, NOW), neighbours(&visits, 70, NOW));
    let damaged = CoVisitRow {
        engagements: f64::NAN,
        ..CoVisitRow::default()
    };
    assert!(!restored.import_row(9, damaged, &params));
    assert!(!restored.import_row(Row::MAX, CoVisitRow::default(), &params));
}

#[test]
fn threads_together_lose_no_pair() {
    let visits = CoVisits::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| watch(&visits, &[1, 2, 3], NOW)));
        }
    });
    let row = visits.export_row(1).expect("kept");
    assert!((row.engagements - 2_000.0).abs() < 0.5);
    let to_second = row
        .neighbours
        .iter()
        .find(|neighbour| neighbour.row == 2)
        .expect("paired")
        .weight;
    assert!((to_second - 2_000.0 * closeness(1, SECOND_MS, &CollaborativeParams::default())).abs() < 1.0);
}

#[test]
fn items_long_before_the_newest_count_less_and_soon_nothing() {
    let params = CollaborativeParams::default();
    let item = |row: Row, before_ms: i64| RecentItem {
        row,
        at: NOW.plus_ms(-before_ms),
        weight: 1.0,
    };
    let recent = [item(1, DAY_MS), item(2, params.recency_pause_ms), item(3, 0)];
    let weights: Vec<(Row, f32)> = query_weights(&recent, 0.8, &params)
        .map(|(item, weight)| (item.row, weight))
        .collect();
    let expected = [(3, 1.0), (2, 0.8 / 2.0)];
    assert_eq!(weights.len(), expected.len());
    for (found, expected) in weights.iter().zip(expected) {
        assert!(
            found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-6,
            "{found:?}"
        );
    }
}
