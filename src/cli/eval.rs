//! `swipeline eval`: how good the recommendations are, beside what simple methods reach on the same data.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use swipeline_models::params::{Params, parse};

use super::wrong_usage;

use crate::eval::run::{Options, Task, run as evaluate};

use crate::eval::setup::Effort;

use crate::eval::table::{main_table, slice_table};

/// Arguments of `swipeline eval`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files may be gzip. The protocols, and what the numbers mean, are described in docs/quality.md.\n\
    Exit codes: 0 measured, 1 a file is bad or a leak was found, 2 wrong usage."
)]
pub struct Args {
    /// The log.
    #[command(flatten)]
    log: LogArgs,
    /// Rows of the table, by name [default: all but ablations]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    methods: Vec<String>,
    /// Evaluate with this params document (JSON, only what differs from the defaults)
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Choose hyper-parameters on the training part first
    #[arg(long)]
    tune: bool,
    /// Check every method for knowledge of the future before it is measured
    #[arg(long)]
    check_leaks: bool,
    /// Threads for training [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Which log, and how it is asked.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// How the log is written
    #[arg(long, value_enum)]
    format: LogFormat,
    /// What is asked [default: next-like for movielens and events, leave-last for sequence, rank-shown for kuairand]
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Ratings (movielens, also a folder), exported events (events), or logs of impressions (kuairand, several)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Training file (sessions, sequence)
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Test file (sessions, sequence)
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Videos (kuairand), or items as `swipeline export` wrote them (events)
    #[arg(long, value_name = "FILE")]
    pub(super) items: Option<PathBuf>,
    /// What viewers watched before the log (kuairand)
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// What is known of viewers (kuairand)
    #[arg(long, value_name = "FILE")]
    viewers: Option<PathBuf>,
    /// First day of the test part, such as 2022-04-29 (kuairand)
    #[arg(long, value_name = "DATE")]
    test_from: Option<jiff::civil::Date>,
    /// Learn finished test sessions as they end (sessions)
    #[arg(long)]
    online: bool,
    /// Share of the events that is history (next-like)
    #[arg(long, default_value_t = 0.8, value_parser = share)]
    split: f64,
    /// Ask at most so many questions (sessions) [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cases: Option<u32>,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Ratings: recbole's `.inter`, `u.data`, `ratings.dat`, `ratings.csv`.
    Movielens,
    /// Clicks: TSV `SessionId ItemId Time`.
    Sessions,
    /// One `user item` line per event.
    Sequence,
    /// The product's own: what `swipeline export events` wrote.
    Events,
    /// Impressions in KuaiRand's official CSV columns.
    Kuairand,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Before every like of a log in time order: what is liked next?
    NextLike,
    /// What is each user's last item?
    LeaveLast,
    /// What will come of each impression?
    RankShown,
}

/// Runs the evaluation and prints its table.
///
/// # Errors
/// A file cannot be read or written, a method cannot be fitted, or a leak was found.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let task = task(&args.log).unwrap_or_else(|wrong| wrong_usage("eval", &wrong));
    let known = task.method_names();
    if let Some(unknown) = args.methods.iter().find(|name| !known.contains(&name.as_str())) {
        wrong_usage(
            "eval",
            &format!("unknown method `{unknown}`; there are {}", known.join(", ")),
        );
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        methods: args.methods.clone(),
        effort: Effort {
            threads: args.threads.map_or(cores, usize::from),
            seed: args.seed,
        },
        params: args.params.as_deref().map(read_params).transpose()?,
        tune: args.tune,
        check_leaks: args.check_leaks,
    };
    let report = evaluate(&task, &options)?;
    let head = format!("{}, {} cases, seed {}", report.protocol, report.cases, report.seed);
    let text = format!("{head}\n{}\n\n{}\n", main_table(&report), slice_table(&report));
    // Whoever reads only the first lines closes the pipe; the report is written all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if let Some(path) = &args.report {
        let mut json = serde_json::to_string_pretty(&report)?;
        json.push('\n');
        std::fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A params document, with what is wrong with it by field.
