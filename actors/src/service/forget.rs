//! Forgetting a user: out of memory and of everybody's sight at once, durably; the bytes leave the disk within
//! `archive.forget_ms_max`, by the archive's thread.

use swipeline_models::ids::UserId;
use swipeline_storage::partition_of;

use crate::api::EngineError;
use crate::clock;
use crate::records::JournalEntry;
use crate::service::settle;
use crate::session::{Forget, deletions_of};
use crate::shared::{SharedRef, journal_error};

/// Forgets everything about a user. Returns whether anything was known. When this returns, the user is gone from memory and
/// from the snapshots, and a record in the journal says so: whatever dies now, an earlier record of the user counts for
/// nothing any more. The bytes that are still on the disk (journal, snapshots, served log, archive) are erased within
/// `archive.forget_ms_max`, also after a restart (see [`crate::archive`]).
pub(crate) async fn forget_user(shared: &SharedRef, user: &UserId) -> Result<bool, EngineError> {
    let was_known = shared.sessions.ask(shared, user, || Forget).await?;
    // Nobody may start the session again from now on, and whoever did meanwhile goes as well.
    let guard = shared.sessions.forget(user);
    if let Some(started) = shared.sessions.active(user) {
        // A session that has died is gone too.
        let _ = started.send(Forget).await;
    }
    let (inside, inside_user) = (shared.clone(), user.clone());
    let forgotten = tokio::task::spawn_blocking(move || forget(&inside, &inside_user)).await;
    drop(guard);
    let sequence = forgotten.map_err(|error| EngineError::Unavailable(error.to_string()))??;
    let committed = shared
        .storage
        .journal
        .wait_committed(swipeline_storage::Seq(sequence))
        .await;
    committed.map_err(|error| journal_error(&error))?;
    Ok(was_known)
}

/// Returns the journal number to wait for.
fn forget(shared: &SharedRef, user: &UserId) -> Result<u64, EngineError> {
    let failed =
        |error: &dyn std::fmt::Display| EngineError::Unavailable(format!("not everything was erased: {error}"));
    let at = clock::now();
    let entry = JournalEntry::Forgotten { user: user.clone(), at };
    let appended = {
        let _entered = shared.gate.enter();
        entry.append(&*shared.storage.journal)
    };
    let sequence = appended.map_err(|error| journal_error(&error))?;
    if !shared.archive.is_there() {
        // In memory: nobody comes later for what the journal holds.
        let is_about = &mut |record: &swipeline_storage::Record| {
            JournalEntry::read(record).is_ok_and(|entry| entry.user() == Some(user.as_str()))
        };
        let erased = shared.storage.journal.erase(partition_of(user.as_str()), is_about);
        erased.map_err(|error| failed(&error))?;
    }
    shared.session_rows.erase(user);
    settle(shared).map_err(|error| failed(&error))?;
    let rows = deletions_of(user).to_vec();
    shared.storage.snapshots.apply(rows).map_err(|error| failed(&error))?;
    // Behind the rows, whose bytes it has to find; if the process dies in between, the journal's record says it again. Also
    // for a user whom nobody knows: the archive reaches further back than snapshots that were lost.
    shared.archive.note_forgotten(user, sequence.0, at)?;
    shared.archive.wake();
    Ok(sequence.0)
}
