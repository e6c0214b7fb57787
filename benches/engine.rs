//! A million sessions without sockets: simulated viewers drive the engine itself, in one process.
//!
//! ```sh
//! cargo bench --bench engine -- --sessions 1000000
//! ```
//!
//! It lives here because only the composition root may know both the engine and the viewers of the load tester, and it
//! is a bench, not a command, because nobody who runs a server needs it. Every session is opened through the door that a
//! socket uses ([`Engine::connect`] and its outbox); nothing is encoded and nothing is written to a socket. Prints what a
//! session weighs, what a swipe costs, and how long it takes from the planned instant to the fresh feed.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use anyhow::Context;
use clap::Parser;
use swipeline_actors::{Engine, EngineConfig, Outgoing, SocketHandle, SocketOutbox};
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig, Viewer, ViewerConfig, seeded};
use swipeline_loadtest::client::record::{Counter, Metric, Recorder};
use swipeline_loadtest::plan::{Arrivals, Plan, RateProfile, dispatch_in_thread};
use swipeline_loadtest::process;
use swipeline_models::ids::UserId;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{ClientMessage, EventDto, FeedPushDto, Hello, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Items per call while the catalogue is put in.
const PAGE_ITEMS: usize = 5_000;
/// Planned swipes that wait for one driver at most.
const BACKLOG_MAX: usize = 64;
/// How long a swipe may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest item is so many days old.
const DAYS: u32 = 14;

#[derive(Debug, Parser)]
struct Options {
    /// How many sessions.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// How many of them stay attached and swipe; the others idle without a socket.
    #[arg(long, default_value_t = 20_000)]
    attached: usize,
    /// How many items, and numbers per embedding.
    #[arg(long, default_value_t = 100_000)]
    items: usize,
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// Swipes per second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// For so many seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How many swipes may be under way.
    #[arg(long, default_value_t = 256)]
    drivers: usize,
    /// Where the data lives; in memory when left out.
    #[arg(long)]
    data_dir: Option<std::path::PathBuf>,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// An attached session and the viewer behind it.
struct Seat {
    user: String,
    handle: SocketHandle,
    outbox: Arc<SocketOutbox>,
    viewer: Viewer,
    feed: FeedPushDto,
    place: usize,
    events: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    rt::System::new().block_on(drive(options))
}

async fn drive(options: Options) -> anyhow::Result<()> {
    let engine = Engine::start(EngineConfig {
        data_dir: options.data_dir.clone(),
        sessions_max: options.sessions + 1,
        session_idle_ms: 3_600_000,
        ..EngineConfig::default()
    })
    .await?;
    fill(&engine, &options).await?;
    let rss_before = rss();
    let seats = open_all(&engine, &options, rss_before).await?;
    swipe(&options, seats).await?;
    engine.shutdown().await?;
    Ok(())
}

async fn fill(engine: &Engine, options: &Options) -> anyhow::Result<()> {
    let now = now();
    let catalogue = Catalogue::new(CatalogueConfig {
        items: options.items,
        dim: Some(options.dim),
        seed: 1,
        now,
        days: DAYS,
    })?;
    let began = Instant::now();
    for page in catalogue.pages(PAGE_ITEMS) {
        let items: Result<Vec<_>, _> = page.into_iter().map(|item| item.into_item(now)).collect();
        let items = items.map_err(|error| anyhow::anyhow!("{}: {}", error.field, error.detail))?;
        engine.upsert_items(items).await?;
    }
    println!(
        "{} items in {:.1} s, {:.0} MB resident",
        options.items,
        began.elapsed().as_secs_f64(),
        rss() / 1e6
    );
    Ok(())
}

/// Opens every session and waits for its first feed; keeps the first ones.
async fn open_all(engine: &Engine, options: &Options, rss_before: f64) -> anyhow::Result<Vec<Seat>> {
    let began = Instant::now();
    let cpu_before = process::own_cpu_time().unwrap_or_default();
    let mut seats = Vec::with_capacity(options.attached.min(options.sessions));
    let report_every = (options.sessions / 10).max(1);
    for number in 0..options.sessions {
        let seat = open(engine, number).await?;
        if number < options.attached {
            seats.push(seat);
        }
        let opened = number + 1;
        if opened == options.attached.min(options.sessions) || opened.is_multiple_of(report_every) {
            println!(
                "{opened:>9} sessions opened ({:.0}/s), {:.0} MB resident, {:.2} KB a session",
                opened as f64 / began.elapsed().as_secs_f64(),
                rss() / 1e6,
                (rss() - rss_before) / opened as f64 / 1e3
            );
        }
    }
    let cpu = process::own_cpu_time().unwrap_or_default().saturating_sub(cpu_before);
    println!(
        "first feeds: {:.0} µs of CPU each (this bench included)",
        cpu.as_secs_f64() * 1e6 / options.sessions.max(1) as f64
    );
    Ok(seats)
}

async fn open(engine: &Engine, number: usize) -> anyhow::Result<Seat> {
    let user = format!("bench-{number}");
    let id = UserId::new(&user).map_err(|error| anyhow::anyhow!("{error}"))?;
    let outbox = engine.outbox();
    let handle = engine.connect(&id, Hello::default(), Arc::clone(&outbox)).await?;
    let feed = loop {
        match outbox.next().await {
            Outgoing::Feed(pushed) => break pushed.feed.clone(),
            Outgoing::Message(_) => {}
            Outgoing::Close(reason) => anyhow::bail!("session {number} was closed: {reason:?}"),
        }
    };
    let viewer = Viewer::new(ViewerConfig {
        index: number as u64,
        ..ViewerConfig::default()
    });
    Ok(Seat {
        user,
        handle,
        outbox,
        viewer,
        feed,
        place: 0,
        events: 0,
    })
}

/// Follows an open plan over all attached sessions.
async fn swipe(options: &Options, seats: Vec<Seat>) -> anyhow::Result<()> {
    anyhow::ensure!(!seats.is_empty(), "nobody is attached");
    let recorder = Arc::new(Recorder::new(Instant::now(), Duration::from_secs(1)));
    let drivers = options.drivers.clamp(1, seats.len());
    let mut groups: Vec<Vec<Seat>> = (0..drivers).map(|_| Vec::new()).collect();
    for (number, seat) in seats.into_iter().enumerate() {
        groups[number % drivers].push(seat);
    }
    let mut plans = Vec::with_capacity(drivers);
    let mut tasks = Vec::with_capacity(drivers);
    for (number, group) in groups.into_iter().enumerate() {
        let (plan, planned) = mpsc::channel(BACKLOG_MAX);
        plans.push(plan);
        tasks.push(rt::spawn(follow(group, number as u64, planned, Arc::clone(&recorder))));
    }
    let plan = Plan::new(
        Arrivals::Poisson,
        RateProfile::steady(options.rate, options.seconds),
        drivers,
        1,
    );
    let (beside, start) = (Arc::clone(&recorder), Instant::now());
    let cpu_before = process::own_cpu_time().unwrap_or_default();
    let dispatched =
        rt::task::spawn_blocking(move || dispatch_in_thread(plan, start, &plans, &beside, &Arc::default()));
    let totals = dispatched.await.context("the dispatcher broke")?;
    for task in tasks {
        task.await.context("a driver broke")?;
    }
    let cpu = process::own_cpu_time().unwrap_or_default().saturating_sub(cpu_before);
    let measured = recorder.snapshot();
    let sent = measured.count(Counter::Sent);
    println!(
        "swipes: planned {}, sent {sent} ({:.0}/s), dropped {}, dispatcher at most {:.1} ms late, errors {:?}",
        totals.planned,
        sent as f64 / start.elapsed().as_secs_f64(),
        totals.dropped,
        totals.lag_max.as_secs_f64() * 1e3,
        measured.errors
    );
    println!(
        "{:.0} µs of CPU per swipe (this bench included), {:.0} MB resident",
        cpu.as_secs_f64() * 1e6 / sent.max(1) as f64,
        rss() / 1e6
    );
    for metric in [Metric::EventToFeed, Metric::EventToFeedUncorrected, Metric::EventToAck] {
        let histogram = measured.histogram(metric);
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{:<27} {:>8}  p50 {:.2} ms  p90 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms  max {:.2} ms",
            metric.name(),
            histogram.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    Ok(())
}

/// One driver: takes a planned swipe, lets one of its viewers make it, waits for what follows.
async fn follow(mut seats: Vec<Seat>, number: u64, mut planned: mpsc::Receiver<Instant>, recorder: Arc<Recorder>) {
    use rand::RngExt;
    let mut rng = seeded(1, "driver", number);
    while let Some(planned) = planned.recv().await {
        let place = rng.random_range(0..seats.len());
        let seat = &mut seats[place];
        recorder.add_at(Counter::Sent, 1, Instant::now());
        match tokio::time::timeout(TIMEOUT, seat.swipe(&mut rng, planned, &recorder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => recorder.error(&error.to_string()),
            Err(_) => recorder.error("timeout"),
        }
    }
}

impl Seat {
    async fn swipe(&mut self, rng: &mut impl rand::Rng, planned: Instant, recorder: &Recorder) -> anyhow::Result<()> {
        let Some(shown) = self.feed.items.get(self.place) else {
            anyhow::bail!("nothing to swipe on");
        };
        let item = shown.item.as_deref().cloned().unwrap_or_default();
        let reaction = self.viewer.react(&item, rng, now());
        self.events += 1;
        let name = format!("{}-{}", self.user, self.events);
        let last = reaction.signals.len().saturating_sub(1);
        let event = |(place, signal): (usize, &swipeline_models::event::Signal)| EventDto {
            event_id: Some(if place == last {
                name.clone()
            } else {
                format!("{name}-{place}")
            }),
            item_id: shown.item_id.clone(),
            kind: signal.name().to_owned(),
            watch_ms: Some(reaction.watch_ms),
            request_id: Some(self.feed.request_id.clone()),
            ..EventDto::default()
        };
        let events: Vec<EventDto> = reaction.signals.iter().enumerate().map(event).collect();
        let is_strong = reaction.signals.iter().any(|signal| signal.is_strong());
        let upto = u32::try_from(self.place + 1).unwrap_or(u32::MAX);
        let sent = Instant::now();
        let seen = ClientMessage::Seen {
            seq: self.feed.seq,
            epoch: None,
            upto: Some(upto),
        };
        self.handle.send(None, seen, std::time::Instant::now())?;
        self.handle.send(
            None,
            ClientMessage::Events(events.into_iter().map(Ok).collect()),
            std::time::Instant::now(),
        )?;
        self.place += 1;
        let (mut fed, mut acked) = (!is_strong, false);
        if !is_strong && self.place >= self.feed.items.len() {
            self.handle
                .send(None, ClientMessage::Feed(Default::default()), std::time::Instant::now())?;
            fed = false;
        }
        while !fed || !acked {
            let outgoing = self.outbox.next().await;
            let now = Instant::now();
            match outgoing {
                Outgoing::Feed(pushed) => {
                    let caused = pushed.feed.cause.event_id.as_deref() == Some(name.as_str());
                    if caused {
                        recorder.latency(Metric::EventToFeed, now - planned, now);
                        recorder.latency(Metric::EventToFeedUncorrected, now - sent, now);
                    }
                    fed |= caused || !is_strong;
                    self.feed = pushed.feed.clone();
                    self.place = 0;
                }
                Outgoing::Message(ServerMessage::Ack { .. }) => {
                    acked = true;
                    recorder.latency(Metric::EventToAck, now - planned, now);
                }
                Outgoing::Message(_) => {}
                Outgoing::Close(reason) => anyhow::bail!("closed: {reason:?}"),
            }
        }
        Ok(())
    }
}

fn now() -> TimestampMs {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn rss() -> f64 {
    process::resident_bytes(std::process::id()).unwrap_or_default() as f64
}
