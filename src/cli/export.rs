//! `swipeline export`: writes what a data directory holds to a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use swipeline_actors::Engine;
use swipeline_models::event::Event;
use swipeline_models::wire::{EventDto, ItemDto, UserDto};

use super::ConfigFile;
use crate::config::LogSettings;
use crate::server::engine_config;
use crate::telemetry;
use crate::transfer::{Entity, JsonlWriter, WriteError, parse_time};

/// The exit code of wrong usage.
const EXIT_USAGE: u8 = 2;

/// Arguments of `swipeline export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to export
    #[arg(value_enum)]
    entity: Entity,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    format: ExportFormat,
    /// Only events from this time on: milliseconds since 1970, or 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
    /// The file to write; - for standard output, a name that ends in .gz for gzip
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
    /// Data directory of a stopped server [default: ./swipeline-data]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// A running server: refused, for the REST API lists neither items nor users nor events
    #[arg(long, hide = true)]
    url: Option<String>,
}

/// How an export can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    /// One JSON object per line, shaped as in the REST API.
    Jsonl,
}

/// Runs the export.
///
/// # Errors
/// The data directory cannot be used or the file cannot be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.url.is_some() {
        eprintln!(
            "error: a running server cannot be exported from: its REST API has no list of {}. Stop it and use \
             --data-dir, or export from a restored snapshot",
            args.entity
        );
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    if args.entity != Entity::Events && (args.since.is_some() || args.until.is_some()) {
        eprintln!("error: --since and --until go with events only");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let data_dir = args
        .data_dir
        .as_ref()
        .map(|dir| dir.to_str().map(str::to_owned).context("--data-dir is not UTF-8"));
    let settings = args.config.load([("data.dir", data_dir.transpose()?)])?;
    // What recovery has to say comes through; the rest would tear the progress apart.
    telemetry::init_logs(&LogSettings {
        level: "warn".to_owned(),
        ..settings.log.clone()
    });
    // Opening would make an empty one, and an export of nothing would look like a success.
    anyhow::ensure!(
        settings.data.dir.is_dir(),
        "{}: no such data directory",
        settings.data.dir.display()
    );
    let writer = JsonlWriter::create(&args.out)?;
    let engine = Box::pin(Engine::start(engine_config(&settings))).await?;
    let written = Box::pin(write_all(&engine, &args, writer)).await;
    engine.shutdown().await?;
    let rows = written?;
    eprintln!("exported {rows} {} to {}", args.entity, args.out.display());
    Ok(ExitCode::SUCCESS)
}

async fn write_all(engine: &Engine, args: &Args, mut writer: JsonlWriter) -> anyhow::Result<u64> {
    // The engine's visitors cannot stop half way: the first error is kept and the rest is passed over.
    let mut outcome: Result<(), WriteError> = Ok(());
    match args.entity {
        Entity::Items => engine.for_each_item(&mut |item| {
            if outcome.is_ok() {
                outcome = writer.write(&ItemDto::from(item));
            }
        }),
        Entity::Users => {
            let mut visit = |user: &swipeline_models::user::User| {
                if outcome.is_ok() {
                    outcome = writer.write(&UserDto::from(user));
                }
            };
            engine.for_each_user(&mut visit).await?;
        }
        Entity::Events => {
            let wanted = |event: &Event| {
                args.since.is_none_or(|since| event.at.0 >= since) && args.until.is_none_or(|until| event.at.0 < until)
            };
            let mut visit = |event: Event| {
                if outcome.is_ok() && wanted(&event) {
                    outcome = writer.write(&EventDto::from(&event));
                }
            };
            engine.for_each_event(&mut visit).await?;
        }
    }
    outcome?;
    Ok(writer.finish()?)
}
