//! Feeds: running the pipeline for this viewer, pushing to the sockets, answering one-shot requests.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use actix::{AsyncContext, Context, Handler};
use swipeline_models::catalogue::{CatalogueSnapshot, ItemFilter};
use swipeline_models::experiment::WishError;
use swipeline_models::ids::{ItemId, Word};
use swipeline_models::params::Params;
use swipeline_models::pipeline::{Effort, Query, RequestContext, Slate, run};
use swipeline_models::recall::Pool;
use swipeline_models::wire::{
    FeedAsk, FeedDto, FeedMode, FeedPushDto, FieldError, Hello, MessageId, ServerMessage, SessionParamsDto,
};
use uuid::{ContextV7, Timestamp, Uuid};

use super::actor::SessionActor;
use super::messages::{Attach, Detach, Drain, ModelChanged, OneShot, SocketId};
use super::outcomes::rows_served;
use super::overloaded::keep_ranking;
use super::served::slots_to_log;
use super::situation::Situation;
use super::slate_dto::{channel_reports, feed_items, served_items};
use super::variant::ServedVariant;
use super::wish::PushWish;
use crate::api::{EngineError, Showing};
use crate::clock;
use crate::outbox::{CloseReason, PushedFeed};
use crate::pipeline_metrics::PipelineMetrics;
use crate::served::ServedSlot;

/// When clients shall come back after a drain, in milliseconds.
const RECONNECT_AFTER_MS: u64 = 1_000;

thread_local! {
    static REQUEST_IDS: ContextV7 = const { ContextV7::new() };
}

impl Handler<Attach> for SessionActor {
    type Result = Result<SocketId, EngineError>;

    fn handle(&mut self, Attach { hello, outbox }: Attach, _context: &mut Context<Self>) -> Self::Result {
        self.touch();
        if self.shared.is_draining() {
            return Err(EngineError::Unavailable("shutting down".to_owned()));
        }
        if let Some(wish) = &hello.variant {
            self.wish_for(wish).map_err(|error| variant_error(&error))?;
        }
        self.check_scene(&self.params(), hello.scene.as_deref())?;
        let socket = self.sockets.add(outbox);
        self.activity
            .sockets
            .store(self.sockets.len(), std::sync::atomic::Ordering::Relaxed);
        self.greet(socket, &hello);
        Ok(socket)
    }
}

impl Handler<Detach> for SessionActor {
    type Result = ();

    fn handle(&mut self, Detach { socket }: Detach, _context: &mut Context<Self>) {
        self.touch();
        self.sockets.remove(socket);
        self.activity
            .sockets
            .store(self.sockets.len(), std::sync::atomic::Ordering::Relaxed);
    }
}

impl Handler<ModelChanged> for SessionActor {
    type Result = ();

    fn handle(&mut self, _changed: ModelChanged, _context: &mut Context<Self>) {
        if !self.sockets.is_empty() {
            self.push(PushWish::because("model"));
        }
    }
}

impl Handler<Drain> for SessionActor {
    type Result = ();

