//! Training from end to end: it learns, it repeats itself, and what is written scores as what was trained.

use super::ranking_value::value_of_ranking;
use super::testing::{synthetic_log, truth_of};
use super::*;
use crate::features::schema::{FEATURE_COUNT, Feature, neutral_row};
use crate::rank::mlp::MlpSpec;
use crate::rank::onnx_writer::write_onnx;
use crate::rank::prior::prior_mlp;
use crate::rank::{FusionWeights, OBJECTIVE_COUNT, Objective, ObjectiveRow, OnnxRanker, RankScratch, Ranker};

fn options() -> TrainOptions {
    TrainOptions {
        epochs_max: 12,
        ..TrainOptions::default()
    }
}

fn train(samples: &[Sample], options: &TrainOptions) -> TrainedRanker {
    train_ranker(&Split::by_time(samples, 0.2), options, &mut |_| {}).expect("it trains")
}

fn predict(spec: &MlpSpec, samples: &[Sample]) -> Vec<ObjectiveRow> {
    let rows: Vec<f32> = samples.iter().flat_map(|sample| sample.features).collect();
    let mut flat = Vec::new();
    spec.forward(&rows, samples.len(), &mut flat, &mut RankScratch::new());
    flat.as_chunks::<OBJECTIVE_COUNT>().0.to_vec()
}

#[test]
fn a_written_model_loads_back_and_scores_the_same() {
    let samples = synthetic_log(4_000, 11);
    let trained = train(&samples, &options());
    let bytes = write_onnx(&trained.spec);
    let again = train(&samples, &options());
    assert!(
        bytes == write_onnx(&again.spec),
        "the same log, options and seed gave other bytes"
    );
    let other_seed = train(&samples, &TrainOptions { seed: 2, ..options() });
    assert!(bytes != write_onnx(&other_seed.spec));

    let mut ranker = OnnxRanker::load(&bytes).expect("it passes the server's checks");
    ranker.warm_up().expect("it is finite over the ranges of all features");
    let rows: Vec<f32> = samples[..500].iter().flat_map(|sample| sample.features).collect();
    let mut served = Vec::new();
    ranker
        .score(&rows, 500, &mut served, &mut RankScratch::new())
        .expect("it scores");
    for (value, golden) in served
        .as_flattened()
        .iter()
        .zip(predict(&trained.spec, &samples[..500]).as_flattened())
    {
        assert!((value - golden).abs() < 1e-5, "{value} is not {golden}");
    }
}

#[test]
fn a_trained_model_predicts_better_than_the_bundled_one_and_the_base_rate() {
    let samples = synthetic_log(8_000, 12);
    let split = Split::by_time(&samples, 0.2);
    let trained = train(&samples, &options());
    let ours = report_on(split.held_out, &predict(&trained.spec, split.held_out));
    let prior = prior_mlp().expect("the tables fit");
    let prior = report_on(split.held_out, &predict(&prior, split.held_out));
    let rates = measure::base_rates(split.fitted).map(|rate| rate as f32);
    let base = report_on(split.held_out, &vec![rates; split.held_out.len()]);
    let truth: Vec<ObjectiveRow> = split.held_out.iter().map(|sample| truth_of(&sample.features)).collect();
    let truth = report_on(split.held_out, &truth);
    for objective in [Objective::Like, Objective::Complete, Objective::Skip, Objective::Watch] {
        let of = |report: &[ObjectiveReport; OBJECTIVE_COUNT]| report[objective.index()];
        let name = objective.name();
        assert!(
            of(&ours).auc > of(&prior).auc,
            "{name}: {:?} and {:?}",
            of(&ours),
            of(&prior)
        );
        assert!(
            of(&ours).auc > Some(0.6) && of(&base).auc == Some(0.5),
            "{name}: {:?}",
            of(&ours)
        );
        assert!(
            of(&ours).log_loss < of(&base).log_loss && of(&ours).log_loss < of(&prior).log_loss,
            "{name}"
        );
        assert!(
            of(&ours).log_loss > of(&truth).log_loss,
            "{name}: better than the truth is a leak"
        );
    }
    // Nothing was ever shared: the head must not have learned anything else.
    assert_eq!(ours[Objective::Share.index()].auc, None);
    assert!(
        predict(&trained.spec, split.held_out)
            .iter()
            .all(|row| row[Objective::Share.index()] < 0.01)
    );
}

