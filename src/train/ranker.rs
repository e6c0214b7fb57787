//! Training a ranker and proving what was trained.
//!
//! Owns the order: split, fit, write, load back through the server's own checks, compare, measure. Prints nothing.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use swipeline_models::features::schema::FEATURE_COUNT;
use swipeline_models::rank::onnx_writer::write_onnx;
use swipeline_models::rank::ranker::RANK_ROWS_MAX;
use swipeline_models::rank::{
    FusionWeights, OBJECTIVE_COUNT, Objective, ObjectiveRow, OnnxRanker, RankScratch, Ranker, bundled_ranker_bytes,
};
use swipeline_models::train::measure::base_rates;
use swipeline_models::train::off_policy::OffPolicyEstimate;
use swipeline_models::train::ranking_value::value_of_ranking;
use swipeline_models::train::{EpochLosses, ObjectiveReport, Sample, Split, TrainOptions, report_on, train_ranker};

/// Outputs of the engine and of the plain network may differ by so much; more is a broken file.
const DIFFERENCE_MAX: f32 = 1e-5;

/// How the held-out part is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judging {
    /// Share of the samples, the newest, that nothing is fitted to.
    pub(crate) held_out_share: f64,
    /// Share of the candidates of an exploration slot that a ranking may choose from.
    pub(crate) top_share: f64,
    /// Off-policy weights are cut to this.
    pub(crate) weight_max: f64,
    /// Whether every sample tells what had been predicted when it was served.
    pub(crate) all_predicted: bool,
}

/// How one model predicts the held-out part.
pub(crate) struct ModelRow {
    pub(crate) model: &'static str,
    pub(crate) objectives: [ObjectiveReport; OBJECTIVE_COUNT],
}

/// What one ranking would have earned from the draws of chance.
pub(crate) struct PolicyRow {
    pub(crate) ranking: &'static str,
    pub(crate) objective: Objective,
    /// `None` where no draw of chance has a known label.
    pub(crate) estimate: Option<OffPolicyEstimate>,
}

/// A trained model and what is known about it.
pub(crate) struct Trained {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    pub(crate) model_version: String,
    /// Samples fitted, deciding when to stop, and held out.
    pub(crate) counts: [usize; 3],
    /// The largest difference between the loaded file and the trained network.
    pub(crate) difference: f32,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) policies: Vec<PolicyRow>,
}

/// Trains from samples in any order; the same samples in the same order, options and machine give the same bytes.
///
/// # Errors
/// There is too little to learn from, or the written model is refused or scores differently when loaded.
pub(crate) fn train(
    mut samples: Vec<Sample>,
    options: &TrainOptions,
    judging: Judging,
    progress: &mut dyn FnMut(&EpochLosses),
) -> anyhow::Result<Trained> {
    samples.sort_by_key(|sample| sample.at);
    let split = Split::by_time(&samples, judging.held_out_share);
    let newest = samples.last().map_or(0, |sample| sample.at.0);
    let model_version = format!("trained-{newest}-{}-seed{}", samples.len(), options.seed);
    let options = TrainOptions {
        model_version: model_version.clone(),
        ..options.clone()
    };
    let trained = train_ranker(&split, &options, progress)?;
    let bytes = write_onnx(&trained.spec);
    let mut ranker = OnnxRanker::load(&bytes).context("the trained model is refused")?;
    ranker.warm_up().context("the trained model is refused")?;
    let ours = predict(&ranker, split.held_out)?;
    let difference = largest_difference(&trained.spec, split.held_out, &ours);
    anyhow::ensure!(
        difference <= DIFFERENCE_MAX,
        "the written model scores differently by {difference} when it is loaded; it was not saved"
    );
    let bundled = OnnxRanker::load(bundled_ranker_bytes()).context("the bundled model")?;
    let mut predictions = vec![("new", ours), ("bundled", predict(&bundled, split.held_out)?)];
    if judging.all_predicted {
        predictions.push((
            "as served",
            split.held_out.iter().map(|sample| sample.predicted).collect(),
        ));
    }
    let policies = policy_rows(split.held_out, &predictions, judging);
    predictions.push((
        "base rate",
        vec![base_rates(split.fitted).map(|rate| rate as f32); split.held_out.len()],
    ));
    let models = predictions.iter().map(|(model, predicted)| ModelRow {
        model,
        objectives: report_on(split.held_out, predicted),
    });
    Ok(Trained {
        bytes,
        model_version,
        counts: [split.fitted.len(), split.stopping.len(), split.held_out.len()],
        difference,
        models: models.collect(),
        policies,
    })
}

/// Puts a file on the disk whole or not at all.
///
/// # Errors
/// Those of the file system.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

fn predict(ranker: &OnnxRanker, samples: &[Sample]) -> anyhow::Result<Vec<ObjectiveRow>> {
    let mut all = Vec::with_capacity(samples.len());
    let (mut scores, mut scratch) = (Vec::new(), RankScratch::new());
    for part in samples.chunks(RANK_ROWS_MAX) {
        ranker.score(&rows_of(part), part.len(), &mut scores, &mut scratch)?;
        all.extend_from_slice(&scores);
    }
    Ok(all)
}

