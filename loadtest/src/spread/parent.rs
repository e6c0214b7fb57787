//! The parent's side: it starts the children, lets them begin together, adds up what they say, and does itself what
//! happens to the server only once.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Done, WORD_GO, WORD_STOP, Word};
use crate::client::record::{Glance, Recorder};
use crate::plan::DispatchTotals;
use crate::run::{RunConfig, RunOutcome, RunParts, run};

/// How long the children have from their start to readiness, besides the time in which their sockets are opened.
const READY_WAIT_MAX: Duration = Duration::from_secs(120);
/// How long the children may take to finish after the plan, besides the time-out of an answer.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(30);

/// How to spread a run.
#[derive(Debug, Clone)]
pub struct SpreadConfig {
    /// This program.
    pub program: PathBuf,
    /// Per child its arguments.
    pub arguments: Vec<Vec<String>>,
}

/// Why a run could not be spread.
#[derive(Debug, thiserror::Error)]
pub enum SpreadError {
    /// A child could not be started or spoken to.
    #[error("a process of the tester: {0}")]
    Child(#[from] std::io::Error),
    /// A child ended or said nonsense.
    #[error("a process of the tester ended before its time; what it said stands above")]
    Lost,
    /// Not all became ready.
    #[error("the processes of the tester were not ready within {} s", READY_WAIT_MAX.as_secs())]
    NotReady,
}

/// A child; killed when it is dropped.
struct Worker {
    _child: Child,
    say: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
    ready: usize,
}

/// Runs in several processes. `config` and `parts` are the parent's: it has no viewers, it watches the server and does
/// what happens to it. `glances` always holds the newest sum.
///
/// # Errors
/// A child cannot be started, or ends early.
pub async fn run_spread(
    spread: SpreadConfig,
    config: RunConfig,
    parts: RunParts,
    glances: Arc<Mutex<Vec<Glance>>>,
) -> Result<RunOutcome, SpreadError> {
    let recorder = Arc::clone(&parts.recorder);
    let stop = parts.stop.clone();
    *glances.lock() = vec![Glance::default(); spread.arguments.len()];
    // The parent looks at the server before the children open their sockets and waits at its gate until all are ready.
    let (say_ready, parent_ready) = oneshot::channel();
    let (say_go, go) = oneshot::channel();
    let finish_max = config.duration + config.client.answer_timeout + FINISH_WAIT_MAX;
    let parts = RunParts {
        gate: Some((say_ready, go)),
        ..parts
    };
    let own = tokio::spawn(Box::pin(run(RunConfig { sessions: 0, ..config }, parts)));
    parent_ready.await.map_err(|_| SpreadError::Lost)?;
    let workers = timeout(READY_WAIT_MAX, start(&spread)).await;
    let mut workers = workers.map_err(|_| SpreadError::NotReady)??;
    let ready = workers.iter().map(|worker| worker.ready).sum();
    let began = Instant::now();
    for worker in &mut workers {
        tell(worker, WORD_GO).await?;
    }
    // The run of the parent may have been stopped already.
    let _ = say_go.send(());
    let listening = async {
        let mut tasks = JoinSet::new();
        for (place, worker) in workers.into_iter().enumerate() {
            tasks.spawn(listen(worker, place, Arc::clone(&glances), stop.clone()));
        }
        let mut done = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            done.push(joined.map_err(|_| SpreadError::Lost)??);
        }
        Ok::<_, SpreadError>(done)
    };
    let done = timeout(finish_max, listening).await.map_err(|_| SpreadError::Lost)??;
    let own = own.await.map_err(|_| SpreadError::Lost)?;
    Ok(add_up(own, done, ready, &recorder, began))
}

async fn start(spread: &SpreadConfig) -> Result<Vec<Worker>, SpreadError> {
    let mut workers = Vec::with_capacity(spread.arguments.len());
    for arguments in &spread.arguments {
        let mut child = Command::new(&spread.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(say), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SpreadError::Lost);
        };
        workers.push(Worker {
            _child: child,
            say,
            hear: BufReader::new(out).lines(),
            ready: 0,
        });
    }
    for worker in &mut workers {
        worker.ready = loop {
            if let Word::Ready(count) = next_word(worker).await? {
                break count;
            }
        };
    }
    Ok(workers)
}

async fn next_word(worker: &mut Worker) -> Result<Word, SpreadError> {
    let line = worker.hear.next_line().await?.ok_or(SpreadError::Lost)?;
    serde_json::from_str(&line).map_err(|_| SpreadError::Lost)
}

async fn tell(worker: &mut Worker, word: &str) -> Result<(), SpreadError> {
    worker.say.write_all(format!("{word}\n").as_bytes()).await?;
    Ok(worker.say.flush().await?)
}

/// Listens to one child until its end; passes on the word to stop.
async fn listen(
    mut worker: Worker,
    place: usize,
    glances: Arc<Mutex<Vec<Glance>>>,
    mut stop: watch::Receiver<bool>,
) -> Result<Done, SpreadError> {
    let mut told = false;
    loop {
        tokio::select! {
            word = next_word(&mut worker) => match word? {
                Word::Ready(_) => {}
                Word::Glance(glance) => if let Some(last) = glances.lock().get_mut(place) {
                    *last = glance;
                },
                Word::Done(done) => return Ok(*done),
            },
            () = stopped(&mut stop), if !told => {
                told = true;
                tell(&mut worker, WORD_STOP).await?;
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say stop: that is a stop.
    let _ = stop.wait_for(|stopping| *stopping).await;
}

fn add_up(own: RunOutcome, done: Vec<Done>, ready: usize, recorder: &Recorder, began: Instant) -> RunOutcome {
    let mut dispatch = DispatchTotals::default();
    let mut cpu = own.tester_cpu;
    let mut took = Duration::ZERO;
    for child in done {
        dispatch.planned += child.planned;
        dispatch.dropped += child.dropped;
        dispatch.lag_max = dispatch.lag_max.max(Duration::from_micros(child.lag_max_us));
        took = took.max(Duration::from_micros(child.took_us));
        cpu = cpu
            .zip(child.cpu_us)
            .map(|(sum, more)| sum + Duration::from_micros(more));
        recorder.absorb(child.measured);
    }
    let measured = recorder.snapshot();
    let mut server = own.server;
    // The parent's own run sends nothing and opens nothing: what is per swipe and per viewer is computed here.
    let sent = measured.count(crate::client::record::Counter::Sent);
    server.cpu_us_per_swipe = server.cpu_s.filter(|_| sent > 0).map(|cpu| cpu * 1e6 / sent as f64);
    let grown = server.rss_bytes_before.zip(server.rss_bytes_ready);
    server.rss_bytes_per_session = grown
        .filter(|_| ready > 0)
        .map(|(before, then)| (then - before) / ready as f64);
    RunOutcome {
        measured,
        dispatch,
        ready,
        took: took.min(Instant::now().saturating_duration_since(began)),
        tester_cpu: cpu,
        server,
    }
}
