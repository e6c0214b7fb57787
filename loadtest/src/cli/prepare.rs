//! What has to be known before a run: the server answers, what it shows, what becomes a hit, how it is watched.
//!
//! Owns turning arguments into a run. Must not run anything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use swipeline_loadtest::behaviour::{ViewerConfig, category_names};
use swipeline_loadtest::client::{ClientConfig, Connector, Endpoint, TcpConnector, Yardstick};
use swipeline_loadtest::floor::{FloorConfig, measure};
use swipeline_loadtest::report::Settings;
use swipeline_loadtest::run::{
    Outside, RandomSource, RunConfig, Scenario, ServerFacts, ServerProbe, check_server, random_sample,
};
use swipeline_models::wire::ItemDto;

use super::arguments::RunArgs;

/// The port of the admin listener of a server with default settings.
const ADMIN_PORT_DEFAULT: u16 = 8081;
/// So many of the built-in categories have to be known to the server for tastes to be about them.
const KNOWN_CATEGORIES_MIN: usize = 2;
/// How long the bare echo is measured, before and after.
const FLOOR_FOR: Duration = Duration::from_secs(2);
/// Over so many sockets at most.
const FLOOR_SESSIONS_MAX: usize = 1_000;
/// Items per feed when nothing else is said.
const FLOOR_FEED_ITEMS: usize = 10;
/// The largest model file that is read.
const MODEL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A run that could begin.
pub(crate) struct Prepared {
    pub(crate) config: RunConfig,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) yardstick: Arc<Yardstick>,
    pub(crate) random_source: RandomSource,
    pub(crate) outside: Outside,
    pub(crate) probe: ServerProbe,
}

/// Asks the server and makes a run of the arguments.
pub(crate) async fn prepare(args: &RunArgs, endpoint: &Endpoint, user_prefix: String) -> anyhow::Result<Prepared> {
    let mut client = ClientConfig::new(endpoint.clone(), args.proto);
    client.in_flight_max = usize::from(args.in_flight);
    client.answer_timeout = args.timeout;
    client.feed_n = args.feed_items.map(usize::from);
    client.shift_share = args.shift_share;
    let connector: Arc<dyn Connector> = Arc::new(TcpConnector::new(endpoint.clone()).from_sources(sources(args)));
    let probe_user = format!("{user_prefix}probe{}", args.worker.unwrap_or_default());
    let facts = Box::pin(check_server(&client, &connector, &probe_user)).await?;
    let http = reqwest::Client::new();
    let sample = random_sample(&http, &endpoint.rest_root()).await;
    let categories = categories(&facts, sample.as_deref());
    let hit_item = match (args.scenario, &args.hit_item) {
        (Scenario::Viral, None) => {
            let newest = sample
                .as_ref()
                .and_then(|items| items.first())
                .map(|item| item.id.clone());
            Some(
                newest
                    .or(facts.first_item)
                    .context("the server names no item that could become a hit")?,
            )
        }
        (_, given) => given.clone(),
    };
    let (yardstick, random_source) = match sample {
        Some(items) => (Yardstick::with_random(items), RandomSource::Latest),
        None => (Yardstick::from_feeds(args.seed), RandomSource::Feeds),
    };
    let admin_root = admin_root(args, endpoint);
    let metrics_url = args.metrics_url.clone();
    let probe = ServerProbe {
        http: http.clone(),
        metrics_url: metrics_url.unwrap_or_else(|| format!("{admin_root}/metrics")),
        pid: args.server_pid,
    };
    let (first_session, sessions) = share(args, args.sessions as usize);
    let config = RunConfig {
        client,
        sessions,
        first_session,
        rate: args.rate * sessions as f64 / f64::from(args.sessions),
        duration: duration(args),
        arrivals: args.arrivals,
        scenario: args.scenario,
        seed: args.seed,
        user_prefix,
        viewers: ViewerConfig {
            categories,
            ..ViewerConfig::default()
        },
        mix: args.mix,
        connections: share(args, usize::from(args.connections)).1.max(1),
        hit_item,
        clock_of_runtime: false,
    };
    let outside = Outside {
        http,
        rest_root: endpoint.rest_root(),
        admin_root,
        restart_command: args.restart_command.clone(),
        model: model(args)?,
        turn: Arc::default(),
    };
    Ok(Prepared {
        config,
        connector,
        yardstick: Arc::new(yardstick),
        random_source,
        outside,
        probe,
    })
}

