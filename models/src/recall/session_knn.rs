//! Recall by like sessions: what was liked in the sessions most similar to this one (VMIS-kNN).

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::{ScoredRow, keep_best};

/// How many of the viewer's last positive items stand for the session.
const RECENT_ITEMS_MAX: usize = 10;

/// Liked in the sessions most like this one.
pub(super) struct SessionKnnChannel;

impl RecallChannel for SessionKnnChannel {
    fn channel(&self) -> Channel {
        Channel::SessionKnn
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let scratch = &mut *context.scratch;
        context.session.recent_positive(RECENT_ITEMS_MAX, &mut scratch.recent);
        scratch.rows.clear();
        scratch
            .rows
            .extend(scratch.recent.iter().rev().map(|action| action.row));
        context.world.session_knn.recommend(
            &scratch.rows,
            context.session.knn_session,
            &context.params.collaborative,
            usize::MAX,
            &mut scratch.knn,
            out,
        );
        let admission = &context.admission;
        let filtered = &mut context.filtered;
        out.retain(|candidate| admission.admits(candidate.row, filtered));
        keep_best(out, quota);
    }
}
