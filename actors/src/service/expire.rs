//! Rows of viewers of whom nothing is known but what they were shown: they go after a while.
//!
//! Owns which rows those are and when they go. A viewer with a registration or with one counted event stays for ever (until
//! deleted); one who only looked, and has not come back for `session_ttl_ms`, is forgotten.

use std::ops::ControlFlow;
use std::time::Duration;

use swipeline_models::ids::UserId;
use swipeline_models::session::SessionSnapshot;
use swipeline_storage::{SnapshotError, SnapshotOp, Tree};

use crate::clock;
use crate::records::decode_bytes;
use crate::shared::{Shared, SharedRef};

/// How often rows are looked through, at the most.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);
/// How many rows are deleted at a time.
const ROWS_AT_A_TIME: usize = 512;

/// Looks through the rows now and then, until the task is aborted.
pub(crate) async fn run_expiry(shared: SharedRef) {
    let ttl_ms = shared.config.session_ttl_ms;
    let Ok(ttl) = u64::try_from(ttl_ms).map(Duration::from_millis) else {
        return;
    };
    if ttl.is_zero() {
        return;
    }
    loop {
        tokio::time::sleep(INTERVAL_MAX.min(ttl)).await;
        let inside = shared.clone();
        match tokio::task::spawn_blocking(move || expire(&inside, ttl_ms)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(expired)) => {
                metrics::counter!("swipeline_sessions_expired_total").increment(expired as u64);
                tracing::info!(expired, "viewers who only looked were forgotten");
            }
            Ok(Err(error)) => tracing::warn!(%error, "rows of viewers who only looked could not be deleted"),
            Err(error) => tracing::error!(%error, "looking for rows that are over broke off"),
        }
    }
}

/// Deletes what is over. Returns how many rows. Blocks.
pub(crate) fn expire(shared: &Shared, ttl_ms: i64) -> Result<usize, SnapshotError> {
    let before = clock::now().plus_ms(-ttl_ms);
    let mut over: Vec<Vec<u8>> = Vec::new();
    shared.storage.snapshots.for_each(Tree::Sessions, &mut |key, row| {
        if decode_bytes::<SessionSnapshot>(row).is_ok_and(|session| session.only_looked_before(before)) {
            over.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    let mut expired = 0;
    for keys in over.chunks(ROWS_AT_A_TIME) {
        // Who is back, or on the way into the store, stays.
        let is_away = |key: &&Vec<u8>| {
            let user = std::str::from_utf8(key).ok().and_then(|id| UserId::new(id).ok());
            user.is_some_and(|user| !shared.sessions.is_active(&user)) && !shared.session_rows.holds(key)
        };
        let deletions: Vec<SnapshotOp> = keys
            .iter()
            .filter(is_away)
            .map(|key| SnapshotOp::Delete {
                tree: Tree::Sessions,
                key: key.clone(),
            })
            .collect();
        expired += deletions.len();
        shared.storage.snapshots.apply(deletions)?;
    }
    Ok(expired)
}
