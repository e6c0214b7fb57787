//! The hot path: corrects the objectives of all candidates of a request.
//!
//! Owns the arithmetic per candidate: no lock, no memory, no call but for the crosses of objectives that are corrected.
//!
//! A calibrated probability is worth what the fusion weights say, but the default weights, and the bonuses and penalties
//! of re-ranking beside them, were balanced with the model as it is. So that a correction changes which candidates are
//! better, and no objective loses its part in the score, each corrected objective is weighed with the spread (standard
//! deviation over the candidates) that the model gave it, within `learner.spread_factor_min` and `_max`.

use std::sync::Arc;

use multiversion::multiversion;

use super::guard::Level;
use super::lanes::{LANES, Lanes, log_odds, moved, padded};
use super::slots::{RowSlots, ViewerKeys};
use super::weights::Published;
use crate::catalogue::CatalogueSnapshot;
use crate::features::schema::FEATURE_COUNT;
use crate::ids::Row;
use crate::params::LearnerParams;
use crate::rank::{OBJECTIVE_COUNT, ObjectiveRow};
use crate::recall::ChannelSet;

/// So many candidates' crosses are asked for at a time, before the first of them is needed.
const BLOCK_ROWS: usize = 16;

/// Where the crosses of some candidates lie; `None` for an item that is gone.
type Block = [Option<RowSlots>; BLOCK_ROWS];

/// The columns of the candidates that a correction reads.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Which items.
    pub rows: &'a [Row],
    /// The channels that named each.
    pub channels: &'a [ChannelSet],
    /// Feature rows, one after the other.
    pub features: &'a [f32],
    /// The cheap score.
    pub pre_rank: &'a [f32],
    /// What the collaborative channels say.
    pub collaborative: &'a [f32],
}

/// A correction that was made.
#[derive(Debug, Clone)]
pub struct Applied {
    /// By what.
    pub published: Arc<Published>,
    /// For whom.
    pub viewer: ViewerKeys,
    /// By what factor the fusion weight of each objective is to be multiplied, so that it counts as much as before.
    pub factors: ObjectiveRow,
}

/// Corrects `objectives` in place. `None`: nothing is to be corrected, and nothing was changed.
pub fn correct(
    published: &Arc<Published>,
    params: &LearnerParams,
    viewer: ViewerKeys,
    snapshot: &CatalogueSnapshot,
    columns: Columns<'_>,
    objectives: &mut [ObjectiveRow],
) -> Option<Applied> {
    if !params.correct || !published.is_active() {
        return None;
    }
    let level_mask = |least: Level| -> Lanes {
        std::array::from_fn(|lane| {
            let speaks = published.levels.get(lane).is_some_and(|level| *level >= least);
            f32::from(u8::from(speaks))
        })
    };
    let work = Work {
        published,
        snapshot,
        viewer,
        columns,
        calibrated: level_mask(Level::Calibrated),
        corrected: level_mask(Level::Corrected),
        asks_crosses: published.levels.contains(&Level::Corrected),
        max: params.correction_max,
    };
    let mut spread = SpreadChange::default();
    correct_rows(&work, objectives, &mut spread);
    let factors = spread.factors(&published.levels, (params.spread_factor_min, params.spread_factor_max));
    Some(Applied {
        published: Arc::clone(published),
        viewer,
        factors,
    })
}

/// What the correction of a row looks at.
struct Work<'a> {
    published: &'a Published,
    snapshot: &'a CatalogueSnapshot,
    viewer: ViewerKeys,
    columns: Columns<'a>,
    /// 1 for the objectives that are calibrated, 0 for the others.
    calibrated: Lanes,
    /// 1 for the objectives that are corrected, 0 for the others.
    corrected: Lanes,
    asks_crosses: bool,
    max: f32,
}

/// Corrects row after row. Compiled for registers that hold all lanes as well, and the best version is taken at run time:
/// the same operations in the same order, so the same numbers.
#[multiversion(targets("x86_64+avx2"))]
fn correct_rows(work: &Work<'_>, objectives: &mut [ObjectiveRow], spread: &mut SpreadChange) {
    let (published, columns) = (work.published, &work.columns);
    let feature_rows = columns.features.as_chunks::<FEATURE_COUNT>().0;
    let mut slots: Block = [None; BLOCK_ROWS];
    for (place, (row, features)) in objectives.iter_mut().zip(feature_rows).enumerate() {
        if work.asks_crosses && place % BLOCK_ROWS == 0 {
            let rows = columns.rows[place..].iter().zip(&feature_rows[place..]);
            for (slots, (row, features)) in slots.iter_mut().zip(rows) {
                *slots = work
                    .snapshot
                    .entry(*row)
                    .map(|entry| work.viewer.slots(entry, features));
            }
            published.fetch(slots.iter().flatten());
        }
        let said = padded(row);
        let odds = log_odds(said);
        let mut by = [0.0; LANES];
        for lane in 0..LANES {
            by[lane] = work.calibrated[lane] * (published.scale[lane] * odds[lane] + published.bias[lane]);
        }
        if work.asks_crosses
            && let Some(slots) = &slots[place % BLOCK_ROWS]
        {
            let residual = published.residual(
                features,
                columns.pre_rank[place],
                columns.collaborative[place],
                columns.channels[place],
                slots,
            );
            for lane in 0..LANES {
                by[lane] += work.corrected[lane] * residual[lane].max(-work.max).min(work.max);
            }
        }
        let now = moved(said, by);
        spread.add(&said, &now);
        row.copy_from_slice(&now[..OBJECTIVE_COUNT]);
    }
}

/// Moments of the objectives before and after.
#[derive(Default)]
struct SpreadChange {
    count: f32,
    before: [Lanes; 2],
    after: [Lanes; 2],
}

impl SpreadChange {
    #[inline(always)]
    fn add(&mut self, before: &Lanes, after: &Lanes) {
        self.count += 1.0;
        for (moments, values) in [(&mut self.before, before), (&mut self.after, after)] {
            for lane in 0..LANES {
                moments[0][lane] += values[lane];
                moments[1][lane] += values[lane] * values[lane];
            }
        }
    }

    fn factors(&self, levels: &[Level; OBJECTIVE_COUNT], (min, max): (f32, f32)) -> ObjectiveRow {
        let deviation = |moments: &[Lanes; 2], lane: usize| {
            let mean = moments[0][lane] / self.count;
            (moments[1][lane] / self.count - mean * mean).max(0.0).sqrt()
        };
        std::array::from_fn(|lane| {
            let (before, after) = (deviation(&self.before, lane), deviation(&self.after, lane));
            if levels[lane] == Level::Model || !(before > 0.0 && after > 0.0) {
                return 1.0;
            }
            (before / after).max(min).min(max)
        })
    }
}
