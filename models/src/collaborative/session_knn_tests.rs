//! Tests of the session index: against the definition written down naively, on its lifecycle, and on real sessions.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::collaborative::RecentItem;
use crate::collaborative::co_visits::query_weights;
use crate::ids::Row;
use crate::params::CollaborativeParams;
use crate::params::QueryProfile;
use crate::popularity::{ScoredRow, keep_best};
use crate::time::{DAY_MS, MINUTE_MS, SECOND_MS, TimestampMs};

const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

fn params(sessions: u32, neighbours: u32) -> CollaborativeParams {
    CollaborativeParams {
        knn_sessions: sessions,
        knn_neighbours: neighbours,
        ..CollaborativeParams::default()
    }
}

/// The viewer's last items, one a second, the newest now.
fn evolving_of(rows: &[Row]) -> Vec<RecentItem> {
    let seconds_before = (0..rows.len() as i64).rev();
    let item = |(row, seconds): (&Row, i64)| RecentItem {
        row: *row,
        at: NOW.plus_ms(-seconds * SECOND_MS),
        weight: 1.0,
    };
    rows.iter().zip(seconds_before).map(item).collect()
}

fn recommend(
    index: &SessionKnn,
    evolving: &[Row],
    exclude: Option<SessionKey>,
    params: &CollaborativeParams,
) -> Vec<ScoredRow> {
    let (mut scratch, mut out) = (KnnScratch::default(), Vec::new());
    let evolving = evolving_of(evolving);
    index.recommend(
        &evolving,
        exclude,
        &QueryProfile::NARROW,
        params,
        Some(1_000),
        &mut scratch,
        &mut out,
    );
    out
}

fn add_session(index: &SessionKnn, items: &[Row], start: TimestampMs) -> SessionKey {
    let mut key = None;
    for (&item, second) in items.iter().zip(0..) {
        key = Some(index.extend(
            key,
            item,
            start.plus_ms(second * SECOND_MS),
            1.0,
            &CollaborativeParams::default(),
        ));
    }
    key.expect("a session has items")
}

/// The head of `session_knn`, word by word, over plain lists. `sessions` are (last time, distinct items, newest last) in
/// the order in which they were added one after the other, so that a session's number is also its place in every item's
/// list.
fn naive(sessions: &[(i64, Vec<Row>)], evolving: &[Row], profile: &QueryProfile, m: usize, k: usize) -> Vec<ScoredRow> {
    let params = CollaborativeParams::default();
    let count = |row: Row| sessions.iter().filter(|session| session.1.contains(&row)).count() as f32;
    let recent = evolving_of(evolving);
    let mut shared: HashMap<usize, (f32, Row)> = HashMap::new();
    for (item, weight) in query_weights(&recent, profile.session_decay, &params) {
        let with_item = (0..sessions.len())
            .rev()
            .filter(|number| sessions[*number].1.contains(&item.row));
        let rarity = 1.0 + 2.0 * (sessions.len() as f32 / (count(item.row) + 1.0)).ln_1p();
        for number in with_item.take(m) {
            shared.entry(number).or_insert((0.0, item.row)).0 += weight * rarity;
        }
    }
    let mut similar: Vec<(f32, i64, usize, Row)> = Vec::new();
    for (number, (similarity, newest_shared)) in shared {
        let last_at = sessions[number].0;
        let similarity = similarity * profile.recency(NOW.0 - last_at);
        similar.push((similarity, last_at, number, newest_shared));
    }
    similar.sort_by(|a, b| b.0.total_cmp(&a.0).then((b.1, b.2).cmp(&(a.1, a.2))));
    similar.truncate(k);
    let mut votes: HashMap<Row, f32> = HashMap::new();
    for (similarity, _, number, newest_shared) in similar {
        let items = &sessions[number].1;
        let shared = items.iter().position(|item| *item == newest_shared).expect("shared");
        for (place, item) in items.iter().enumerate() {
            let share = profile.vote_step_decay.powi(place.abs_diff(shared) as i32);
            if share >= 0.3 {
                *votes.entry(*item).or_default() += similarity * share;
            }
        }
    }
    let score = |(row, votes): (Row, f32)| ScoredRow {
        row,
        score: votes * (count(row) + 5.0).powf(-profile.vote_popularity_power),
    };
    let mut scored: Vec<ScoredRow> = votes.into_iter().map(score).collect();
    scored.retain(|scored| !evolving.contains(&scored.row));
    keep_best(&mut scored, usize::MAX);
    scored
}

/// The distinct items, each where it came last.
fn distinct(items: &[Row]) -> Vec<Row> {
    let mut distinct: Vec<Row> = Vec::new();
    for item in items {
        distinct.retain(|known| known != item);
        distinct.push(*item);
    }
    distinct
}

