//! `swipeline export`: writes what a data directory holds to a file.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use swipeline_actors::{Engine, TimeRange, archive_table};
use swipeline_models::wire::{ItemDto, UserDto};
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::{Cell, Column};

use super::ConfigFile;
use crate::config::LogSettings;
use crate::server::engine_config;
use crate::telemetry;
use crate::transfer::{
    JsonlWriter, ParquetWriter, WriteError, item_cells, item_table, parse_time, user_cells, user_table,
};

/// The exit code of wrong usage.
const EXIT_USAGE: u8 = 2;

/// Arguments of `swipeline export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to export
    #[arg(value_enum)]
    entity: ExportEntity,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    format: ExportFormat,
    /// Only events and slates from this time on: milliseconds since 1970, or 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Only events and slates before this time
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
    /// Parquet with zstd, for DuckDB, pandas and polars.
    Parquet,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportEntity {
    /// Things that can be shown.
    Items,
    /// Viewers.
    Users,
    /// What viewers did: everything that the archive holds, hot, warm and cold.
    Events,
    /// What viewers were served, one row per item: everything that the archive holds.
    Slates,
}

impl fmt::Display for ExportEntity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ExportEntity::Items => "items",
            ExportEntity::Users => "users",
            ExportEntity::Events => "events",
            ExportEntity::Slates => "slates",
        })
    }
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
    let has_times = matches!(args.entity, ExportEntity::Events | ExportEntity::Slates);
    if !has_times && (args.since.is_some() || args.until.is_some()) {
        eprintln!("error: --since and --until go with events and slates only");
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
    let writer = Writer::create(&args)?;
    let engine = Box::pin(Engine::start(engine_config(&settings))).await?;
    let written = Box::pin(write_all(&engine, &args, writer)).await;
    engine.shutdown().await?;
    let rows = written?;
    eprintln!("exported {rows} {} to {}", args.entity, args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Where the rows go.
enum Writer {
    Jsonl(JsonlWriter),
    Parquet(Box<ParquetWriter>),
}

impl Writer {
    fn create(args: &Args) -> Result<Self, WriteError> {
        let table = match args.entity {
            ExportEntity::Items => item_table(),
            ExportEntity::Users => user_table(),
            ExportEntity::Events => archive_table(ArchiveKind::Events),
            ExportEntity::Slates => archive_table(ArchiveKind::Slates),
        };
        Ok(match args.format {
            ExportFormat::Jsonl => Writer::Jsonl(JsonlWriter::create(&args.out)?),
            ExportFormat::Parquet => Writer::Parquet(Box::new(ParquetWriter::create(&args.out, &table)?)),
        })
    }

    fn write<T: Serialize>(&mut self, row: &T, cells: impl FnOnce(&T) -> Vec<Cell>) -> Result<(), WriteError> {
        match self {
            Writer::Jsonl(writer) => writer.write(row),
            Writer::Parquet(writer) => writer.write(cells(row)),
        }
    }

    fn finish(self) -> Result<u64, WriteError> {
        match self {
            Writer::Jsonl(writer) => writer.finish(),
            Writer::Parquet(writer) => writer.finish(),
        }
    }
}

async fn write_all(engine: &Engine, args: &Args, mut writer: Writer) -> anyhow::Result<u64> {
    // The engine's visitors cannot stop half way: the first error is kept and the rest is passed over.
    let mut outcome: Result<(), WriteError> = Ok(());
    match args.entity {
        ExportEntity::Items => engine.for_each_item(&mut |item| {
            if outcome.is_ok() {
                outcome = writer.write(&ItemDto::from(item), item_cells);
            }
        }),
        ExportEntity::Users => {
            let mut visit = |user: &swipeline_models::user::User| {
                if outcome.is_ok() {
                    outcome = writer.write(&UserDto::from(user), user_cells);
                }
            };
            engine.for_each_user(&mut visit).await?;
        }
        ExportEntity::Events => outcome = write_archived(engine, args, ArchiveKind::Events, &mut writer)?,
        ExportEntity::Slates => outcome = write_archived(engine, args, ArchiveKind::Slates, &mut writer)?,
    }
    outcome?;
    Ok(writer.finish()?)
}

fn write_archived(
    engine: &Engine,
    args: &Args,
    kind: ArchiveKind,
    writer: &mut Writer,
) -> anyhow::Result<Result<(), WriteError>> {
    let columns = archive_table(kind).columns;
    let range = TimeRange {
        since: args.since,
        until: args.until,
    };
    let mut outcome = Ok(());
    engine.for_each_archived(kind, range, &mut |row| {
        if outcome.is_ok() {
            outcome = match writer {
                Writer::Jsonl(writer) => writer.write(&object(kind, &columns, &row)),
                Writer::Parquet(writer) => writer.write(row),
            };
        }
    })?;
    Ok(outcome)
}

/// A row as JSON: an event in the shape of the REST API, so that it can be imported again; a slate's item with all that
/// is known.
fn object(kind: ArchiveKind, columns: &[Column], row: &[Cell]) -> Map<String, Value> {
    let is_wanted = |name: &str| kind == ArchiveKind::Slates || !["sequence", "accepted_at"].contains(&name);
    columns
        .iter()
        .zip(row)
        .filter(|(column, cell)| is_wanted(&column.name) && **cell != Cell::Null)
        .map(|(column, cell)| {
            let value = match (column.name.as_ref(), cell) {
                ("context", Cell::Text(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
                _ => cell.to_json(),
            };
            (column.name.to_string(), value)
        })
        .collect()
}
