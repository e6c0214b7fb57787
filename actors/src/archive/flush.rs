//! From hot to warm: accepted events out of the journal, served slates out of memory.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use swipeline_storage::archive::{ArchiveKind, WarmEntry};
use swipeline_storage::{Archive, ArchiveError, JournalError, ReadItem, Record, Seq, SnapshotError};

use super::now_ms;
use super::tables::entry_of;
use crate::records::accepted_at_of;
use crate::shared::{Shared, report_damage};

/// So many bytes are put at a time.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A larger record does not fit into the warm tier; no request is that large.
const ENTRY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Takes everything that is committed and everything that was served.
pub(super) fn flush(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    flush_events(shared, store)?;
    flush_slates(shared, store)
}

/// The start of the interval that a time belongs to.
fn interval_start(at_ms: i64, file_ms: i64) -> i64 {
    let at_ms = at_ms.max(0);
    at_ms - at_ms % file_ms.max(1)
}

fn flush_events(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    let journal = &shared.storage.journal;
    // Read before the journal is: what it is behind may be erased records, which no reader shows.
    let committed = journal.committed();
    let cursor = store.warm.cursor();
    if committed <= cursor {
        return Ok(());
    }
    let file_ms = shared.world.params.load().archive.file_ms;
    let mut batch = Batch::default();
    let mut last = cursor;
    for read in journal.read_from(cursor.next()).map_err(|error| unreadable(&error))? {
        // What is damaged was reported at the start.
        let ReadItem::Record(record) = read else { continue };
        last = last.max(record.seq);
        batch.take(&record, file_ms);
        if batch.bytes >= BATCH_BYTES_MAX {
            batch.put(shared, store, last)?;
        }
    }
    batch.put(shared, store, last.max(committed))
}

fn unreadable(error: &JournalError) -> ArchiveError {
    ArchiveError::Warm(SnapshotError::Backend(format!("the journal cannot be read: {error}")))
}

#[derive(Default)]
struct Batch {
    entries: Vec<WarmEntry<'static>>,
    bytes: usize,
}

impl Batch {
    fn take(&mut self, record: &Record, file_ms: i64) {
        let accepted_at = match accepted_at_of(record) {
            Ok(Some(accepted_at)) => accepted_at,
            Ok(None) => return,
            Err(error) => return report_damage("event that was to be archived", &error),
        };
        if record.payload.len() > ENTRY_BYTES_MAX {
            return report_damage("event that was to be archived", &"a record that is too large");
        }
        self.bytes += record.payload.len();
        self.entries.push(WarmEntry {
            seq: record.seq.0,
            partition: record.partition,
            bucket_ms: interval_start(accepted_at.0, file_ms),
            payload: Cow::Owned(entry_of(record)),
        });
    }

    /// Puts what is there, and with it the place up to which nothing is missing.
    fn put(&mut self, shared: &Shared, store: &Archive, up_to: Seq) -> Result<(), ArchiveError> {
        // The first number behind the cursor names the batch: after a crash the same place has the same name.
        let name = store.warm.cursor().next().0;
        shared
            .archive
            .keep_still(|| store.warm.put(ArchiveKind::Events, name, &self.entries, Some(up_to)))?;
        metrics::counter!("swipeline_archive_records_total", "kind" => "events").increment(self.entries.len() as u64);
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Takes the slates that wait.
pub(super) fn flush_slates(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    let file_ms = shared.world.params.load().archive.file_ms;
    shared.archive.keep_still(|| {
        let slates = shared.archive.slates.take();
        if slates.is_empty() {
            return Ok(());
        }
        // Slates have no place in the journal: the time names their batch, and never the same twice, also when the clock
        // was put back.
        let used = shared.archive.slates_batch.load(Ordering::Relaxed);
        let used = used.max(store.cold.batch_last_of(ArchiveKind::Slates));
        let name = u64::try_from(now_ms()).unwrap_or(0).max(used + 1);
        shared.archive.slates_batch.store(name, Ordering::Relaxed);
        let entry = |(place, slate)| entry_of_slate(place, slate, file_ms);
        let entries: Vec<WarmEntry<'_>> = slates.iter().enumerate().map(entry).collect();
        let written = store.warm.put(ArchiveKind::Slates, name, &entries, None);
        match &written {
            Ok(()) => {
                metrics::counter!("swipeline_archive_records_total", "kind" => "slates").increment(entries.len() as u64)
            }
            Err(_) => {
                drop(entries);
                shared.archive.slates.put_back(slates);
            }
        }
        written
    })
}

fn entry_of_slate(place: usize, slate: &super::WaitingSlate, file_ms: i64) -> WarmEntry<'_> {
    WarmEntry {
        seq: place as u64,
        partition: slate.partition,
        bucket_ms: interval_start(slate.at_ms, file_ms),
        payload: Cow::Borrowed(&slate.payload),
    }
}
