//! Users who make single REST calls over one kept connection.
//!
//! Owns what is asked, and what is measured by the answers. Must not decide when (that is the plan).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Deserialize;
use swipeline_models::event::Signal;
use swipeline_models::wire::{EventDto, EventsReply, ItemDto};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::codec::{FeedItemFrame, Proto};
use super::connect::CONNECT_TIMEOUT;
use super::endpoint::percent_encode;
use super::http::{HttpError, HttpLine, HttpReply};
use super::mix::{Call, CallMix};
use super::record::{Counter, LearningPoint, Metric};
use super::shared::{Shared, wall_clock};
use crate::behaviour::{Viewer, ViewerConfig, seeded, stable_hash};

/// How many items a feed shall have when nothing else is said.
const FEED_N: usize = 10;
/// How many items are given to be ranked.
const RANK_N: usize = 50;
/// How many items of the lists are remembered, to ask about them.
const KNOWN_MAX: usize = 500;
/// The pause before a connection is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// A feed as REST gives it, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FeedReply {
    request_id: String,
    items: Vec<FeedItemFrame>,
    degraded: Option<String>,
}

/// What is remembered of one user.
struct User {
    id: String,
    viewer: Viewer,
    seen: HashSet<u64>,
    /// Items shown and not reacted to yet.
    shown: Vec<Arc<ItemDto>>,
    request_id: String,
}

/// One connection and the users who call over it.
pub struct Caller {
    shared: Arc<Shared>,
    mix: CallMix,
    viewers: ViewerConfig,
    user_prefix: String,
    numbers: Vec<usize>,
    users: HashMap<usize, User>,
    known: Vec<String>,
    rng: Xoshiro256PlusPlus,
    line: Option<HttpLine>,
}

