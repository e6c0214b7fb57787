//! `swipeline import`: bulk load into a data directory or a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use jiff::tz::TimeZone;
use swipeline_actors::{Engine, EventSource};
use swipeline_models::event::Signal;

use super::{ConfigFile, EXIT_FAILURE};
use crate::config::LogSettings;
use crate::gorse::rules::FeedbackRules;
use crate::server::{engine_config, now};
use crate::telemetry;
use crate::transfer::feeder::{Batch, Batches, Feed, Place, Refusal, start};
use crate::transfer::progress::Progress;
use crate::transfer::rest::{CREDENTIAL_VARIABLE, RestServer};
use crate::transfer::sink::{EventWriting, Sink};
use crate::transfer::summary::Summary;
use crate::transfer::{
    BytesRead, Entity, Format, InputFile, Notes, Reading, TimeRules, TimeUnit, expand, field_names, is_field,
    parse_zone,
};

/// The most items and users in one batch: they may carry embeddings.
const ROWS_PER_BATCH_MAX: usize = 1_000;
/// The exit code of wrong usage.
const EXIT_USAGE: u8 = 2;
/// The most events in one batch.
const EVENTS_PER_BATCH_MAX: usize = 5_000;

/// Arguments of `swipeline import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A folder stands for the files in it that belong to the format, `-` for standard input; gzip is \
    and zstd are recognised by themselves; a zip archive stands for the files in it.\nExit codes: 0 all good (or --on-error skip), 1 something failed, 2 wrong usage."
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
    /// Which column or key holds a field, such as item_id=itemid; may be repeated. Without a header columns are numbers
    /// from 1 (jsonl, csv, parquet)
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = parse_pair)]
    map: Vec<(String, String)>,
    /// A column or key that means nothing; may be repeated (jsonl, csv, parquet)
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
    /// What separates the cells, such as ';' or '\t' [default: a comma, a tab in .tsv files] (csv)
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// The first line is a row, not a header (csv; needs --map)
    #[arg(long)]
    no_header: bool,
    /// The unit of times that are numbers [default: told by their size] (jsonl, csv, parquet)
    #[arg(long, value_enum)]
    time_unit: Option<TimeUnit>,
    /// The zone of dates and times without one, such as Europe/Berlin or +02:00 [default: UTC] (jsonl, csv, parquet)
    #[arg(long, value_parser = parse_zone)]
    zone: Option<TimeZone>,
    /// The type of every event, such as view (events; jsonl, csv, parquet)
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_signal)]
    kind: Option<String>,
    /// The events are an old log: they count in tastes, neighbours and popularity by their own times, but not in live
    /// statistics, experiments and the learner (events)
    #[arg(long)]
    as_history: bool,
    /// Make an item of every id that the catalogue does not know (events)
    #[arg(long)]
    create_items: bool,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, column)) if !field.is_empty() && !column.is_empty() => Ok((field.to_owned(), column.to_owned())),
        _ => Err("should look like item_id=itemid".to_owned()),
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err("should be one character of ASCII, such as ';' or '\\t'".to_owned()),
        },
    }
}

fn parse_signal(text: &str) -> Result<String, String> {
    let known = Signal::ALL.map(Signal::name);
    match Signal::from_name(text) {
        Some(signal) => Ok(signal.name().to_owned()),
        None => Err(format!("is no type of event; there are {}", known.join(", "))),
    }
}

