//! `swipeline train embeddings`: learns item embeddings from what viewers liked.
//!
//! Owns the words around `crate::train::embeddings`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use swipeline_models::baselines::ials::IalsConfig;

use super::eval::{LogArgs, task};
use super::wrong_usage;
use crate::eval::setup::Effort;
use crate::eval::whole_log::WholeLog;
use crate::train::embeddings::{Files, train};

/// Arguments of `swipeline train embeddings`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The whole log is learned from; of --train and --test only the first. With --items (JSON lines, as \
    `swipeline export items` writes them) the other fields of every item are kept, and items without likes get the \
    vector of their words; without it the file holds ids and vectors only. `swipeline import items` puts it into a \
    server: docs/training.md.\nExit codes: 0 trained, 1 failed, 2 wrong usage."
)]
pub(super) struct Args {
    /// The log.
    #[command(flatten)]
    log: LogArgs,
    /// The items with their embeddings (JSON lines; .gz for gzip)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Go on from the vectors of this file, which an earlier training wrote
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Entries of a vector; must be the dimension of the server's embeddings when it has any
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=1024))]
    dims: u16,
    /// Passes over viewers and items
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    iterations: u16,
    /// Choose dimension, regularisation and the weight of what was not seen on the end of the log
    #[arg(long)]
    tune: bool,
    /// Threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Trains, writes and reports.
///
/// # Errors
/// A file cannot be read or written, or there is nothing to learn from.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let task = task(&args.log).unwrap_or_else(|wrong| wrong_usage("train", &wrong));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let effort = Effort {
        threads: args.threads.map_or(cores, usize::from),
        seed: args.seed,
    };
    let whole = WholeLog::read(&task, effort)?;
    let mut config = IalsConfig {
        dims: usize::from(args.dims),
        iterations: usize::from(args.iterations),
        seed: args.seed,
        threads: effort.threads,
        ..IalsConfig::default()
    };
    let mut text = String::new();
    if args.tune {
        let (chosen, tuned) = whole.tune_factors(config)?;
        config = chosen;
        text.push_str(&tuned.describe("embeddings"));
        text.push('\n');
    }
    let files = Files {
        items: args.log.items.as_deref(),
        earlier: args.earlier.as_deref(),
        out: &args.out,
    };
    let (log, like_value_min) = (&whole.log, whole.like_value_min());
    let embedded = train(&log.catalogue, &log.history, like_value_min, &config, &files)?;
    text.push_str(&format!(
        "{} items with {} entries each, {} of them by their words alone; {} went on from earlier vectors, of {} items \
         nothing is known\nwritten to {}\n",
        embedded.items,
        config.dims,
        embedded.by_content,
        embedded.continued,
        embedded.unknown,
        args.out.display()
    ));
    // Whoever reads only the first lines closes the pipe; the file is written all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
