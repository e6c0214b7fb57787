//! `swipeline import`: bulk load into a data directory or a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use swipeline_actors::Engine;

use super::{ConfigFile, EXIT_FAILURE};
use crate::config::LogSettings;
use crate::server::{engine_config, now};
use crate::telemetry;
use crate::transfer::feeder::{Batch, Feed, FeedError, Place, Refusal, start};
use crate::transfer::progress::Progress;
use crate::transfer::rest::{CREDENTIAL_VARIABLE, RestServer};
use crate::transfer::sink::Sink;
use crate::transfer::summary::Summary;
use crate::transfer::{BytesRead, Entity, Format, InputFile, expand};

/// The most items and users in one batch: they may carry embeddings.
const ROWS_PER_BATCH_MAX: usize = 1_000;
/// The most events in one batch.
const EVENTS_PER_BATCH_MAX: usize = 5_000;

/// Arguments of `swipeline import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A folder stands for the files in it that belong to the format, `-` for standard input; gzip is \
    recognised by itself.\nExit codes: 0 all good (or --on-error skip), 1 something failed, 2 wrong usage."
)]
pub struct Args {
    /// What the files hold
    #[arg(value_enum)]
    entity: Entity,
    /// Files, folders, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written [default: by the name of the first file]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
    /// Data directory of a stopped server [default: ./swipeline-data]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// A running server, such as http://127.0.0.1:8080; its key comes from SWIPELINE_API_KEY
    #[arg(long)]
    url: Option<String>,
    /// Check everything, write nothing
    #[arg(long)]
    dry_run: bool,
    /// What to do at a bad line
    #[arg(long, value_enum, default_value_t = OnError::Skip)]
    on_error: OnError,
}

/// What to do at a bad line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    /// End the import there; what came before stays.
    Stop,
    /// Leave it out, count it, go on.
    Skip,
}

/// Runs the import and prints its summary.
///
/// # Errors
/// A file cannot be read, the data directory cannot be used, or the server does not answer.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = match args.format {
        Some(format) => format,
        None => guess(&args.files)?,
    };
    let inputs = expand(&args.files, args.entity, format)?;
    let feed = Feed {
        inputs,
        entity: args.entity,
        format,
        now: now(),
        batch_rows_max: if args.entity == Entity::Events {
            EVENTS_PER_BATCH_MAX
        } else {
            ROWS_PER_BATCH_MAX
        },
        stop_at_reject: args.on_error == OnError::Stop,
        bytes_read: BytesRead::default(),
    };
    let sink = open_sink(&args).await?;
    let verb = if args.dry_run { "checked" } else { "imported" };
    let outcome = import(feed, &sink, verb).await;
    // Whatever happened: what was taken is kept, and the directory is left in order.
    if let Sink::Engine(engine) = &sink {
        eprintln!("writing a checkpoint");
        engine
            .shutdown()
            .await
            .context("the last checkpoint failed; what was imported is in the journal")?;
    }
    outcome
}

fn guess(files: &[PathBuf]) -> anyhow::Result<Format> {
    let first = files.first().and_then(|path| Format::of_name(path));
    let format =
        first.context("the name does not tell the format: say --format jsonl|csv|parquet|movielens|kuairand")?;
    match files.iter().find(|path| Format::of_name(path) != Some(format)) {
        None => Ok(format),
        Some(other) => anyhow::bail!("{} does not look like the first file: say --format", other.display()),
    }
}

async fn open_sink(args: &Args) -> anyhow::Result<Sink> {
    if args.dry_run {
        return Ok(Sink::Nowhere);
    }
    if let Some(url) = &args.url {
        return Ok(Sink::Server(RestServer::new(
            url,
            std::env::var(CREDENTIAL_VARIABLE).ok(),
        )?));
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
    Ok(Sink::Engine(Box::pin(Engine::start(engine_config(&settings))).await?))
}

async fn import(feed: Feed, sink: &Sink, verb: &str) -> anyhow::Result<ExitCode> {
    let files: Vec<PathBuf> = feed.inputs.iter().map(|input| input.path().to_owned()).collect();
    let bytes_total = feed.inputs.iter().map(InputFile::bytes).sum();
    let (entity, stop_at_reject, bytes_read) = (feed.entity, feed.stop_at_reject, feed.bytes_read.clone());
    let mut summary = Summary::default();
    let mut progress = Progress::start(bytes_total);
    let mut batches = start(feed);
    let mut failure = None;
    while let Some(outcome) = next(&mut batches).await {
        let written = match outcome {
            Ok(batch) => write(batch, sink, &mut summary).await,
            Err(error) => Err(error),
        };
        progress.update(summary.rows, summary.rejected(), bytes_read.get());
        if let Err(error) = written {
            failure = Some(error);
            break;
        }
        if stop_at_reject && summary.rejected() > 0 {
            break;
        }
    }
    let took = progress.finish();
    println!("{}", summary.describe(verb, &entity, took, &files));
    if let Some(error) = failure {
        return Err(error);
    }
    let stopped = stop_at_reject && summary.rejected() > 0;
    Ok(if stopped {
        ExitCode::from(EXIT_FAILURE)
    } else {
        ExitCode::SUCCESS
    })
}

/// The next batch; Ctrl-C ends the import in good order.
async fn next(batches: &mut tokio::sync::mpsc::Receiver<Result<Batch, FeedError>>) -> Option<anyhow::Result<Batch>> {
    tokio::select! {
        batch = batches.recv() => batch.map(|batch| batch.map_err(anyhow::Error::from)),
        _ = tokio::signal::ctrl_c() => Some(Err(anyhow::anyhow!("interrupted; what was imported stays"))),
    }
}

async fn write(batch: Batch, sink: &Sink, summary: &mut Summary) -> anyhow::Result<()> {
    let Batch {
        records,
        places,
        refusals,
    } = batch;
    refusals.into_iter().for_each(|refusal| summary.refuse(refusal));
    if records.is_empty() {
        return Ok(());
    }
    summary.rows += records.len() as u64;
    let written = Box::pin(sink.write(records)).await?;
    summary.taken += written.taken;
    summary.duplicates += written.duplicates;
    for rejection in written.rejected {
        let place = places
            .get(rejection.index)
            .copied()
            .unwrap_or(Place { file: 0, line: 0 });
        summary.refuse(Refusal {
            place,
            code: rejection.code,
            detail: rejection.detail,
        });
    }
    Ok(())
}