pub(super) fn read_params(path: &Path) -> anyhow::Result<Params> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let document = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    parse(document).map_err(|errors| {
        let errors: Vec<String> = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.detail))
            .collect();
        anyhow::anyhow!("{}: {}", path.display(), errors.join("; "))
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| "must be between 0 and 1".to_owned())
}

/// What the flags ask for, or what is wrong with them.
pub(super) fn task(args: &LogArgs) -> Result<Task, String> {
    let needed = |file: &Option<PathBuf>, flag: &str| {
        let format = args
            .format
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        file.clone().ok_or_else(|| format!("--format {format} needs {flag}"))
    };
    match (args.format, args.protocol) {
        (LogFormat::Movielens, None | Some(Protocol::NextLike)) => Ok(Task::NextLike {
            data: ratings(&args.data)?,
            split: args.split,
        }),
        (LogFormat::Events, None | Some(Protocol::NextLike)) => {
            let [data] = args.data.as_slice() else {
                return Err("--format events needs --data FILE, one file".to_owned());
            };
            Ok(Task::Events {
                data: data.clone(),
                items: args.items.clone(),
                split: args.split,
            })
        }
        (LogFormat::Movielens, Some(Protocol::LeaveLast)) => Ok(Task::LeaveLast {
            data: ratings(&args.data)?,
        }),
        (LogFormat::Sequence, None | Some(Protocol::LeaveLast)) => Ok(Task::Sequence {
            train: needed(&args.train, "--train FILE")?,
            test: needed(&args.test, "--test FILE")?,
        }),
        (LogFormat::Sessions, None) => Ok(Task::Sessions {
            train: needed(&args.train, "--train FILE")?,
            test: needed(&args.test, "--test FILE")?,
            online: args.online,
            cases_max: args.cases.map_or(usize::MAX, |cases| cases as usize),
        }),
        (LogFormat::Kuairand, None | Some(Protocol::RankShown)) => {
            if args.data.is_empty() {
                return Err("--format kuairand needs --data LOG...".to_owned());
            }
            Ok(Task::RankShown {
                data: args.data.clone(),
                items: needed(&args.items, "--items FILE")?,
                history: args.history.clone(),
                viewers: args.viewers.clone(),
                test_from: args
                    .test_from
                    .map(day_number)
                    .ok_or("--format kuairand needs --test-from YYYY-MM-DD")?,
            })
        }
        (format, Some(protocol)) => Err(no_such_protocol(format, protocol)),
    }
}

fn no_such_protocol(format: LogFormat, protocol: Protocol) -> String {
    let name =
        |value: Option<clap::builder::PossibleValue>| value.map_or(String::new(), |value| value.get_name().into());
    let offered = match format {
        LogFormat::Movielens => "next-like and leave-last",
        LogFormat::Events => "next-like",
        LogFormat::Sessions => "none to choose (leave --protocol out)",
        LogFormat::Sequence => "leave-last",
        LogFormat::Kuairand => "rank-shown",
    };
    let (format, protocol) = (name(format.to_possible_value()), name(protocol.to_possible_value()));
    format!("--format {format} has no protocol {protocol}; it has {offered}")
}

fn day_number(day: jiff::civil::Date) -> u32 {
    let (year, month, day) = (day.year(), day.month(), day.day());
    u32::from(year.unsigned_abs()) * 10_000 + u32::from(month.unsigned_abs()) * 100 + u32::from(day.unsigned_abs())
}

/// The one file of ratings; of a folder, the file in it that holds them.
fn ratings(data: &[PathBuf]) -> Result<PathBuf, String> {
    let [path] = data else {
        return Err("--format movielens needs --data FILE, one file or folder".to_owned());
    };
    if !path.is_dir() {
        return Ok(path.clone());
    }
    ratings_in(path).ok_or_else(|| {
        let looked_for = "*.inter, u.data, ratings.dat, ratings.csv";
        format!(
            "{}: no ratings in this folder (looked for {looked_for})",
            path.display()
        )
    })
}

fn ratings_in(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.into_iter().find(|path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        name.ends_with(".inter") || ["u.data", "ratings.dat", "ratings.csv"].contains(&name)
    })
}
