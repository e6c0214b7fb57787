//! Recall by chance: a uniform draw from everything admissible, and the backfill when everything else has run out.

use rand::RngExt;

use super::{Channel, FilterCounts, RecallChannel, RecallContext};
use crate::ids::Row;
use crate::popularity::ScoredRow;

/// How many draws are made per candidate wanted, before the channel gives up.
const DRAWS_PER_CANDIDATE: usize = 4;

/// Drawn by chance.
pub(super) struct ExploreChannel;

impl RecallChannel for ExploreChannel {
    fn channel(&self) -> Channel {
        Channel::Explore
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let rows_end = context.admission.snapshot.rows_end();
        if rows_end == 0 {
            return;
        }
        for _ in 0..quota * DRAWS_PER_CANDIDATE {
            if out.len() >= quota {
                return;
            }
            let row = context.random.random_range(0..rows_end);
            if context.admission.snapshot.entry(row).is_none() {
                continue;
            }
            if out.iter().all(|known| known.row != row) && context.admits(row) {
                out.push(ScoredRow { row, score: 1.0 });
            }
        }
    }
}

/// Walks once through the whole catalogue from a row drawn by chance and takes what is admissible, until `count` rows
/// are found: what a search for n owes while n admissible items exist. Costs a pass over the catalogue at worst, which
/// only a viewer pays who has seen nearly everything.
pub(crate) fn fill_from_everywhere(
    context: &mut RecallContext<'_>,
    count: usize,
    is_known: &dyn Fn(Row) -> bool,
    out: &mut Vec<Row>,
) {
    let rows_end = context.admission.snapshot.rows_end();
    if rows_end == 0 {
        return;
    }
    let start = context.random.random_range(0..rows_end);
    let mut ignored = FilterCounts::default();
    for row in (start..rows_end).chain(0..start) {
        if out.len() >= count {
            return;
        }
        if !is_known(row) && context.admission.admits(row, &mut ignored) {
            out.push(row);
        }
    }
}
