//! Watches over the store and replaces it: notices that a call takes too long, tries to open the store anew or a copy
//! beside it, and puts it into the place of the old one. Every try has a thread of its own, for the disk may take it
//! as well.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Health, Inner, State};
use crate::priority::give_way;
use crate::snapshot::{SnapshotError, SnapshotStore};

/// How often it is looked whether the store stands still.
const TICK: Duration = Duration::from_millis(50);
/// So many threads that try may hang at a time: the disk took them. Beyond that only their return helps.
const TRIES_HANGING_MAX: usize = 8;
/// The time between two tries grows up to so many times the first one.
const RETRY_GROWTH_MAX: u32 = 8;

/// Starts the thread that watches. It ends with the store.
pub(super) fn watch(inner: &Arc<Inner>) -> io::Result<()> {
    let weak = Arc::downgrade(inner);
    let thread = std::thread::Builder::new().name("store-watch".to_owned());
    thread.spawn(move || run(&weak))?;
    Ok(())
}

/// When to try again.
struct Tries {
    began: Option<Instant>,
    wait: Duration,
    running: Arc<AtomicUsize>,
}

fn run(weak: &Weak<Inner>) {
    let mut tries: Option<Tries> = None;
    let running = Arc::new(AtomicUsize::new(0));
    loop {
        let Some(inner) = weak.upgrade() else { return };
        let mut state = inner.state.lock();
        if state.is_closing {
            return;
        }
        notice_stall(&inner, &mut state);
        let episode = state.episode;
        if state.health == Health::Well {
            tries = None;
        } else {
            let tries = tries.get_or_insert_with(|| Tries {
                began: None,
                wait: inner.options.retry_after,
                running: Arc::clone(&running),
            });
            if tries.is_due(inner.options.stall_after) {
                drop(state);
                tries.begin(&inner, episode);
                state = inner.state.lock();
            }
        }
        inner.changed.wait_for(&mut state, TICK);
        drop(state);
    }
}

fn notice_stall(inner: &Inner, state: &mut State) {
    let is_stalled = |state: &State| {
        let worker = state.worker.as_ref();
        worker.is_some_and(|worker| worker.busy_for() > inner.options.stall_after)
    };
    if state.health == Health::Well && is_stalled(state) {
        tracing::error!(
            after_ms = inner.options.stall_after.as_millis() as u64,
            "the snapshot store stands still; a copy of it is opened beside it, and the journal keeps everything"
        );
        state.health = Health::Stalled(Instant::now());
        state.stalls += 1;
        state.episode += 1;
        inner.changed.notify_all();
    }
}

impl Tries {
    fn is_due(&self, hanging_after: Duration) -> bool {
        let Some(elapsed) = self.began.map(|began| began.elapsed()) else {
            return true;
        };
        match self.running.load(Ordering::Acquire) {
            0 => elapsed >= self.wait,
            hanging => hanging < TRIES_HANGING_MAX && elapsed >= self.wait.max(hanging_after),
        }
    }

    fn begin(&mut self, inner: &Arc<Inner>, episode: u64) {
        if self.began.is_some() {
            self.wait = (self.wait * 2).min(inner.options.retry_after * RETRY_GROWTH_MAX);
        }
        self.began = Some(Instant::now());
        self.running.fetch_add(1, Ordering::AcqRel);
        let (inner, running) = (Arc::clone(inner), Arc::clone(&self.running));
        let thread = std::thread::Builder::new().name("store-heal".to_owned());
        let started = thread.spawn(move || {
            give_way();
            if let Err(error) = replace(&inner, episode) {
                tracing::warn!(%error, "the snapshot store could not be replaced yet");
            }
            running.fetch_sub(1, Ordering::AcqRel);
            inner.changed.notify_all();
        });
        if let Err(error) = started {
            self.running.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(%error, "no thread for replacing the snapshot store");
        }
    }
}

/// Replaces the store, unless it has become well or was replaced by somebody else meanwhile.
fn replace(inner: &Arc<Inner>, episode: u64) -> Result<(), SnapshotError> {
    inner
        .maker
        .probe()
        .map_err(|error| SnapshotError::Unavailable(format!("its place cannot be written: {error}")))?;
    let mut state = inner.state.lock();
    if state.episode != episode || state.is_closing {
        return Ok(());
    }
    if matches!(state.health, Health::Failed(..))
        && let Some(worker) = state.give_up_worker()
    {
        drop(state);
        inner.changed.notify_all();
        let has_ended = worker.has_ended_within(inner.options.close_within);
        state = inner.state.lock();
        if !has_ended && state.episode == episode {
            state.is_left_open = true;
            state.left_behind += 1;
        }
    }
    let reopens = matches!(state.health, Health::Failed(..)) && !state.is_left_open;
    drop(state);
    if reopens {
        let store = inner.maker.reopen()?;
        return install(inner, episode, store);
    }
    let beside = inner.maker.open_beside()?;
    // From here on the old one must not come back: what it did now would be missing in the copy.
    let mut state = inner.state.lock();
    if state.episode != episode || state.is_closing {
        drop(state);
        drop(beside.store);
        inner.maker.discard(beside.place);
        return Ok(());
    }
    if state.give_up_worker().is_some() {
        state.left_behind += 1;
    }
    state.is_left_open = true;
    drop(state);
    inner.maker.adopt(beside.place, false)?;
    install(inner, episode, beside.store)
}

fn install(inner: &Arc<Inner>, episode: u64, store: Arc<dyn SnapshotStore>) -> Result<(), SnapshotError> {
    let worker = inner
        .employ(store)
        .map_err(|error| SnapshotError::Unavailable(format!("no thread for the store: {error}")))?;
    let mut state = inner.state.lock();
    if state.episode != episode || state.is_closing {
        worker.close();
        return Ok(());
    }
    state.worker = Some(worker);
    state.health = Health::Well;
    state.is_left_open = false;
    state.episode += 1;
    state.generation += 1;
    state.replaced += 1;
    drop(state);
    inner.changed.notify_all();
    tracing::warn!("the snapshot store was replaced and is well again; everything is written to it once more");
    Ok(())
}
