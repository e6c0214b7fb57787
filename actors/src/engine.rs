//! The one handle to everything: what `src/` calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::dev::SendError;
use actix::{Addr, Arbiter};
use swipeline_models::catalogue::Change;
use swipeline_models::degradation::Level;
use swipeline_models::event::Event;
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::index::IndexParams;
use swipeline_models::item::Item;
use swipeline_models::popularity::PopularWindow;
use swipeline_models::wire::{
    ClientMessage, FeedDto, FieldError, Hello, ItemDto, MessageId, RankReply, ScoredItemDto, ScoredItemsReply,
};
use swipeline_models::world::World;
use swipeline_storage::{Durability, Storage, StorageOptions, Tree};
use tokio::task::JoinHandle;

use crate::api::*;
use crate::archive::ArchiveService;
use crate::caches::Caches;
use crate::clock;
use crate::effects::Effects;
use crate::items::ItemRouter;
use crate::outbox::SocketOutbox;
use crate::overload::{self, Overload};
use crate::recovery::recover;
use crate::served::ServedLog;
use crate::service::{self, LearnerService, ParamsService};
use crate::session::{
    Attach, Deliver, Describe, Detach, Drain, EventSource, GetProfile, Ingest, ModelChanged, OneShot, RankItems,
    Registry, SessionRows, SocketId, run_session_writer,
};
use crate::shared::{READERS_MAX, Shared, SharedRef, journal_error};

mod backups;
mod browse;
mod channels;
#[cfg(test)]
mod crash_sim;
mod export;
mod items;
mod learner;
mod lists;
mod load;
#[cfg(test)]
mod memory_tests;
mod model;
mod open;
#[cfg(test)]
mod overload_tests;
mod params;
#[cfg(test)]
mod rest_tests;
mod socket;
mod stats;
#[cfg(test)]
mod store_tests;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
mod users;

pub use backups::BackupInfo;
pub use browse::NameKind;
pub use socket::SocketHandle;
pub use tail::{Tail, TailedEvent};

use open::{open, open_storage};

/// How often idle sessions are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait for sessions that were put to sleep early before more are.
const RELIEF_PAUSE: Duration = Duration::from_millis(20);
/// How many users of one call are asked at a time.
const USERS_AT_A_TIME: usize = 64;

/// The engine: cheap to clone, safe to share. Must be started inside an actix system.
#[derive(Clone)]
pub struct Engine {
    shared: SharedRef,
    tasks: Arc<parking_lot::Mutex<Vec<JoinHandle<()>>>>,
    arbiters: Arc<parking_lot::Mutex<Vec<Arbiter>>>,
}

impl Engine {
    /// Opens the data dir, recovers, warms up. Must be called inside an actix system.
    ///
    /// # Errors
    /// `DataDir` when the data dir cannot be used, `ModelRefused` when the configured model cannot.
    pub async fn start(config: EngineConfig) -> Result<Engine, EngineError> {
        Self::start_with(config, open_storage).await
    }

    /// The same on a storage that `open_storage` opens.
    async fn start_with(
        config: EngineConfig,
        open_storage: impl FnOnce(&EngineConfig) -> Result<Storage, EngineError> + Send + 'static,
    ) -> Result<Engine, EngineError> {
        let arbiters: Vec<Arbiter> = (0..config.arbiters.max(1)).map(|_| Arbiter::new()).collect();
        let handles = arbiters.iter().map(Arbiter::handle).collect();
        // On a thread of its own: those that it starts take their priority from it, and the journal's must have the whole.
        let (done, opened) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("open".to_owned());
        let failed = |error: &dyn std::fmt::Display| EngineError::DataDir(format!("the start failed: {error}"));
        thread
            .spawn(move || done.send(open_storage(&config).and_then(|storage| open(config, storage, handles))))
            .map_err(|error| failed(&error))?;
        let shared = opened.await.map_err(|error| failed(&error))??;
        let engine = Engine {
            shared,
            tasks: Arc::default(),
            arbiters: Arc::new(parking_lot::Mutex::new(arbiters)),
        };
        engine.spawn_services();
        Ok(engine)
    }

