//! Slates on their way into the archive: the hot tier of what was served.
//!
//! Owns the bound on how many wait; more are dropped and counted, for a feed must never wait for the archive.

use parking_lot::Mutex;
use swipeline_storage::Partition;

/// The most bytes that wait for the next flush.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An encoded slate.
pub(crate) struct WaitingSlate {
    pub(crate) user: String,
    pub(crate) partition: Partition,
    /// When it was served, milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) payload: Vec<u8>,
}

/// The slates that wait for the next flush.
#[derive(Default)]
pub(crate) struct WaitingSlates {
    slates: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    slates: Vec<WaitingSlate>,
    bytes: usize,
}

impl WaitingSlates {
    /// Adds a slate, or drops and counts it when too many wait.
    pub(crate) fn push(&self, slate: WaitingSlate) {
        let mut waiting = self.slates.lock();
        if waiting.bytes + slate.payload.len() > WAITING_BYTES_MAX {
            drop(waiting);
            metrics::counter!("swipeline_archive_slates_dropped_total").increment(1);
            return;
        }
        waiting.bytes += slate.payload.len();
        waiting.slates.push(slate);
    }

    /// Takes all of them.
    pub(crate) fn take(&self) -> Vec<WaitingSlate> {
        std::mem::take(&mut *self.slates.lock()).slates
    }

    /// Puts slates back that could not be written.
    pub(crate) fn put_back(&self, slates: Vec<WaitingSlate>) {
        slates.into_iter().for_each(|slate| self.push(slate));
    }

    /// Drops those of a user up to a time, in milliseconds since 1970: the user may be back by now.
    pub(crate) fn erase(&self, user: &str, up_to_ms: i64) {
        let mut waiting = self.slates.lock();
        waiting
            .slates
            .retain(|slate| slate.user != user || slate.at_ms > up_to_ms);
        waiting.bytes = waiting.slates.iter().map(|slate| slate.payload.len()).sum();
    }

    /// Calls `each` for all of them, in the order in which they came.
    pub(crate) fn for_each(&self, each: &mut dyn FnMut(&WaitingSlate)) {
        self.slates.lock().slates.iter().for_each(each);
    }
}
