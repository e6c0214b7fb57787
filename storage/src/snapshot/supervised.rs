//! A snapshot store that its callers do not depend on: one thread of the process changes the store below and one reads it
//! for those who wait, every call has a deadline, and a store that stalls or fails is replaced while the server goes on.
//!
//! Owns: what counts as stalled and as failed, what callers hear meanwhile, and that nothing is answered by a store that
//! was given up. Must not know what is below beyond [`StoreMaker`].
//!
//! | what happens | what is done |
//! |---|---|
//! | a call takes longer than [`SupervisorOptions::stall_after`] | everybody who waits for it is let go; a copy of what is durable is opened beside it; whichever is there first serves: the copy, or the old one that came back by itself |
//! | a call fails in the store | it goes on being read; once its place can be written again it is closed and opened anew |
//! | it does not close | it is left behind, with its thread, and a copy is opened beside it |
//!
//! Everything that was answered with `Ok` is durable below (see [`StoreMaker`]), so a replacement holds it. What was not is
//! the caller's to bring again, and because a caller may not know any more what that was, [`SnapshotStore::generation`]
//! grows: whoever writes only what has changed then writes everything again.

mod heal;
mod rewrite;
mod worker;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{EntryVisitor, SnapshotError, SnapshotOp, SnapshotStore, StoreHealth, Tree, VisitReport};
use worker::{Class, Job, Verdict, Worker};

/// A call is handed down in pieces of at most so many changes, so that whoever reads never waits for a long one.
const PIECE_OPS_MAX: usize = 512;
/// And of about so many bytes.
const PIECE_BYTES_MAX: usize = 512 * 1024;
/// A walk takes so many entries at a time.
const WALK_ENTRIES_MAX: usize = 512;
const WALK_BYTES_MAX: usize = 1024 * 1024;
/// How often a caller looks whether what it waits for was given up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A store beside the one in use, that does not count yet.
pub struct Beside {
    /// It.
    pub store: Arc<dyn SnapshotStore>,
    /// How its maker knows it.
    pub place: u64,
}

/// Makes the stores that a [`SupervisedStore`] stands before. What such a store has returned `Ok` for from
/// [`SnapshotStore::apply`] must be in every store that is made after it.
pub trait StoreMaker: Send + Sync + 'static {
    /// Whether the place of the store can be written: something small, to the disk. May take as long as the disk takes.
    ///
    /// # Errors
    /// What the system said.
    fn probe(&self) -> std::io::Result<()>;

    /// Opens the store that counts, which was closed.
    ///
    /// # Errors
    /// When it cannot be used; it is tried again.
    fn reopen(&self) -> Result<Arc<dyn SnapshotStore>, SnapshotError>;

    /// Opens a copy of everything that is durable in the store that counts, which may still be open.
    ///
    /// # Errors
    /// When it cannot be copied as a whole; it is tried again.
    fn open_beside(&self) -> Result<Beside, SnapshotError>;

    /// Opens an empty store.
    ///
    /// # Errors
    /// When it cannot be made.
    fn open_empty(&self) -> Result<Beside, SnapshotError>;

    /// From now on this one counts, also at the next start. With `erase`, the bytes of the one before leave the disk;
    /// otherwise it may be kept for a while.
    ///
    /// # Errors
    /// When that cannot be noted durably; the one before counts then.
    fn adopt(&self, place: u64, erase: bool) -> Result<(), SnapshotError>;

    /// This one is not needed.
    fn discard(&self, place: u64);
}

/// The limits of a [`SupervisedStore`].
#[derive(Clone, Copy, Debug)]
pub struct SupervisorOptions {
    /// A piece of a call that takes longer has stalled.
    pub stall_after: Duration,
    /// How long somebody who reads waits for a store that is being replaced.
    pub read_within: Duration,
    /// How long closing may take before the store is left behind.
    pub close_within: Duration,
    /// The time between two tries to replace it; it doubles up to eight times as much.
    pub retry_after: Duration,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            stall_after: Duration::from_secs(4),
            read_within: Duration::from_secs(10),
            close_within: Duration::from_secs(2),
            retry_after: Duration::from_millis(500),
        }
    }
}

/// How the store below is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Stalled(Instant),
    Failed(Instant, String),
}

struct State {
    /// Who has the store; `None` while it is being replaced.
    worker: Option<Arc<Worker>>,
    health: Health,
    /// Grows whenever a try to replace the store that began before would come too late.
    episode: u64,
    generation: u64,
    /// The store that counts may still be open in a thread that was left behind: only a copy of it can be opened.
    is_left_open: bool,
    is_closing: bool,
    stalls: u64,
    failures: u64,
    replaced: u64,
    left_behind: u64,
}

