//! `swipeline-loadtest run`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use swipeline_loadtest::behaviour::{ViewerConfig, category_names};
use swipeline_loadtest::client::record::{Counter, Recorder};
use swipeline_loadtest::client::{ClientConfig, Connector, Endpoint, TcpConnector, Yardstick};
use swipeline_loadtest::report::{
    BuildInput, REPORT_HTML, REPORT_JSON, Report, Settings, build, compare, render_comparison, render_table,
};
use swipeline_loadtest::run::{
    self, RandomSource, RunConfig, RunOutcome, ServerFacts, ServerUsage, UsageSample, check_server, keep_popular_fresh,
    random_sample,
};
use swipeline_models::wire::ItemDto;
use tokio::sync::watch;
use tokio::time::Instant;

use super::arguments::RunArgs;
use super::{Verdict, live, use_colours};

/// Said of a target that is not this machine.
pub(crate) const REMOTE_REFUSED: &str =
    "is not this machine; loading other people's servers needs their consent: say --allow-remote if you have it";
/// The width of a point of the series, for runs that are not very short.
const INTERVAL: Duration = Duration::from_secs(1);
/// A run has at least about so many points.
const POINTS_MIN: u32 = 20;
/// The port of the metrics page of a server with default settings.
const ADMIN_PORT_DEFAULT: u16 = 8081;
/// So many of the built-in categories have to be known to the server for tastes to be about them.
const KNOWN_CATEGORIES_MIN: usize = 2;

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Verdict> {
    let endpoint = match Endpoint::parse(&args.url) {
        Ok(endpoint) if endpoint.is_loopback() || args.allow_remote => endpoint,
        Ok(endpoint) => return Ok(Verdict::WrongUsage(format!("{} {REMOTE_REFUSED}", endpoint.host))),
        Err(error) => return Ok(Verdict::WrongUsage(error.to_string())),
    };
    // Read before the run: a wrong file must not cost half an hour.
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    let mut client = ClientConfig::new(endpoint.clone(), args.proto);
    client.in_flight_max = usize::from(args.in_flight);
    client.answer_timeout = args.timeout;
    client.feed_n = args.feed_items.map(usize::from);
    client.shift_share = args.shift_share;
    let started_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let user_prefix = args
        .user_prefix
        .clone()
        .unwrap_or_else(|| format!("lt-{}-", started_at.as_secs()));
    let connector: Arc<dyn Connector> = Arc::new(TcpConnector::new(endpoint.clone()));
    let facts = check_server(&client, &connector, &format!("{user_prefix}probe")).await?;

    let http = reqwest::Client::new();
    let sample = random_sample(&http, &endpoint.rest_root()).await;
    let categories = categories(&facts, sample.as_deref());
    let (yardstick, random_source) = match sample {
        Some(items) => (Yardstick::with_random(items), RandomSource::Latest),
        None => (Yardstick::from_feeds(args.seed), RandomSource::Feeds),
    };
    let yardstick = Arc::new(yardstick);
    let config = RunConfig {
        client,
        sessions: args.sessions as usize,
        rate: args.rate,
        duration: args.duration,
        arrivals: args.arrivals,
        scenario: args.scenario,
        seed: args.seed,
        user_prefix,
        viewers: ViewerConfig {
            categories,
            ..ViewerConfig::default()
        },
        clock_of_runtime: false,
    };
    let metrics_url = args.metrics_url.clone().unwrap_or_else(|| {
        format!(
            "{}/metrics",
            Endpoint {
                port: ADMIN_PORT_DEFAULT,
                ..endpoint.clone()
            }
            .rest_root()
        )
    });
    let (outcome, server) = Box::pin(measured_run(
        config,
        connector,
        Arc::clone(&yardstick),
        &http,
        &metrics_url,
        &endpoint.rest_root(),
    ))
    .await;
    if args.metrics_url.is_some() && server == ServerUsage::default() {
        eprintln!("warning: no CPU or memory found at {metrics_url}");
    }
    let report = build(BuildInput {
        settings: settings(&args),
        outcome: &outcome,
        server,
        started_at: i64::try_from(started_at.as_millis()).unwrap_or(i64::MAX),
        random_source: Some(random_source),
        shift_share: args.shift_share,
        thresholds: &args.threshold,
    });
    conclude(&args, &report, baseline.as_ref())
}

/// The run with everything that goes on beside it.
async fn measured_run(
    config: RunConfig,
    connector: Arc<dyn Connector>,
    yardstick: Arc<Yardstick>,
    http: &reqwest::Client,
    metrics_url: &str,
    rest_root: &str,
) -> (RunOutcome, ServerUsage) {
    let interval = INTERVAL.min(config.duration / POINTS_MIN);
    let recorder = Arc::new(Recorder::new(Instant::now(), interval));
    let expected = config.scenario.plan(config.rate, config.duration).profile.total() as u64;
    let view = tokio::spawn(live::show(Arc::clone(&recorder), expected));
    let popular = tokio::spawn(keep_popular_fresh(
        http.clone(),
        rest_root.to_owned(),
        Arc::clone(&yardstick),
    ));
    let (stop, stopped) = watch::channel(false);
    let interrupt = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("stopping; the report covers what has been measured");
            stop.send_replace(true);
        }
        // Dropping the sender would stop the run too.
        std::future::pending::<()>().await;
    });
    let before = UsageSample::take(http, metrics_url).await;
    let outcome = Box::pin(run::run(
        config,
        connector,
        Arc::clone(&recorder),
        Some(yardstick),
        stopped,
    ))
    .await;
    let after = UsageSample::take(http, metrics_url).await;
    [view.abort_handle(), popular.abort_handle(), interrupt.abort_handle()]
        .iter()
        .for_each(tokio::task::AbortHandle::abort);
    let usage = match (before, after) {
        (Some(before), Some(after)) => ServerUsage::between(before, after, outcome.measured.count(Counter::Sent)),
        _ => ServerUsage::default(),
    };
    (outcome, usage)
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

fn settings(args: &RunArgs) -> Settings {
    Settings {
        url: args.url.clone(),
        proto: args.proto,
        sessions: args.sessions as usize,
        rate: args.rate,
        duration_s: args.duration.as_secs_f64(),
        arrivals: args.arrivals,
        scenario: args.scenario,
        seed: args.seed,
        in_flight_max: usize::from(args.in_flight),
    }
}

/// Prints the table, writes the files, compares, and says what it comes to.
fn conclude(args: &RunArgs, report: &Report, baseline: Option<&Report>) -> anyhow::Result<Verdict> {
    print!("{}", render_table(report, use_colours()));
    report
        .write(&args.report)
        .with_context(|| format!("cannot write to {}", args.report.display()))?;
    println!(
        "written {} and {}",
        args.report.join(REPORT_JSON).display(),
        args.report.join(REPORT_HTML).display()
    );
    let mut worse = false;
    if let Some(baseline) = baseline {
        let comparison = compare(baseline, report, args.tolerance.unwrap_or(0.0));
        print!("\n{}", render_comparison(&comparison, use_colours()));
        worse = args.tolerance.is_some() && comparison.any_worse();
    }
    Ok(if report.thresholds_met() && !worse {
        Verdict::Ok
    } else {
        Verdict::ThresholdNotMet
    })
}