impl Caller {
    /// Users with these numbers, who have not called yet.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        mix: CallMix,
        viewers: ViewerConfig,
        user_prefix: &str,
        numbers: Vec<usize>,
    ) -> Self {
        let rng = seeded(
            viewers.seed,
            "calls",
            numbers.first().copied().unwrap_or_default() as u64,
        );
        Self {
            shared,
            mix,
            viewers,
            user_prefix: user_prefix.to_owned(),
            numbers,
            users: HashMap::new(),
            known: Vec::new(),
            rng,
            line: None,
        }
    }

    /// Calls at the planned instants until there are no more.
    pub async fn run(mut self, mut planned: mpsc::Receiver<Instant>) {
        let shared = Arc::clone(&self.shared);
        let mut free_since = Instant::now();
        while let Some(planned) = planned.recv().await {
            let now = Instant::now();
            if now.saturating_duration_since(planned) >= shared.config.answer_timeout {
                shared.recorder.add_at(Counter::DroppedExpired, 1, now);
                continue;
            }
            let lag = now.saturating_duration_since(planned.max(free_since));
            shared.recorder.latency(Metric::TesterLag, lag, now);
            if let Err(kind) = self.call(planned).await {
                shared.recorder.error(kind);
                // After a refusal the connection is still good.
                if !kind.starts_with("status_") {
                    self.line = None;
                    sleep(PAUSE).await;
                }
            }
            free_since = Instant::now();
        }
    }

    /// Makes one call of the mix; gives the kind of error.
    async fn call(&mut self, planned: Instant) -> Result<(), &'static str> {
        let number = match self.numbers.len() {
            0 => return Ok(()),
            len => self.numbers[self.rng.random_range(0..len)],
        };
        let drawn = self.mix.draw(&mut self.rng);
        let user = self.user(number);
        // Nobody can react to nothing, or ask about items that were never heard of.
        let nothing_shown = drawn == Call::Events && user.shown.is_empty();
        let nothing_known = matches!(drawn, Call::Rank | Call::Similar) && self.known.is_empty();
        let call = if nothing_shown || nothing_known {
            Call::Feed
        } else {
            drawn
        };
        match call {
            Call::Feed => self.ask_feed(number, planned).await,
            Call::Events => self.send_events(number, planned).await,
            Call::Rank => self.ask_rank(number, planned).await,
            Call::Similar => {
                let item = percent_encode(&self.known[self.rng.random_range(0..self.known.len())]);
                self.ask_list(&format!("/v1/items/{item}/similar?n=10"), planned).await
            }
            Call::Popular => self.ask_list("/v1/popular?n=10&window=1h", planned).await,
            Call::Latest => self.ask_list("/v1/latest?n=10", planned).await,
        }
    }

    fn user(&mut self, number: usize) -> &mut User {
        let (viewers, prefix) = (&self.viewers, &self.user_prefix);
        self.users.entry(number).or_insert_with(|| User {
            id: format!("{prefix}{number}"),
            viewer: Viewer::new(ViewerConfig {
                index: number as u64,
                ..viewers.clone()
            }),
            seen: HashSet::new(),
            shown: Vec::new(),
            request_id: String::new(),
        })
    }

    async fn ask_feed(&mut self, number: usize, planned: Instant) -> Result<(), &'static str> {
        let n = self.shared.config.feed_n.unwrap_or(FEED_N);
        let path = format!("/v1/users/{}/feed?n={n}", percent_encode(&self.user(number).id));
        let sent = Instant::now();
        let reply = self.exchange("POST", &path, None).await?;
        let now = Instant::now();
        let recorder = Arc::clone(&self.shared.recorder);
        recorder.add_at(Counter::Feeds, 1, now);
        recorder.add(Counter::FeedBytes, reply.bytes as u64);
        recorder.latency(Metric::RestFeed, now.saturating_duration_since(planned), now);
        recorder.latency(Metric::RestFeedUncorrected, now.saturating_duration_since(sent), now);
        let feed: FeedReply = read(self.shared.config.proto, &reply)?;
        recorder.add(Counter::Degraded, u64::from(feed.degraded.is_some()));
        self.show(number, feed, now);
        Ok(())
    }

    /// What REST serves is shown, all of it.
    fn show(&mut self, number: usize, feed: FeedReply, now: Instant) {
        let shared = Arc::clone(&self.shared);
        let wall = wall_clock();
        let mut point = LearningPoint::default();
        let user = self.user(number);
        user.request_id = feed.request_id;
        let mut repeats = 0;
        let mut ids = Vec::with_capacity(feed.items.len());
        for frame in feed.items {
            let mut item = frame.item.unwrap_or_default();
            item.id = frame.item_id;
            repeats += u64::from(!user.seen.insert(stable_hash(0, &item.id)));
            point.shown += 1;
            point.expected += user.viewer.like_probability(&item, wall);
            ids.push(item.id.clone());
            user.shown.push(Arc::new(item));
        }
        // What nobody reacts to is forgotten some time.
        let surplus = user.shown.len().saturating_sub(4 * FEED_N);
        user.shown.drain(..surplus);
        let swipes = user.viewer.swipes();
        if let Some(yardstick) = &shared.yardstick {
            if let Some(item) = user.shown.last() {
                yardstick.offer(item);
            }
            let mut rng = seeded(self.viewers.seed, "yardstick", self.rng.next_u64());
            if let Some(user) = self.users.get(&number) {
                point.absorb(&yardstick.compare(&user.viewer, &mut rng, wall));
            }
        }
        self.remember(ids);
        shared.recorder.add(Counter::Shown, point.shown);
        shared.recorder.add(Counter::Repeats, repeats);
        shared.recorder.learning(point, swipes, now);
    }

    fn remember(&mut self, ids: Vec<String>) {
        for id in ids {
            if self.known.len() < KNOWN_MAX {
                self.known.push(id);
            } else {
                let place = self.rng.random_range(0..KNOWN_MAX);
                self.known[place] = id;
            }
        }
    }

    async fn send_events(&mut self, number: usize, planned: Instant) -> Result<(), &'static str> {
        let mut rng = seeded(self.viewers.seed, "reaction", self.rng.next_u64());
        let user = self.user(number);
        let Some(item) = user.shown.pop() else { return Ok(()) };
        let reaction = user.viewer.react(&item, &mut rng, wall_clock());
        let events: Vec<EventDto> = reaction
            .signals
            .iter()
            .map(|signal| EventDto {
                event_id: Some(format!("{:016x}-{}", rng.next_u64(), user.id)),
                user_id: Some(user.id.clone()),
                item_id: item.id.clone(),
                kind: signal.name().to_owned(),
                watch_ms: Some(reaction.watch_ms),
                request_id: Some(user.request_id.clone()),
                ..EventDto::default()
            })
            .collect();
        let recorder = Arc::clone(&self.shared.recorder);
        recorder.add(Counter::Likes, u64::from(reaction.signals.contains(&Signal::Like)));
        recorder.add(Counter::Skips, u64::from(reaction.signals.contains(&Signal::Skip)));
        let body = serde_json::to_vec(&events).map_err(|_| "encode")?;
        let reply = self.exchange("POST", "/v1/events", Some(&body)).await?;
        let now = Instant::now();
        recorder.add(Counter::Events, events.len() as u64);
        recorder.latency(Metric::RestEvents, now.saturating_duration_since(planned), now);
        let reply: EventsReply = read(self.shared.config.proto, &reply)?;
        for rejection in &reply.rejected {
            recorder.error(&format!("rejected_{}", rejection.code));
        }
        Ok(())
    }

    async fn ask_rank(&mut self, number: usize, planned: Instant) -> Result<(), &'static str> {
        let from = self.rng.random_range(0..self.known.len());
        let items: HashSet<&String> = self.known.iter().cycle().skip(from).take(RANK_N).collect();
        let body = serde_json::json!({"user_id": format!("{}{number}", self.user_prefix), "item_ids": items});
        let body = serde_json::to_vec(&body).map_err(|_| "encode")?;
        self.exchange("POST", "/v1/rank", Some(&body)).await?;
        let now = Instant::now();
        let took = now.saturating_duration_since(planned);
        self.shared.recorder.latency(Metric::RestRank, took, now);
        Ok(())
    }

    async fn ask_list(&mut self, path: &str, planned: Instant) -> Result<(), &'static str> {
        self.exchange("GET", path, None).await?;
        let now = Instant::now();
        let took = now.saturating_duration_since(planned);
        self.shared.recorder.latency(Metric::RestLists, took, now);
        Ok(())
    }

    /// Calls over the connection, which is opened when needed. An answer other than 2xx is an error by its status.
    async fn exchange(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Result<HttpReply, &'static str> {
        let shared = Arc::clone(&self.shared);
        let config = &shared.config;
        if self.line.is_none() {
            let began = Instant::now();
            let opened = timeout(CONNECT_TIMEOUT, shared.connector.connect()).await;
            let now = Instant::now();
            let Ok(Ok(transport)) = opened else {
                shared.recorder.add_at(Counter::DroppedNoSocket, 1, now);
                return Err(if opened.is_err() { "connect_timeout" } else { "connect" });
            };
            shared.recorder.latency(Metric::Connect, now - began, now);
            shared.recorder.add(Counter::Connects, 1);
            self.line = Some(HttpLine::new(transport, config.endpoint.authority(), config.proto));
        }
        let Some(line) = &mut self.line else {
            return Err("connect");
        };
        shared.recorder.add_at(Counter::Sent, 1, Instant::now());
        let called = timeout(config.answer_timeout, line.call(method, path, body)).await;
        let (reply, sent_bytes) = match called {
            Err(_) => return Err("timeout_call"),
            Ok(Err(HttpError::Io(_))) => return Err("connection_lost"),
            Ok(Err(HttpError::Malformed(_))) => return Err("malformed_answer"),
            Ok(Ok(answered)) => answered,
        };
        let recorder = &shared.recorder;
        recorder.add(Counter::BytesOut, sent_bytes as u64);
        recorder.add(Counter::BytesIn, reply.bytes as u64);
        match reply.status {
            200..=299 => Ok(reply),
            429 => Err("status_429"),
            503 => Err("status_503"),
            400..=499 => Err("status_4xx"),
            _ => Err("status_5xx"),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(proto: Proto, reply: &HttpReply) -> Result<T, &'static str> {
    match proto {
        Proto::Json => serde_json::from_slice(&reply.body).map_err(|_| "decode"),
        Proto::Msgpack => rmp_serde::from_slice(&reply.body).map_err(|_| "decode"),
    }
}
