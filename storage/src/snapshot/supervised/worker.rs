//! The threads that own a store: one for whatever changes it, one for those who read, so that these wait for no write
//! of somebody else. Every call is a job for one of them. Owns the queues and whether the threads are busy; must not decide
//! what a slow or failed job means.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::super::SnapshotStore;
use crate::priority::give_way;

/// More jobs do not wait: callers are threads that block, so there are never as many.
const JOBS_MAX: usize = 4_096;

/// What a job does with the store; says whether the store is at fault.
pub(super) type Job = Box<dyn FnOnce(&Arc<dyn SnapshotStore>) -> Verdict + Send>;

/// What a job has found out about the store, and how its caller is told. Told by whoever still trusts the thread.
pub(super) struct Verdict {
    /// Why the store is not to be trusted any more.
    pub(super) failure: Option<String>,
    /// Hands the result to whoever waits.
    pub(super) tell: Box<dyn FnOnce() + Send>,
}

/// Which jobs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Somebody waits for the answer.
    Read,
    /// Somebody waits until it is done.
    Write,
    /// Nobody waits: one piece of something long.
    Idle,
}

/// A thread's jobs.
#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    wake: Condvar,
    busy_since: Mutex<Option<Instant>>,
    is_busy: AtomicBool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: VecDeque<Job>,
    is_closed: bool,
}

/// A store and its threads.
pub(super) struct Worker {
    /// `None` once the threads have let go of it.
    store: RwLock<Option<Arc<dyn SnapshotStore>>>,
    reads: Lane,
    writes: Lane,
    running: Mutex<usize>,
    has_ended: Condvar,
}

impl Worker {
    /// Starts the threads; `judge` hears of every job that has ended.
    pub(super) fn start(
        store: Arc<dyn SnapshotStore>,
        judge: impl Fn(&Arc<Worker>, Verdict) + Clone + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let worker = Arc::new(Self {
            store: RwLock::new(Some(store)),
            reads: Lane::default(),
            writes: Lane::default(),
            running: Mutex::new(0),
            has_ended: Condvar::new(),
        });
        for (name, class) in [("store", Class::Write), ("store-read", Class::Read)] {
            let (inside, judge) = (Arc::clone(&worker), judge.clone());
            *worker.running.lock() += 1;
            let thread = std::thread::Builder::new().name(name.to_owned());
            let started = thread.spawn(move || {
                if class != Class::Read {
                    give_way();
                }
                inside.run(class, &judge);
            });
            if let Err(error) = started {
                *worker.running.lock() -= 1;
                worker.close();
                return Err(error);
            }
        }
        Ok(worker)
    }

    fn lane(&self, class: Class) -> &Lane {
        match class {
            Class::Read => &self.reads,
            Class::Write | Class::Idle => &self.writes,
        }
    }

    fn run(self: &Arc<Self>, class: Class, judge: &impl Fn(&Arc<Worker>, Verdict)) {
        let lane = self.lane(class);
        while let Some(job) = lane.next_job() {
            let Some(store) = self.store.read().clone() else { break };
            *lane.busy_since.lock() = Some(Instant::now());
            lane.is_busy.store(true, Ordering::Release);
            let verdict = job(&store);
            *lane.busy_since.lock() = None;
            lane.is_busy.store(false, Ordering::Release);
            drop(store);
            judge(self, verdict);
        }
        let mut running = self.running.lock();
        *running -= 1;
        if *running > 0 {
            return;
        }
        // The last one closes the store. That may wait for the disk, and with sled for ever: nobody waits for it without a
        // limit.
        *running = 1;
        drop(running);
        let store = self.store.write().take();
        drop(store);
        *self.running.lock() = 0;
        self.has_ended.notify_all();
    }

    /// Puts a job into its queue. Returns whether it will be looked at; it is dropped when not.
    pub(super) fn put(&self, class: Class, job: Job) -> bool {
        let lane = self.lane(class);
        let mut queue = lane.queue.lock();
        if queue.is_closed {
            return false;
        }
        let jobs = if class == Class::Idle {
            &mut queue.idle
        } else {
            &mut queue.jobs
        };
        if jobs.len() >= JOBS_MAX {
            return false;
        }
        jobs.push_back(job);
        drop(queue);
        lane.wake.notify_one();
        true
    }

    /// No job begins from now on; those that waited are dropped, so that their callers hear of it. The threads end when
    /// they can.
    pub(super) fn close(&self) {
        for lane in [&self.reads, &self.writes] {
            let mut queue = lane.queue.lock();
            queue.is_closed = true;
            let dropped = (std::mem::take(&mut queue.jobs), std::mem::take(&mut queue.idle));
            drop(queue);
            lane.wake.notify_all();
            drop(dropped);
        }
    }

    /// Whether a [closed](Self::close) worker has let go of the store within a time.
    pub(super) fn has_ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut running = self.running.lock();
        while *running > 0 {
            if self.has_ended.wait_until(&mut running, deadline).timed_out() {
                return *running == 0;
            }
        }
        true
    }

    /// For how long the job that has run for the longest has been running.
    pub(super) fn busy_for(&self) -> Duration {
        let busy = |lane: &Lane| lane.busy_since.lock().map_or(Duration::ZERO, |since| since.elapsed());
        busy(&self.reads).max(busy(&self.writes))
    }

    /// The store, unless it is being changed.
    pub(super) fn at_rest(&self) -> Option<Arc<dyn SnapshotStore>> {
        if self.writes.is_busy.load(Ordering::Acquire) {
            return None;
        }
        self.store.try_read()?.clone()
    }

    /// Puts another store into the place of the one that the threads have. Called by a job that changes the store, on the
    /// thread itself; returns the one that was there.
    pub(super) fn exchange(&self, store: Arc<dyn SnapshotStore>) -> Option<Arc<dyn SnapshotStore>> {
        self.store.write().replace(store)
    }
}

impl Lane {
    /// `None` when there will be none.
    fn next_job(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            let next = queue.jobs.pop_front();
            match next.or_else(|| queue.idle.pop_front()) {
                Some(job) => return Some(job),
                None => self.wake.wait(&mut queue),
            }
        }
    }
}
