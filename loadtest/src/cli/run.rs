//! `swipeline-loadtest run`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use parking_lot::Mutex;
use swipeline_loadtest::client::Endpoint;
use swipeline_loadtest::client::record::{Glance, Recorder};
use swipeline_loadtest::process;
use swipeline_loadtest::report::{
    BuildInput, REPORT_HTML, REPORT_JSON, Report, build, compare, render_comparison, render_table,
};
use swipeline_loadtest::run::{self, RunOutcome, RunParts, Scenario, keep_popular_fresh};
use swipeline_loadtest::spread::{SpreadConfig, Words, run_spread};
use tokio::sync::watch;
use tokio::time::Instant;

use super::arguments::RunArgs;
use super::live::{Live, LiveFacts};
use super::prepare::{Prepared, floor_us, prepare, settings};
use super::{Verdict, use_colours};

/// Said of a target that is not this machine.
pub(crate) const REMOTE_REFUSED: &str =
    "is not this machine; loading other people's servers needs their consent: say --allow-remote if you have it";
/// The width of a point of the series, for runs that are not very short.
const INTERVAL: Duration = Duration::from_secs(1);
/// A run has at least about so many points.
const POINTS_MIN: u32 = 20;
/// Files that a process has open besides its sockets.
const OTHER_FILES: u64 = 64;

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Verdict> {
    let endpoint = match target(&args) {
        Ok(endpoint) => endpoint,
        Err(message) => return Ok(Verdict::WrongUsage(message)),
    };
    // Read before the run: a wrong file must not cost half an hour.
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    let started_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let user_prefix = args
        .user_prefix
        .clone()
        .unwrap_or_else(|| format!("lt-{}-", started_at.as_secs()));
    let prepared = Box::pin(prepare(&args, &endpoint, user_prefix)).await?;
    if args.worker.is_some() {
        return Box::pin(work(prepared)).await;
    }
    let with_floor = !args.no_floor && endpoint.is_loopback() && prepared.probe.look().await.is_some();
    let random_source = prepared.random_source;
    let settings = settings(&args, prepared.config.hit_item.clone());
    let before = echo(with_floor, &args).await;
    let outcome = Box::pin(measured_run(&args, prepared)).await?;
    let after = if before.is_some() {
        echo(with_floor, &args).await
    } else {
        None
    };
    if (args.metrics_url.is_some() || args.server_pid.is_some()) && outcome.server.cpu_s.is_none() {
        eprintln!("warning: the server's CPU time is not known (no such metric or process, or it was restarted)");
    }
    let report = build(BuildInput {
        settings,
        outcome: &outcome,
        floor_us: before.zip(after),
        started_at: i64::try_from(started_at.as_millis()).unwrap_or(i64::MAX),
        random_source: Some(random_source),
        shift_share: args.shift_share,
        thresholds: &args.threshold,
    });
    conclude(&args, &report, baseline.as_ref())
}

/// Checks what the arguments alone can tell.
fn target(args: &RunArgs) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(&args.url).map_err(|error| error.to_string())?;
    if !endpoint.is_loopback() && !args.allow_remote {
        return Err(format!("{} {REMOTE_REFUSED}", endpoint.host));
    }
    let per_process = u64::from(args.sessions).div_ceil(u64::from(args.processes));
    let sockets = if args.scenario == Scenario::OneShot {
        u64::from(args.connections)
    } else {
        per_process
    };
    match process::open_files_max() {
        Some(limit) if sockets + OTHER_FILES > limit => Err(format!(
            "{sockets} sockets in one process, but it may open {limit} files: raise `ulimit -n` or use --processes"
        )),
        _ => Ok(endpoint),
    }
}

async fn echo(wanted: bool, args: &RunArgs) -> Option<f64> {
    if wanted && args.scenario != Scenario::OneShot && args.rate > 0.0 {
        Box::pin(floor_us(args)).await
    } else {
        None
    }
}

/// One process of a spread run.
async fn work(prepared: Prepared) -> anyhow::Result<Verdict> {
    let interval = INTERVAL.min(prepared.config.duration / POINTS_MIN);
    let recorder = Arc::new(Recorder::new(Instant::now(), interval));
    let (words, begin) = Words::start(&recorder);
    tokio::spawn(keep_popular_fresh(
        prepared.outside.http.clone(),
        prepared.outside.rest_root.clone(),
        Arc::clone(&prepared.yardstick),
    ));
    let parts = RunParts {
        yardstick: Some(Arc::clone(&prepared.yardstick)),
        gate: Some(begin.gate),
        ..RunParts::new(Arc::clone(&prepared.connector), recorder, begin.stop)
    };
    let outcome = Box::pin(run::run(prepared.config, parts)).await;
    words.finish(&outcome);
    Ok(Verdict::Ok)
}

/// The run with everything that goes on beside it.
async fn measured_run(args: &RunArgs, prepared: Prepared) -> anyhow::Result<RunOutcome> {
    let config = prepared.config;
    let interval = INTERVAL.min(config.duration / POINTS_MIN);
    let recorder = Arc::new(Recorder::new(Instant::now(), interval));
    let glances: Arc<Mutex<Vec<Glance>>> = Arc::default();
    let facts = LiveFacts {
        title: format!(
            "{}: {} sessions, {} a second",
            config.scenario, config.sessions, config.rate
        ),
        expected: config.scenario.plan(config.rate, config.duration).profile.total() as u64,
        duration: config.duration,
    };
    let (look_at, sum_of) = (Arc::clone(&recorder), Arc::clone(&glances));
    let live = Live::start(facts, move || {
        let children = sum_of.lock();
        children
            .iter()
            .copied()
            .reduce(Glance::together)
            .unwrap_or_else(|| look_at.glance())
    });
    let popular = tokio::spawn(keep_popular_fresh(
        prepared.outside.http.clone(),
        prepared.outside.rest_root.clone(),
        Arc::clone(&prepared.yardstick),
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
    let parts = RunParts {
        yardstick: Some(prepared.yardstick),
        outside: Some(prepared.outside),
        probe: Some(prepared.probe),
        ..RunParts::new(prepared.connector, Arc::clone(&recorder), stopped)
    };
    let outcome = if args.processes > 1 {
        let spread = spread(args, config.hit_item.as_deref(), &config.user_prefix)?;
        Box::pin(run_spread(spread, config, parts, glances))
            .await
            .map_err(Into::into)
    } else {
        Ok(Box::pin(run::run(config, parts)).await)
    };
    popular.abort();
    interrupt.abort();
    live.end().await;
    outcome
}

/// The arguments of the other processes: those of this one, and which part is theirs.
fn spread(args: &RunArgs, hit_item: Option<&str>, user_prefix: &str) -> anyhow::Result<SpreadConfig> {
    let own: Vec<String> = std::env::args().skip(1).collect();
    let arguments = (0..args.processes).map(|worker| {
        let mut arguments = own.clone();
        arguments.extend([format!("--worker={worker}")]);
        if args.user_prefix.is_none() {
            arguments.push(format!("--user-prefix={user_prefix}"));
        }
        arguments.extend(hit_item.map(|item| format!("--hit-item={item}")));
        arguments
    });
    Ok(SpreadConfig {
        program: std::env::current_exe()?,
        arguments: arguments.collect(),
    })
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
