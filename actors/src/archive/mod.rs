//! The archive's service: one thread that takes accepted events from the journal and served slates from memory into the
//! warm tier, makes cold files of what is old enough, forgets deleted users, and deletes what is beyond its time.
//!
//! Owns the order of all that. Nothing of it is on the way of a swipe: events come out of the journal, behind a durable
//! cursor, so that the archive holds exactly the accepted ones whatever dies when; and the journal is not trimmed beyond
//! that cursor ([`ArchiveService::trim_bound`]).

mod export;
mod flush;
mod forget;
mod roll;
mod slates;
mod status;
mod tables;

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use swipeline_models::ids::UserId;
use swipeline_storage::{Archive, ArchiveError, Seq, give_way};

pub use export::TimeRange;
pub use status::{ArchiveStatus, TierStatus};
pub use tables::archive_table;

pub(crate) use export::for_each_archived;
pub(crate) use slates::{WaitingSlate, WaitingSlates};
pub(crate) use status::status;

use crate::api::EngineError;
use crate::clock;
use crate::shared::{Shared, SharedRef};

/// Wishes that may wait for the thread.
const COMMANDS_MAX: usize = 64;
/// How often it is looked for files that are beyond their time.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// After a failure the thread waits at least so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// After forgetting, the thread rests so many times as long from it: a tenth of its time goes into that at most, unless the
/// time within which users have to be forgotten asks for more.
const FORGET_REST_FACTOR: u32 = 9;

enum Command {
    /// Everything that is there becomes files, now.
    Roll(SyncSender<Result<(), String>>),
    /// Look again.
    Wake,
}

/// The way to the archive; does nothing for an engine in memory.
pub(crate) struct ArchiveService {
    store: Option<Arc<Archive>>,
    slates: Arc<WaitingSlates>,
    /// Held by whoever moves entries between tiers or reads all of them.
    tiers: Mutex<()>,
    commands: Mutex<Option<SyncSender<Command>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    last_error: Mutex<Option<String>>,
    /// The name of the newest batch of slates.
    slates_batch: AtomicU64,
}

impl ArchiveService {
    /// The service of a storage; [`ArchiveService::start`] starts its thread.
    pub(crate) fn new(store: Option<Arc<Archive>>) -> Self {
        Self {
            store,
            slates: Arc::default(),
            tiers: Mutex::new(()),
            commands: Mutex::new(None),
            thread: Mutex::new(None),
            last_error: Mutex::new(None),
            slates_batch: AtomicU64::new(0),
        }
    }

    /// Where slates wait for the archive; `None` when there is none.
    pub(crate) fn slates(&self) -> Option<Arc<WaitingSlates>> {
        self.store.as_ref().map(|_| Arc::clone(&self.slates))
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.store.is_some()
    }

    /// Starts the thread. It ends with [`ArchiveService::close`] or with the last handle of the engine.
    pub(crate) fn start(shared: &SharedRef) -> std::io::Result<()> {
        let service = &shared.archive;
        if service.store.is_none() {
            return Ok(());
        }
        let (sender, receiver) = sync_channel(COMMANDS_MAX);
        let weak = Arc::downgrade(shared);
        let thread = std::thread::Builder::new().name("archive".to_owned());
        *service.thread.lock() = Some(thread.spawn(move || {
            give_way();
            run(&weak, &receiver);
        })?);
        *service.commands.lock() = Some(sender);
        Ok(())
    }

    /// Whether what this viewer is served goes into the archive.
    pub(crate) fn takes_slates_of(&self, shared: &Shared, user: &UserId) -> bool {
        let params = shared.world.params.load();
        let percent = u64::from(params.archive.slates_percent);
        self.store.is_some() && params.archive.enabled && user.hash64() % 100 < percent
    }

    /// The journal may be trimmed up to here and no further, however old it is.
    pub(crate) fn trim_bound(&self, shared: &Shared) -> Option<Seq> {
        let is_enabled = shared.world.params.load().archive.enabled;
        self.store
            .as_ref()
            .filter(|_| is_enabled)
            .map(|store| store.warm.cursor())
    }

