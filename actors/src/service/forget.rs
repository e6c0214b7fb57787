//! Forgetting a user: memory, snapshots and journal, durably; the archive follows within its time.

use swipeline_models::ids::UserId;
use swipeline_storage::{SnapshotOp, Tree, partition_of};

use crate::api::EngineError;
use crate::records::JournalEntry;
use crate::session::Forget;
use crate::shared::SharedRef;

/// Forgets everything about a user. Returns whether anything was known. When this returns, no file of the data dir holds
/// the user's id in a readable place but the archive, which forgets within `archive.forget_ms_max`: journal records are overwritten in place, the snapshot row is deleted and the store
/// compacted, because a log-structured store would keep the old value for an unknown time.
pub(crate) async fn forget_user(shared: &SharedRef, user: &UserId) -> Result<bool, EngineError> {
    // No checkpoint may write the session down again meanwhile, and nobody may start it.
    let _no_checkpoint = shared.checkpoint.lock().await;
    let was_known = shared.sessions.ask(shared, user, || Forget).await?;
    let guard = shared.sessions.forget(user);
    let (inside, inside_user) = (shared.clone(), user.clone());
    let erased = tokio::task::spawn_blocking(move || {
        // Also for a user whom nobody knows: the archive reaches further back than snapshots that were lost.
        inside.archive.note_forgotten(&inside, &inside_user)?;
        let erased = if was_known {
            erase(&inside, &inside_user)
        } else {
            Ok(())
        };
        inside.archive.forget_noted(&inside_user);
        erased
    });
    let erased = erased.await;
    drop(guard);
    erased.map_err(|error| EngineError::Unavailable(error.to_string()))??;
    Ok(was_known)
}

fn erase(shared: &SharedRef, user: &UserId) -> Result<(), EngineError> {
    let key = user.as_str().as_bytes().to_vec();
    let failed =
        |error: &dyn std::fmt::Display| EngineError::Unavailable(format!("not everything was erased: {error}"));
    shared.session_rows.erase(user);
    let store = &shared.storage.snapshots;
    let rows = [Tree::Sessions, Tree::Users].map(|tree| SnapshotOp::Delete { tree, key: key.clone() });
    store.apply(rows.to_vec()).map_err(|error| failed(&error))?;
    store.flush().map_err(|error| failed(&error))?;
    shared
        .storage
        .journal
        .erase(partition_of(user.as_str()), &mut |record| {
            JournalEntry::read(record).is_ok_and(|entry| entry.user() == Some(user.as_str()))
        })
        .map_err(|error| failed(&error))?;
    store.compact().map_err(|error| failed(&error))?;
    shared.served.erase(user).map_err(|error| failed(&error))?;
    Ok(())
}
