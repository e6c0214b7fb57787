//! `swipeline demo`: a server with a generated catalogue and simulated viewers, and the swipe page at `/`.
//!
//! Owns the order: bind, fill, say where, let the viewers in, wait, stop. The catalogue and the viewers come from
//! `swipeline-loadtest`; they use the real WebSocket. Data lives in a temporary directory, so that a demo starts the
//! same every time and leaves nothing behind; `--data-dir` keeps it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use swipeline_actors::{Engine, EngineError};
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig};
use swipeline_loadtest::client::{FleetConfig, FleetError, FleetStats, Proto, run_viewers};
use swipeline_models::item::Item;
use swipeline_models::wire::ItemDto;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::ConfigFile;
use crate::cli::serve::announce;
use crate::server::{Pages, RunningServer, now, start};
use crate::telemetry;

/// How many items are written at a time.
const ITEMS_PER_BATCH: usize = 1_000;
/// The oldest video is so many days old.
const CATALOGUE_DAYS: u32 = 14;
/// Viewers watch so many times faster than people, so that a few of them make a lively feed.
const VIEWER_SPEED: f64 = 2.0;
/// The ids of simulated viewers are this and a number.
const VIEWER_PREFIX: &str = "viewer-";
/// A new video is uploaded this often.
const UPLOAD_INTERVAL: Duration = Duration::from_secs(10);
/// The most videos that are uploaded in one demo.
const UPLOADS_MAX: usize = 10_000;

/// Arguments of `swipeline demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many videos, at most a million
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    items: u32,
    /// How many simulated viewers swipe in the background, at most 2 000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=2_000))]
    viewers: u32,
    /// The same seed gives the same videos and the same viewers
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Public address, host:port; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for operators, host:port [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// Keep the data in this directory [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen on a public address: everybody who reaches it may do everything
    #[arg(long)]
    insecure_open: bool,
    /// Where the configuration comes from.
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the demo until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration is wrong, an address is in use, or the data directory cannot be used.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let temporary = match &args.data_dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("swipeline-demo-")
                .tempdir()
                .context("no temporary directory")?,
        ),
    };
    let data_dir = temporary
        .as_ref()
        .map_or(args.data_dir.clone(), |folder| Some(folder.path().to_owned()));
    let data_dir = data_dir.map(|dir| {
        dir.to_str()
            .map(str::to_owned)
            .context("the data directory is not UTF-8")
    });
    let settings = args.config.load([
        ("server.listen", args.listen.clone()),
        ("server.admin_listen", args.admin_listen.clone()),
        ("data.dir", data_dir.transpose()?),
        ("server.insecure_open", args.insecure_open.then(|| "true".to_owned())),
    ])?;
    anyhow::ensure!(
        settings.auth.is_anonymous(),
        "the demo's viewers have no keys: run it without [auth]"
    );
    telemetry::init_logs(&settings.log);
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let server = start(settings, Pages::Demo)?;
    announce(&server)?;
    let mut stage = Stage {
        server,
        viewers: None,
        uploads: None,
    };
    let played = tokio::select! {
        played = Box::pin(stage.play(&args)) => played,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    stage.close().await?;
    played.map(|()| ExitCode::SUCCESS)
}

/// The viewers in the background, and how to stop them.
struct Viewers {
    stop: watch::Sender<bool>,
    lives: JoinHandle<Result<FleetStats, FleetError>>,
}

/// What runs, to be stopped in the right order.
struct Stage {
    server: RunningServer,
    viewers: Option<Viewers>,
    uploads: Option<JoinHandle<()>>,
}