#[test]
fn a_feature_that_never_varied_has_no_weight() {
    let samples = synthetic_log(1_000, 13);
    let trained = train(&samples, &options());
    let first = &trained.spec.layers()[0];
    let start = Feature::RegionMatch.index() * first.cols;
    assert!(
        first.weights[start..start + first.cols]
            .iter()
            .all(|weight| *weight == 0.0)
    );
}

#[test]
fn the_split_never_looks_back_and_keeps_requests_whole() {
    let samples = synthetic_log(1_003, 14);
    let split = Split::by_time(&samples, 0.2);
    let parts = [split.fitted, split.stopping, split.held_out];
    assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), samples.len());
    for pair in parts.windows(2) {
        assert!(pair[0].last().expect("a sample").at < pair[1][0].at);
    }
    assert!((190..=210).contains(&split.held_out.len()));
    // One moment cannot be cut.
    let at_once = vec![samples[0].clone(); 10];
    assert_eq!(Split::by_time(&at_once, 0.2).held_out.len(), 10);
    assert!(Split::by_time(&[], 0.2).fitted.is_empty());
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let mut samples = synthetic_log(1_000, 15);
    let few = train_ranker(&Split::by_time(&samples[..100], 0.2), &options(), &mut |_| {});
    assert!(
        matches!(few, Err(TrainError::TooFew { samples: 60..=70, .. })),
        "{few:?}"
    );
    samples[5].features[3] = f32::NAN;
    let result = train_ranker(&Split::by_time(&samples, 0.2), &options(), &mut |_| {});
    assert!(
        matches!(result, Err(TrainError::BadSample { index: 5, .. })),
        "{result:?}"
    );
    samples[5].features[3] = 0.0;
    samples[6].labels[0] = Some(1.5);
    let result = train_ranker(&Split::by_time(&samples, 0.2), &options(), &mut |_| {});
    assert!(
        matches!(result, Err(TrainError::BadSample { index: 6, .. })),
        "{result:?}"
    );
}

#[test]
fn training_stops_when_the_stopping_part_gets_worse() {
    // Labels that no feature explains: every pass makes it worse.
    let mut samples = synthetic_log(600, 16);
    for (index, sample) in samples.iter_mut().enumerate() {
        sample.features = neutral_row();
        sample.features[index % FEATURE_COUNT] += 0.01 * (index % 7) as f32;
    }
    let patience = TrainOptions {
        epochs_max: 500,
        patience_epochs: 3,
        ..TrainOptions::default()
    };
    let trained = train(&samples, &patience);
    let best = trained
        .epochs
        .iter()
        .rposition(|epoch| epoch.is_best)
        .expect("a best pass");
    assert_eq!(trained.epochs.len(), best + 1 + 3);
}

#[test]
fn a_ranking_that_knows_the_truth_earns_more_from_the_draws_of_chance() {
    let samples = synthetic_log(20_000, 17);
    let weights = FusionWeights::default();
    let fuse = |row: &ObjectiveRow, sample: &Sample| weights.fuse(row, sample.pre_rank, sample.collaborative);
    let value = |predictions: &[ObjectiveRow]| {
        value_of_ranking(&samples, predictions, &fuse, Objective::Like, 0.25, 20.0).expect("draws")
    };
    let truth: Vec<ObjectiveRow> = samples.iter().map(|sample| truth_of(&sample.features)).collect();
    let logged: Vec<ObjectiveRow> = samples.iter().map(|sample| sample.predicted).collect();
    let (best, logged) = (value(&truth), value(&logged));
    assert_eq!(best.draws, 4_000);
    assert!((best.effective_sample_size - 1_000.0).abs() < 1e-6);
    assert!(best.snips.low > logged.snips.high, "{best:?} and {logged:?}");
    // A log without chance tells nothing about another ranking.
    let without_chance = |sample: &Sample| Sample {
        propensity: None,
        ..sample.clone()
    };
    let without: Vec<Sample> = samples.iter().map(without_chance).collect();
    assert_eq!(
        value_of_ranking(&without, &truth, &fuse, Objective::Like, 0.25, 20.0),
        None
    );
}
