//! Session snapshots: one row each, on its way down and on its way up.
//!
//! Owns the rows that are not in the store yet. A session's thread never waits for the store: rows wait in memory until
//! [`run_session_writer`] or a checkpoint writes them, and a session whose row cannot be read at once waits alone.

use swipeline_models::ids::UserId;
use swipeline_models::session::{SessionSnapshot, SessionState};
use swipeline_storage::{Seq, SnapshotError, SnapshotOp, Tree, WriteBehind};
use tokio::sync::Notify;

use crate::records::{decode_bytes, encode_named};
use crate::service::settle;
use crate::shared::{Shared, SharedRef, report_damage};

/// The most bytes of rows that wait for the store: some ten thousand sessions. Beyond it sessions stay active.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the writer rests after the store has failed.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// Sessions on their way into the store.
pub(crate) struct SessionRows {
    rows: WriteBehind,
    put: Notify,
}

impl Default for SessionRows {
    fn default() -> Self {
        Self {
            rows: WriteBehind::new(Tree::Sessions, WAITING_BYTES_MAX),
            put: Notify::default(),
        }
    }
}

impl SessionRows {
    /// Whether so many sessions are on their way that others should stay as they are; counts that.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.rows.is_full();
        if is_full {
            metrics::counter!("swipeline_session_rows_refused_total").increment(1);
        }
        is_full
    }

    /// Takes a session down, also when it is full: a checkpoint asks for no more than it writes. Returns whether the store
    /// will take it.
    pub(super) fn put(&self, shared: &Shared, state: &SessionState) -> bool {
        let (key, value) = session_row(shared, state);
        match self.rows.put(key, value) {
            Ok(()) => {
                self.put.notify_one();
                true
            }
            Err(error) => {
                report_damage("session that could not be written", &error);
                false
            }
        }
    }

    /// The session as it was taken down last, unless the store would have to be waited for.
    pub(super) fn now(&self, shared: &Shared, user: &UserId) -> Option<SessionState> {
        let key = user.as_str().as_bytes();
        if let Some(row) = self.rows.get(key) {
            return Some(restored(shared, user, &row));
        }
        let stored = shared.storage.snapshots.try_get(Tree::Sessions, key)?;
        Some(read_session(shared, user, stored))
    }

    /// Whether a row of that key is on its way.
    pub(crate) fn holds(&self, key: &[u8]) -> bool {
        self.rows.get(key).is_some()
    }

    /// Writes everything that was put before the call. Blocks.
    ///
    /// # Errors
    /// Those of the store; what was not written waits on.
    pub(crate) fn write(&self, shared: &Shared) -> Result<u64, SnapshotError> {
        self.rows.write(&*shared.storage.snapshots, || settle(shared))
    }

    /// Drops a user's row, also one that is being written: it is in the store then, and the caller's to delete. Blocks.
    pub(crate) fn erase(&self, user: &UserId) {
        self.rows.erase(user.as_str().as_bytes());
    }
}

/// Writes sessions into the store as they are put, until the task is aborted.
pub(crate) async fn run_session_writer(shared: SharedRef) {
    loop {
        shared.session_rows.put.notified().await;
        let inside = shared.clone();
        let written = tokio::task::spawn_blocking(move || inside.session_rows.write(&inside)).await;
        let failed = match written {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error = failed, "sessions could not be written; they wait");
        tokio::time::sleep(RETRY_AFTER).await;
        shared.session_rows.put.notify_one();
    }
}

/// The session as the store holds it; a new one when there is none. A damaged one is reported and begins anew. Blocks.
pub(crate) fn stored_session(shared: &Shared, user: &UserId) -> SessionState {
    let stored = shared.read_row(Tree::Sessions, user.as_str().as_bytes());
    read_session(shared, user, stored)
}

fn read_session(shared: &Shared, user: &UserId, stored: Result<Option<Vec<u8>>, SnapshotError>) -> SessionState {
    match stored {
        Ok(Some(bytes)) => restored(shared, user, &bytes),
        Ok(None) => SessionState::new(user.clone()),
        Err(error) => {
            report_damage("session", &error);
            SessionState::new(user.clone())
        }
    }
}

fn restored(shared: &Shared, user: &UserId, row: &[u8]) -> SessionState {
    match decode_bytes::<SessionSnapshot>(row) {
        Ok(snapshot) => {
            let mut state = snapshot.restore(user.clone(), shared.world.catalogue.words());
            leave_lost_numbers(shared, &mut state);
            state
        }
        Err(error) => {
            report_damage("session", &error);
            SessionState::new(user.clone())
        }
    }
}

/// A session may include records that the journal does not have any more: its end was lost with the power, or an earlier
/// program wrote the session first. Their numbers are never given out again, or what comes next would be taken for
/// included after the next crash; and nobody waits for them.
fn leave_lost_numbers(shared: &Shared, state: &mut SessionState) {
    let journal = &shared.storage.journal;
    let appended = journal.appended();
    if state.journal_sequence <= appended.0 {
        return;
    }
    tracing::warn!(
        user = state.user.as_str(),
        sequence = state.journal_sequence,
        appended = appended.0,
        "a session includes records that the journal has lost"
    );
    metrics::counter!("swipeline_sessions_ahead_of_journal_total").increment(1);
    if let Err(error) = journal.raise_next_seq(Seq(state.journal_sequence).next()) {
        report_damage("session", &error);
    }
    state.journal_sequence = appended.0;
}

/// The row of a session, ready for the store.
pub(super) fn session_op(shared: &Shared, state: &SessionState) -> SnapshotOp {
    let (key, value) = session_row(shared, state);
    SnapshotOp::Put {
        tree: Tree::Sessions,
        key,
        value,
    }
}

fn session_row(shared: &Shared, state: &SessionState) -> (Vec<u8>, Vec<u8>) {
    let snapshot = SessionSnapshot::of(state, shared.world.catalogue.words());
    (state.user.as_str().as_bytes().to_vec(), encode_named(&snapshot))
}
