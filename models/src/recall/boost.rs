//! Recall by rule: items that an operator wants to be seen more, so that a boost also reaches viewers to whom no other
//! channel would have named them.

use rand::RngExt;
use smallvec::SmallVec;

use super::{Channel, RecallChannel, RecallContext};
use crate::control::Rule;
use crate::ids::Row;
use crate::popularity::{PopularWindow, ScoredRow, keep_best};

/// How many of a target's newest items are looked at per item wanted.
const NEWEST_PER_WANTED: usize = 2;
/// How many more, spread over the rest of its items.
const SPREAD_PER_WANTED: usize = 6;
/// How many of the newest items of all are looked at for a target that has no list of its own.
const LATEST_MAX: usize = 1_000;

/// What the active rules that raise something aim at.
pub(super) struct BoostChannel;

impl RecallChannel for BoostChannel {
    fn channel(&self) -> Channel {
        Channel::Boost
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let control = context.control;
        let raising = context.active.iter(&control.rules).filter(|rule| rule.effect.raises());
        let raising: SmallVec<[&Rule; 8]> = raising.collect();
        for rule in &raising {
            take(context, rule, quota.div_ceil(raising.len()), out);
        }
        out.sort_unstable_by(|a, b| a.row.cmp(&b.row).then(b.score.total_cmp(&a.score)));
        out.dedup_by_key(|candidate| candidate.row);
        keep_best(out, quota);
    }
}

/// Adds the best `wanted` of a sample of what a rule aims at, by how items do.
fn take(context: &mut RecallContext<'_>, rule: &Rule, wanted: usize, out: &mut Vec<ScoredRow>) {
    let mut rows = std::mem::take(&mut context.scratch.rows);
    let mut scored = std::mem::take(&mut context.scratch.scored);
    rows.clear();
    scored.clear();
    sample(context, rule, wanted, &mut rows);
    let snapshot = context.admission.snapshot;
    for row in &rows {
        if snapshot.entry(*row).is_some_and(|entry| rule.items.matches(entry)) {
            let entry = context.world.board.read_or(*row, &context.prior);
            scored.push(ScoredRow {
                row: *row,
                score: 1.0 + 2.0 * entry.like_rate - entry.skip_rate,
            });
        }
    }
    context.keep_best(&mut scored, wanted);
    out.extend_from_slice(&scored);
    context.scratch.rows = rows;
    context.scratch.scored = scored;
}

/// Items that may be what a rule aims at: from the shortest list that holds them all.
fn sample(context: &mut RecallContext<'_>, rule: &Rule, wanted: usize, rows: &mut Vec<Row>) {
    let catalogue = &context.world.catalogue;
    let target = &rule.items;
    let offset = context.random.random_range(0..usize::MAX);
    let (newest, spread) = (NEWEST_PER_WANTED * wanted, SPREAD_PER_WANTED * wanted);
    if let Some(id) = &rule.item {
        rows.extend(catalogue.row(id));
    } else if let Some(author) = target.author {
        catalogue.by_author().sample(author, newest, spread, offset, rows);
    } else if let Some(tag) = target.tag {
        catalogue.by_tag().sample(tag, newest, spread, offset, rows);
    } else if let Some(category) = target.category {
        catalogue.by_category().sample(category, newest, spread, offset, rows);
    } else {
        let lists = context.world.trending.load();
        let hot = lists.top_with_fallback(PopularWindow::AllTime, target.region, None);
        rows.extend(hot.iter().map(|candidate| candidate.row));
        rows.extend(context.admission.snapshot.latest(None).iter().take(LATEST_MAX));
        rows.sort_unstable();
        rows.dedup();
    }
}