impl State {
    fn has(&self, worker: &Arc<Worker>) -> bool {
        self.worker.as_ref().is_some_and(|current| Arc::ptr_eq(current, worker))
    }

    /// From now on nothing that a worker says counts. It ends when it can.
    fn give_up_worker(&mut self) -> Option<Arc<Worker>> {
        let worker = self.worker.take();
        if let Some(worker) = &worker {
            worker.close();
        }
        worker
    }
}

struct Inner {
    maker: Arc<dyn StoreMaker>,
    options: SupervisorOptions,
    state: Mutex<State>,
    /// The health or the worker has changed.
    changed: Condvar,
    /// What is being written beside the store by [`rewrite`]: gets every change too.
    mirror: Mutex<Option<Arc<dyn SnapshotStore>>>,
    /// One rewriting at a time.
    rewriting: Mutex<()>,
    /// No rewriting any more.
    is_ending: AtomicBool,
}

/// See the [module](self).
pub struct SupervisedStore {
    inner: Arc<Inner>,
}

impl SupervisedStore {
    /// Stands before an open store.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(
        store: Arc<dyn SnapshotStore>,
        maker: Arc<dyn StoreMaker>,
        options: SupervisorOptions,
    ) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            maker,
            options,
            state: Mutex::new(State {
                worker: None,
                health: Health::Well,
                episode: 0,
                generation: 0,
                is_left_open: false,
                is_closing: false,
                stalls: 0,
                failures: 0,
                replaced: 0,
                left_behind: 0,
            }),
            changed: Condvar::new(),
            mirror: Mutex::new(None),
            rewriting: Mutex::new(()),
            is_ending: AtomicBool::new(false),
        });
        let worker = inner.employ(store)?;
        inner.state.lock().worker = Some(worker);
        heal::watch(&inner)?;
        Ok(Self { inner })
    }

    fn call<T: Send + 'static>(
        &self,
        class: Class,
        work: impl Fn(&Arc<dyn SnapshotStore>) -> Result<T, SnapshotError> + Send + Sync + 'static,
    ) -> Result<T, SnapshotError> {
        self.inner.call(class, work)
    }

    fn write(&self, ops: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        let inner = Arc::downgrade(&self.inner);
        self.call(Class::Write, move |store| {
            store.apply(ops.clone())?;
            if let Some(inner) = inner.upgrade() {
                inner.mirror_change(|mirror| mirror.apply(ops.clone()));
            }
            Ok(())
        })
    }
}

impl Inner {
    /// Gives a store a thread of its own.
    fn employ(self: &Arc<Self>, store: Arc<dyn SnapshotStore>) -> std::io::Result<Arc<Worker>> {
        let inner = Arc::downgrade(self);
        Worker::start(store, move |worker, verdict| match inner.upgrade() {
            Some(inner) => inner.judge(worker, verdict),
            None => (verdict.tell)(),
        })
    }

    /// Hears of a job that has ended, before its caller does.
    fn judge(&self, worker: &Arc<Worker>, verdict: Verdict) {
        let mut state = self.state.lock();
        if !state.has(worker) {
            // It was given up: what it says now may not be in the store that took its place.
            return;
        }
        match (verdict.failure, &state.health) {
            (Some(reason), Health::Well | Health::Stalled(_)) => {
                tracing::error!(
                    reason,
                    "the snapshot store has failed; it is opened anew, and the journal keeps everything"
                );
                state.health = Health::Failed(Instant::now(), reason);
                state.failures += 1;
                state.episode += 1;
            }
            // What another thread still waits for is not over yet.
            (None, Health::Stalled(since)) if worker.busy_for() < self.options.stall_after => {
                let stalled_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(stalled_ms, "the snapshot store goes on by itself");
                state.health = Health::Well;
                state.episode += 1;
                // Whoever was let go does not know what became of its call.
                state.generation += 1;
            }
            (Some(_) | None, _) => {}
        }
        drop(state);
        self.changed.notify_all();
        (verdict.tell)();
    }

