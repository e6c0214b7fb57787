//! From warm to cold, and out: intervals become files, old files go.

use swipeline_models::time::DAY_MS;
use swipeline_storage::archive::{ArchiveKind, Bucket};
use swipeline_storage::{Archive, ArchiveError};

use super::now_ms;
use super::tables::{archive_table, for_each_row};
use crate::shared::Shared;

/// A file is ended above so many rows; the rest of its interval goes into the next one.
const FILE_ROWS_MAX: u64 = 2_000_000;
/// So many batches of an interval are read at a time.
const BATCHES_AT_A_TIME: usize = 16;

/// Makes one file of what is old enough, or of the oldest when the warm tier is too large. Returns whether there may be
/// more.
pub(super) fn roll_what_is_due(shared: &Shared, store: &Archive) -> Result<bool, ArchiveError> {
    let params = shared.world.params.load().archive.clone();
    let now_ms = now_ms();
    let all: Vec<(ArchiveKind, Bucket)> = ArchiveKind::ALL
        .into_iter()
        .flat_map(|kind| store.warm.buckets(kind).into_iter().map(move |bucket| (kind, bucket)))
        .collect();
    let is_due = |bucket: &Bucket| bucket.start_ms.saturating_add(params.file_ms + params.warm_ms) <= now_ms;
    let due = all.iter().find(|(_, bucket)| is_due(bucket));
    let bytes: u64 = all.iter().map(|(_, bucket)| bucket.bytes).sum();
    let too_much = || {
        all.iter()
            .min_by_key(|(_, bucket)| bucket.start_ms)
            .filter(|_| bytes > params.warm_bytes_max)
    };
    let Some((kind, bucket)) = due.or_else(too_much) else {
        return Ok(false);
    };
    roll(shared, store, *kind, bucket.start_ms)?;
    Ok(true)
}

/// Makes files of everything that is warm.
pub(super) fn roll_everything(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    for kind in ArchiveKind::ALL {
        for bucket in store.warm.buckets(kind) {
            while roll(shared, store, kind, bucket.start_ms)? {}
        }
    }
    Ok(())
}

/// Makes one file of an interval. Returns whether some of it is left.
fn roll(shared: &Shared, store: &Archive, kind: ArchiveKind, start_ms: i64) -> Result<bool, ArchiveError> {
    shared.archive.keep_still(|| {
        let batches = store.warm.batches(kind, start_ms);
        let mut part = store.cold.begin(kind, start_ms, &archive_table(kind))?;
        let mut taken = 0;
        for some in batches.chunks(BATCHES_AT_A_TIME) {
            for (sequence, entry) in store.warm.entries(kind, start_ms, some)? {
                let mut written = Ok(());
                for_each_row(kind, sequence, &entry, &mut |row, at_ms| {
                    if written.is_ok() {
                        written = part.write(row, Some(at_ms));
                    }
                });
                written?;
            }
            taken += some.len();
            if part.rows() >= FILE_ROWS_MAX {
                break;
            }
        }
        let last = taken.checked_sub(1).map_or(u64::MAX, |place| batches[place]);
        if let Some(file) = part.finish(last, now_ms())? {
            metrics::counter!("swipeline_archive_rows_total", "kind" => kind.name()).increment(file.rows);
        }
        store.warm.remove(kind, start_ms, last)?;
        Ok(taken < batches.len())
    })
}

/// Deletes files that are beyond their time or above the limit of bytes.
pub(super) fn retain(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    let params = shared.world.params.load().archive.clone();
    let before_ms = now_ms().saturating_sub(i64::from(params.retention_days) * DAY_MS);
    let gone = shared
        .archive
        .keep_still(|| store.cold.retain(before_ms, params.cold_bytes_max))?;
    if gone > 0 {
        tracing::info!(files = gone, "archive files beyond their time were deleted");
    }
    Ok(())
}
