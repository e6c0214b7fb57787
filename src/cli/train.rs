//! `swipeline train`: makes the artefacts that the server loads.
//!
//! Owns the words around `crate::train`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use swipeline_actors::ServedHistory;
use swipeline_models::train::off_policy::WEIGHT_MAX_DEFAULT;
use swipeline_models::train::{EpochLosses, Sample, TrainOptions};

use crate::train::ranker::{Judging, Trained, save, train};
use crate::train::table::{DRAWS_MIN, draws_of_chance, policy_table, prediction_table, verdict};
use crate::train::{Join, JoinCounts, SAMPLES_MAX, SampleLine, read_samples};
use crate::transfer::JsonlWriter;

/// Arguments of `swipeline train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to train
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Train the ranking model from what was served and what came of it
    Ranker(Box<RankerArgs>),
    /// Choose the numbers of the params document on a log
    Params(Box<super::train_params::Args>),
    /// Learn item embeddings from what viewers liked
    Embeddings(Box<super::train_embeddings::Args>),
}

/// Arguments of `swipeline train ranker`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true).args(["data", "from"]),
    after_help = "The server logs what it serves with data.served_log_percent above 0. The file format, what the report \
    means and how the model gets into a running server: docs/training.md.\nExit codes: 0 trained, 1 failed, 2 wrong usage."
)]
struct RankerArgs {
    /// Data directory of a stopped server that logged what it served
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Files of samples, one JSON object a line, plain or gzip; - for standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    from: Vec<PathBuf>,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the samples of --data to this file, too (.gz for gzip)
    #[arg(long, value_name = "FILE", requires = "data")]
    write_samples: Option<PathBuf>,
    /// An outcome counts up to so long after the item was served (--data)
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = humantime::parse_duration)]
    outcome_window: Duration,
    /// Keep what was served within the last window, though more may have been going to come of it (--data)
    #[arg(long)]
    include_open: bool,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the samples at the most; training stops earlier when it no longer helps
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Samples per step
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Length of a step
    #[arg(long, default_value_t = 0.001, value_parser = positive)]
    learning_rate: f32,
    /// Share of the samples, the newest, that the report is made on and nothing is fitted to
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    held_out: f64,
    /// Share of the candidates of an exploration slot that the off-policy check lets a ranking choose from
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    top_share: f64,
}

/// Trains and reports.
///
/// # Errors
/// The samples cannot be read, there are too few, or the model cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Ranker(args) => run_ranker(args),
        What::Params(args) => super::train_params::run(args),
        What::Embeddings(args) => super::train_embeddings::run(args),
    }
}

fn run_ranker(args: &RankerArgs) -> anyhow::Result<ExitCode> {
    let (samples, all_predicted) = match &args.data {
        Some(data_dir) => (samples_of(data_dir, args)?, true),
        None => read_samples(&args.from)?,
    };
    let options = TrainOptions {
        seed: args.seed,
        epochs_max: args.epochs,
        batch: args.batch as usize,
        learning_rate: args.learning_rate,
        ..TrainOptions::default()
    };
    let judging = Judging {
        held_out_share: args.held_out,
        top_share: args.top_share,
        weight_max: WEIGHT_MAX_DEFAULT,
        all_predicted,
    };
    let trained = train(samples, &options, judging, &mut say_epoch)?;
    save(&args.out, &trained.bytes).with_context(|| args.out.display().to_string())?;
    // Whoever reads only the first lines closes the pipe; the model is written all the same.
    let _ = std::io::stdout().write_all(report(&trained, args).as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Reads and joins the history of a stopped server.
fn samples_of(data_dir: &Path, args: &RankerArgs) -> anyhow::Result<Vec<Sample>> {
    // Opening would make an empty one, and training from nothing would complain about the wrong thing.
    anyhow::ensure!(data_dir.is_dir(), "{}: no such data directory", data_dir.display());
    let history = ServedHistory::open(data_dir)?;
    let mut served = 0;
    let unreadable = history.for_each_slate(&mut |slate| served += slate.items.len())?;
    let mut join = Join::new(i64::try_from(args.outcome_window.as_millis()).unwrap_or(i64::MAX / 4));
    // The newest ones, when there are more than are held.
    let (too_old, mut passed) = (served.saturating_sub(SAMPLES_MAX), 0);
    history.for_each_slate(&mut |slate| {
        passed += slate.items.len();
        if passed > too_old {
            join.add_slate(slate);
        }
    })?;
    history.for_each_outcome(&mut |outcome| join.add_outcome(&outcome))?;
    let (lines, counts) = join.finish(args.include_open);
    say_counts(&counts, unreadable, args);
    if let Some(path) = &args.write_samples {
        write_samples(path, &lines)?;
    }
    let samples: Result<Vec<Sample>, String> = lines.into_iter().map(SampleLine::into_sample).collect();
    samples.map_err(|detail| anyhow::anyhow!("a logged row cannot be used: {detail}"))
}

fn write_samples(path: &Path, lines: &[SampleLine]) -> anyhow::Result<()> {
    let mut writer = JsonlWriter::create(path)?;
    for line in lines {
        writer.write(line)?;
    }
    let rows = writer.finish()?;
    eprintln!("wrote {rows} samples to {}", path.display());
    Ok(())
}

fn say_counts(counts: &JoinCounts, unreadable: u64, args: &RankerArgs) {
    let JoinCounts {
        served,
        other_schema,
        unseen,
        open,
        samples,
    } = counts;
    eprintln!(
        "{served} items served: {samples} samples; left out: {unseen} never seen, {open} served within the last {} (see \
         --include-open), {other_schema} of another feature schema",
        humantime::format_duration(args.outcome_window)
    );
    if unreadable > 0 {
        eprintln!("{unreadable} records or ends of files of the served log could not be read");
    }
    if *served == 0 {
        eprintln!("the server logs what it serves only with data.served_log_percent above 0");
    }
}

fn say_epoch(losses: &EpochLosses) {
    let mark = if losses.is_best { "" } else { " (not better)" };
    eprintln!("epoch {:>3}: loss {:.5}{mark}", losses.epoch, losses.stopping);
}

fn report(trained: &Trained, args: &RankerArgs) -> String {
    let [fitted, stopping, held_out] = trained.counts;
    let mut text = format!(
        "{fitted} samples fitted, {stopping} decided when to stop, {held_out} (the newest) held out; measured on those:\n{}\n\n",
        prediction_table(trained)
    );
    match policy_table(trained) {
        Some(table) => text.push_str(&format!(
            "Off-policy, over what chance drew for exploration in the held-out part: the best {:.0} % of the draws by each \
             ranking.\n{table}\n\n",
            args.top_share * 100.0
        )),
        None => text.push_str(&format!(
            "Off-policy: chance drew {} of the items in the held-out part; rankings are compared from {DRAWS_MIN} on.\n\n",
            draws_of_chance(trained)
        )),
    }
    text.push_str(&format!(
        "{}\n{}, version {}: {} bytes, loads back with the same numbers (largest difference {:.1e}).\n",
        verdict(trained),
        args.out.display(),
        trained.model_version,
        trained.bytes.len(),
        trained.difference
    ));
    text
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| "must be between 0 and 1".to_owned())
}

fn positive(text: &str) -> Result<f32, String> {
    let value: Option<f32> = text.parse().ok();
    value
        .filter(|value| *value > 0.0 && value.is_finite())
        .ok_or_else(|| "must be above 0".to_owned())
}
