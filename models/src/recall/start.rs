//! What the first feeds of a new viewer are made of: editor's picks, what is popular in the region, and the tags given at
//! registration.
//!
//! Owns who counts as new, how much of a feed is personal, and the three parts. Must not decide which slot is whose.
//!
//! Personal share: 0 before the first signal, then max(`personal_share_min`, signals / `personal_after_signals`), 1 from
//! `personal_after_signals` signals or `first_slates` feeds on. The least share is there because the first like has to
//! show at once: what it says must not be drowned by what everybody gets.

use rand::RngExt;

use super::{Channel, RecallContext};
use crate::catalogue::Postings;
use crate::ids::{Row, Word};
use crate::params::Params;
use crate::popularity::{PopularWindow, ScoredRow, keep_best_admitted};
use crate::session::SessionState;

/// The key of the editor's picks for all regions.
const ALL_REGIONS: &str = "*";
/// So many rows per slot are gathered of what is popular and of the tags, so that the re-ranking can keep them diverse.
const ROWS_PER_SLOT: usize = 2;
/// So many registered tags are asked.
const TAGS_MAX: usize = 8;

/// One part of a new viewer's feed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StartPart {
    /// Under which channel its items are shown.
    pub(crate) channel: Channel,
    /// How much of the feed it gets beside the others.
    pub(crate) weight: f32,
    /// Its items, which may be shown.
    pub(crate) rows: Vec<Row>,
    /// Whether their order is to be kept.
    pub(crate) keeps_order: bool,
}

/// How much of the viewer's next feed is personal, 0 to 1; 1 for everybody who is not new.
pub(crate) fn personal_share(session: &SessionState, params: &Params) -> f32 {
    let cold_start = &params.cold_start;
    let (signals, personal_after) = (session.signals(), u64::from(cold_start.personal_after_signals));
    let first_items = u64::from(cold_start.first_slates) * u64::from(params.feed.n);
    if signals >= personal_after || session.shown >= first_items {
        return 1.0;
    }
    if signals == 0 {
        return 0.0;
    }
    (signals as f32 / personal_after as f32).max(cold_start.personal_share_min)
}

/// The parts of a feed of `n` for a new viewer, those that have items.
pub(crate) fn gather(context: &mut RecallContext<'_>, n: usize) -> Vec<StartPart> {
    let cold_start = &context.params.cold_start;
    let weights = [cold_start.picks_weight, cold_start.hot_weight, cold_start.tags_weight];
    let wanted = |weight: f32, count: usize| if weight > 0.0 { count } else { 0 };
    let picks = editors_picks(context, wanted(weights[0], n));
    // An item belongs to one part, or one would use up what another is owed.
    let mut hot = hot(context, wanted(weights[1], ROWS_PER_SLOT * n));
    hot.retain(|row| !picks.contains(row));
    let mut tags = tags(context, wanted(weights[2], ROWS_PER_SLOT * n));
    tags.retain(|row| !picks.contains(row) && !hot.contains(row));
    let parts = [
        (Channel::ColdStart, picks, true),
        (Channel::Hot, hot, false),
        (Channel::Tags, tags, false),
    ];
    let part = |((channel, rows, keeps_order), weight)| StartPart {
        channel,
        weight,
        rows,
        keeps_order,
    };
    parts
        .into_iter()
        .zip(weights)
        .map(part)
        .filter(|part| !part.rows.is_empty())
        .collect()
}

/// The editor's picks for the viewer's region, then those for all, in the editor's order.
pub(super) fn editors_picks(context: &mut RecallContext<'_>, count: usize) -> Vec<Row> {
    let world = context.world;
    let picks = &context.params.cold_start.editors_picks;
    let region = context
        .admission
        .region
        .and_then(|region| world.catalogue.words().regions.name(region));
    let regional = region.as_deref().and_then(|region| picks.get(region));
    let mut rows: Vec<Row> = Vec::new();
    for id in [regional, picks.get(ALL_REGIONS)].into_iter().flatten().flatten() {
        if rows.len() >= count {
            break;
        }
        if let Some(row) = world.catalogue.row(id)
            && !rows.contains(&row)
            && context.admits(row)
        {
            rows.push(row);
        }
    }
    rows
}