    fn spawn_services(&self) {
        let shared = self.shared.clone();
        let sweep = async move {
            while !shared.is_draining() {
                tokio::select! {
                    () = tokio::time::sleep(SWEEP_INTERVAL) => {}
                    () = shared.sessions.budget().pressed() => {
                        shared.sessions.relieve(shared.config.sessions_bytes_max);
                        // What was asked to sleep needs a moment for it.
                        tokio::time::sleep(RELIEF_PAUSE).await;
                        continue;
                    }
                }
                shared.sessions.sweep(shared.config.session_idle_ms);
                let params = shared.world.params.load();
                shared.sessions.rest(params.pool.age_ms_max);
                shared.sessions.forget_old_profiles(params.caches.profile_ms);
            }
        };
        let mut tasks = self.tasks.lock();
        overload::probe_arbiters(&self.shared, &self.shared.arbiters);
        tasks.push(tokio::spawn(overload::run_ladder(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_trends(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_new_items(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_checkpoints(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_graph_builds(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_linear_fits(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_learner(self.shared.clone())));
        tasks.push(tokio::spawn(run_session_writer(self.shared.clone())));
        tasks.push(tokio::spawn(service::run_expiry(self.shared.clone())));
        tasks.push(tokio::spawn(sweep));
    }

    /// [`close`](Self::close), and then the end of the sessions' threads.
    ///
    /// # Errors
    /// When the last state could not be written; the journal holds it then.
    pub async fn shutdown(&self) -> Result<(), EngineError> {
        let closed = self.close().await;
        self.stop_threads();
        closed
    }

    /// Refuses new work, tells the sockets to drain, writes a last checkpoint, closes the journal. What runs
    /// [beside a session](Self::run_beside) goes on. Calling it twice is harmless.
    ///
    /// # Errors
    /// When the last state could not be written; the journal holds it then.
    pub async fn close(&self) -> Result<(), EngineError> {
        if self.shared.draining.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.tasks.lock().drain(..).for_each(|task| task.abort());
        for session in self.shared.sessions.all() {
            // A session that is gone has no sockets either.
            let _ = session.send(Drain).await;
        }
        let inside = self.shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || service::learn_rest(&inside)).await {
            tracing::error!(%error, "the last outcomes were not learned");
        }
        let written = service::checkpoint(&self.shared).await;
        let shared = self.shared.clone();
        let closed = tokio::task::spawn_blocking(move || {
            shared.storage.snapshots.stop_compacting();
            service::dump_graph(&shared);
            shared.served.close();
            shared.archive.close(&shared);
            shared.storage.close()
        });
        let closed = closed.await;
        written?;
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(EngineError::Unavailable(error.to_string())),
            Err(error) => Err(EngineError::Unavailable(error.to_string())),
        }
    }

    /// Ends the threads of the sessions, and whatever still runs on them.
    pub fn stop_threads(&self) {
        self.arbiters.lock().drain(..).for_each(|arbiter| {
            arbiter.stop();
        });
    }

    /// Whether requests may be served.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let failure = self.shared.storage.journal.subscribe().borrow().failure.clone();
        let reason = match failure {
            _ if self.shared.is_draining() => Some("shutting down".to_owned()),
            Some(failure) => Some(format!("the journal cannot be written: {failure}")),
            None => None,
        };
        Readiness {
            ready: reason.is_none(),
            reason,
            degraded: self.shared.storage.troubles(),
        }
    }

    /// The epoch of this start (grows by one at every start on the same data dir).
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.storage.ownership.epoch()
    }

    /// Puts items. Durable and recallable when it returns; one result per item, in order (`Err`: not taken).
    ///
    /// # Errors
    /// `Overloaded` or `JournalFailed`; no item was taken then.
    pub async fn upsert_items(&self, items: Vec<Item>) -> Result<Vec<Result<(), FieldError>>, EngineError> {
        self.check_serving()?;
        let changes = items
            .into_iter()
            .map(|item| Change::Upsert {
                item: Arc::new(item),
                row: None,
            })
            .collect();
        let (results, last) = service::apply_changes(&self.shared, changes)?;
        self.wait_durable(last.0).await?;
        Ok(results.into_iter().map(|result| result.map(|_| ())).collect())
    }

    /// Deletes an item. Returns whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// `Overloaded` or `JournalFailed`.
    pub async fn delete_item(&self, id: &ItemId) -> Result<bool, EngineError> {
        self.check_serving()?;
        let was_there = self.shared.world.catalogue.row(id.as_str()).is_some();
        let (_, last) = service::apply_changes(&self.shared, vec![Change::Delete { id: id.clone() }])?;
        self.wait_durable(last.0).await?;
        Ok(was_there)
    }

    /// An item as its owner described it.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<Arc<Item>> {
        self.shared.world.catalogue.item(id)
    }

    /// Forgets everything about the user, durably; the bytes leave the disk within `archive.forget_ms_max`. Returns whether
    /// there was anything.
    ///
    /// # Errors
    /// `Unavailable` when not everything could be erased; call again.
    pub async fn delete_user(&self, user: &UserId) -> Result<bool, EngineError> {
        service::forget_user(&self.shared, user).await
    }

    /// Takes checked events of any number of users. Returns when the accepted ones are durable.
    ///
    /// # Errors
    /// `Overloaded`, `JournalFailed` or `Unavailable`. Some users' events may have been taken then; with event ids a
    /// retry is harmless.
    pub async fn ingest(&self, events: Vec<Event>) -> Result<IngestReply, EngineError> {
        self.ingest_from(events, EventSource::Live).await
    }

    /// The same for events of which it matters where they come from.
    ///
    /// # Errors
    /// As [`Engine::ingest`].
    pub async fn ingest_from(&self, events: Vec<Event>, source: EventSource) -> Result<IngestReply, EngineError> {
        let _call = self.shared.overload.enter_call();
        let mut by_user: std::collections::HashMap<UserId, Vec<(usize, Event)>> = std::collections::HashMap::new();
        for (index, event) in events.into_iter().enumerate() {
            by_user.entry(event.user.clone()).or_default().push((index, event));
        }
        let by_user: Vec<(UserId, Vec<(usize, Event)>)> = by_user.into_iter().collect();
        let mut reply = IngestReply::default();
        let mut last = 0;
        for batch in by_user.chunks(USERS_AT_A_TIME) {
            let asked = batch.iter().map(|(user, events)| {
                self.shared.sessions.ask(&self.shared, user, || Ingest {
                    events: events.clone(),
                    source,
                })
            });
            for answer in futures_util::future::join_all(asked).await {
                let ingested = answer??;
                reply.accepted += ingested.accepted;
                reply.duplicates += ingested.duplicates;
                reply.rejected.extend(ingested.rejected);
                last = last.max(ingested.sequence);
            }
        }
        reply.rejected.sort_by_key(|rejection| rejection.index);
        self.wait_durable(last).await?;
        Ok(reply)
    }

    /// A one-shot feed. What it shows is durable as shown when it returns, unless the journal cannot be written: then the feed
    /// is served all the same.
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn feed(&self, request: FeedRequest) -> Result<FeedDto, EngineError> {
        self.check_load()?;
        let _call = self.shared.overload.enter_call();
        let user = request.user.clone();
        let asked = self.shared.sessions.ask(&self.shared, &user, || OneShot {
            request: request.clone(),
        });
        let (feed, sequence) = asked.await??;
        match self.wait_durable(sequence).await {
            // A disk that takes nothing keeps nobody from swiping.
            Ok(()) | Err(EngineError::JournalFailed(_)) => Ok(feed),
            Err(error) => Err(error),
        }
    }

    /// Scores given items for a user.
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn rank(&self, query: RankQuery) -> Result<RankReply, EngineError> {
        self.check_load()?;
        let _call = self.shared.overload.enter_call();
        let user = query.user.clone();
        self.shared
            .sessions
            .ask(&self.shared, &user, || RankItems { query: query.clone() })
            .await?
    }

    /// A queue for a new socket.
    #[must_use]
    pub fn outbox(&self) -> Arc<SocketOutbox> {
        SocketOutbox::new(self.shared.storage.journal.subscribe())
    }

    /// Attaches a socket to the user's session: `welcome` and the first feed are put into `outbox`. A later `hello` on
    /// the same socket is sent through [`SocketHandle::send`].
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn connect(
        &self,
        user: &UserId,
        hello: Hello,
        outbox: Arc<SocketOutbox>,
    ) -> Result<SocketHandle, EngineError> {
        let attach = || Attach {
            hello: hello.clone(),
            outbox: outbox.clone(),
        };
        let socket = self.shared.sessions.ask(&self.shared, user, attach).await??;
        let (addr, activity) = self.shared.sessions.get(&self.shared, user)?;
        Ok(SocketHandle { addr, activity, socket })
    }

    /// Writes a checkpoint now.
    ///
    /// # Errors
    /// `Unavailable` when something could not be written; the journal keeps everything then.
    pub async fn checkpoint(&self) -> Result<Checkpoint, EngineError> {
        service::checkpoint(&self.shared).await
    }

    /// Writes a backup of the running engine to a folder that must not exist yet.
    ///
    /// # Errors
    /// `Unavailable` with what went wrong.
    pub async fn backup(&self, out: std::path::PathBuf) -> Result<(), EngineError> {
        service::checkpoint(&self.shared).await?;
        let _no_checkpoint = self.shared.checkpoint.lock().await;
        let shared = self.shared.clone();
        let made = tokio::task::spawn_blocking(move || {
            let create = || swipeline_storage::backup::create(&shared.storage, &out, clock::now().0).map(|_| ());
            shared.archive.keep_still(create)
        });
        let made = made
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))?;
        made.map_err(|error| EngineError::Unavailable(error.to_string()))
    }

    /// Sets gauges (sessions, sockets, item actors, messages in flight, journal lag, catalogue) in the metrics
    /// registry; called before a scrape.
    pub fn publish_gauges(&self) {
        let shared = &self.shared;
        let (sockets, in_flight) = shared.sessions.sockets_and_in_flight();
        let journal = shared.storage.journal.stats();
        let gauges = [
            ("swipeline_sessions_active", shared.sessions.len() as f64),
            ("swipeline_session_sockets", sockets as f64),
            ("swipeline_mailbox_depth", in_flight as f64),
            ("swipeline_item_actors", shared.items.len() as f64),
            ("swipeline_catalogue_items", shared.world.catalogue.load().len() as f64),
            ("swipeline_journal_lag_records", journal.pending_records as f64),
            ("swipeline_journal_lag_bytes", journal.pending_bytes as f64),
            ("swipeline_journal_disk_bytes", journal.disk_bytes as f64),
            (
                "swipeline_journal_last_commit_seconds",
                journal.last_commit_us as f64 / 1e6,
            ),
            ("swipeline_knn_sessions", shared.world.session_knn.len() as f64),
            (
                "swipeline_viral_items",
                shared.world.trending.load().viral_count() as f64,
            ),
            ("swipeline_similar_users", shared.world.similar_users.len() as f64),
            ("swipeline_linear_items", shared.world.linear.item_count() as f64),
            (
                "swipeline_profile_gain_narrow",
                f64::from(shared.world.profiles.gains()[0]),
            ),
            (
                "swipeline_profile_gain_wide",
                f64::from(shared.world.profiles.gains()[1]),
            ),
            ("swipeline_params_version", shared.params.current().version as f64),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name).set(value);
        }
        self.publish_storage();
        self.publish_breakers();
    }

    fn publish_storage(&self) {
        let troubles = self.shared.storage.troubles();
        metrics::gauge!("swipeline_storage_troubles").set(troubles.len() as f64);
        let health = self.shared.storage.snapshots.health();
        for (name, value) in [
            ("swipeline_store_stalls_total", health.stalls),
            ("swipeline_store_failures_total", health.failures),
            ("swipeline_store_replaced_total", health.replaced),
            ("swipeline_store_left_behind_total", health.left_behind),
        ] {
            metrics::counter!(name).absolute(value);
        }
    }

    fn check_serving(&self) -> Result<(), EngineError> {
        if self.shared.is_draining() {
            return Err(EngineError::Unavailable("shutting down".to_owned()));
        }
        Ok(())
    }

    async fn wait_durable(&self, sequence: u64) -> Result<(), EngineError> {
        let journal = &self.shared.storage.journal;
        if sequence <= journal.committed().0 {
            return Ok(());
        }
        journal
            .wait_committed(swipeline_storage::Seq(sequence))
            .await
            .map_err(|error| journal_error(&error))
    }
}
