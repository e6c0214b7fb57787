//! `swipeline export`: writes what a data directory holds to a file.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use swipeline_actors::{Engine, TimeRange, archive_table};
use swipeline_models::wire::{ItemDto, UserDto};
use swipeline_storage::archive::ArchiveKind;
use swipeline_storage::table::Cell;

use super::ConfigFile;
use crate::config::LogSettings;
use crate::server::engine_config;
use crate::telemetry;
use crate::transfer::rest::{CREDENTIAL_VARIABLE, RestServer};
use crate::transfer::{
    ArchivedRows, JsonlWriter, ParquetWriter, WriteError, item_cells, item_table, parse_time, user_cells, user_table,
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
    /// The admin listener of a running server; its key comes from SWIPELINE_API_KEY
    #[arg(long, value_name = "URL")]
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
    let has_times = matches!(args.entity, ExportEntity::Events | ExportEntity::Slates);
    if !has_times && (args.since.is_some() || args.until.is_some()) {
        eprintln!("error: --since and --until go with events and slates only");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    if let Some(url) = &args.url {
        let rows = from_server(url, &args).await?;
        eprintln!("exported {rows} {} to {}", args.entity, args.out.display());
        return Ok(ExitCode::SUCCESS);
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

/// Writes what a running server sends, line by line.
async fn from_server(url: &str, args: &Args) -> anyhow::Result<u64> {
    let credential = std::env::var(CREDENTIAL_VARIABLE).ok().filter(|key| !key.is_empty());
    let server = RestServer::new(url, credential)?;
    let mut query = Vec::new();
    for (name, at) in [("since", args.since), ("until", args.until)] {
        if let Some(at) = at {
            query.push((name, at.to_string()));
        }
    }
    let kind = args.entity.to_string();
    let mut answer = server.open(&["v1", "admin", "export", &kind], &query).await?;
    let mut writer = Writer::create(args)?;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the export broke off")? {
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            write_line(&mut writer, args.entity, &line)?;
        }
    }
    anyhow::ensure!(rest.is_empty(), "the export broke off in the middle of a line");
    Ok(writer.finish()?)
}

/// Takes a line of the server in the shape of the export.
fn write_line(writer: &mut Writer, entity: ExportEntity, line: &[u8]) -> anyhow::Result<()> {
    match entity {
        ExportEntity::Items => writer.write(&serde_json::from_slice::<ItemDto>(line)?, item_cells)?,
        ExportEntity::Users => writer.write(&serde_json::from_slice::<UserDto>(line)?, user_cells)?,
        ExportEntity::Events => writer.write_object(ArchiveKind::Events, line)?,
        ExportEntity::Slates => writer.write_object(ArchiveKind::Slates, line)?,
    }
    Ok(())
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

    /// A row of the archive that a server has sent as JSON.
    fn write_object(&mut self, kind: ArchiveKind, line: &[u8]) -> anyhow::Result<()> {
        let object: serde_json::Value = serde_json::from_slice(line)?;
        match self {
            Writer::Jsonl(writer) => writer.write(&object)?,
            Writer::Parquet(_) => anyhow::bail!(
                "{kind:?} of a running server come as jsonl only; for Parquet take the archive's files, or export from a \
                 restored snapshot"
            ),
        }
        Ok(())
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
    let rows = ArchivedRows::of(kind);
    let range = TimeRange {
        since: args.since,
        until: args.until,
    };
    let mut outcome = Ok(());
    engine.for_each_archived(kind, range, &mut |row| {
        if outcome.is_ok() {
            outcome = match writer {
                Writer::Jsonl(writer) => writer.write(&rows.object(&row)),
                Writer::Parquet(writer) => writer.write(row),
            };
        }
    })?;
    Ok(outcome)
}