impl Args {
    /// Options that mean nothing together, each by its name.
    fn conflict(&self, format: Format) -> Option<String> {
        let is_generic = matches!(format, Format::Jsonl | Format::Csv | Format::Parquet);
        let of_columns = [
            ("--map", !self.map.is_empty()),
            ("--ignore", !self.ignore.is_empty()),
            ("--time-unit", self.time_unit.is_some()),
            ("--zone", self.zone.is_some()),
            ("--type", self.kind.is_some()),
        ];
        if let Some((option, _)) = of_columns.iter().find(|(_, is_given)| *is_given && !is_generic) {
            return Some(format!(
                "{option} goes with --format jsonl, csv and parquet only: {format} says itself what its columns are"
            ));
        }
        let of_csv = [
            ("--delimiter", self.delimiter.is_some()),
            ("--no-header", self.no_header),
        ];
        if let Some((option, _)) = of_csv.iter().find(|(_, is_given)| *is_given && format != Format::Csv) {
            return Some(format!("{option} goes with --format csv only, not with {format}"));
        }
        let of_events = [
            ("--type", self.kind.is_some()),
            ("--as-history", self.as_history),
            ("--create-items", self.create_items),
        ];
        if let Some((option, _)) = of_events
            .iter()
            .find(|(_, is_given)| *is_given && self.entity != Entity::Events)
        {
            return Some(format!("{option} goes with events only, not with {}", self.entity));
        }
        if self.no_header && self.map.is_empty() {
            return Some(
                "--no-header needs --map FIELD=NUMBER: without a header nobody knows what the columns are".to_owned(),
            );
        }
        if let Some((field, _)) = self.map.iter().find(|(field, _)| !is_field(self.entity, field)) {
            return Some(format!(
                "--map {field}=...: {} have no field `{field}`; they have {}",
                self.entity,
                field_names(self.entity)
            ));
        }
        let mut fields: Vec<&String> = self.map.iter().map(|(field, _)| field).collect();
        fields.sort();
        if let Some(pair) = fields.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("--map {}=... is given twice", pair[0]));
        }
        let is_both = |(_, column): &&(String, String)| self.ignore.contains(column);
        if let Some((field, column)) = self.map.iter().find(is_both) {
            return Some(format!(
                "--map {field}={column} and --ignore {column} contradict each other"
            ));
        }
        let has_type = self.map.iter().any(|(field, _)| field == "type");
        (has_type && self.kind.is_some()).then(|| "--type and --map type=... contradict each other".to_owned())
    }

    fn reading(&self, format: Format) -> anyhow::Result<Reading> {
        let feedback = if format == Format::Gorse {
            self.config.load([])?.gorse.rules()?
        } else {
            FeedbackRules::default()
        };
        Ok(Reading {
            now: now(),
            map: self.map.clone(),
            ignore: self.ignore.clone(),
            delimiter: self.delimiter,
            no_header: self.no_header,
            times: TimeRules {
                unit: self.time_unit,
                zone: self.zone.clone(),
            },
            kind: self.kind.clone(),
            feedback,
            notes: Notes::default(),
        })
    }
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
    if let Some(conflict) = args.conflict(format) {
        eprintln!("error: {conflict}");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let inputs = expand(&args.files, args.entity, format)?;
    let feed = Feed {
        inputs,
        entity: args.entity,
        format,
        reading: args.reading(format)?,
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
    let how = EventWriting {
        source: if args.as_history {
            EventSource::History
        } else {
            EventSource::Live
        },
        creates_items: args.create_items,
    };
    let outcome = import(feed, &sink, how, verb).await;
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

fn format_names() -> String {
    let names = Format::value_variants().iter().map(ToString::to_string);
    names.collect::<Vec<_>>().join("|")
}

fn guess(files: &[PathBuf]) -> anyhow::Result<Format> {
    let first = files.first().and_then(|path| Format::of_name(path));
    let format =
        first.with_context(|| format!("the name does not tell the format: say --format {}", format_names()))?;
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

async fn import(feed: Feed, sink: &Sink, how: EventWriting, verb: &str) -> anyhow::Result<ExitCode> {
    let files: Vec<PathBuf> = feed.inputs.iter().map(|input| input.path().to_owned()).collect();
    let bytes_total = feed.inputs.iter().map(InputFile::bytes).sum();
    let (entity, stop_at_reject, bytes_read) = (feed.entity, feed.stop_at_reject, feed.bytes_read.clone());
    let notes = feed.reading.notes.clone();
    let mut summary = Summary::default();
    let mut progress = Progress::start(bytes_total);
    let mut batches = start(feed);
    let mut failure = None;
    while let Some(outcome) = next(&mut batches).await {
        let written = match outcome {
            Ok(batch) => write(batch, sink, how, &mut summary).await,
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
    summary.notes = notes.all();
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
async fn next(batches: &mut Batches) -> Option<anyhow::Result<Batch>> {
    tokio::select! {
        batch = batches.next() => batch.map(|batch| batch.map_err(anyhow::Error::from)),
        _ = tokio::signal::ctrl_c() => Some(Err(anyhow::anyhow!("interrupted; what was imported stays"))),
    }
}

async fn write(batch: Batch, sink: &Sink, how: EventWriting, summary: &mut Summary) -> anyhow::Result<()> {
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
    let written = Box::pin(sink.write(records, how)).await?;
    summary.taken += written.taken;
    summary.duplicates += written.duplicates;
    summary.items_created += written.items_created;
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
