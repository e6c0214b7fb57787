//! Recall by popularity: what does best in the viewer's region and favourite categories right now.

use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::{PopularWindow, ScoredRow, keep_best};

/// How many of the viewer's strongest categories get a share of their own.
const CATEGORIES_MAX: usize = 2;
/// What an item of a favourite category gains over the same place in the overall list.
const CATEGORY_BONUS: f32 = 0.2;

/// Popular in the viewer's region and categories.
pub(super) struct HotChannel;

impl RecallChannel for HotChannel {
    fn channel(&self) -> Channel {
        Channel::Hot
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let lists = context.world.trending.load();
        let region = context.admission.region;
        let categories = context.session.short.categories.strongest(CATEGORIES_MAX);
        let share = quota / (categories.len() + 1);
        for (category, _) in &categories {
            let regional = lists.top(PopularWindow::AllTime, region, Some(*category));
            let everywhere = lists.top(PopularWindow::AllTime, None, Some(*category));
            let rows = if regional.is_empty() { everywhere } else { regional };
            take(context, rows, share, CATEGORY_BONUS, out);
        }
        for window in [PopularWindow::Hour, PopularWindow::AllTime] {
            let rows = lists.top_with_fallback(window, region, None);
            take(context, rows, quota - share * categories.len(), 0.0, out);
        }
        out.sort_unstable_by(|a, b| a.row.cmp(&b.row).then(b.score.total_cmp(&a.score)));
        out.dedup_by_key(|candidate| candidate.row);
        keep_best(out, quota);
    }
}

/// Takes admissible rows from a list; the score falls with the place, so that lists of different units can be mixed.
fn take(context: &mut RecallContext<'_>, rows: &[ScoredRow], count: usize, bonus: f32, out: &mut Vec<ScoredRow>) {
    let mut taken = 0;
    for (place, candidate) in rows.iter().enumerate() {
        if taken >= count {
            break;
        }
        if context.admits(candidate.row) {
            out.push(ScoredRow {
                row: candidate.row,
                score: bonus + 1.0 / (1.0 + 0.05 * place as f32),
            });
            taken += 1;
        }
    }
}