    fn handle(&mut self, _drain: Drain, _context: &mut Context<Self>) {
        self.sockets.push_message(&ServerMessage::Drain {
            reconnect_after_ms: RECONNECT_AFTER_MS,
        });
        self.sockets.close_all(&CloseReason::Draining);
        self.activity.sockets.store(0, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Handler<OneShot> for SessionActor {
    type Result = Result<(FeedDto, u64), EngineError>;

    fn handle(&mut self, OneShot { request }: OneShot, context: &mut Context<Self>) -> Self::Result {
        self.touch();
        let started = clock::monotonic_ns();
        let before = match &request.after {
            Some(after) => self.pages.up_to(after).ok_or_else(|| unknown_feed(after))?,
            None => Vec::new(),
        };
        let excluded = hashes(request.exclude.iter().map(ItemId::hash64).chain(before));
        let ranked_at = self.state.journal_sequence;
        let variant = match &request.variant {
            Some(wish) => self.wished_variant(wish).map_err(|error| variant_error(&error))?,
            None => self.variant(),
        };
        let scene = request.scene.as_deref();
        self.check_scene(&variant.viewer.params, scene)?;
        let filter = self.test_of(&variant.viewer.params, scene, &request.filter);
        let is_apart = filter.is_some() || variant.viewer.params.scenes.contains_key(scene.unwrap_or_default());
        let variant = self.variant_in(variant, scene);
        let situation = Situation {
            region: self.region_of(request.region.as_deref()),
            device: request.device.as_deref(),
            network: request.network.as_deref(),
            filter: filter.as_ref(),
        };
        let stamp = self.page_stamp(variant.tag);
        // Whoever asks for reasons or for a variant wants to know how it is now.
        let may_repeat = request.showing == Showing::Look && !request.explain && request.variant.is_none();
        if may_repeat && let Some(feed) = self.page_again(&request, stamp) {
            return Ok((FeedDto::clone(&feed), 0));
        }
        let counts = request.showing == Showing::Counted;
        // A client that reports itself what was seen asks to be ranked for, and so does one that wishes a variant.
        let next = if !counts || request.variant.is_some() || is_apart {
            None
        } else {
            let params = &variant.viewer.params;
            self.next_of_ranking(&self.query(params, request.n, situation, &excluded, request.explain))
        };
        let (slate, snapshot, slots) =
            next.unwrap_or_else(|| self.make_slate(&variant, request.n, situation, &excluded, request.explain));
        variant.count_exposure();
        let served = served_items(&slate, &snapshot, &variant);
        self.state.served.note_one_shot(&served);
        let mut sequence = 0;
        if counts {
            match self.show(&served) {
                Ok(_) => sequence = self.state.journal_sequence,
                // It cannot be kept now that these were shown: the viewer is served all the same.
                Err(EngineError::JournalFailed(_)) => metrics::counter!("swipeline_feeds_not_kept_total").increment(1),
                Err(error) => return Err(error),
            }
        }
        let region = self.region_name(request.region.as_deref(), situation.region);
        let feed = FeedDto {
            request_id: new_request_id(),
            user_id: self.state.user.as_str().to_owned(),
            items: feed_items(&slate, &snapshot, &self.shared.world.mixers, region.as_deref()),
            cause: Cow::Borrowed("request"),
            variant: variant.label(),
            degraded: slate.degraded.map(|degraded| Cow::Borrowed(degraded.name())),
            generated_at: clock::now().0,
            took_us: elapsed_us(started),
            context: request.explain.then(|| self.context_of(situation)),
            channels: request.explain.then(|| channel_reports(&slate, &self.shared.world)),
        };
        self.log_served(slots, &feed.request_id, ranked_at, situation, &variant);
        let open = if counts { &[][..] } else { &served[..] };
        let again = may_repeat.then(|| (request.clone(), stamp, Arc::new(feed.clone())));
        let open = open.iter().map(|item| item.hash).collect();
        self.pages.push(&feed.request_id, request.after.clone(), open, again);
        if self.is_stranger() {
            self.shared.sessions.strangers.add(context.address(), &self.activity);
        }
        self.weigh();
        Ok((feed, sequence))
    }
}

impl SessionActor {
    /// Welcomes a socket and sends the first feed. All sockets get that feed: they share one tail.
    pub(super) fn greet(&mut self, socket: SocketId, hello: &Hello) {
        let feed = self.params().feed;
        self.settings.n = hello.n.or(self.settings.n);
        self.settings.low_water = hello.low_water.or(self.settings.low_water);
        for (wish, given) in [
            (&mut self.settings.region, &hello.region),
            (&mut self.settings.device, &hello.device),
            (&mut self.settings.network, &hello.network),
            (&mut self.settings.scene, &hello.scene),
        ] {
            if given.is_some() {
                wish.clone_from(given);
            }
        }
        let epoch = self.shared.storage.ownership.epoch();
        let session = self.session_id();
        let recovered = hello.resume.as_ref().is_some_and(|resume| {
            resume.session == session && resume.epoch == epoch && resume.seq <= self.state.feed_seq
        });
        if let Some(outbox) = self.sockets.get(socket) {
            outbox.push_message(ServerMessage::Welcome {
                session,
                user_id: self.state.user.as_str().to_owned(),
                epoch,
                seq: self.state.feed_seq,
                recovered,
                ping_ms: self.shared.config.ping_ms,
                server_time: clock::now().0,
                params: SessionParamsDto {
                    n: self.settings.n.unwrap_or(feed.n as usize),
                    low_water: self.settings.low_water.unwrap_or(feed.low_water as usize),
                    params_version: self.shared.params.current().version,
                },
            });
        }
        self.refuses_ask(socket, None);
        self.push(PushWish::because("hello"));
    }

    /// Answers a client that asks for more.
    pub(super) fn take_ask(&mut self, id: Option<MessageId>, ask: &FeedAsk) {
        self.push(PushWish::append(id, ask));
    }

    /// Appends a feed when the client is about to run out of unseen items.
    pub(super) fn top_up(&mut self) {
        if self.sockets.is_empty() {
            return;
        }
        let low_water = self.settings.low_water.unwrap_or(self.params().feed.low_water as usize);
        let unseen = self
            .state
            .served
            .tail()
            .filter(|item| !self.state.exposure.contains(item.hash))
            .count();
        // An append that found nothing is not repeated before something changes.
        if unseen < low_water && !self.settings.is_exhausted {
            self.push(PushWish::append(None, &FeedAsk::default()));
        }
    }

    /// Makes a feed and pushes it to all sockets.
    pub(super) fn push(&mut self, wish: PushWish) {
        if self.sockets.is_empty() || self.sheds_push() {
            return;
        }
        let started = clock::monotonic_ns();
        let by_client = wish
            .exclude
            .iter()
            .filter_map(|id| ItemId::new(id).ok())
            .map(|id| id.hash64());
        let held = self
            .state
            .served
            .tail()
            .filter(|_| wish.mode == FeedMode::Append)
            .map(|item| item.hash);
        let excluded = hashes(by_client.chain(held).collect::<Vec<_>>().into_iter());
        // Cloned, because making a slate borrows the whole session.
        let (device, network) = (self.settings.device.clone(), self.settings.network.clone());
        let scene = self.settings.scene.clone();
        let variant = self.variant();
        let filter = self.test_of(&variant.viewer.params, scene.as_deref(), &ItemFilter::default());
        let variant = self.variant_in(variant, scene.as_deref());
        let situation = Situation {
            region: self.wished_region(),
            device: device.as_deref(),
            network: network.as_deref(),
            filter: filter.as_ref(),
        };
        let n = wish
            .n
            .or(self.settings.n)
            .unwrap_or(variant.viewer.params.feed.n as usize);
        let (slate, snapshot, slots) = self.make_slate(&variant, n, situation, &excluded, false);
        variant.count_exposure();
        self.state.feed_seq += 1;
        self.settings.is_exhausted = slate.items.is_empty();
        let sent = served_items(&slate, &snapshot, &variant);
        let mode = wish.mode;
        let region = self.region_name(self.settings.region.as_deref(), situation.region);
        let feed = FeedPushDto {
            seq: self.state.feed_seq,
            id: wish.id,
            request_id: new_request_id(),
            mode: wish.mode,
            cause: wish.cause,
            items: feed_items(&slate, &snapshot, &self.shared.world.mixers, region.as_deref()),
            variant: variant.label(),
            degraded: slate.degraded.map(|degraded| Cow::Borrowed(degraded.name())),
            took_us: elapsed_us(started),
        };
        let pushed = PushedFeed {
            feed,
            event_received_at: wish.received_at,
            json: OnceLock::new(),
            msgpack: OnceLock::new(),
        };
        let pushed = Arc::new(pushed);
        self.sockets.push_feed(&pushed);
        // After the push: the viewer does not wait for it.
        let request_id = &pushed.feed.request_id;
        self.log_served(slots, request_id, self.state.journal_sequence, situation, &variant);
        self.note_sent(mode, sent, &variant);
    }

    fn make_slate(
        &mut self,
        variant: &ServedVariant,
        n: usize,
        situation: Situation<'_>,
        excluded: &[u64],
        explain: bool,
    ) -> (Slate, Arc<CatalogueSnapshot>, Option<Vec<ServedSlot>>) {
        // Candidates that were recalled under a variant are none of another's.
        if self.pool_tag != variant.tag {
            self.pool = Default::default();
            self.queue = Default::default();
            self.pool_tag = variant.tag;
        }
        let query = self.query(&variant.viewer.params, n, situation, excluded, explain);
        // What was recalled for a filter is of no use without it, and the other way round.
        let mut own_pool = situation.filter.map(|_| Pool::default());
        if let Some(made) = self.slate_of_level(&query) {
            return made;
        }
        let stamp = self.stamp(&query);
        let world = &self.shared.world;
        self.activity
            .holds_pool
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let made = Self::with_scratch(|scratch| {
            let pool = own_pool.as_mut().unwrap_or(&mut self.pool);
            let slate = run(world, &self.state, pool, &query, scratch);
            let snapshot = Arc::clone(&world.catalogue.load());
            let slots = slots_to_log(&self.shared, &self.state.user, &slate, &snapshot, scratch);
            let rows = rows_served(&self.state, &query, &slate, &snapshot, scratch);
            if situation.filter.is_none() {
                keep_ranking(&mut self.queue, &slate, &snapshot, &query, stamp, scratch);
            }
            ((slate, snapshot, slots), rows)
        });
        let (made, rows) = made;
        self.await_outcomes(rows);
        PipelineMetrics::record(&made.0, &self.shared.world.mixers);
        made
    }

    pub(super) fn query<'a>(
        &self,
        params: &'a Params,
        n: usize,
        situation: Situation<'a>,
        excluded: &'a [u64],
        explain: bool,
    ) -> Query<'a> {
        // The seed moves with everything the viewer does, and is the same when the same state is asked again.
        let seed = self
            .state
            .user
            .hash64()
            .wrapping_add(self.state.shown.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_add(self.state.signals().rotate_left(32));
        Query {
            n,
            now: clock::now(),
            seed,
            region: situation.region,
            context: RequestContext {
                device: situation.device,
                network: situation.network,
            },
            excluded,
            limits: self.limits_of(situation),
            params,
            explain,
            effort: Effort::at(self.level()),
            clock: &clock::monotonic_ns,
        }
    }

    pub(super) fn region_of(&self, asked: Option<&str>) -> Option<Word> {
        match asked {
            Some(region) => self.shared.world.catalogue.words().regions.get(region),
            None => self.state.region,
        }
    }

    /// Where the client says the viewer is; looked up anew, because a region may have got its number since.
    fn wished_region(&self) -> Option<Word> {
        let regions = &self.shared.world.catalogue.words().regions;
        let wished = self.settings.region.as_deref().and_then(|region| regions.get(region));
        wished.or(self.state.region)
    }

    /// Names the session: the same for all sockets of a user, on every start of the server.
    fn session_id(&self) -> String {
        format!("{:016x}", self.state.user.hash64())
    }
}

/// Sorted, for the membership test.
pub(super) fn hashes(hashes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    hashes
}

fn unknown_feed(after: &str) -> EngineError {
    let detail = format!("{after:?} is no feed that this user was sent lately; ask without `after`");
    EngineError::Invalid(FieldError::new("after", "unknown_feed", detail))
}

fn variant_error(error: &WishError) -> EngineError {
    EngineError::Invalid(FieldError::new("variant", "variant_refused", error.to_string()))
}

/// Unique and in the order of time, which a thread keeps for its own ids without a lock that all share.
pub(super) fn new_request_id() -> String {
    REQUEST_IDS.with(|context| Uuid::new_v7(Timestamp::now(context)).simple().to_string())
}

pub(super) fn elapsed_us(started_ns: u64) -> u64 {
    (clock::monotonic_ns() - started_ns) / 1_000
}
