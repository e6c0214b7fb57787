//! Erasing the bytes of deleted users, in the archive and everywhere else: noted durably with the deletion, done by the
//! archive's thread within the stated time, many users at a time, and gone on with after a crash.

use rustc_hash::FxHashMap;
use swipeline_models::ids::UserId;
use swipeline_models::time::TimestampMs;
use swipeline_storage::archive::{ArchiveKind, Forgotten};
use swipeline_storage::table::{Cell, Table};
use swipeline_storage::{Archive, ArchiveError, JournalError, Partition, SnapshotError, partition_of};

use super::tables::is_about;
use super::{ArchiveService, now_ms};
use crate::api::EngineError;
use crate::records::JournalEntry;
use crate::shared::{Shared, report_damage};

impl ArchiveService {
    /// Notes durably that a user has to be forgotten: everything up to a journal number. Blocks.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub(crate) fn note_forgotten(&self, user: &UserId, up_to_seq: u64, at: TimestampMs) -> Result<(), EngineError> {
        let Some(store) = &self.store else { return Ok(()) };
        let forgotten = Forgotten {
            user: user.as_str().to_owned(),
            up_to_seq,
            at_ms: at.0,
        };
        let noted = store.forget.add(forgotten);
        noted.map_err(|error| EngineError::Unavailable(format!("not everything would be erased: {error}")))
    }

    /// Notes somebody whom the journal says to be forgotten, unless that is noted. Blocks.
    pub(crate) fn note_again(&self, user: &UserId, up_to_seq: u64, at: TimestampMs) {
        let Some(store) = &self.store else { return };
        let is_meant = |one: &Forgotten| one.user == user.as_str() && one.up_to_seq >= up_to_seq;
        if store.forget.waiting().iter().any(is_meant) {
            return;
        }
        if let Err(error) = self.note_forgotten(user, up_to_seq, at) {
            report_damage("deletion that could not be noted", &error);
        }
    }
}

/// Forgets all who were noted, in the journal, the snapshots, the served log and the archive. Returns whether there were
/// any. What fails is done again as a whole, which is harmless.
pub(super) fn forget_all(shared: &Shared, store: &Archive) -> Result<bool, ArchiveError> {
    let waiting = store.forget.waiting();
    if waiting.is_empty() {
        return Ok(false);
    }
    let mut erased = erase_records(shared, &waiting).map_err(|error| failed("the journal", &error))?;
    // The rows went with the deletion; this is for what the store still has of them on the disk.
    shared.storage.snapshots.compact()?;
    for one in &waiting {
        let user = UserId::new(&one.user);
        let in_log = user.map_or(Ok(0), |user| shared.served.erase(&user, TimestampMs(one.at_ms)));
        erased += in_log.map_err(|error| failed("the served log", &error))?;
    }
    shared.archive.keep_still(|| {
        for one in &waiting {
            erased += erase(store, one)?;
        }
        Ok::<(), ArchiveError>(())
    })?;
    store.forget.done(&waiting)?;
    tracing::info!(users = waiting.len(), erased, "users were forgotten");
    let bound_ms = shared.world.params.load().archive.forget_ms_max;
    for one in &waiting {
        let took_ms = now_ms() - one.at_ms;
        metrics::histogram!("swipeline_archive_forget_seconds").record(took_ms as f64 / 1_000.0);
        if took_ms > bound_ms {
            tracing::error!(took_ms, bound_ms, "it took longer to forget a user than it may");
        }
    }
    Ok(true)
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::Warm(SnapshotError::Unavailable(format!(
        "nothing could be erased in {what}: {error}"
    )))
}

/// Erases the journal's records of those who are forgotten, the ones that say so too.
fn erase_records(shared: &Shared, waiting: &[Forgotten]) -> Result<u64, JournalError> {
    let partitions: Vec<Partition> = waiting.iter().map(|one| partition_of(&one.user)).collect();
    let mut up_to: FxHashMap<&str, u64> = FxHashMap::default();
    for one in waiting {
        let known = up_to.entry(one.user.as_str()).or_default();
        *known = one.up_to_seq.max(*known);
    }
    shared.storage.journal.erase_in(&partitions, &mut |record| {
        JournalEntry::read(record).is_ok_and(|entry| {
            let up_to = entry.user().and_then(|user| up_to.get(user));
            up_to.is_some_and(|up_to| record.seq.0 <= *up_to)
        })
    })
}

fn erase(store: &Archive, one: &Forgotten) -> Result<u64, ArchiveError> {
    let Forgotten { user, up_to_seq, at_ms } = one;
    let partition = partition_of(user);
    let mut erased = store
        .warm
        .erase(ArchiveKind::Events, partition, &mut |sequence, entry| {
            sequence <= *up_to_seq && is_about(ArchiveKind::Events, entry, user, *at_ms)
        })?;
    erased += store.warm.erase(ArchiveKind::Slates, partition, &mut |_, entry| {
        is_about(ArchiveKind::Slates, entry, user, *at_ms)
    })?;
    erased += store.cold.erase(user, now_ms(), &|file, table, row| match file.kind {
        ArchiveKind::Events => {
            named(table, row, "user_id").as_text() == Some(user)
                && named(table, row, "sequence")
                    .as_int()
                    .is_none_or(|sequence| sequence <= *up_to_seq as i64)
        }
        ArchiveKind::Slates => {
            named(table, row, "user_id").as_text() == Some(user)
                && named(table, row, "at").as_int().is_none_or(|at| at <= *at_ms)
        }
    })?;
    Ok(erased)
}

fn named<'a>(table: &Table, row: &'a [Cell], name: &str) -> &'a Cell {
    let place = table.columns.iter().position(|column| column.name == name);
    place.and_then(|place| row.get(place)).unwrap_or(&Cell::Null)
}
