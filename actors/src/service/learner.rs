//! The online learner beside the swipes: a bounded queue of outcomes, one owner of the weights, a snapshot every second.
//!
//! Owns the queue, the order of samples, and the way of the weights to disk and back. Sessions never wait for it: when the
//! queue is full an outcome is dropped and counted. What was learned since the last checkpoint is lost with the process,
//! because feature rows are not in the journal; everything before comes back.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use swipeline_models::learner::{HeaderRecord, Learner, LearnerReport, Level, Sample};
use swipeline_models::rank::Objective;
use swipeline_storage::{SnapshotError, SnapshotOp, Tree};

use crate::records::{decode_bytes, encode_named};
use crate::shared::{Shared, SharedRef, report_damage};

/// Outcomes that may wait: half a second at eight thousand a second. More are dropped and counted.
const QUEUE_SAMPLES_MAX: usize = 4_096;
/// How often the queue is looked into. Nobody is woken by an outcome: a swipe costs no system call for it.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// All keys of the learner in [`Tree::Models`]; behind the prefix the header, or a page's number.
const PREFIX: &[u8] = b"learner/";
const HEADER: &[u8] = b"learner/header";
const PAGE: &[u8] = b"learner/page/";

/// The learner and the way to it.
pub(crate) struct LearnerService {
    queue: SyncSender<Sample>,
    waiting: Mutex<Receiver<Sample>>,
    dropped: AtomicU64,
    learner: Mutex<Owned>,
}

struct Owned {
    learner: Learner,
    published_at: Instant,
}

impl Default for LearnerService {
    fn default() -> Self {
        let (queue, waiting) = sync_channel(QUEUE_SAMPLES_MAX);
        Self {
            queue,
            waiting: Mutex::new(waiting),
            dropped: AtomicU64::new(0),
            learner: Mutex::new(Owned {
                learner: Learner::default(),
                published_at: Instant::now(),
            }),
        }
    }
}

