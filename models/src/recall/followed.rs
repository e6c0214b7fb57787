//! Recall by follows: the newest items of the authors whom the viewer follows.

use rand::RngExt;

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::{ScoredRow, keep_best};
use crate::time::DAY_MS;

/// How many followed authors are asked per recall; the start moves by chance, so that all have their turn.
const AUTHORS_MAX: usize = 40;
/// How many of an author's newest items are looked at.
const ITEMS_PER_AUTHOR: usize = 8;

/// By an author whom the viewer follows.
pub(super) struct FollowedChannel;

impl RecallChannel for FollowedChannel {
    fn channel(&self) -> Channel {
        Channel::Followed
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let follows = &context.session.follows;
        if follows.is_empty() {
            return;
        }
        let start = context.random.random_range(0..follows.len());
        let mut rows = std::mem::take(&mut context.scratch.rows);
        for place in 0..follows.len().min(AUTHORS_MAX) {
            rows.clear();
            let author = follows[(start + place) % follows.len()];
            context
                .world
                .catalogue
                .by_author()
                .sample(author, ITEMS_PER_AUTHOR, 0, 0, &mut rows);
            for row in &rows {
                if let Some(entry) = context.admission.snapshot.entry(*row)
                    && context.admits(*row)
                {
                    let age_days = context.now.since(entry.created_at).max(0) as f32 / DAY_MS as f32;
                    out.push(ScoredRow {
                        row: *row,
                        score: 1.0 / (1.0 + age_days),
                    });
                }
            }
        }
        context.scratch.rows = rows;
        keep_best(out, quota);
    }
}
