//! Tests of the live model on a planted truth.

use super::*;
use crate::online::SplitMix;

const COLUMNS: usize = 6;

/// Label 0 follows a product of two columns (trees), label 2 a sum (logistic), label 3 is the opposite, label 1 is rare
/// and follows an id.
fn draw(random: &mut SplitMix) -> ([f32; COLUMNS], [u64; 2], [f32; LABEL_COUNT]) {
    let mut row: [f32; COLUMNS] = std::array::from_fn(|_| random.unit() * 2.0 - 1.0);
    row[5] = f32::NAN;
    let id = random.below(10) as u64;
    let flag = |random: &mut SplitMix, log_odds: f32| f32::from(u8::from(random.unit() < sigmoid(log_odds)));
    let product = flag(random, 8.0 * row[0] * row[1]);
    let rare = flag(random, if id == 3 { -1.0 } else { -5.0 });
    let sum = flag(random, 2.0 * (row[2] + row[3]));
    (row, [mix(id), mix(99)], [product, rare, sum, 1.0 - sum])
}

fn params(trees: bool) -> LiveParams {
    let forest = ForestParams {
        trees: 40,
        ..ForestParams::default()
    };
    LiveParams {
        trees,
        forest,
        forest_rows_min: 1_000,
        replay_max: 4_000,
        ..LiveParams::default()
    }
}

/// Runs a stream; gives the predictions of its second half.
fn run(model: &mut LiveModel, random: &mut SplitMix, count: usize) -> Vec<(Prediction, [f32; LABEL_COUNT])> {
    let (mut scratch, mut late) = (model.scratch(), Vec::new());
    for index in 0..count {
        let (row, ids, labels) = draw(random);
        let sample = Sample { row: &row, ids: &ids };
        let served = model.predict(&sample, &mut scratch);
        model.learn(&sample, &served, &labels, &mut scratch);
        if let Some(job) = model.forest_job() {
            model.install(job.run());
        }
        if index * 2 >= count {
            late.push((served, labels));
        }
    }
    late
}

/// The share of pairs of a hit and a miss that stand in the right order, a tie counted half.
fn auc_of(late: &[(Prediction, [f32; LABEL_COUNT])], label: usize) -> f64 {
    let of = |hit: bool| -> Vec<f32> {
        let side = late.iter().filter(|(_, labels)| (labels[label] > 0.5) == hit);
        side.map(|(served, _)| served.probabilities[label]).collect()
    };
    let (hits, misses) = (of(true), of(false));
    let right = |hit: f32, miss: f32| f64::from(u8::from(hit > miss)) + f64::from(u8::from(hit == miss)) / 2.0;
    let pairs = hits
        .iter()
        .flat_map(|&hit| misses.iter().map(move |&miss| right(hit, miss)));
    pairs.sum::<f64>() / (hits.len() * misses.len()) as f64
}

#[test]
fn both_members_earn_their_place() {
    let with_trees = run(&mut LiveModel::new(COLUMNS, params(true)), &mut SplitMix::new(1), 6_000);
    let without = run(
        &mut LiveModel::new(COLUMNS, params(false)),
        &mut SplitMix::new(1),
        6_000,
    );
    assert!(
        auc_of(&without, 0) < 0.6 && auc_of(&with_trees, 0) > 0.75,
        "{} {}",
        auc_of(&without, 0),
        auc_of(&with_trees, 0)
    );
    assert!(auc_of(&without, 2) > 0.75 && auc_of(&with_trees, 2) > 0.75);
    let rare = auc_of(&with_trees, 1);
    assert!(
        rare > 0.62,
        "the rare label follows an id alone, and ids are learned slowly: {rare}"
    );
}

#[test]
fn trees_alone_are_a_model() {
    let params = LiveParams {
        logistic: false,
        ..params(true)
    };
    let late = run(&mut LiveModel::new(COLUMNS, params), &mut SplitMix::new(1), 6_000);
    assert!(auc_of(&late, 0) > 0.75 && auc_of(&late, 2) > 0.7);
    assert!(late.iter().all(|(served, _)| served.members[0] == served.members[1]));
}

#[test]
fn trees_do_not_depend_on_the_threads_they_are_grown_on() {
    let mut model = LiveModel::new(COLUMNS, params(true));
    let (mut random, mut scratch) = (SplitMix::new(6), model.scratch());
    for _ in 0..1_000 {
        let (row, ids, labels) = draw(&mut random);
        let sample = Sample { row: &row, ids: &ids };
        let served = model.predict(&sample, &mut scratch);
        model.learn(&sample, &served, &labels, &mut scratch);
    }
    let job = model.forest_job().expect("the first trees are due");
    assert!(model.forest_job().is_none(), "once");
    let one = job.run();
    assert!([1, 2, 3, 64].iter().all(|&threads| job.run_on(threads) == one));
}

#[test]
fn the_blend_is_calibrated() {
    let late = run(&mut LiveModel::new(COLUMNS, params(true)), &mut SplitMix::new(2), 6_000);
    for label in 0..LABEL_COUNT {
        let said: f32 = late.iter().map(|(served, _)| served.probabilities[label]).sum::<f32>() / late.len() as f32;
        let seen: f32 = late.iter().map(|(_, labels)| labels[label]).sum::<f32>() / late.len() as f32;
        assert!((said - seen).abs() < 0.03, "label {label}: said {said}, seen {seen}");
    }
}

#[test]
fn a_restored_model_goes_on_as_if_nothing_had_happened() {
    let mut random = SplitMix::new(3);
    let mut model = LiveModel::new(COLUMNS, params(true));
    run(&mut model, &mut random, 1_500);
    let bytes = rmp_serde::to_vec(&model).expect("the state is plain data");
    let mut restored: LiveModel = rmp_serde::from_slice(&bytes).expect("what was written is read");
    let after = run(&mut restored, &mut random.clone(), 1_000);
    assert_eq!(run(&mut model, &mut random, 1_000), after);
}

#[test]
fn prediction_does_not_see_the_outcome_and_changes_nothing() {
    let mut model = LiveModel::new(COLUMNS, params(true));
    let mut random = SplitMix::new(4);
    run(&mut model, &mut random, 1_200);
    let (row, ids, labels) = draw(&mut random);
    let (sample, mut scratch) = (Sample { row: &row, ids: &ids }, model.scratch());
    let before = model.predict(&sample, &mut scratch);
    assert_eq!(model.predict(&sample, &mut scratch), before);
    model.learn(&sample, &before, &labels, &mut scratch);
    assert_ne!(
        model.predict(&sample, &mut scratch),
        before,
        "an outcome is learned at once"
    );
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut model = LiveModel::new(COLUMNS, params(true));
    let mut random = SplitMix::new(5);
    run(&mut model, &mut random, 1_200);
    let mut scratch = model.scratch();
    let row = [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, 1e30, -1e30, 0.0];
    let sample = Sample { row: &row, ids: &[] };
    for _ in 0..50 {
        let served = model.predict(&sample, &mut scratch);
        model.learn(&sample, &served, &[1.0, 0.0, f32::INFINITY, f32::NAN], &mut scratch);
    }
    let served = model.predict(&sample, &mut scratch);
    assert!(
        served
            .probabilities
            .iter()
            .all(|probability| probability.is_finite() && (0.0..=1.0).contains(probability))
    );
}