fn rows_of(samples: &[Sample]) -> Vec<f32> {
    let mut rows = Vec::with_capacity(samples.len() * FEATURE_COUNT);
    samples
        .iter()
        .for_each(|sample| rows.extend_from_slice(&sample.features));
    rows
}

fn largest_difference(spec: &swipeline_models::rank::mlp::MlpSpec, samples: &[Sample], served: &[ObjectiveRow]) -> f32 {
    let mut golden = Vec::new();
    spec.forward(&rows_of(samples), samples.len(), &mut golden, &mut RankScratch::new());
    let pairs = served.as_flattened().iter().zip(&golden);
    pairs
        .map(|(served, golden)| (served - golden).abs())
        .fold(0.0, f32::max)
}

fn policy_rows(
    samples: &[Sample],
    predictions: &[(&'static str, Vec<ObjectiveRow>)],
    judging: Judging,
) -> Vec<PolicyRow> {
    let weights = FusionWeights::default();
    let fuse = |row: &ObjectiveRow, sample: &Sample| weights.fuse(row, sample.pre_rank, sample.collaborative);
    let mut rows = Vec::new();
    for objective in Objective::ALL {
        // Everything that chance drew: what the exploration slots earned in fact.
        let any = predictions.iter().map(|(_, predicted)| predicted).next();
        let value = |predicted: &[ObjectiveRow], share: f64| {
            value_of_ranking(samples, predicted, &fuse, objective, share, judging.weight_max)
        };
        rows.push(PolicyRow {
            ranking: "chance, as logged",
            objective,
            estimate: any.and_then(|predicted| value(predicted, 1.0)),
        });
        rows.extend(predictions.iter().map(|(ranking, predicted)| PolicyRow {
            ranking,
            objective,
            estimate: value(predicted, judging.top_share),
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use swipeline_models::features::schema::{Feature, neutral_row};
    use swipeline_models::time::TimestampMs;

    use super::*;
    use crate::train::table::{draws_of_chance, policy_table, prediction_table, verdict};

    const JUDGING: Judging = Judging {
        held_out_share: 0.2,
        top_share: 0.25,
        weight_max: 20.0,
        all_predicted: false,
    };

    /// Slates of five; the last item was drawn by chance. Short videos are liked here, and nothing else is known.
    fn samples(count: usize) -> Vec<Sample> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let one = |index: usize| {
            let mut features = neutral_row();
            let duration: f32 = random.random();
            features[Feature::DurationLog.index()] = duration;
            let liked = random.random::<f32>() < 0.6 * (1.0 - duration);
            Sample {
                at: TimestampMs((index / 5) as i64),
                request: (index / 5) as u64,
                features,
                pre_rank: 0.5,
                collaborative: 0.0,
                predicted: [0.5; OBJECTIVE_COUNT],
                propensity: (index % 5 == 4).then_some(0.02),
                labels: [Some(f32::from(u8::from(liked))), None, None, None, None],
            }
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn what_is_trained_is_measured_and_the_same_every_time() {
        let options = TrainOptions {
            epochs_max: 8,
            ..TrainOptions::default()
        };
        let run = || train(samples(4_000), &options, JUDGING, &mut |_| {}).expect("it trains");
        let (trained, again) = (run(), run());
        assert!(trained.bytes == again.bytes && trained.difference <= DIFFERENCE_MAX);
        assert_eq!((trained.counts, draws_of_chance(&trained)), ([2_560, 640, 800], 160));
        assert_eq!(trained.model_version, "trained-799-4000-seed1");
        let like = |model: &str| {
            let row = trained.models.iter().find(|row| row.model == model).expect("a row");
            row.objectives[Objective::Like.index()]
        };
        assert!(like("new").auc > like("bundled").auc && like("new").log_loss < like("base rate").log_loss);
        let earned = |ranking: &str| {
            let found = trained
                .policies
                .iter()
                .find(|row| row.ranking == ranking && row.objective == Objective::Like);
            found.and_then(|row| row.estimate).expect("draws").snips
        };
        assert!(
            earned("new").low > earned("chance, as logged").value,
            "{:?}",
            earned("new")
        );
        let shown = format!(
            "{}{}",
            prediction_table(&trained),
            policy_table(&trained).expect("enough draws")
        );
        assert!(shown.contains("chance, as logged") && shown.contains("base rate") && !shown.contains("as served"));
        // Only like is known, so nothing can be said for the others.
        assert!(verdict(&trained).contains("base rate): like. Not so: complete, share, skip, watch"));
    }

    #[test]
    fn a_log_with_little_chance_in_it_compares_nothing() {
        let mut few = samples(1_000);
        few.iter_mut().skip(900).for_each(|sample| sample.propensity = None);
        let trained = train(few, &TrainOptions::default(), JUDGING, &mut |_| {}).expect("it trains");
        assert_eq!(draws_of_chance(&trained), 20);
        assert!(policy_table(&trained).is_none());
    }
}
