//! Recall by the linear model: what all that the viewer liked last says together.

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Fits what the viewer liked last, taken together.
pub(super) struct LinearChannel;

impl RecallChannel for LinearChannel {
    fn channel(&self) -> Channel {
        Channel::Linear
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        // Where short sessions rule the model has no say, and its time is saved.
        if context.profile.linear_weight <= 0.0 {
            return;
        }
        let Some(model) = context.world.linear.model() else {
            return;
        };
        if context.load_recent_items().is_none() {
            return;
        }
        let scratch = &mut *context.scratch;
        model.score_from_recent(
            &scratch.items,
            context.profile,
            &context.params.collaborative,
            None,
            &mut scratch.co_visits,
            out,
        );
        context.keep_best(out, quota);
    }
}