proptest! {
    #[test]
    fn it_equals_its_definition(
        sessions in prop::collection::vec((prop::collection::vec(0..25_u32, 1..8), 0..50_i64), 1..40),
        evolving in prop::collection::vec(0..25_u32, 1..14),
        m in 1..30_u32,
        k in 1..20_u32,
        profile in prop::sample::select(vec![QueryProfile::NARROW, QueryProfile::WIDE]),
    ) {
        let evolving = distinct(&evolving);
        let (index, mut plain) = (SessionKnn::new(64), Vec::new());
        for (items, minute) in sessions {
            let start = NOW.plus_ms(minute * MINUTE_MS);
            add_session(&index, &items, start);
            plain.push((start.0 + (items.len() as i64 - 1) * SECOND_MS, distinct(&items)));
        }
        let expected = naive(&plain, &evolving, &profile, m as usize, k as usize);
        let (mut scratch, mut found) = (KnnScratch::default(), Vec::new());
        let recent = evolving_of(&evolving);
        index.recommend(&recent, None, &profile, &params(m, k), Some(1_000), &mut scratch, &mut found);
        prop_assert_eq!(found.len(), expected.len());
        // Equal up to the rounding of sums; where two scores differ by less, their order is free.
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found.score - expected.score).abs() < 1e-4, "{found:?} {expected:?}");
        }
        let by_row: HashMap<Row, f32> = expected.iter().map(|scored| (scored.row, scored.score)).collect();
        for scored in &found {
            prop_assert!((by_row[&scored.row] - scored.score).abs() < 1e-4);
        }
    }
}

#[test]
fn the_viewers_own_session_grows_and_does_not_vote() {
    let (index, params) = (SessionKnn::new(100), params(500, 100));
    let other = add_session(&index, &[1, 2, 3], NOW);
    let own = add_session(&index, &[1, 9], NOW);
    assert_eq!((index.len(), own > other), (2, true));
    let rows = |exclude| {
        recommend(&index, &[1], exclude, &params)
            .iter()
            .map(|found| found.row)
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(Some(own)), [2, 3]);
    assert_eq!(rows(Some(other)), [9]);
    index.remove(other);
    index.remove(other);
    assert_eq!((rows(Some(own)), index.len()), (vec![], 1));
}

#[test]
fn a_pause_opens_a_new_session_and_a_late_event_does_not() {
    let (index, params) = (SessionKnn::new(100), CollaborativeParams::default());
    let first = index.extend(None, 1, NOW, 1.0, &params);
    assert_eq!(
        index.extend(Some(first), 2, NOW.plus_ms(params.session_gap_ms), 1.0, &params),
        first
    );
    assert_eq!(index.extend(Some(first), 3, NOW.plus_ms(-DAY_MS), 1.0, &params), first);
    assert_eq!(index.export(0..100)[0].items, [1, 2]);
    let second = index.extend(Some(first), 4, NOW.plus_ms(2 * params.session_gap_ms + 1), 1.0, &params);
    assert!(second > first && index.len() == 2);
}

#[test]
fn the_oldest_session_makes_room_and_its_key_is_stale() {
    let (index, params) = (SessionKnn::new(3), params(500, 100));
    let keys: Vec<SessionKey> = (0..4)
        .map(|session| add_session(&index, &[7, 100 + session], NOW))
        .collect();
    assert_eq!(index.len(), 3);
    let rows: HashSet<Row> = recommend(&index, &[7], None, &params)
        .iter()
        .map(|found| found.row)
        .collect();
    assert_eq!(rows, HashSet::from([101, 102, 103]));
    let moved = index.extend(Some(keys[0]), 7, NOW, 1.0, &params);
    assert!(moved > keys[3]);
    assert_eq!(
        index
            .export(0..usize::MAX)
            .iter()
            .map(|record| record.items.len())
            .sum::<usize>(),
        5
    );
}

#[test]
fn a_snapshot_restores_sessions_and_keys_never_collide_afterwards() {
    let (index, params) = (SessionKnn::new(8), params(500, 100));
    let keys: Vec<SessionKey> = (0..11)
        .map(|session| add_session(&index, &[7, 100 + session % 4], NOW))
        .collect();
    let mut records: Vec<SessionRecord> = (0..4).flat_map(|part| index.export(part * 2..part * 2 + 2)).collect();
    records.sort_by_key(|record| record.key);
    let bytes = rmp_serde::to_vec(&records).expect("encodes");
    let records: Vec<SessionRecord> = rmp_serde::from_slice(&bytes).expect("decodes");
    let restored = SessionKnn::new(8);
    assert!(records.iter().all(|record| restored.import(record)));
    assert!(!restored.import(&records[0]), "a key is imported once");
    restored.finish_import();
    assert_eq!(
        recommend(&restored, &[7], None, &params),
        recommend(&index, &[7], None, &params)
    );
    assert_eq!(
        restored.extend(Some(keys[10]), 55, NOW, 1.0, &params),
        keys[10],
        "a restored session goes on"
    );
    let given_after_snapshot = SessionKey(keys[10].0 + 1);
    let fresh = restored.extend(None, 1, NOW, 1.0, &params);
    assert!(restored.extend(Some(given_after_snapshot), 2, NOW, 1.0, &params) > fresh);
}