    fn call<T: Send + 'static>(
        &self,
        class: Class,
        work: impl Fn(&Arc<dyn SnapshotStore>) -> Result<T, SnapshotError> + Send + Sync + 'static,
    ) -> Result<T, SnapshotError> {
        let work = Arc::new(work);
        let deadline = Instant::now() + self.options.read_within;
        loop {
            let worker = self.worker_for(class, deadline)?;
            let (sender, receiver) = sync_channel(1);
            let inside = Arc::clone(&work);
            let job: Job = Box::new(move |store| {
                let result = caught(|| inside(store));
                Verdict {
                    failure: result.as_ref().err().and_then(failure_of),
                    // Whoever waited may have been let go.
                    tell: Box::new(move || drop(sender.send(result))),
                }
            });
            if !worker.put(class, job) {
                self.pause(class, deadline)?;
                continue;
            }
            let answer = loop {
                match receiver.recv_timeout(LOOK_EVERY) {
                    Ok(answer) => break Some(answer),
                    Err(RecvTimeoutError::Disconnected) => break None,
                    Err(RecvTimeoutError::Timeout) => {
                        let state = self.state.lock();
                        let is_let_go = !state.has(&worker) || (class != Class::Read && state.health != Health::Well);
                        drop(state);
                        if is_let_go || (class == Class::Read && Instant::now() >= deadline) {
                            break None;
                        }
                    }
                }
            };
            match answer {
                Some(Err(error)) if class == Class::Read && failure_of(&error).is_some() => {
                    if Instant::now() >= deadline {
                        return Err(error);
                    }
                    self.pause(class, deadline)?;
                }
                Some(answer) => return answer,
                None => self.pause(class, deadline)?,
            }
        }
    }

    /// Who may do a job of this class now. Readers wait until there is somebody.
    fn worker_for(&self, class: Class, deadline: Instant) -> Result<Arc<Worker>, SnapshotError> {
        let mut state = self.state.lock();
        loop {
            let is_usable = match (&state.health, class) {
                // Reading may well work on; who it does not answer hears of the store that takes its place.
                (Health::Well, _) | (Health::Failed(..) | Health::Stalled(_), Class::Read) => true,
                (Health::Failed(..) | Health::Stalled(_), Class::Write | Class::Idle) => false,
            };
            if let Some(worker) = state.worker.as_ref().filter(|_| is_usable) {
                return Ok(Arc::clone(worker));
            }
            let is_over = state.is_closing || class != Class::Read;
            if is_over || self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(self.unavailable(&state));
            }
        }
    }

    /// Lets somebody who reads come again a little later, and everybody else hear that it did not work.
    fn pause(&self, class: Class, deadline: Instant) -> Result<(), SnapshotError> {
        if class != Class::Read || Instant::now() >= deadline {
            return Err(self.unavailable(&self.state.lock()));
        }
        std::thread::sleep(LOOK_EVERY);
        Ok(())
    }

    fn unavailable(&self, state: &State) -> SnapshotError {
        let what = match &state.health {
            _ if state.is_closing => "it is closed".to_owned(),
            Health::Well => "the call was given up; try again".to_owned(),
            Health::Stalled(since) => format!("it has been standing still for {} s", since.elapsed().as_secs()),
            Health::Failed(_, reason) => format!("it has failed and is opened anew: {reason}"),
        };
        SnapshotError::Unavailable(what)
    }

    /// Lets what is being written beside the store have a change too. On the thread that has the store.
    fn mirror_change(&self, change: impl FnOnce(&dyn SnapshotStore) -> Result<(), SnapshotError>) {
        let mirror = self.mirror.lock().clone();
        if let Some(store) = mirror
            && let Err(error) = change(&*store)
        {
            tracing::warn!(%error, "rewriting the snapshot store is broken off");
            let handles = [self.mirror.lock().take(), Some(store)];
            rewrite::close_aside(move || drop(handles));
        }
    }
}

/// A panic below is a failure of the store.
fn caught<T>(work: impl FnOnce() -> Result<T, SnapshotError>) -> Result<T, SnapshotError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(SnapshotError::Backend("a panic in the snapshot store".to_owned())))
}

/// Why the store is not to be trusted any more, if the error is about it and not about one value.
fn failure_of(error: &SnapshotError) -> Option<String> {
    match error {
        SnapshotError::Backend(_) | SnapshotError::Io { .. } => Some(error.to_string()),
        SnapshotError::Damaged { .. }
        | SnapshotError::NewerVersion { .. }
        | SnapshotError::TooLarge { .. }
        | SnapshotError::Unreadable { .. }
        | SnapshotError::Unavailable(_) => None,
    }
}

/// A stretch of a walk.
#[derive(Default)]
struct Stretch {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    damaged: Vec<Vec<u8>>,
    damaged_total: u64,
    is_last: bool,
}

