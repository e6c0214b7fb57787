//! A whole measured run: check the server, connect the viewers, follow the plan, collect what was measured.
//!
//! Owns the order of things. Must not print; a live view looks at the [`Recorder`] that it is given.

mod preflight;
mod scenario;
mod scrape;
mod yardsticks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use preflight::{PreflightError, ServerFacts, check_server};
pub use scenario::{Scenario, ScenarioPlan};
pub use scrape::{ServerUsage, UsageSample, parse_usage};
pub use yardsticks::{RandomSource, keep_popular_fresh, random_sample};

use crate::behaviour::ViewerConfig;
use crate::client::record::{Measurements, Recorder};
use crate::client::{ClientConfig, Connector, Control, Pace, Shared, ViewerTask, Yardstick, run_slow_reader};
use crate::plan::{Arrivals, DispatchTotals, Plan, dispatch_in_thread, dispatch_in_tokio};
use crate::process;

/// The most planned swipes that wait for one viewer.
const BACKLOG_MAX: usize = 64;
/// How many viewers may open their sockets per second before the run begins.
const CONNECTS_PER_SECOND: u32 = 1_000;
/// How long the viewers have to get their first feeds.
const READY_WAIT_MAX: Duration = Duration::from_secs(30);
/// From the last viewer's readiness to the first instant of the plan.
const LEAD_IN: Duration = Duration::from_millis(50);

/// What to run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// How to talk to the server.
    pub client: ClientConfig,
    /// How many viewers.
    pub sessions: usize,
    /// How many swipes per second they make together.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// How swipes follow each other.
    pub arrivals: Arrivals,
    /// What happens.
    pub scenario: Scenario,
    /// The same seed gives the same plan, tastes and reactions.
    pub seed: u64,
    /// User ids are this and a number.
    pub user_prefix: String,
    /// What viewers are like.
    pub viewers: ViewerConfig,
    /// Whether the plan is followed by the runtime's clock instead of a thread: for tests with a paused clock.
    pub clock_of_runtime: bool,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Everything measured.
    pub measured: Measurements,
    /// What the plan was and how it was kept.
    pub dispatch: DispatchTotals,
    /// How many viewers were ready when the plan began.
    pub ready: usize,
    /// From the first instant of the plan to the end of the last.
    pub took: Duration,
    /// The tester's processor time in that span.
    pub tester_cpu: Option<Duration>,
}

/// Runs. `recorder` may be looked at meanwhile; `stop` ends the run early when it turns true.
pub async fn run(
    config: RunConfig,
    connector: Arc<dyn Connector>,
    recorder: Arc<Recorder>,
    yardstick: Option<Arc<Yardstick>>,
    stop: watch::Receiver<bool>,
) -> RunOutcome {
    let scenario = config.scenario.plan(config.rate, config.duration);
    let shared = Arc::new(Shared::new(
        config.client.clone(),
        connector,
        Arc::clone(&recorder),
        yardstick,
    ));
    let (control, watcher) = watch::channel(Control::default());
    let mut tasks = JoinSet::new();
    let plans = start_viewers(&config, &scenario, &shared, &watcher, &mut tasks).await;
    let planned_sessions = plans.len();
    let ready = shared
        .wait_ready(planned_sessions, Instant::now() + READY_WAIT_MAX)
        .await;

    let start = Instant::now() + LEAD_IN;
    recorder.restart_series(start);
    let cpu_before = process::own_cpu_time();
    let plan = Plan::new(config.arrivals, scenario.profile.clone(), planned_sessions, config.seed);
    let halt = Arc::new(AtomicBool::new(false));
    let storm_at = scenario.storm_after.map(|after| start + after);
    let guide = guide(&control, storm_at, start + config.duration, stop, &halt);
    let follow = follow_plan(plan, start, plans, &recorder, &halt, config.clock_of_runtime);
    let ((), dispatch) = tokio::join!(guide, follow);
    let took = Instant::now().saturating_duration_since(start);
    let tester_cpu = match (cpu_before, process::own_cpu_time()) {
        (Some(before), Some(after)) => Some(after.saturating_sub(before)),
        _ => None,
    };

    control.send_modify(|control| control.stopping = true);
    let deadline = Instant::now() + config.client.answer_timeout + Duration::from_secs(2);
    while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
    recorder.errors("stuck_viewer", tasks.len() as u64);
    tasks.shutdown().await;
    RunOutcome {
        measured: recorder.snapshot(),
        dispatch,
        ready,
        took,
        tester_cpu,
    }
}

/// Starts all viewers, spread over time so that opening sockets is not the load. Gives where their swipes go.
async fn start_viewers(
    config: &RunConfig,
    scenario: &ScenarioPlan,
    shared: &Arc<Shared>,
    watcher: &watch::Receiver<Control>,
    tasks: &mut JoinSet<()>,
) -> Vec<mpsc::Sender<Instant>> {
    let slow_count = (config.sessions as f64 * scenario.slow_share) as usize;
    let mut plans = Vec::with_capacity(config.sessions);
    let start = Instant::now();
    for index in 0..config.sessions {
        if index < slow_count {
            let user_id = format!("{}slow{index}", config.user_prefix);
            tasks.spawn(Box::pin(run_slow_reader(Arc::clone(shared), user_id, watcher.clone())));
        } else {
            let (plan, receiver) = mpsc::channel(BACKLOG_MAX);
            plans.push(plan);
            let viewer = ViewerConfig {
                seed: config.seed,
                index: index as u64,
                session_median_swipes: scenario
                    .session_median_swipes
                    .unwrap_or(config.viewers.session_median_swipes),
                ..config.viewers.clone()
            };
            let pace = Pace::Planned(receiver);
            let task = ViewerTask::new(
                Arc::clone(shared),
                viewer,
                &config.user_prefix,
                scenario.traits,
                pace,
                watcher.clone(),
            );
            tasks.spawn(Box::pin(task.run()));
        }
        let opened = u32::try_from(index + 1).unwrap_or(u32::MAX);
        sleep_until(start + Duration::from_secs(1) * opened / CONNECTS_PER_SECOND).await;
    }
    plans
}

/// Follows the plan on a thread of its own, or by the runtime's clock.
async fn follow_plan(
    plan: Plan,
    start: Instant,
    plans: Vec<mpsc::Sender<Instant>>,
    recorder: &Arc<Recorder>,
    halt: &Arc<AtomicBool>,
    clock_of_runtime: bool,
) -> DispatchTotals {
    if clock_of_runtime {
        return dispatch_in_tokio(plan, start, &plans, recorder, halt).await;
    }
    let (recorder, halt) = (Arc::clone(recorder), Arc::clone(halt));
    tokio::task::spawn_blocking(move || dispatch_in_thread(plan, start, &plans, &recorder, &halt))
        .await
        .unwrap_or_default()
}

/// Lets the time of the run pass: raises the storm, ends the run early when it is told to.
async fn guide(
    control: &watch::Sender<Control>,
    storm_at: Option<Instant>,
    end: Instant,
    mut stop: watch::Receiver<bool>,
    halt: &AtomicBool,
) {
    let pass = async {
        if let Some(storm_at) = storm_at {
            sleep_until(storm_at).await;
            control.send_modify(|control| control.storm += 1);
        }
        sleep_until(end).await;
    };
    tokio::select! {
        () = pass => {}
        // An error means that nobody is left who could say stop: that is a stop.
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
    halt.store(true, Ordering::Release);
}
