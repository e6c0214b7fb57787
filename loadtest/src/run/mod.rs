//! A whole measured run: check the server, connect the viewers, follow the plan, collect what was measured.
//!
//! Owns the order of things. Must not print; a live view looks at the [`Recorder`] that it is given.

mod guide;
mod outside;
mod preflight;
mod probe;
mod scenario;
mod scrape;
mod yardsticks;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use outside::{Outside, OutsideError};
pub use preflight::{PreflightError, ServerFacts, check_server};
pub use probe::{ServerLook, ServerProbe, ServerUsage};
pub use scenario::{Happening, Scenario, ScenarioPlan};
pub use scrape::{UsageSample, parse_usage};
pub use yardsticks::{RandomSource, keep_popular_fresh, random_sample};

use crate::behaviour::ViewerConfig;
use crate::client::record::{Measurements, Recorder};
use crate::client::{
    CallMix, Caller, ClientConfig, Connector, Control, Hit, Pace, Shared, ViewerTask, Yardstick, run_slow_reader,
};
use crate::plan::{Arrivals, DispatchTotals, Plan, RateProfile, dispatch_in_thread, dispatch_in_tokio};
use crate::process;
use guide::Guide;
use probe::Looks;

/// The most planned swipes that wait for one viewer.
const BACKLOG_MAX: usize = 64;
/// How many viewers may open their sockets per second before the run begins.
const CONNECTS_PER_SECOND: u32 = 1_000;
/// How long the viewers have to get their first feeds, besides the time in which their sockets are opened.
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
    /// The number of the first viewer; others may run in other processes.
    pub first_session: usize,
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
    /// What REST calls there are, for the scenario without sockets.
    pub mix: CallMix,
    /// Over how many kept connections these calls go.
    pub connections: usize,
    /// The item that becomes a hit, for the scenario of that name.
    pub hit_item: Option<String>,
    /// Whether the plan is followed by the runtime's clock instead of a thread: for tests with a paused clock.
    pub clock_of_runtime: bool,
}

/// What a run needs from its surroundings.
pub struct RunParts {
    /// Where bytes come from.
    pub connector: Arc<dyn Connector>,
    /// Where measurements go; may be looked at meanwhile.
    pub recorder: Arc<Recorder>,
    /// What to compare feeds with.
    pub yardstick: Option<Arc<Yardstick>>,
    /// How to reach the server besides; without it only viewers do something.
    pub outside: Option<Outside>,
    /// Where to look what the server costs.
    pub probe: Option<ServerProbe>,
    /// Ends the run early when it turns true.
    pub stop: watch::Receiver<bool>,
    /// Says how many viewers are ready, and waits for the word to begin: for several processes that begin together.
    pub gate: Option<(oneshot::Sender<usize>, oneshot::Receiver<()>)>,
}

impl RunParts {
    /// The least that a run needs.
    #[must_use]
    pub fn new(connector: Arc<dyn Connector>, recorder: Arc<Recorder>, stop: watch::Receiver<bool>) -> Self {
        Self {
            connector,
            recorder,
            yardstick: None,
            outside: None,
            probe: None,
            stop,
            gate: None,
        }
    }
}

impl fmt::Debug for RunParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunParts").finish_non_exhaustive()
    }
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
    /// What the server cost.
    pub server: ServerUsage,
}