/// How long the run lasts.
pub(crate) fn duration(args: &RunArgs) -> Duration {
    args.duration.unwrap_or_else(|| args.scenario.default_duration())
}

/// Where this process's part of so many begins, and how many they are.
fn share(args: &RunArgs, total: usize) -> (usize, usize) {
    let Some(worker) = args.worker.map(usize::from) else {
        return (0, total);
    };
    let processes = usize::from(args.processes);
    let (from, to) = (total * worker / processes, total * (worker + 1) / processes);
    (from, to - from)
}

/// The source addresses of this process.
fn sources(args: &RunArgs) -> Vec<std::net::IpAddr> {
    match args.worker.map(usize::from) {
        Some(worker) if !args.source.is_empty() => vec![args.source[worker % args.source.len()]],
        _ => args.source.clone(),
    }
}

fn admin_root(args: &RunArgs, endpoint: &Endpoint) -> String {
    if let Some(url) = &args.admin_url {
        return url.trim_end_matches('/').to_owned();
    }
    // Who names the metrics page has named the admin listener.
    if let Some(root) = args.metrics_url.as_deref().and_then(|url| url.strip_suffix("/metrics")) {
        return root.to_owned();
    }
    let admin = Endpoint {
        port: ADMIN_PORT_DEFAULT,
        ..endpoint.clone()
    };
    admin.rest_root()
}

fn model(args: &RunArgs) -> anyhow::Result<bytes::Bytes> {
    let Some(path) = &args.model else {
        return Ok(bytes::Bytes::from_static(swipeline_models::rank::bundled_ranker_bytes()));
    };
    let named = || path.display().to_string();
    let length = std::fs::metadata(path).with_context(named)?.len();
    anyhow::ensure!(length <= MODEL_BYTES_MAX, "{} is too large for a model", named());
    Ok(std::fs::read(path).with_context(named)?.into())
}

/// Tastes are about the generated categories if the server knows them, otherwise about those that it has.
fn categories(facts: &ServerFacts, sample: Option<&[Arc<ItemDto>]>) -> Vec<String> {
    let sampled = sample
        .into_iter()
        .flatten()
        .flat_map(|item| item.categories.clone().unwrap_or_default());
    let mut found: Vec<String> = facts.categories.iter().cloned().chain(sampled).collect();
    found.sort_unstable();
    found.dedup();
    let built_in = category_names();
    let known = found.iter().filter(|name| built_in.contains(name)).count();
    if known >= KNOWN_CATEGORIES_MIN || found.is_empty() {
        built_in
    } else {
        found
    }
}

/// What the report says was asked for.
pub(crate) fn settings(args: &RunArgs, hit_item: Option<String>) -> Settings {
    let is_one_shot = args.scenario == Scenario::OneShot;
    Settings {
        url: args.url.clone(),
        proto: args.proto,
        sessions: args.sessions as usize,
        rate: args.rate,
        duration_s: duration(args).as_secs_f64(),
        arrivals: args.arrivals,
        scenario: args.scenario,
        seed: args.seed,
        in_flight_max: usize::from(args.in_flight),
        processes: usize::from(args.processes),
        mix: is_one_shot.then_some(args.mix),
        connections: is_one_shot.then_some(usize::from(args.connections)),
        hit_item,
    }
}

/// The CPU per swipe of a bare echo with the same frames at the same rate, in microseconds; nothing when it cannot be measured.
pub(crate) async fn floor_us(args: &RunArgs) -> Option<f64> {
    let config = FloorConfig {
        program: std::env::current_exe().ok()?,
        proto: args.proto,
        feed_items: args.feed_items.map_or(FLOOR_FEED_ITEMS, usize::from),
        sessions: (args.sessions as usize).min(FLOOR_SESSIONS_MAX),
        duration: FLOOR_FOR,
        workers: 1,
        rate: Some(args.rate),
    };
    Box::pin(measure(&config)).await.ok().map(|run| run.server_cpu_us)
}
