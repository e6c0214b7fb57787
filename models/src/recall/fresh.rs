//! Recall by age: the newest items, half of them of the viewer's favourite categories.

use super::{Channel, RecallChannel, RecallContext};
use crate::ids::Row;
use crate::popularity::{ScoredRow, keep_best};
use crate::time::DAY_MS;

const CATEGORIES_MAX: usize = 2;

/// New.
pub(super) struct FreshChannel;

impl RecallChannel for FreshChannel {
    fn channel(&self) -> Channel {
        Channel::Fresh
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let snapshot = context.admission.snapshot;
        let categories = context.session.short.categories.strongest(CATEGORIES_MAX);
        let share = quota / (2 * categories.len().max(1));
        for (category, _) in &categories {
            take(context, snapshot.latest(Some(*category)), share, out);
        }
        let rest = quota.saturating_sub(out.len());
        take(context, snapshot.latest(None), rest, out);
        out.sort_unstable_by_key(|candidate| candidate.row);
        out.dedup_by_key(|candidate| candidate.row);
        keep_best(out, quota);
    }
}

fn take(context: &mut RecallContext<'_>, rows: &[Row], count: usize, out: &mut Vec<ScoredRow>) {
    let mut taken = 0;
    for row in rows {
        if taken >= count {
            break;
        }
        if context.admits(*row) {
            let created_at = context
                .admission
                .snapshot
                .entry(*row)
                .map(|entry| entry.created_at)
                .unwrap_or_default();
            let age_days = context.now.since(created_at).max(0) as f32 / DAY_MS as f32;
            out.push(ScoredRow {
                row: *row,
                score: 1.0 / (1.0 + age_days),
            });
            taken += 1;
        }
    }
}
