//! Cold start: editor's picks for a viewer of whom little is known, and new items that are owed their first impressions.

use super::start::{editors_picks, personal_share};
use super::{Channel, RecallChannel, RecallContext};
use crate::popularity::ScoredRow;

/// Editor's picks and new items.
pub(super) struct ColdStartChannel;

impl RecallChannel for ColdStartChannel {
    fn channel(&self) -> Channel {
        Channel::ColdStart
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        if personal_share(context.session, context.params) < 1.0 {
            // In the editor's order, before any new item.
            let picks = editors_picks(context, quota);
            let step = 1.0 / quota.max(1) as f32;
            let scored = picks.into_iter().zip(0_u8..).map(|(row, place)| ScoredRow {
                row,
                score: 3.0 - step * f32::from(place),
            });
            out.extend(scored);
        }
        new_items(context, quota, out);
    }
}

/// New items that lag furthest behind first: everyone gets a chance to be judged, and who was judged badly none any more.
fn new_items(context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
    let (world, params) = (context.world, &context.params.cold_start);
    let snapshot = context.admission.snapshot;
    for row in snapshot.latest(None) {
        if out.len() >= quota {
            return;
        }
        let Some(entry) = snapshot.entry(*row) else { continue };
        if context.now.since(entry.created_at) > params.new_item_age_ms_max {
            return;
        }
        let shown = world.board.read_or(*row, &context.prior);
        let progress = world
            .new_items
            .progress(entry.created_at, &shown, params, &context.prior, context.now);
        let open = progress.filter(|progress| progress.is_open());
        if let Some(progress) = open
            && out.iter().all(|known| known.row != *row)
            && context.admits(*row)
        {
            let missing = progress.target.saturating_sub(progress.shown) as f32;
            out.push(ScoredRow {
                row: *row,
                score: missing / progress.target.max(1) as f32,
            });
        }
    }
}
