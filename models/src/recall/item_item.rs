//! Recall by co-engagement: items that were liked together with what the viewer liked last.

use super::context::newest;
use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Liked together with what the viewer liked last.
pub(super) struct ItemItemChannel;

impl RecallChannel for ItemItemChannel {
    fn channel(&self) -> Channel {
        Channel::ItemItem
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        // As of the viewer's last signal and not as of now: a viewer who comes back after a year, or a log of long ago,
        // has neighbours as they were then.
        let Some(as_of) = context.load_recent_items() else {
            return;
        };
        let scratch = &mut *context.scratch;
        context.world.co_visits.score_from_recent(
            newest(&scratch.items),
            context.profile,
            as_of.min(context.now),
            &context.params.collaborative,
            None,
            &mut scratch.co_visits,
            out,
        );
        context.keep_best(out, quota);
    }
}