/// What is popular in the viewer's region now, then of all time there; everywhere when nothing is known of the region.
fn hot(context: &mut RecallContext<'_>, count: usize) -> Vec<Row> {
    let lists = context.world.trending.load();
    let mut rows: Vec<Row> = Vec::new();
    for window in [PopularWindow::Hour, PopularWindow::AllTime] {
        for candidate in lists.top_with_fallback(window, context.admission.region, None) {
            if rows.len() >= count {
                return rows;
            }
            if !rows.contains(&candidate.row) && context.admits(candidate.row) {
                rows.push(candidate.row);
            }
        }
    }
    rows
}

/// The best of a sample of the items that carry a registered tag, or are in a category of that name.
fn tags(context: &mut RecallContext<'_>, count: usize) -> Vec<Row> {
    let catalogue = &context.world.catalogue;
    let described = context.session.described.as_deref();
    let names = described.map(|user| user.tags.as_slice()).unwrap_or_default();
    let names = &names[..names.len().min(TAGS_MAX)];
    let per_tag = count.div_ceil(names.len().max(1));
    let mut rows: Vec<Row> = Vec::new();
    for name in names {
        let words = catalogue.words();
        let lists: [(&Postings, Option<Word>); 2] = [
            (catalogue.by_tag(), words.tags.get(name)),
            (catalogue.by_category(), words.categories.get(name)),
        ];
        let mut scored = Vec::new();
        for (postings, word) in lists {
            if let Some(word) = word {
                sample(context, postings, word, per_tag, &mut scored);
            }
        }
        let admission = context.admission;
        let fetch = |rows: &[ScoredRow]| admission.fetch(rows);
        keep_best_admitted(&mut scored, per_tag, fetch, |row| {
            !rows.contains(&row) && context.admits(row)
        });
        rows.extend(scored.iter().map(|one| one.row));
    }
    rows
}

/// Adds a sample of a word's items, scored by how they do.
fn sample(context: &mut RecallContext<'_>, postings: &Postings, word: Word, wanted: usize, out: &mut Vec<ScoredRow>) {
    let offset = context.random.random_range(0..usize::MAX);
    let mut rows = std::mem::take(&mut context.scratch.rows);
    rows.clear();
    postings.sample(word, wanted, 2 * wanted, offset, &mut rows);
    for row in &rows {
        let entry = context.world.board.read_or(*row, &context.prior);
        if out.iter().all(|known| known.row != *row) {
            out.push(ScoredRow {
                row: *row,
                score: 1.0 + 2.0 * entry.like_rate - entry.skip_rate,
            });
        }
    }
    context.scratch.rows = rows;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Signal;
    use crate::ids::UserId;

    #[test]
    fn the_personal_share_grows_with_signals_and_is_whole_after_ten() {
        let (mut session, params) = (SessionState::new(UserId::new("new").expect("an id")), Params::default());
        let mut shares = Vec::new();
        for signals in 0..12 {
            session.counts[Signal::Like as usize] = signals;
            shares.push(personal_share(&session, &params));
        }
        assert_eq!((shares[0], shares[1], shares[6], shares[8]), (0.0, 0.6, 0.6, 0.8));
        assert_eq!((shares[10], shares[11]), (1.0, 1.0));
        assert!(shares.windows(2).all(|pair| pair[0] <= pair[1]), "{shares:?}");
    }

    #[test]
    fn who_has_been_shown_ten_feeds_is_not_new_any_more() {
        let (mut session, mut params) = (SessionState::new(UserId::new("new").expect("an id")), Params::default());
        session.counts[Signal::Impression as usize] = 99;
        session.shown = 99;
        assert_eq!(personal_share(&session, &params), 0.0, "impressions say nothing");
        session.shown = 100;
        assert_eq!(personal_share(&session, &params), 1.0);
        session.shown = 0;
        params.cold_start.first_slates = 0;
        assert_eq!(personal_share(&session, &params), 1.0, "switched off");
    }
}
