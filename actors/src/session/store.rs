//! Session snapshots: reading and writing one row.

use swipeline_models::ids::UserId;
use swipeline_models::session::{SessionSnapshot, SessionState};
use swipeline_storage::{SnapshotOp, Tree};

use crate::records::{decode_bytes, encode_named};
use crate::shared::{Shared, report_damage};

/// The session as it was stored; a new one when there is none. A damaged one is reported and begins anew.
pub(crate) fn stored_session(shared: &Shared, user: &UserId) -> SessionState {
    let bytes = match shared.storage.snapshots.get(Tree::Sessions, user.as_str().as_bytes()) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return SessionState::new(user.clone()),
        Err(error) => {
            report_damage("session", &error);
            return SessionState::new(user.clone());
        }
    };
    match decode_bytes::<SessionSnapshot>(&bytes) {
        Ok(snapshot) => snapshot.restore(user.clone(), shared.world.catalogue.words()),
        Err(error) => {
            report_damage("session", &error);
            SessionState::new(user.clone())
        }
    }
}

/// The row of a session.
pub(crate) fn session_row(shared: &Shared, state: &SessionState) -> SnapshotOp {
    let snapshot = SessionSnapshot::of(state, shared.world.catalogue.words());
    let key = state.user.as_str().as_bytes().to_vec();
    SnapshotOp::Put {
        tree: Tree::Sessions,
        key,
        value: encode_named(&snapshot),
    }
}
