//! Recall by co-engagement: items that were liked together with what the viewer liked last.

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::{ScoredRow, keep_best};

/// How many of the viewer's last positive items are asked.
const RECENT_ITEMS_MAX: usize = 10;

/// Liked together with what the viewer liked last.
pub(super) struct ItemItemChannel;

impl RecallChannel for ItemItemChannel {
    fn channel(&self) -> Channel {
        Channel::ItemItem
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let scratch = &mut *context.scratch;
        context.session.recent_positive(RECENT_ITEMS_MAX, &mut scratch.recent);
        scratch.weighted.clear();
        scratch
            .weighted
            .extend(scratch.recent.iter().rev().map(|action| (action.row, action.weight)));
        // As of the viewer's last signal and not as of now: a viewer who comes back after a year, or a log of long ago,
        // has neighbours as they were then.
        let Some(as_of) = scratch.recent.iter().map(|action| action.at).max() else {
            return;
        };
        context.world.co_visits.score_from_recent(
            &scratch.weighted,
            as_of.min(context.now),
            &context.params.collaborative,
            usize::MAX,
            &mut scratch.co_visits,
            out,
        );
        let admission = &context.admission;
        let filtered = &mut context.filtered;
        out.retain(|candidate| admission.admits(candidate.row, filtered));
        keep_best(out, quota);
    }
}
