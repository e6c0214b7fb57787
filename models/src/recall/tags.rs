//! Recall by words: items that carry the tags and categories that the viewer cares for.

use rand::RngExt;
use smallvec::SmallVec;

use super::{Channel, RecallChannel, RecallContext};
use crate::catalogue::Postings;
use crate::ids::Word;
use crate::popularity::{ScoredRow, keep_best};
use crate::session::squash;

/// How many of the viewer's strongest tags, and of the strongest categories, are asked.
const WORDS_MAX: usize = 5;
/// How many of a word's newest items are looked at per item wanted.
const NEWEST_PER_WANTED: usize = 2;
/// How many more, spread over the rest of the word's items.
const SPREAD_PER_WANTED: usize = 3;
/// The weight of tags given at registration beside learned ones.
const REGISTERED_TAG_WEIGHT: f32 = 1.0;
/// What a long-term tag weighs beside a short-term one.
const LONG_TERM_SHARE: f32 = 0.5;

/// Words with the viewer's weights; up to two horizons of tags, those from outside, and those given at registration.
type WeightedWords = SmallVec<[(Word, f32); 4 * WORDS_MAX]>;

/// Carries tags or categories that the viewer cares for.
pub(super) struct TagsChannel;

impl RecallChannel for TagsChannel {
    fn channel(&self) -> Channel {
        Channel::Tags
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        let catalogue = &context.world.catalogue;
        let tags = tags_of(context);
        let categories = context.session.short.categories.strongest(WORDS_MAX);
        let total: f32 = tags.iter().chain(&categories).map(|(_, weight)| squash(*weight)).sum();
        let lists = tags.iter().map(|word| (catalogue.by_tag(), word));
        for (postings, (word, weight)) in lists.chain(categories.iter().map(|word| (catalogue.by_category(), word))) {
            // Every word gets a share by its weight: the strongest must not fill the quota alone.
            let share = (quota as f32 * squash(*weight) / total).ceil() as usize;
            collect(context, postings, *word, squash(*weight), share, out);
        }
        // An item that carries several of the words was named for each: its scores add up.
        out.sort_unstable_by_key(|candidate| candidate.row);
        out.dedup_by(|later, kept| {
            let same = later.row == kept.row;
            if same {
                kept.score += later.score;
            }
            same
        });
        keep_best(out, quota);
    }
}

/// The tags to ask: the strongest learned ones, short-term before long-term, long-term ones from outside, and those given at registration while
/// little is known.
fn tags_of(context: &RecallContext<'_>) -> WeightedWords {
    let session = context.session;
    let mut tags = WeightedWords::from_vec(session.short.tags.strongest(WORDS_MAX));
    let long_term = session.long.tags.strongest(WORDS_MAX);
    let long_term = long_term
        .into_iter()
        .map(|(word, weight)| (word, weight * LONG_TERM_SHARE));
    let is_new = session.signals() < u64::from(context.params.cold_start.personal_after_signals);
    let registered = session.registered_tags.iter().take(if is_new { WORDS_MAX } else { 0 });
    let given = session
        .prior_tags(&context.params.interest)
        .filter(|(_, weight)| *weight > 0.0);
    let given = given
        .take(WORDS_MAX)
        .map(|(word, weight)| (word, weight * LONG_TERM_SHARE));
    for (word, weight) in long_term
        .chain(given)
        .chain(registered.map(|word| (*word, REGISTERED_TAG_WEIGHT)))
    {
        if tags.iter().all(|(known, _)| *known != word) {
            tags.push((word, weight));
        }
    }
    tags
}

/// Adds the best `wanted` of a sample of a word's items, scored by the word's weight and the item's quality.
fn collect(
    context: &mut RecallContext<'_>,
    postings: &Postings,
    word: Word,
    weight: f32,
    wanted: usize,
    out: &mut Vec<ScoredRow>,
) {
    let offset = context.random.random_range(0..usize::MAX);
    let mut rows = std::mem::take(&mut context.scratch.rows);
    let mut scored = std::mem::take(&mut context.scratch.scored);
    rows.clear();
    scored.clear();
    postings.sample(
        word,
        NEWEST_PER_WANTED * wanted,
        SPREAD_PER_WANTED * wanted,
        offset,
        &mut rows,
    );
    let (board, prior) = (&context.world.board, (context.prior.like_rate, context.prior.skip_rate));
    scored.extend(rows.iter().map(|row| {
        let (like_rate, skip_rate) = board.like_and_skip_rate(*row).unwrap_or(prior);
        ScoredRow {
            row: *row,
            score: weight * (1.0 + 2.0 * like_rate - skip_rate),
        }
    }));
    context.keep_best(&mut scored, wanted);
    out.extend_from_slice(&scored);
    context.scratch.rows = rows;
    context.scratch.scored = scored;
}