    /// Makes files of everything that has happened up to now. Blocks.
    ///
    /// # Errors
    /// `Conflict` when there is no archive, `Unavailable` with what went wrong.
    pub(crate) fn roll_now(&self, shared: &Shared) -> Result<(), EngineError> {
        let is_enabled = shared.world.params.load().archive.enabled;
        let sender = self.commands.lock().clone().filter(|_| is_enabled);
        let sender =
            sender.ok_or_else(|| EngineError::Conflict("there is no archive, or it is switched off".to_owned()))?;
        shared.served.settle();
        let gone = || EngineError::Unavailable("the archive has ended".to_owned());
        let (done, answer) = sync_channel(1);
        sender.send(Command::Roll(done)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?.map_err(EngineError::Unavailable)
    }

    /// Ends the thread and writes the slates down that wait. The served log is closed before. Blocks; calling it twice is
    /// harmless.
    pub(crate) fn close(&self, shared: &Shared) {
        drop(self.commands.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the archive's thread panicked");
        }
        if let Some(store) = &self.store
            && let Err(error) = flush::flush_slates(shared, store)
        {
            tracing::error!(%error, "the last slates could not be archived");
        }
    }

    /// Runs `work` while nothing moves between the tiers.
    pub(crate) fn keep_still<T>(&self, work: impl FnOnce() -> T) -> T {
        let _still = self.tiers.lock();
        work()
    }

    /// Lets the thread look again: something waits for it, or its params have changed.
    pub(crate) fn wake(&self) {
        if let Some(commands) = &*self.commands.lock() {
            // A full queue wakes the thread as well.
            let _ = commands.try_send(Command::Wake);
        }
    }
}

/// What the thread remembers between two rounds.
struct Thread {
    retained_at: Option<Instant>,
    failed: bool,
    /// Before that nobody is forgotten: rewriting the store takes its time, so those who come meanwhile go together.
    forget_after: Option<Instant>,
}

fn run(shared: &Weak<Shared>, commands: &Receiver<Command>) {
    let mut thread = Thread {
        retained_at: None,
        failed: false,
        forget_after: None,
    };
    let mut wait = Duration::ZERO;
    loop {
        let command = match commands.recv_timeout(wait) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        wait = thread.round(&shared, command);
    }
}

impl Thread {
    /// Does what is to be done; returns when to come again.
    fn round(&mut self, shared: &SharedRef, command: Option<Command>) -> Duration {
        let Some(store) = shared.archive.store.clone() else {
            return RETRY_AFTER;
        };
        let flush_after = shared.world.params.load().archive.flush_ms;
        let flush_after = Duration::from_millis(u64::try_from(flush_after).unwrap_or(0));
        let outcome = match command {
            Some(Command::Roll(done)) => {
                let rolled = self.forget(shared, &store).and_then(|()| {
                    flush::flush(shared, &store)?;
                    roll::roll_everything(shared, &store)
                });
                let said = rolled.as_ref().copied().map_err(ToString::to_string);
                // Whoever asked may have been cut off.
                let _ = done.send(said);
                rolled.map(|()| false)
            }
            Some(Command::Wake) | None => self.work(shared, &store),
        };
        let has_more = *outcome.as_ref().unwrap_or(&false);
        self.report(shared, outcome.map(|_| ()));
        match (self.failed, has_more) {
            (true, _) => flush_after.max(RETRY_AFTER),
            (false, true) => Duration::ZERO,
            (false, false) => flush_after,
        }
    }

    /// Returns whether there is more to do at once.
    fn work(&mut self, shared: &SharedRef, store: &Archive) -> Result<bool, ArchiveError> {
        self.forget(shared, store)?;
        if shared.world.params.load().archive.enabled {
            flush::flush(shared, store)?;
        }
        let has_more = roll::roll_what_is_due(shared, store)?;
        let is_due = self.retained_at.is_none_or(|at| at.elapsed() >= RETENTION_INTERVAL);
        if is_due {
            roll::retain(shared, store)?;
            self.retained_at = Some(Instant::now());
        }
        Ok(has_more)
    }

    fn forget(&mut self, shared: &SharedRef, store: &Archive) -> Result<(), ArchiveError> {
        if self.forget_after.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let began = Instant::now();
        if forget::forget_all(shared, store)? {
            let bound_ms = u64::try_from(shared.world.params.load().archive.forget_ms_max).unwrap_or(0);
            let rest = began.elapsed() * FORGET_REST_FACTOR;
            self.forget_after = Some(Instant::now() + rest.min(Duration::from_millis(bound_ms / 4)));
        }
        Ok(())
    }

    fn report(&mut self, shared: &Shared, outcome: Result<(), ArchiveError>) {
        match &outcome {
            Err(error) if !self.failed => {
                tracing::error!(%error, "the archive cannot be written; the journal keeps everything until it can");
            }
            Ok(()) if self.failed => tracing::info!("the archive is written again"),
            Ok(()) | Err(_) => {}
        }
        if outcome.is_err() {
            metrics::counter!("swipeline_archive_failures_total").increment(1);
        }
        self.failed = outcome.is_err();
        *shared.archive.last_error.lock() = outcome.err().map(|error| error.to_string());
        status::publish(shared);
    }
}

/// Now, in milliseconds since 1970.
fn now_ms() -> i64 {
    clock::now().0
}

#[cfg(test)]
mod tests;