impl LearnerService {
    /// Hands outcomes over. Never waits.
    pub(crate) fn offer(&self, samples: Vec<Sample>) {
        let mut dropped = 0;
        for sample in samples {
            dropped += u64::from(self.queue.try_send(sample).is_err());
        }
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
            metrics::counter!("swipeline_learner_dropped_total").increment(dropped);
        }
    }

    /// What an operator sees. Blocks for milliseconds.
    pub(crate) fn report(&self, shared: &Shared) -> LearnerReport {
        let owned = self.learner.lock();
        let mut report = owned
            .learner
            .report(&shared.world.catalogue.load(), self.dropped.load(Ordering::Relaxed));
        // The learner hears of a change with its next look; who asks right after it wants to see it.
        let params = shared.world.params.load().learner;
        (report.enabled, report.correct) = (params.enabled, params.correct);
        report
    }

    /// Learns what waits, and publishes when it is time.
    fn look(&self, shared: &Shared) {
        let params = shared.world.params.load().learner;
        let mut owned = self.learner.lock();
        owned.learner.set_params(&params);
        let is_new_model = owned
            .learner
            .serve_model(&shared.world.ranker.current().info().fingerprint);
        let before = owned.learner.samples();
        let waiting = self.waiting.lock();
        for sample in waiting.try_iter().take(QUEUE_SAMPLES_MAX) {
            owned.learner.learn(&sample);
        }
        metrics::counter!("swipeline_learner_updates_total").increment(owned.learner.samples() - before);
        // What was found out about another model must not go on correcting this one.
        let is_due = owned.published_at.elapsed() >= Duration::from_millis(params.publish_interval_ms);
        if is_due || is_new_model {
            owned.publish(shared);
        }
    }

    /// The rows that have changed since they were last taken.
    pub(crate) fn take_rows(&self) -> Vec<SnapshotOp> {
        let mut owned = self.learner.lock();
        if owned.learner.samples() == 0 {
            return Vec::new();
        }
        let put = |key: Vec<u8>, value: Vec<u8>| SnapshotOp::Put {
            tree: Tree::Models,
            key,
            value,
        };
        // In one batch with the pages of this checkpoint: pages without a header would mean nothing.
        let mut rows = vec![put(HEADER.to_vec(), encode_named(&owned.learner.header()))];
        for (page, bytes) in owned.learner.take_pages() {
            rows.push(put([PAGE, &page.to_be_bytes()].concat(), bytes));
        }
        rows
    }

    /// The store may lack rows that were taken: the next checkpoint takes all of them.
    pub(crate) fn put_rows_back(&self) {
        self.learner.lock().learner.mark_all_changed();
    }

    /// Takes up what was stored. What cannot be used is reported and begins anew.
    pub(crate) fn load(&self, shared: &Shared) -> Result<(), SnapshotError> {
        let store = &shared.storage.snapshots;
        let Some(header) = store.get(Tree::Models, HEADER)? else {
            return Ok(());
        };
        let params = shared.world.params.load().learner;
        let mut owned = self.learner.lock();
        owned.learner.set_params(&params);
        let restored = decode_bytes::<HeaderRecord>(&header)
            .map_err(|error| error.to_string())
            .and_then(|header| owned.learner.restore(header).map_err(|error| error.to_string()));
        if let Err(error) = restored {
            report_damage("learner", &error);
            return self.erase(shared);
        }
        store.for_each(Tree::Models, &mut |key, value| {
            let page = key.strip_prefix(PAGE).and_then(|page| <[u8; 2]>::try_from(page).ok());
            if let Some(page) = page.map(u16::from_be_bytes)
                && let Err(error) = owned.learner.restore_page(page, value)
            {
                report_damage("learner", &error);
            }
            ControlFlow::Continue(())
        })?;
        // A model may have been exchanged while the server was down.
        owned
            .learner
            .serve_model(&shared.world.ranker.current().info().fingerprint);
        owned.publish(shared);
        Ok(())
    }

    fn erase(&self, shared: &Shared) -> Result<(), SnapshotError> {
        let store = &shared.storage.snapshots;
        let mut rows = Vec::new();
        store.for_each(Tree::Models, &mut |key, _| {
            if key.starts_with(PREFIX) {
                rows.push(SnapshotOp::Delete {
                    tree: Tree::Models,
                    key: key.to_vec(),
                });
            }
            ControlFlow::Continue(())
        })?;
        store.apply(rows)
    }
}

impl Owned {
    fn publish(&mut self, shared: &Shared) {
        self.published_at = Instant::now();
        let Some(published) = self.learner.publish() else {
            return;
        };
        shared.world.learner.publish(published);
        let levels = self.learner.levels();
        for objective in Objective::ALL {
            let (losses, _) = self.learner.losses(objective.index());
            let level = levels[objective.index()];
            metrics::gauge!("swipeline_learner_level", "objective" => objective.name()).set(f64::from(level as u8));
            for level in Level::ALL {
                metrics::gauge!("swipeline_learner_log_loss",
                    "objective" => objective.name(), "scored_by" => level.name())
                .set(f64::from(losses[level as usize]));
            }
        }
    }
}

/// Learns until the engine drains.
pub(crate) async fn run_learner(shared: SharedRef) {
    while !shared.is_draining() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let inside = shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || inside.learner.look(&inside)).await {
            tracing::error!(%error, "the learner failed on an outcome; it goes on with the next");
        }
    }
}

/// Learns what still waits, before the last checkpoint. Blocks.
pub(crate) fn learn_rest(shared: &Shared) {
    shared.learner.look(shared);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_header_have_the_prefix_by_which_they_are_erased() {
        assert!(HEADER.starts_with(PREFIX) && PAGE.starts_with(PREFIX) && !HEADER.starts_with(PAGE));
    }
}
