//! Recall by words: items that carry the tags and categories that the viewer cares for.

use rand::RngExt;

use super::{Channel, RecallChannel, RecallContext};
use crate::ids::Word;
use crate::popularity::{ScoredRow, keep_best};
use crate::session::squash;

/// How many of the viewer's strongest tags, and of the strongest categories, are asked.
const WORDS_MAX: usize = 5;
/// How many of the newest items of a word are looked at.
const NEWEST_PER_WORD: usize = 48;
/// How many more, spread over the rest of the word's items.
const SPREAD_PER_WORD: usize = 80;
/// The weight of tags given at registration beside learned ones.
const REGISTERED_TAG_WEIGHT: f32 = 1.0;

/// Carries tags or categories that the viewer cares for.
pub(super) struct TagsChannel;

impl RecallChannel for TagsChannel {
    fn channel(&self) -> Channel {
        Channel::Tags
    }

    fn recall(&self, context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
        for (word, weight) in tags_of(context) {
            collect(context, word, weight, true, out);
        }
        let short = &context.session.short.categories;
        for (word, weight) in short.strongest(WORDS_MAX) {
            collect(context, word, weight, false, out);
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

/// The tags to ask: the strongest learned ones, short-term before long-term, and those given at registration while
/// little is known.
fn tags_of(context: &RecallContext<'_>) -> Vec<(Word, f32)> {
    let session = context.session;
    let mut tags = session.short.tags.strongest(WORDS_MAX);
    for (word, weight) in session.long.tags.strongest(WORDS_MAX) {
        if tags.iter().all(|(known, _)| *known != word) && tags.len() < 2 * WORDS_MAX {
            tags.push((word, weight * 0.5));
        }
    }
    if session.signals() < u64::from(context.params.cold_start.personal_after_signals) {
        for word in session.registered_tags.iter().take(WORDS_MAX) {
            if tags.iter().all(|(known, _)| known != word) {
                tags.push((*word, REGISTERED_TAG_WEIGHT));
            }
        }
    }
    tags
}

/// Adds a sample of a word's items, scored by the word's weight and the item's quality.
fn collect(context: &mut RecallContext<'_>, word: Word, weight: f32, is_tag: bool, out: &mut Vec<ScoredRow>) {
    let offset = context.random.random_range(0..usize::MAX);
    let catalogue = &context.world.catalogue;
    let postings = if is_tag { catalogue.by_tag() } else { catalogue.by_category() };
    let mut rows = std::mem::take(&mut context.scratch.rows);
    rows.clear();
    postings.sample(word, NEWEST_PER_WORD, SPREAD_PER_WORD, offset, &mut rows);
    for row in &rows {
        if context.admits(*row) {
            let entry = context.world.board.read_or(*row, &context.prior);
            let quality = 1.0 + 2.0 * entry.like_rate - entry.skip_rate;
            out.push(ScoredRow { row: *row, score: squash(weight) * quality });
        }
    }
    context.scratch.rows = rows;
}
