//! Recall by like sessions: what was liked in the sessions most similar to this one.

use super::context::newest;
use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Liked in the sessions most like this one.
pub(super) struct SessionKnnChannel;

impl RecallChannel for SessionKnnChannel {
    fn channel(&self) -> Channel {
        Channel::SessionKnn
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        if context.load_recent_items().is_none() {
            return;
        }
        let scratch = &mut *context.scratch;
        context.world.session_knn.recommend(
            newest(&scratch.items),
            context.session.knn_session,
            context.profile,
            &context.params.collaborative,
            None,
            &mut scratch.knn,
            out,
        );
        context.keep_best(out, quota);
    }
}