#[test]
fn threads_share_the_index() {
    let (index, params) = (SessionKnn::new(50), params(500, 100));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (index, params) = (&index, &params);
            scope.spawn(move || {
                for round in 0..300 {
                    let key = add_session(index, &[round % 20, 20 + thread, 30 + round % 7], NOW);
                    let found = recommend(index, &[round % 20], Some(key), params);
                    assert!(found.iter().all(|scored| scored.score.is_finite() && scored.row < 40));
                }
            });
        }
    });
    assert_eq!(index.len(), 50);
    let records = index.export(0..50);
    let counted: usize = records.iter().map(|record| record.items.len()).sum();
    assert_eq!((records.len(), counted), (50, 150));
}

/// The clicks of a gzip TSV `SessionId ItemId Time`, as (session, item, seconds), in the file's order.
fn clicks(name: &str) -> Option<Vec<(u64, u64, f64)>> {
    let path = format!("{}/../../shared/data/sessions-100k/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(path).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip of text");
    let parse = |line: &str| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().expect("three fields");
        let (session, item) = (field().parse().expect("a number"), field().parse().expect("a number"));
        (session, item, field().parse().expect("seconds"))
    };
    Some(text.lines().skip(1).map(parse).collect())
}

/// Consecutive clicks of one session: (item rows, times).
fn sessions(clicks: &[(u64, u64, f64)], rows: &mut HashMap<u64, Row>) -> Vec<Vec<(Row, TimestampMs)>> {
    let mut sessions: Vec<Vec<(Row, TimestampMs)>> = Vec::new();
    let mut last = None;
    for &(session, item, seconds) in clicks {
        if last != Some(session) {
            sessions.push(Vec::new());
            last = Some(session);
        }
        let next = rows.len() as Row;
        let row = *rows.entry(item).or_insert(next);
        if let Some(session) = sessions.last_mut() {
            session.push((row, TimestampMs((seconds * 1_000.0) as i64)));
        }
    }
    sessions
}

fn last_distinct(clicks: &[(Row, TimestampMs)]) -> Vec<RecentItem> {
    let mut recent: Vec<RecentItem> = Vec::new();
    for &(row, at) in clicks {
        recent.retain(|known| known.row != row);
        recent.push(RecentItem { row, at, weight: 1.0 });
    }
    recent
}

/// Static train → valid on real click sessions: a step counts when its next click is not yet in the session; the
/// session's items are not candidates; HR@20. Every seventh session of the valid part.
#[test]
fn real_sessions_are_continued_far_better_than_by_popularity() {
    let (Some(train), Some(valid)) = (clicks("train.tsv.gz"), clicks("valid.tsv.gz")) else {
        println!("skipped: the development data set sessions-100k is not beside this checkout");
        return;
    };
    let mut rows = HashMap::new();
    let (train, valid) = (sessions(&train, &mut rows), sessions(&valid, &mut rows));
    let index = SessionKnn::default();
    let mut clicks_of = vec![0_u32; rows.len()];
    // Sessions of the file may pause for longer than the product's do.
    let params = CollaborativeParams {
        session_gap_ms: 7 * DAY_MS,
        ..params(500, 500)
    };
    let mut ordered: Vec<_> = train.iter().collect();
    ordered.sort_by_key(|session| session.last().map(|click| click.1));
    for session in ordered {
        let mut key = None;
        for &(row, at) in session {
            key = Some(index.extend(key, row, at, 1.0, &params));
            clicks_of[row as usize] += 1;
        }
    }
    let mut popular: Vec<ScoredRow> = clicks_of
        .iter()
        .zip(0..)
        .map(|(&clicks, row)| ScoredRow {
            row,
            score: clicks as f32,
        })
        .collect();
    keep_best(&mut popular, 200);
    let (mut steps, mut hits, mut popular_hits) = (0_u32, 0_u32, 0_u32);
    let (mut scratch, mut out) = (KnnScratch::default(), Vec::new());
    for session in valid.iter().step_by(7) {
        let items: Vec<Row> = session.iter().map(|click| click.0).collect();
        for next in 1..items.len() {
            let (evolving, target) = (&items[..next], items[next]);
            if evolving.contains(&target) {
                continue;
            }
            steps += 1;
            let recent: Vec<RecentItem> = last_distinct(&session[..next]);
            index.recommend(
                &recent,
                None,
                &QueryProfile::NARROW,
                &params,
                Some(20),
                &mut scratch,
                &mut out,
            );
            hits += u32::from(out.iter().any(|found| found.row == target));
            let unseen = popular.iter().filter(|scored| !evolving.contains(&scored.row)).take(20);
            popular_hits += u32::from(unseen.into_iter().any(|found| found.row == target));
        }
    }
    let (rate, popular_rate) = (
        f64::from(hits) / f64::from(steps),
        f64::from(popular_hits) / f64::from(steps),
    );
    println!("{steps} steps: HR@20 {rate:.3}, popularity {popular_rate:.3}");
    assert!(
        steps > 500 && rate > 0.47 && rate > 4.0 * popular_rate,
        "{steps} steps, {rate}, {popular_rate}"
    );
}