impl Stage {
    /// Fills the catalogue, says where the page is, lets the viewers in; goes on until dropped.
    async fn play(&mut self, args: &Args) -> anyhow::Result<()> {
        let engine = self.server.ready().await?;
        let catalogue = Catalogue::new(CatalogueConfig {
            items: args.items as usize,
            // The server builds the embeddings, so that a video that is added by hand fits in with the others.
            dim: None,
            seed: args.seed,
            now: now(),
            days: CATALOGUE_DAYS,
        })?;
        for page in catalogue.pages(ITEMS_PER_BATCH) {
            upsert(&engine, page).await?;
        }
        let url = format!("http://{}/", self.server.public);
        say(&format!(
            "{} videos, {} viewers, seed {}: swipe at {url}",
            args.items, args.viewers, args.seed
        ))?;
        let (stop, stopped) = watch::channel(false);
        let fleet = FleetConfig {
            url: format!("ws://{}/v1/stream", self.server.public),
            viewers: args.viewers as usize,
            seed: args.seed,
            speed: VIEWER_SPEED,
            user_prefix: VIEWER_PREFIX.to_owned(),
            proto: Proto::Msgpack,
        };
        self.viewers = Some(Viewers {
            stop,
            lives: tokio::spawn(Box::pin(run_viewers(fleet, stopped))),
        });
        self.uploads = Some(actix_web::rt::spawn(upload(engine, catalogue)));
        std::future::pending().await
    }

    /// Viewers first, so that they do not come back to a server that is going away; then the server.
    async fn close(self) -> anyhow::Result<()> {
        if let Some(uploads) = self.uploads {
            uploads.abort();
        }
        if let Some(viewers) = self.viewers {
            viewers.stop.send_replace(true);
            say(&describe(&viewers.lives.await??))?;
        }
        self.server
            .stop()
            .await
            .context("the last checkpoint failed; acknowledged events are safe")
    }
}

/// Goes on adding videos, newer than all others: without them there would be nothing fresh to discover after a while.
async fn upload(engine: Engine, catalogue: Catalogue) {
    let mut ticks = tokio::time::interval(UPLOAD_INTERVAL);
    for number in 0..UPLOADS_MAX {
        ticks.tick().await;
        let item = ItemDto {
            created_at: Some(now().0),
            ..catalogue.item(catalogue.len() + number)
        };
        if let Err(error) = upsert(&engine, vec![item]).await {
            tracing::warn!(%error, "no new videos any more");
            return;
        }
    }
}

async fn upsert(engine: &Engine, items: Vec<ItemDto>) -> anyhow::Result<()> {
    let checked: Result<Vec<Item>, _> = items.into_iter().map(|item| item.into_item(now())).collect();
    let items = checked.map_err(|error| anyhow::anyhow!("a generated video is not valid: {}", error.detail))?;
    loop {
        match engine.upsert_items(items.clone()).await {
            Err(EngineError::Overloaded { retry_after_ms }) => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms.max(1))).await;
            }
            outcome => {
                let refused = outcome?.into_iter().find_map(Result::err);
                return refused.map_or(Ok(()), |error| {
                    Err(anyhow::anyhow!("a video was refused: {}", error.detail))
                });
            }
        }
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

fn describe(stats: &FleetStats) -> String {
    format!(
        "the viewers saw {} videos ({} twice), swiped {} times and liked {:.1} %; swipe to feed p50 {} us, p99 {} us; \
         {} errors",
        stats.shown,
        stats.repeats,
        stats.swipes,
        100.0 * stats.like_rate,
        stats.event_to_feed_p50_us,
        stats.event_to_feed_p99_us,
        stats.errors
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        use clap::Parser;
        let args = Line::parse_from(["demo"]).args;
        assert_eq!((args.items, args.viewers, args.seed), (5_000, 50, 7));
        assert!(Line::try_parse_from(["demo", "--items", "0"]).is_err());
        assert!(Line::try_parse_from(["demo", "--viewers", "2001"]).is_err());
    }

    #[test]
    fn uploads_are_videos_that_the_catalogue_does_not_have() {
        let config = CatalogueConfig {
            items: 50,
            dim: None,
            seed: 7,
            now: now(),
            days: CATALOGUE_DAYS,
        };
        let catalogue = Catalogue::new(config).expect("possible");
        let ids: std::collections::BTreeSet<_> = catalogue.pages(10).flatten().map(|item| item.id).collect();
        let upload = catalogue.item(catalogue.len());
        assert!(!ids.contains(&upload.id));
        assert!(upload.into_item(now()).is_ok());
    }
}
