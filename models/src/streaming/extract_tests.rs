//! Tests of the row: its schema, what it may not see, and what it must show.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::outcome::LANE_COUNT;
use super::super::update::{learn, warm};
use super::*;

const LIKED: LaneRow = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0];
const SKIPPED: LaneRow = [0.0, 0.0, 0.0, 1.0, 0.0, 0.1];

fn shown(item: u64, tags: &[u64], at_ms: i64) -> Impression<'_> {
    Impression {
        at_ms,
        item,
        author: item % 7,
        tags,
        surface: 1,
        duration_ms: 9_000,
        uploaded_at_ms: Some(5),
        item_attributes: &[3, 0],
        viewer_attributes: &[8, 9],
    }
}

fn row(shared: &StreamingFeatures, viewer: &ViewerFeatures, impression: &Impression<'_>) -> Vec<f32> {
    let mut row = vec![f32::INFINITY; column_names().len()];
    extract(shared, viewer, impression, &mut row);
    row
}

fn column(row: &[f32], name: &str) -> f32 {
    row[column_names()
        .iter()
        .position(|column| column == name)
        .expect("the column exists")]
}

#[test]
fn names_are_unique_and_every_cell_is_written() {
    let names = column_names();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    let cells = row(
        &StreamingFeatures::default(),
        &ViewerFeatures::default(),
        &shown(1, &[2], 1_000),
    );
    assert!(
        cells.iter().all(|cell| cell.is_finite() || cell.is_nan()),
        "no cell keeps what it had"
    );
}

#[test]
fn a_like_raises_the_tag_and_a_skip_lowers_it() {
    let (mut shared, mut viewer) = (StreamingFeatures::default(), ViewerFeatures::default());
    for step in 0..10 {
        learn(
            &mut shared,
            &mut viewer,
            &shown(step, &[1], step as i64 * 1_000),
            &LIKED,
        );
        learn(
            &mut shared,
            &mut viewer,
            &shown(100 + step, &[2], step as i64 * 1_000 + 500),
            &SKIPPED,
        );
    }
    let (liked, skipped) = (
        row(&shared, &viewer, &shown(50, &[1], 20_000)),
        row(&shared, &viewer, &shown(50, &[2], 20_000)),
    );
    for (name, sign) in [
        ("user_tag.like", 1.0),
        ("user_tag.skip", -1.0),
        ("tag.like", 1.0),
        ("user_tag.view_like", 1.0),
    ] {
        assert!((column(&liked, name) - column(&skipped, name)) * sign > 0.5, "{name}");
    }
}

#[test]
fn a_history_alone_shows_taste() {
    let (mut shared, mut viewer) = (StreamingFeatures::default(), ViewerFeatures::default());
    for step in 0..20 {
        warm(
            &mut shared,
            &mut viewer,
            &shown(step, &[step % 2], 0),
            step % 2 == 0,
            false,
        );
    }
    let [liked, other] = [0, 1].map(|tag| row(&shared, &viewer, &shown(50, &[tag], 1_000)));
    assert!(column(&liked, "user_tag.view_long") > column(&other, "user_tag.view_long") + 0.5);
    assert_eq!(column(&liked, "user.shown"), 0.0);
}

#[test]
fn the_row_of_an_impression_cannot_tell_its_outcome() {
    let (mut shared, mut viewer) = (StreamingFeatures::default(), ViewerFeatures::default());
    learn(&mut shared, &mut viewer, &shown(1, &[1], 1_000), &LIKED);
    let impression = shown(2, &[1], 2_000);
    let before = row(&shared, &viewer, &impression);
    let (mut liked, mut skipped) = (viewer.clone(), viewer.clone());
    learn(&mut shared.clone(), &mut liked, &impression, &LIKED);
    learn(&mut shared.clone(), &mut skipped, &impression, &SKIPPED);
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(
        bits(row(&shared, &viewer, &impression)),
        bits(before),
        "reading learns nothing"
    );
    assert_ne!(
        bits(row(&shared, &liked, &impression)),
        bits(row(&shared, &skipped, &impression)),
        "afterwards it shows"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_log_makes_an_infinite_cell(events in prop::collection::vec((0_u64..20, 0_i64..1_000_000_000_000, prop::array::uniform6(0.0_f32..=1.0)), 1..40)) {
        let (mut shared, mut viewer) = (StreamingFeatures::default(), ViewerFeatures::default());
        for (item, at_ms, outcome) in events {
            let tags = [item % 3, item % 5];
            let impression = Impression { duration_ms: item as u32 * 7_000, author: item % 2, ..shown(item, &tags, at_ms) };
            prop_assert!(row(&shared, &viewer, &impression).iter().all(|cell| !cell.is_infinite()));
            let outcome: LaneRow = std::array::from_fn(|lane| if lane + 1 == LANE_COUNT { outcome[lane] } else { outcome[lane].round() });
            learn(&mut shared, &mut viewer, &impression, &outcome);
        }
    }
}