/// Runs.
pub async fn run(config: RunConfig, parts: RunParts) -> RunOutcome {
    let scenario = config.scenario.plan(config.rate, config.duration);
    let recorder = Arc::clone(&parts.recorder);
    let hit = config.hit_item.clone().map(Hit::new);
    let shared = Shared::new(
        config.client.clone(),
        parts.connector,
        Arc::clone(&recorder),
        parts.yardstick,
    );
    let shared = Arc::new(shared.with_hit(hit));
    let looks = Arc::new(Mutex::new(Looks::default()));
    looks.lock().before = look(parts.probe.as_ref()).await;
    let (control, watcher) = watch::channel(Control::default());
    let mut tasks = JoinSet::new();
    let plans = if config.scenario == Scenario::OneShot {
        start_callers(&config, &shared, &mut tasks)
    } else {
        start_viewers(&config, &scenario, &shared, &watcher, &mut tasks).await
    };
    let lines = plans.len();
    let awaited = if config.scenario == Scenario::OneShot { 0 } else { lines };
    let ready = shared.wait_ready(awaited, Instant::now() + READY_WAIT_MAX).await;
    if let Some((say_ready, go)) = parts.gate {
        // When the other side is gone, nobody is left to begin together with.
        let _ = say_ready.send(ready);
        let _ = go.await;
    }
    looks.lock().ready = look(parts.probe.as_ref()).await;

    let start = Instant::now() + LEAD_IN;
    recorder.restart_series(start);
    let cpu_before = process::own_cpu_time();
    let watching = parts
        .probe
        .clone()
        .map(|probe| tokio::spawn(probe.keep_looking(start, config.duration, Arc::clone(&looks))));
    // Each process has a plan of its own: together they are the plan, as Poisson processes add up.
    let seed = config.seed.wrapping_add(config.first_session as u64);
    let profile = if lines > 0 {
        scenario.profile.clone()
    } else {
        RateProfile::steady(0.0, config.duration.as_secs_f64())
    };
    let plan = Plan::new(config.arrivals, profile, lines, seed).with_day_mix(scenario.day_mix);
    let halt = Arc::new(AtomicBool::new(false));
    let guide = Guide {
        config: &config,
        happenings: &scenario.happenings,
        start,
        control: &control,
        shared: &shared,
        outside: parts.outside.as_ref(),
    };
    let follow = follow_plan(plan, start, plans, &recorder, &halt, config.clock_of_runtime);
    let ((), dispatch) = tokio::join!(guide.pass(parts.stop, &halt), follow);
    let took = Instant::now().saturating_duration_since(start);
    let tester_cpu = match (cpu_before, process::own_cpu_time()) {
        (Some(before), Some(after)) => Some(after.saturating_sub(before)),
        _ => None,
    };
    let sent = recorder.glance().sent;
    looks.lock().end = look(parts.probe.as_ref()).await;
    if let Some(watching) = watching {
        watching.abort();
    }

    control.send_modify(|control| control.stopping = true);
    let deadline = Instant::now() + config.client.answer_timeout + Duration::from_secs(2);
    while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
    recorder.errors("stuck_viewer", tasks.len() as u64);
    tasks.shutdown().await;
    let looks = std::mem::take(&mut *looks.lock());
    RunOutcome {
        measured: recorder.snapshot(),
        dispatch,
        ready,
        took,
        tester_cpu,
        server: looks.usage(took.as_secs_f64(), config.sessions, sent),
    }
}

async fn look(probe: Option<&ServerProbe>) -> Option<UsageSample> {
    probe?.look().await
}

/// Starts the connections that REST calls go over. Gives where their calls go.
fn start_callers(config: &RunConfig, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) -> Vec<mpsc::Sender<Instant>> {
    let connections = config.connections.clamp(1, config.sessions.max(1)).min(config.sessions);
    let mut plans = Vec::with_capacity(connections);
    for line in 0..connections {
        let (plan, receiver) = mpsc::channel(BACKLOG_MAX);
        plans.push(plan);
        // Every user belongs to one connection, so that the answers about it come in order.
        let users = (line..config.sessions)
            .step_by(connections)
            .map(|n| n + config.first_session);
        let viewers = ViewerConfig {
            seed: config.seed,
            ..config.viewers.clone()
        };
        let caller = Caller::new(
            Arc::clone(shared),
            config.mix,
            viewers,
            &config.user_prefix,
            users.collect(),
        );
        tasks.spawn(Box::pin(caller.run(receiver)));
    }
    plans
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
            let user_id = format!("{}slow{}", config.user_prefix, config.first_session + index);
            tasks.spawn(Box::pin(run_slow_reader(Arc::clone(shared), user_id, watcher.clone())));
        } else {
            let (plan, receiver) = mpsc::channel(BACKLOG_MAX);
            plans.push(plan);
            let viewer = ViewerConfig {
                seed: config.seed,
                index: (config.first_session + index) as u64,
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
