//! Recall by like viewers: what those engaged with who, over weeks, engaged with the same items.

use super::context::newest;
use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Engaged with by viewers with a like taste.
pub(super) struct SimilarUsersChannel;

impl RecallChannel for SimilarUsersChannel {
    fn channel(&self) -> Channel {
        Channel::SimilarUsers
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        if context.load_recent_items().is_none() {
            return;
        }
        let scratch = &mut *context.scratch;
        let (own, params) = (context.session.knn_user, &context.params.similar_users);
        context
            .world
            .similar_users
            .recommend(newest(&scratch.items), own, params, &mut scratch.knn, out);
        context.keep_best(out, quota);
    }
}
