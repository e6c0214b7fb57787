//! Background fdatasync of segments that were acknowledged from the page cache. Must not be on the way of a commit.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How much an acknowledged record may lag behind on the way to the disk under [`super::Durability::Process`].
pub(super) const SYNC_INTERVAL_MS: u64 = 1_000;

/// The files that have unsynced bytes. At most the active segment and those sealed since the last round.
#[derive(Debug, Default)]
pub(super) struct Syncer {
    queue: Mutex<SyncQueue>,
    wake: Condvar,
    /// Held through a round, so that whoever asks for a sync also waits for the one that is under way.
    round: Mutex<()>,
}

#[derive(Debug, Default)]
struct SyncQueue {
    dirty: Vec<Arc<File>>,
    stopped: bool,
}

impl Syncer {
    /// Notes that `file` has bytes to sync.
    pub(super) fn mark_dirty(&self, file: &Arc<File>) {
        let mut queue = self.queue.lock();
        if !queue.dirty.iter().any(|dirty| Arc::ptr_eq(dirty, file)) {
            queue.dirty.push(Arc::clone(file));
        }
    }

    /// Syncs everything that was marked before the call.
    pub(super) fn sync_now(&self) -> io::Result<()> {
        let _round = self.round.lock();
        let files = std::mem::take(&mut self.queue.lock().dirty);
        files.iter().try_for_each(|file| file.sync_data())
    }

    /// Syncs once per [`SYNC_INTERVAL_MS`] until stopped; `on_failure` gets the error that ends it.
    pub(super) fn run(&self, on_failure: impl FnOnce(io::Error)) {
        loop {
            let mut queue = self.queue.lock();
            if !queue.stopped {
                self.wake.wait_for(&mut queue, Duration::from_millis(SYNC_INTERVAL_MS));
            }
            if queue.stopped {
                return;
            }
            drop(queue);
            if let Err(error) = self.sync_now() {
                return on_failure(error);
            }
        }
    }

    /// Ends [`Syncer::run`].
    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.wake.notify_all();
    }
}
