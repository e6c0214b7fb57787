//! Tests of the trees on planted truths.

use super::*;
use crate::online::BINS_MAX;
use crate::streaming::LABEL_COUNT;

fn replay(rows: &[[f32; 3]], labels: &[bool]) -> Replay {
    let mut replay = Replay::new(3, rows.len());
    for (row, &label) in rows.iter().zip(labels) {
        replay.push(row, &[f32::from(u8::from(label)); LABEL_COUNT]);
    }
    replay
}

fn all_columns() -> ForestParams {
    ForestParams {
        trees: 60,
        column_share: 1.0,
        ..ForestParams::default()
    }
}

/// Either, but not both; the third column is noise.
fn exclusive(count: usize, seed: u64) -> (Vec<[f32; 3]>, Vec<bool>) {
    let mut random = SplitMix::new(seed);
    let rows: Vec<[f32; 3]> = (0..count)
        .map(|_| std::array::from_fn(|_| random.unit() - 0.5))
        .collect();
    let labels = rows.iter().map(|row| (row[0] > 0.0) != (row[1] > 0.1)).collect();
    (rows, labels)
}

#[test]
fn what_is_not_additive_is_found() {
    let (rows, labels) = exclusive(4_000, 1);
    let forest = Forest::train(
        &BinnedRows::new(&replay(&rows, &labels), BINS_MAX),
        &labels,
        &all_columns(),
        1,
    );
    let (fresh, truth) = exclusive(1_000, 2);
    let right = fresh
        .iter()
        .zip(&truth)
        .filter(|(row, label)| (forest.log_odds(*row) > 0.0) == **label)
        .count();
    assert!(right > 930, "{right} of 1000");
}

#[test]
fn missing_can_be_the_reason() {
    let mut random = SplitMix::new(3);
    let rows: Vec<[f32; 3]> = (0..2_000)
        .map(|_| {
            [
                if random.unit() < 0.5 {
                    f32::NAN
                } else {
                    random.unit() - 9.0
                },
                0.0,
                0.0,
            ]
        })
        .collect();
    let labels: Vec<bool> = rows.iter().map(|row| row[0].is_nan()).collect();
    let forest = Forest::train(
        &BinnedRows::new(&replay(&rows, &labels), BINS_MAX),
        &labels,
        &all_columns(),
        1,
    );
    assert!(forest.log_odds(&[f32::NAN, 0.0, 0.0]) > 1.0 && forest.log_odds(&[-8.5, 0.0, 0.0]) < -1.0);
}

#[test]
fn a_label_without_signal_gives_its_share() {
    let (rows, _) = exclusive(2_000, 4);
    let labels: Vec<bool> = (0..2_000).map(|row| row % 10 == 0).collect();
    let forest = Forest::train(
        &BinnedRows::new(&replay(&rows, &labels), BINS_MAX),
        &labels,
        &all_columns(),
        1,
    );
    let mean = rows.iter().map(|row| sigmoid(forest.log_odds(row))).sum::<f32>() / 2_000.0;
    assert!((mean - 0.1).abs() < 0.01, "{mean}");
}

#[test]
fn no_rows_and_one_class_are_no_harm() {
    let nothing = Forest::train(&BinnedRows::new(&Replay::new(3, 1), BINS_MAX), &[], &all_columns(), 1);
    assert!(nothing.log_odds(&[0.0; 3]).is_finite());
    let rows = vec![[1.0, 2.0, 3.0]; 100];
    let always = Forest::train(
        &BinnedRows::new(&replay(&rows, &[true; 100]), BINS_MAX),
        &[true; 100],
        &all_columns(),
        1,
    );
    assert!(always.log_odds(&[1.0, 2.0, 3.0]) > 3.0);
}

#[test]
fn the_seed_decides() {
    let (rows, labels) = exclusive(1_000, 5);
    let binned = BinnedRows::new(&replay(&rows, &labels), BINS_MAX);
    let params = ForestParams {
        trees: 5,
        ..ForestParams::default()
    };
    let [one, again, other] = [1, 1, 2].map(|seed| Forest::train(&binned, &labels, &params, seed));
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[test]
fn serving_agrees_with_training_on_every_split() {
    let (rows, labels) = exclusive(1_000, 6);
    // Values that the log keeps exactly, so that both sides see the same number.
    let exact: Vec<[f32; 3]> = rows
        .iter()
        .map(|row| row.map(|value| (value * 64.0).round() / 64.0))
        .collect();
    let binned = BinnedRows::new(&replay(&exact, &labels), BINS_MAX);
    let params = all_columns();
    let mut grower = Grower::new(&binned, &labels, &params, 0.0);
    let mut random = SplitMix::new(1);
    let trees: Vec<Vec<Node>> = (0..20).map(|_| grower.grow(&mut random)).collect();
    let forest = Forest { base: 0.0, trees };
    for (row, trained) in exact.iter().zip(&grower.log_odds) {
        assert!((forest.log_odds(row) - trained).abs() < 1e-4);
    }
}
