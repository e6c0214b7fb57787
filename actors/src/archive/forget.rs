//! Forgetting a user in the archive: noted durably before anything is erased, done by the archive's thread within the
//! stated time, and gone on with after a crash.

use swipeline_models::ids::UserId;
use swipeline_storage::archive::{ArchiveKind, Forgotten};
use swipeline_storage::table::{Cell, Table};
use swipeline_storage::{Archive, ArchiveError, partition_of};

use super::tables::is_about;
use super::{ArchiveService, now_ms};
use crate::api::EngineError;
use crate::records::JournalEntry;
use crate::shared::{Shared, report_damage};

impl ArchiveService {
    /// Notes that a user has to be forgotten: everything up to now. The session must have ended, and the journal's
    /// records be erased before [`ArchiveService::forget_noted`] is called. Blocks.
    ///
    /// # Errors
    /// When it cannot be noted; nothing may be erased then, or the archive would keep what nobody knows of.
    pub(crate) fn note_forgotten(&self, shared: &Shared, user: &UserId) -> Result<(), EngineError> {
        let Some(store) = &self.store else { return Ok(()) };
        let failed =
            |error: &dyn std::fmt::Display| EngineError::Unavailable(format!("the archive cannot forget: {error}"));
        let up_to_seq = shared.storage.journal.flush().map_err(|error| failed(&error))?.0;
        let forgotten = Forgotten {
            user: user.as_str().to_owned(),
            up_to_seq,
            at_ms: now_ms(),
        };
        self.held.lock().push(forgotten.user.clone());
        let noted = store.forget.add(forgotten);
        if noted.is_err() {
            self.forget_noted(user);
        }
        noted.map_err(|error| failed(&error))
    }

    /// Lets the archive forget somebody who was noted.
    pub(crate) fn forget_noted(&self, user: &UserId) {
        let mut held = self.held.lock();
        if let Some(place) = held.iter().position(|name| name == user.as_str()) {
            held.swap_remove(place);
        }
        drop(held);
        self.wake();
    }
}

/// Erases the journal's records of those who were to be forgotten when the process died.
pub(super) fn finish_erasures(shared: &Shared) {
    let Some(store) = &shared.archive.store else { return };
    for Forgotten { user, up_to_seq, .. } in store.forget.waiting() {
        let is_meant = &mut |record: &swipeline_storage::Record| {
            record.seq.0 <= up_to_seq
                && JournalEntry::read(record).is_ok_and(|entry| entry.user() == Some(user.as_str()))
        };
        if let Err(error) = shared.storage.journal.erase(partition_of(&user), is_meant) {
            report_damage("erasure that could not be finished", &error);
        }
    }
}

/// Forgets all who were noted and are not held back.
pub(super) fn forget_all(shared: &Shared, store: &Archive) -> Result<(), ArchiveError> {
    let held = shared.archive.held.lock().clone();
    let waiting: Vec<Forgotten> = store
        .forget
        .waiting()
        .into_iter()
        .filter(|one| !held.contains(&one.user))
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    shared.archive.keep_still(|| {
        let mut erased = 0;
        for one in &waiting {
            erased += erase(store, one)?;
        }
        store.warm.wipe()?;
        store.forget.done(&waiting)?;
        tracing::info!(users = waiting.len(), erased, "the archive has forgotten");
        Ok::<(), ArchiveError>(())
    })?;
    let bound_ms = shared.world.params.load().archive.forget_ms_max;
    for one in &waiting {
        let took_ms = now_ms() - one.at_ms;
        metrics::histogram!("swipeline_archive_forget_seconds").record(took_ms as f64 / 1_000.0);
        if took_ms > bound_ms {
            tracing::error!(
                took_ms,
                bound_ms,
                "the archive took longer to forget a user than it may"
            );
        }
    }
    Ok(())
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
