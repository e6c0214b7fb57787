//! `swipeline train params`: chooses the numbers of the params document on a log.
//!
//! Owns the words around `crate::eval::tune` and the file that is written: only what differs from the defaults, so that
//! it stays valid when defaults change, and can be put in force by `PUT /v1/admin/params`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value};
use swipeline_models::params::Params;

use super::eval::{LogArgs, read_params, task};
use super::wrong_usage;
use crate::eval::setup::Effort;
use crate::eval::tune::tidy;
use crate::eval::whole_log::WholeLog;

/// Arguments of `swipeline train params`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The whole log is the training part; of --train and --test only the first is read for it. What is \
    turned, how it is judged and how the file comes into force: docs/training.md.\n\
    Exit codes: 0 chosen (also when nothing was better than what was there), 1 failed, 2 wrong usage."
)]
pub(super) struct Args {
    /// The log.
    #[command(flatten)]
    log: LogArgs,
    /// The params document to write (JSON, what differs from the defaults)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Begin with this params document instead of the defaults
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// How many trials run at the same time [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Accepted and without effect: choosing is all that this command does
    #[arg(long, hide = true)]
    tune: bool,
}

/// Chooses, writes and reports.
///
/// # Errors
/// A file cannot be read or written, or a trial cannot be fitted.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let task = task(&args.log).unwrap_or_else(|wrong| wrong_usage("train", &wrong));
    let base = args.params.as_deref().map(read_params).transpose()?.unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let effort = Effort {
        threads: args.threads.map_or(cores, usize::from),
        seed: args.seed,
    };
    let (params, tuned) = WholeLog::read(&task, effort)?.tune_params(&base)?;
    let mut json = serde_json::to_string_pretty(&differences(&params)?)?;
    json.push('\n');
    std::fs::write(&args.out, json).with_context(|| args.out.display().to_string())?;
    let text = format!("{}\nwritten to {}\n", tuned.describe("swipeline"), args.out.display());
    // Whoever reads only the first lines closes the pipe; the document is written all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// What differs from the defaults.
fn differences(params: &Params) -> anyhow::Result<Value> {
    let (params, defaults) = (serde_json::to_value(params)?, serde_json::to_value(Params::default())?);
    Ok(difference(&params, &defaults).unwrap_or_else(|| Value::Object(Map::new())))
}

fn difference(value: &Value, default: &Value) -> Option<Value> {
    let (Value::Object(value), Value::Object(default)) = (value, default) else {
        return (value != default).then(|| tidy(value));
    };
    let changed: Map<String, Value> = value
        .iter()
        .filter_map(|(key, value)| {
            let changed = difference(value, default.get(key).unwrap_or(&Value::Null))?;
            Some((key.clone(), changed))
        })
        .collect();
    (!changed.is_empty()).then_some(Value::Object(changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use swipeline_models::params::parse;

    #[test]
    fn the_document_holds_what_differs_and_reads_back_the_same() {
        let document = json!({"collaborative": {"pair_window": 10, "wide": {"item_decay": 0.75}}});
        let params = parse(document).expect("valid");
        let written = differences(&params).expect("JSON");
        assert_eq!(written.as_object().map(Map::len), Some(1));
        assert_eq!(parse(written).expect("valid"), params);
        assert_eq!(differences(&Params::default()).expect("JSON"), json!({}));
    }
}