impl Stretch {
    fn read(store: &dyn SnapshotStore, tree: Tree, from: &[u8]) -> Result<Self, SnapshotError> {
        let mut stretch = Stretch {
            is_last: true,
            ..Stretch::default()
        };
        let mut bytes = 0;
        let report = store.for_each_from(tree, from, &mut |key, value| {
            bytes += key.len() + value.len();
            stretch.entries.push((key.to_vec(), value.to_vec()));
            if stretch.entries.len() >= WALK_ENTRIES_MAX || bytes >= WALK_BYTES_MAX {
                stretch.is_last = false;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        stretch.damaged = report.damaged;
        stretch.damaged_total = report.damaged_total;
        Ok(stretch)
    }

    /// Where the next one begins.
    fn next(&self) -> Option<Vec<u8>> {
        let (last, _) = self.entries.last().filter(|_| !self.is_last)?;
        // The smallest key behind it.
        Some([last.as_slice(), &[0]].concat())
    }
}

impl SnapshotStore for SupervisedStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, SnapshotError> {
        if let Some(found) = self.try_get(tree, key)
            && found.as_ref().err().and_then(failure_of).is_none()
        {
            return found;
        }
        let key = key.to_vec();
        self.call(Class::Read, move |store| store.get(tree, &key))
    }

    fn try_get(&self, tree: Tree, key: &[u8]) -> Option<Result<Option<Vec<u8>>, SnapshotError>> {
        // Held by others for a moment only, and never while anything is waited for.
        let state = self.inner.state.lock();
        if state.health != Health::Well {
            return None;
        }
        let store = state.worker.as_ref()?.at_rest()?;
        drop(state);
        let read = store.try_get(tree, key);
        if Arc::strong_count(&store) == 1 {
            // It was replaced meanwhile, and this is the last handle.
            rewrite::close_aside(move || drop(store));
        }
        read
    }

    fn apply(&self, batch: Vec<SnapshotOp>) -> Result<(), SnapshotError> {
        batch.iter().try_for_each(SnapshotOp::check)?;
        let (mut piece, mut bytes) = (Vec::new(), 0);
        for op in batch {
            if piece.len() >= PIECE_OPS_MAX || bytes >= PIECE_BYTES_MAX {
                self.write(std::mem::take(&mut piece))?;
                bytes = 0;
            }
            bytes += op.bytes();
            piece.push(op);
        }
        if piece.is_empty() { Ok(()) } else { self.write(piece) }
    }

    fn flush(&self) -> Result<(), SnapshotError> {
        self.call(Class::Write, |store| store.flush())
    }

    fn for_each_from(
        &self,
        tree: Tree,
        from: &[u8],
        visit: &mut EntryVisitor<'_>,
    ) -> Result<VisitReport, SnapshotError> {
        let mut report = VisitReport::default();
        let mut next = Some(from.to_vec());
        while let Some(from) = next {
            let stretch = self.call(Class::Read, move |store| Stretch::read(&**store, tree, &from))?;
            report.damaged_total += stretch.damaged_total.saturating_sub(stretch.damaged.len() as u64);
            stretch.damaged.iter().for_each(|key| report.damage(key));
            for (key, value) in &stretch.entries {
                report.visited += 1;
                if visit(key, value).is_break() {
                    return Ok(report);
                }
            }
            next = stretch.next();
        }
        Ok(report)
    }

    fn len(&self, tree: Tree) -> Result<u64, SnapshotError> {
        self.call(Class::Read, move |store| store.len(tree))
    }

    fn clear(&self, tree: Tree) -> Result<(), SnapshotError> {
        let inner = Arc::downgrade(&self.inner);
        self.call(Class::Write, move |store| {
            store.clear(tree)?;
            if let Some(inner) = inner.upgrade() {
                inner.mirror_change(|mirror| mirror.clear(tree));
            }
            Ok(())
        })
    }

    fn size_on_disk(&self) -> Result<u64, SnapshotError> {
        self.call(Class::Read, |store| store.size_on_disk())
    }

    fn compact(&self) -> Result<u64, SnapshotError> {
        rewrite::rewrite(&self.inner)
    }

    fn stop_compacting(&self) {
        self.inner.is_ending.store(true, Ordering::Release);
    }

    fn generation(&self) -> u64 {
        self.inner.state.lock().generation
    }

    fn health(&self) -> StoreHealth {
        let state = self.inner.state.lock();
        let trouble = match &state.health {
            Health::Well => None,
            Health::Stalled(_) | Health::Failed(..) => {
                Some(format!("the snapshot store: {}", self.inner.unavailable(&state)))
            }
        };
        StoreHealth {
            trouble,
            stalls: state.stalls,
            failures: state.failures,
            replaced: state.replaced,
            left_behind: state.left_behind,
        }
    }
}

impl Drop for SupervisedStore {
    /// Waits for the store to close, but not for ever: it is left behind then, as a crash would leave it.
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        state.is_closing = true;
        state.episode += 1;
        let worker = state.give_up_worker();
        drop(state);
        self.inner.changed.notify_all();
        if let Some(worker) = worker
            && !worker.has_ended_within(self.inner.options.close_within)
        {
            tracing::error!(
                "the snapshot store does not close; it is left as it is, and the journal holds what it misses"
            );
        }
    }
}
