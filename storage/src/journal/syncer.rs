//! Background fdatasync of segments that were acknowledged from the page cache. Must not be on the way of a commit.
//!
//! A sync that fails leaves the system free to forget what it was to write: so the bytes are written once more, from what
//! the page cache still holds, before they are synced again.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::commit::RETRY_MS;
use super::segment_files::SegmentFile;

/// How much an acknowledged record may lag behind on the way to the disk under [`super::Durability::Process`].
pub(super) const SYNC_INTERVAL_MS: u64 = 1_000;
const COPY_BYTES: usize = 1024 * 1024;

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
    dirty: Vec<Arc<SegmentFile>>,
    /// Those whose last sync failed: to be written again before they are synced.
    failed: Vec<Arc<SegmentFile>>,
    stopped: bool,
}

fn add(files: &mut Vec<Arc<SegmentFile>>, file: &Arc<SegmentFile>) {
    if !files.iter().any(|known| Arc::ptr_eq(known, file)) {
        files.push(Arc::clone(file));
    }
}

/// Runs what is given to it while nobody writes or erases.
pub(super) type KeepStill<'a> = &'a dyn Fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

impl Syncer {
    /// Notes that `file` has bytes to sync.
    pub(super) fn mark_dirty(&self, file: &Arc<SegmentFile>) {
        add(&mut self.queue.lock().dirty, file);
    }

    /// Syncs everything that was marked before the call. `keep_still` runs what is given to it while nobody writes or
    /// erases.
    ///
    /// # Errors
    /// The first one of the system's; what could not be synced stays marked.
    pub(super) fn sync_now(&self, keep_still: KeepStill<'_>) -> io::Result<()> {
        let _round = self.round.lock();
        let (dirty, failed) = {
            let mut queue = self.queue.lock();
            (std::mem::take(&mut queue.dirty), std::mem::take(&mut queue.failed))
        };
        let mut outcome = Ok(());
        for file in &dirty {
            let has_failed = failed.iter().any(|known| Arc::ptr_eq(known, file));
            let rewritten = if has_failed {
                keep_still(&mut || write_again(file))
            } else {
                Ok(())
            };
            if let Err(error) = rewritten.and_then(|()| file.file.sync_data()) {
                let mut queue = self.queue.lock();
                add(&mut queue.dirty, file);
                add(&mut queue.failed, file);
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Syncs once per [`SYNC_INTERVAL_MS`] until stopped, sooner after a failure; `sync` does it and says how it went.
    pub(super) fn run(&self, sync: impl Fn() -> bool) {
        let mut wait_ms = SYNC_INTERVAL_MS;
        loop {
            let mut queue = self.queue.lock();
            if !queue.stopped {
                self.wake.wait_for(&mut queue, Duration::from_millis(wait_ms));
            }
            if queue.stopped {
                return;
            }
            drop(queue);
            wait_ms = if sync() { SYNC_INTERVAL_MS } else { RETRY_MS };
        }
    }

    /// Ends [`Syncer::run`].
    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.wake.notify_all();
    }
}

/// Writes a file's bytes over themselves.
fn write_again(segment: &SegmentFile) -> io::Result<()> {
    // Not the file that is appended to: that one writes at its end wherever it is told to.
    let mut file = OpenOptions::new().read(true).write(true).open(&segment.path)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        file.seek(SeekFrom::Start(offset))?;
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&buffer[..read])?;
        offset += read as u64;
    }
}
