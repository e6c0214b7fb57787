//! Measuring the floor: sockets that send a swipe, wait for feed and ack, and send the next.
//!
//! Owns the child process and the arithmetic.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::frames::{FloorFrames, floor_frames};
use crate::client::record::empty_histogram;
use crate::client::{CodecError, Connector, Endpoint, EndpointError, OpenError, Proto, TcpConnector, open};
use crate::process;

/// Answers per swipe: feed and ack.
const ANSWERS_PER_SWIPE: usize = 2;

/// What to measure.
#[derive(Debug, Clone)]
pub struct FloorConfig {
    /// This program, which serves the echo when it is called with `floor-server`.
    pub program: PathBuf,
    /// The form of messages.
    pub proto: Proto,
    /// Items per feed.
    pub feed_items: usize,
    /// How many sockets.
    pub sessions: usize,
    /// For how long.
    pub duration: Duration,
    /// The echo's threads.
    pub workers: usize,
    /// Swipes per second of all sockets together, evenly spread; as fast as they are answered when absent. A server that
    /// is woken for every swipe spends more on each than one that is never idle, so a run at some rate is compared with
    /// the echo at that rate.
    pub rate: Option<f64>,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorRun {
    /// Swipes answered.
    pub round_trips: u64,
    /// Swipes answered per second.
    pub per_second: f64,
    /// The echo's processor time per swipe, in microseconds.
    pub server_cpu_us: f64,
    /// This process's processor time per swipe, in microseconds.
    pub client_cpu_us: f64,
    /// Median round trip, in microseconds (with all sockets busy: mostly waiting in line).
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Bytes of a swipe, a feed and an ack.
    pub bytes: [usize; 3],
}

/// Why the floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The child could not be started or did not say its port.
    #[error("cannot start the echo: {0}")]
    Child(#[from] std::io::Error),
    /// It did not say a port.
    #[error("the echo did not say its port but {0:?}")]
    NoPort(String),
    /// Its address makes no sense.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A socket could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A frame could not be made.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// There is no `/proc`.
    #[error("processor time is not known on this system")]
    NoCpuTime,
    /// Nothing was answered.
    #[error("the echo answered nothing")]
    Nothing,
}

/// The child; ended when it is dropped.
struct Echo {
    child: Child,
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures once.
///
/// # Errors
/// The child cannot be started, or does not answer.
pub async fn measure(config: &FloorConfig) -> Result<FloorRun, FloorError> {
    let frames = floor_frames(config.proto, config.feed_items)?;
    let (echo, port) = start_echo(config)?;
    let endpoint = Endpoint::parse(&format!("ws://127.0.0.1:{port}/v1/stream"))?;
    let connector: Arc<dyn Connector> = Arc::new(TcpConnector::new(endpoint.clone()));
    let mut sockets = Vec::with_capacity(config.sessions);
    for index in 0..config.sessions {
        let user = format!("floor{index}");
        sockets.push(Box::pin(open(&connector, &endpoint, config.proto, &user)).await?.stream);
    }

    let pid = echo.child.id();
    let server_before = process::cpu_time_of_threads(pid).ok_or(FloorError::NoCpuTime)?;
    let client_before = process::own_cpu_time().ok_or(FloorError::NoCpuTime)?;
    let start = Instant::now();
    let end = start + config.duration;
    let mut tasks = JoinSet::new();
    let count = sockets.len();
    for (place, socket) in sockets.into_iter().enumerate() {
        let rate = config.rate.filter(|rate| *rate > 0.0);
        let every = rate.map(|rate| Duration::from_secs_f64(count as f64 / rate));
        let first = start + every.map_or(Duration::ZERO, |every| every.mul_f64(place as f64 / count as f64));
        tasks.spawn(Box::pin(swipe_until(socket, frames.clone(), first, every, end)));
    }
    let mut histogram = empty_histogram();
    while let Some(joined) = tasks.join_next().await {
        let one = joined.map_err(|error| FloorError::Child(std::io::Error::other(error)))?;
        histogram
            .add(&one)
            .map_err(|error| FloorError::Child(std::io::Error::other(format!("{error:?}"))))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let server_cpu = process::cpu_time_of_threads(pid)
        .ok_or(FloorError::NoCpuTime)?
        .saturating_sub(server_before);
    let client_cpu = process::own_cpu_time()
        .ok_or(FloorError::NoCpuTime)?
        .saturating_sub(client_before);
    let round_trips = histogram.len();
    if round_trips == 0 {
        return Err(FloorError::Nothing);
    }
    let per_trip = |cpu: Duration| cpu.as_secs_f64() * 1e6 / round_trips as f64;
    Ok(FloorRun {
        round_trips,
        per_second: round_trips as f64 / seconds,
        server_cpu_us: per_trip(server_cpu),
        client_cpu_us: per_trip(client_cpu),
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        bytes: [frames.swipe.len(), frames.feed.len(), frames.ack.len()],
    })
}

fn start_echo(config: &FloorConfig) -> Result<(Echo, u16), FloorError> {
    let mut child = Command::new(&config.program)
        .arg("floor-server")
        .args(["--proto", &config.proto.to_string()])
        .args(["--feed-items", &config.feed_items.to_string()])
        .args(["--workers", &config.workers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take();
    let echo = Echo { child };
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let port = line.trim().parse().map_err(|_| FloorError::NoPort(line.clone()))?;
    Ok((echo, port))
}

async fn swipe_until(
    mut socket: tokio_tungstenite::WebSocketStream<crate::client::BoxedTransport>,
    frames: FloorFrames,
    first: Instant,
    every: Option<Duration>,
    end: Instant,
) -> Histogram<u64> {
    let mut histogram = empty_histogram();
    let mut due = first;
    loop {
        if let Some(every) = every {
            sleep_until(due.min(end)).await;
            due += every;
        }
        let sent = Instant::now();
        if sent >= end || socket.send(frames.swipe.clone()).await.is_err() {
            return histogram;
        }
        for _ in 0..ANSWERS_PER_SWIPE {
            if !matches!(socket.next().await, Some(Ok(_))) {
                return histogram;
            }
        }
        histogram.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}
