//! Recall by embedding: the items nearest to the short-term taste, and those nearest to the long-term taste.

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Nearest to what the viewer likes now (short- and long-term blended).
pub(super) struct EmbeddingChannel;

/// Nearest to what the viewer has liked for long.
pub(super) struct EmbeddingLongChannel;

impl RecallChannel for EmbeddingChannel {
    fn channel(&self) -> Channel {
        Channel::Embedding
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let taste = context.taste;
        if taste.has_blended {
            nearest(context, &taste.blended, quota, out);
        }
    }
}

impl RecallChannel for EmbeddingLongChannel {
    fn channel(&self) -> Channel {
        Channel::EmbeddingLong
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let taste = context.taste;
        // While both horizons point the same way, a second search would only name the same items again.
        if taste.has_long && taste.long_differs() {
            nearest(context, &taste.long, quota, out);
        }
    }
}

fn nearest(context: &mut RecallContext<'_>, direction: &[f32], quota: usize, out: &mut Vec<ScoredRow>) {
    let admission = &context.admission;
    let filtered = &mut context.filtered;
    let scratch = &mut *context.scratch;
    admission.snapshot.nearest(
        direction,
        quota,
        &mut |row| admission.admits(row, filtered),
        &mut scratch.search,
        &mut scratch.neighbours,
    );
    out.extend(scratch.neighbours.iter().map(|found| ScoredRow {
        row: found.row,
        score: found.score,
    }));
}
