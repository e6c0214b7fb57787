//! Cold start: editor's picks for a viewer of whom little is known, and new items that are owed their first impressions.

use super::{Admission, Channel, RecallChannel, RecallContext};
use crate::ids::Row;
use crate::params::ColdStartParams;
use crate::pipeline::{Taste, cosine};
use crate::popularity::{Board, BoardEntry, ScoredRow};

/// The key of the editor's picks for all regions.
const ALL_REGIONS: &str = "*";

/// How near the viewer's taste a new item must be to be owed a slot of this viewer's slates.
const OWED_COSINE_MIN: f32 = 0.4;

/// Editor's picks and new items.
pub(super) struct ColdStartChannel;

impl RecallChannel for ColdStartChannel {
    fn channel(&self) -> Channel {
        Channel::ColdStart
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let is_new_viewer = context.session.signals() < u64::from(context.params.cold_start.personal_after_signals);
        if is_new_viewer {
            editors_picks(context, quota, out);
        }
        new_items(context, quota, out);
    }
}

/// The item upserted last that fits the viewer's taste and is still owed its first impressions: it gets a slot of its own,
/// so that something new is seen by those who are likely to care before anything is known of it.
pub(crate) fn newest_owed(
    admission: &Admission<'_>,
    board: &Board,
    prior: &BoardEntry,
    taste: &Taste,
    params: &ColdStartParams,
) -> Option<Row> {
    if !taste.has_blended {
        return None;
    }
    admission.snapshot.changed_since(0).find(|row| {
        let fits = |vector: &[f32]| cosine(&taste.blended, vector) >= OWED_COSINE_MIN;
        admission.snapshot.vector(*row).is_some_and(fits)
            && board.read_or(*row, prior).impressions < params.new_item_impressions
            && admission.check(*row).is_ok()
    })
}

fn editors_picks(context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
    let world = context.world;
    let picks = &context.params.cold_start.editors_picks;
    let region = context
        .admission
        .region
        .and_then(|region| world.catalogue.words().regions.name(region));
    let regional = region.as_deref().and_then(|region| picks.get(region));
    for id in [regional, picks.get(ALL_REGIONS)].into_iter().flatten().flatten() {
        if out.len() >= quota {
            return;
        }
        if let Some(row) = world.catalogue.row(id)
            && out.iter().all(|known| known.row != row)
            && context.admits(row)
        {
            // In the editor's order, before any new item.
            out.push(ScoredRow {
                row,
                score: 3.0 - out.len() as f32 / quota.max(1) as f32,
            });
        }
    }
}

/// New items with the fewest impressions first: everyone gets a chance to be judged.
fn new_items(context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
    let params = &context.params.cold_start;
    let snapshot = context.admission.snapshot;
    for row in snapshot.latest(None) {
        if out.len() >= quota {
            return;
        }
        let Some(entry) = snapshot.entry(*row) else { continue };
        if context.now.since(entry.created_at) > params.new_item_age_ms_max {
            return;
        }
        let impressions = context.world.board.read_or(*row, &context.prior).impressions as f32;
        let owed = params.new_item_impressions as f32 - impressions;
        if owed > 0.0 && out.iter().all(|known| known.row != *row) && context.admits(*row) {
            out.push(ScoredRow {
                row: *row,
                score: owed / params.new_item_impressions.max(1) as f32,
            });
        }
    }
}
