//! The thread behind the served log: takes slates from the queue, encodes and writes them, erases in order with them, and
//! puts those of the archive where they wait for it. Must not know sessions.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use swipeline_models::experiment::VARIANT_DEFAULT;
use swipeline_models::features::schema::FEATURE_COUNT;
use swipeline_models::ids::UserId;
use swipeline_models::time::TimestampMs;
use swipeline_storage::{RingLog, erase_records, partition_of};

use super::record::{ServedItemRecord, ServedSlateRecord};
use super::served_log::{Command, ServedSlate, ServedSlot};
use crate::archive::{WaitingSlate, WaitingSlates};

/// When the queue has run dry, so long the thread lets slates gather before it waits for the next one: to wake it for each
/// costs the session that hands it over more than the rest of the handing over.
const GATHER: Duration = Duration::from_millis(50);
/// After so long without slates what was written is handed to the system.
const FLUSH_AFTER: Duration = Duration::from_millis(200);
/// So many slates are written between two flushes at the most.
const FLUSH_SLATES: u32 = 256;

/// What the thread owns.
pub(super) struct Writer {
    dir: Option<PathBuf>,
    log: Option<RingLog>,
    percent: u8,
    archived: Option<Arc<WaitingSlates>>,
    unflushed: u32,
    failed: bool,
}

impl Writer {
    /// A writer into `log`, and into `archived`, each when there is one.
    pub(super) fn new(
        dir: Option<PathBuf>,
        log: Option<RingLog>,
        percent: u8,
        archived: Option<Arc<WaitingSlates>>,
    ) -> Self {
        Self {
            dir,
            log,
            percent,
            archived,
            unflushed: 0,
            failed: false,
        }
    }

    /// Writes until the last sender is gone.
    pub(super) fn write_all(mut self, queue: &Receiver<Command>) {
        loop {
            let next = queue.try_recv().or_else(|_| {
                std::thread::sleep(GATHER);
                queue.recv_timeout(FLUSH_AFTER)
            });
            let outcome = match next {
                Ok(Command::Served(slate)) => self.write(&slate),
                Ok(Command::Erase { user, up_to, done }) => {
                    // Whoever asked may have been cut off; the erasure counts all the same.
                    let _ = done.send(self.erase(&user, up_to));
                    Ok(())
                }
                Ok(Command::Settle(done)) => {
                    let flushed = self.flush();
                    let _ = done.send(());
                    flushed
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            report(outcome, &mut self.failed);
            if self.unflushed >= FLUSH_SLATES {
                let flushed = self.flush();
                report(flushed, &mut self.failed);
            }
        }
        let flushed = self.flush();
        report(flushed, &mut self.failed);
    }

    fn write(&mut self, slate: &ServedSlate) -> io::Result<()> {
        let payload = record_of(slate).encode();
        let mut written = Ok(());
        if let Some(log) = self.log.as_mut().filter(|_| is_picked(self.percent, &slate.user)) {
            self.unflushed += 1;
            written = log.append(&payload);
        }
        if let Some(archived) = self.archived.as_ref().filter(|_| slate.is_archived) {
            archived.push(WaitingSlate {
                user: slate.user.as_str().to_owned(),
                partition: partition_of(slate.user.as_str()),
                at_ms: slate.at.0,
                payload,
            });
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed) == 0 {
            return Ok(());
        }
        self.log.as_mut().map_or(Ok(()), RingLog::flush)
    }

    fn erase(&mut self, user: &UserId, up_to: TimestampMs) -> io::Result<u64> {
        if let Some(archived) = &self.archived {
            archived.erase(user.as_str(), up_to.0);
        }
        match (&mut self.log, &self.dir) {
            (Some(log), _) => log.erase(&mut is_about(user, up_to)),
            // Off, but there may be a log of earlier starts.
            (None, Some(dir)) => erase_records(dir, &mut is_about(user, up_to)),
            (None, None) => Ok(0),
        }
    }
}

/// Counts every failure, and says the first one of a row of them.
fn report(outcome: io::Result<()>, failed: &mut bool) {
    if let Err(error) = &outcome {
        metrics::counter!("swipeline_served_log_dropped_total").increment(1);
        if !*failed {
            tracing::error!(%error, "the served log cannot be written; serving goes on without it");
        }
    }
    *failed = outcome.is_err();
}

fn record_of(slate: &ServedSlate) -> ServedSlateRecord {
    let item = |slot: &ServedSlot| ServedItemRecord {
        id: slot.item.id.as_str().to_owned(),
        duration_ms: slot.item.duration_ms.unwrap_or(0),
        channels: slot.channels,
        score: slot.score,
        pre_rank: slot.pre_rank,
        collaborative: slot.collaborative,
        propensity: slot.propensity,
        predicted: slot.predicted,
    };
    let record = ServedSlateRecord {
        user: slate.user.as_str().to_owned(),
        request: slate.request.clone(),
        at: slate.at.0,
        sequence: slate.sequence,
        context: slate.context.clone(),
        model: slate.model.clone(),
        variant: slate.variant.clone().unwrap_or_else(|| VARIANT_DEFAULT.to_owned()),
        items: slate.slots.iter().map(item).collect(),
        ..ServedSlateRecord::default()
    };
    let rows: Vec<[f32; FEATURE_COUNT]> = slate.slots.iter().map(|slot| slot.features).collect();
    record.with_features(&rows)
}

/// Whether a viewer is among the `percent` of 100 who are logged.
pub(super) fn is_picked(percent: u8, user: &UserId) -> bool {
    percent > 0 && user.hash64() % 100 < u64::from(percent)
}

/// Whether a record is about a user, up to a time.
pub(super) fn is_about(user: &UserId, up_to: TimestampMs) -> impl FnMut(&[u8]) -> bool {
    let user = user.clone();
    // What cannot be decoded might be about anybody.
    move |payload| {
        ServedSlateRecord::decode(payload).is_none_or(|slate| slate.user == user.as_str() && slate.at <= up_to.0)
    }
}
