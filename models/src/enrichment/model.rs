//! Which tags go with which words.
//!
//! Owns the counts, their bounds and the score. Counts are of items, not of repetitions: a word said ten times in one
//! description says no more about the tag than once.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::ids::Word;

/// The most words that are known; above it those that were seen least are dropped.
const TOKENS_MAX: usize = 50_000;
/// The most tags that are counted for one word; the rarest makes room.
const TAGS_OF_TOKEN_MAX: usize = 64;
/// A word that fewer items have says nothing: it might be a name or a slip of the keyboard.
const TOKEN_ITEMS_MIN: u32 = 2;
/// So many tags are looked at closely for one text.
const CANDIDATES_MAX: usize = 32;
/// Added to every count of items, so that nothing is impossible (Jeffreys' prior).
const PRIOR_ITEMS: f32 = 0.5;
/// What a word that never came with a tag can say against it: texts speak of other things as well.
const AGAINST_MAX: f32 = -1.5;
/// What one word can say for a tag: alone it shall not decide.
const FOR_MAX: f32 = 6.0;

/// A tag that a text speaks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inferred {
    /// Which.
    pub tag: Word,
    /// How sure the model is, 0 to 1: the probability by Bayes' rule, which is too sure of itself when words repeat each
    /// other.
    pub confidence: f32,
}

/// What a word came with.
#[derive(Debug, Clone, Default)]
struct TokenCounts {
    /// Items with the word.
    items: u32,
    /// Items with the word and the tag.
    tags: SmallVec<[(Word, u32); 4]>,
}

/// A word of a text that is asked about.
struct Known<'a> {
    /// Other items with it.
    items: u32,
    /// How often the text has it.
    times: u32,
    /// The tags of those items.
    tags: &'a [(Word, u32)],
}

/// Which tags go with which words, over all items that have both.
#[derive(Debug, Clone, Default)]
pub struct TextModel {
    tokens: FxHashMap<u64, TokenCounts>,
    /// Items with the tag and a text.
    tags: FxHashMap<Word, u32>,
    items: u32,
}

impl TextModel {
    /// Takes up an item with these words and these tags of its owner. Nothing happens without either.
    pub fn learn(&mut self, tokens: &[(u64, u32)], tags: &[Word]) {
        if tokens.is_empty() || tags.is_empty() {
            return;
        }
        self.items += 1;
        for tag in tags {
            *self.tags.entry(*tag).or_default() += 1;
        }
        for (token, _) in tokens {
            let counts = self.tokens.entry(*token).or_default();
            counts.items += 1;
            tags.iter().for_each(|tag| counts.add(*tag));
        }
        if self.tokens.len() > TOKENS_MAX {
            self.drop_rare_tokens();
        }
    }

    /// Takes an item back out that was learned with these words and tags. What was dropped in between stays dropped.
    pub fn unlearn(&mut self, tokens: &[(u64, u32)], tags: &[Word]) {
        if tokens.is_empty() || tags.is_empty() {
            return;
        }
        self.items = self.items.saturating_sub(1);
        for tag in tags {
            if let Some(items) = self.tags.get_mut(tag) {
                *items = items.saturating_sub(1);
                if *items == 0 {
                    self.tags.remove(tag);
                }
            }
        }
        for (token, _) in tokens {
            let Some(counts) = self.tokens.get_mut(token) else {
                continue;
            };
            counts.items = counts.items.saturating_sub(1);
            for (tag, count) in &mut counts.tags {
                *count -= u32::from(tags.contains(tag) && *count > 0);
            }
            counts.tags.retain(|(_, count)| *count > 0);
            if counts.items == 0 {
                self.tokens.remove(token);
            }
        }
    }

    /// The tags that a text speaks for with at least `confidence_min`, the surest first, at most `max`. Tags that fewer
    /// than `tag_items_min` items have are not looked at. `is_learned` says that this very item was learned from, with
    /// none of the tags that are asked for: then it is left out, or it would speak against them.
    #[must_use]
    pub fn infer(
        &self,
        tokens: &[(u64, u32)],
        is_learned: bool,
        confidence_min: f32,
        tag_items_min: u32,
        max: usize,
    ) -> Vec<Inferred> {
        let own = u32::from(is_learned);
        let items = self.items.saturating_sub(own);
        let known: Vec<Known<'_>> = tokens
            .iter()
            .filter_map(|(token, times)| {
                let counts = self.tokens.get(token)?;
                Some(Known {
                    items: counts.items.saturating_sub(own),
                    times: *times,
                    tags: &counts.tags,
                })
            })
            .filter(|word| word.items >= TOKEN_ITEMS_MIN)
            .collect();
        let weights = weights(&known, items);
        let mut inferred: Vec<Inferred> = self
            .candidates(&known, tag_items_min)
            .into_iter()
            .map(|(tag, with)| Inferred {
                tag,
                confidence: confidence(tag, with, items, &known, &weights),
            })
            .filter(|inferred| inferred.confidence >= confidence_min)
            .collect();
        inferred.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.tag.cmp(&b.tag)));
        inferred.truncate(max);
        inferred
    }

    /// How many items it has learned from.
    #[must_use]
    pub fn items(&self) -> u32 {
        self.items
    }

    /// The tags that came with any of the words, those with the most of their items first.
    fn candidates(&self, known: &[Known<'_>], tag_items_min: u32) -> Vec<(Word, u32)> {
        let mut shares: FxHashMap<Word, f32> = FxHashMap::default();
        for word in known {
            for (tag, count) in word.tags {
                *shares.entry(*tag).or_default() += *count as f32 / word.items as f32;
            }
        }
        let mut candidates: Vec<(Word, u32, f32)> = shares
            .into_iter()
            .filter_map(|(tag, share)| Some((tag, *self.tags.get(&tag)?, share)))
            .filter(|(_, items, _)| *items >= tag_items_min)
            .collect();
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        candidates.truncate(CANDIDATES_MAX);
        candidates.into_iter().map(|(tag, items, _)| (tag, items)).collect()
    }

    fn drop_rare_tokens(&mut self) {
        let mut rare = 1;
        while self.tokens.len() > TOKENS_MAX * 3 / 4 {
            self.tokens.retain(|_, counts| counts.items > rare);
            rare += 1;
        }
    }
}

/// TF-IDF of each word, scaled so that they are 1 on average: a text counts by its words, the rare ones more.
fn weights(known: &[Known<'_>], items: u32) -> Vec<f32> {
    let idf = |word: &Known<'_>| ((items as f32 + 1.0) / (word.items as f32 + 1.0)).ln() + 1.0;
    let raw: Vec<f32> = known
        .iter()
        .map(|word| (1.0 + (word.times as f32).ln()) * idf(word))
        .collect();
    let mean = raw.iter().sum::<f32>() / raw.len().max(1) as f32;
    raw.into_iter()
        .map(|weight| weight / mean.max(f32::MIN_POSITIVE))
        .collect()
}

/// The probability that an item with these words has the tag, which `with` of `items` have, against not having it.
fn confidence(tag: Word, with: u32, items: u32, known: &[Known<'_>], weights: &[f32]) -> f32 {
    let with = with as f32;
    let without = (items as f32 - with).max(0.0);
    let prior = ((with + PRIOR_ITEMS) / (without + PRIOR_ITEMS)).ln();
    let evidence: f32 = known
        .iter()
        .zip(weights)
        .map(|(word, weight)| weight * word_for_tag(tag, word, with, without))
        .sum();
    // Bayes' rule in log-odds.
    1.0 / (1.0 + (-(prior + evidence)).exp())
}

/// The logarithm of how much likelier the word is in the `with` items that have the tag than in the `without` others, less
/// the fewer items it was seen in: what was seen twice may be chance.
fn word_for_tag(tag: Word, word: &Known<'_>, with: f32, without: f32) -> f32 {
    let both = word.tags.iter().find(|(known, _)| *known == tag);
    let both = both.map_or(0, |(_, count)| *count) as f32;
    let seen = word.items as f32;
    let share_with = (both + PRIOR_ITEMS) / (with + 2.0 * PRIOR_ITEMS);
    let share_without = ((seen - both).max(0.0) + PRIOR_ITEMS) / (without + 2.0 * PRIOR_ITEMS);
    (share_with / share_without).ln().clamp(AGAINST_MAX, FOR_MAX) * seen / (seen + 1.0)
}

impl TokenCounts {
    fn add(&mut self, tag: Word) {
        if let Some((_, count)) = self.tags.iter_mut().find(|(known, _)| *known == tag) {
            *count += 1;
            return;
        }
        if self.tags.len() >= TAGS_OF_TOKEN_MAX
            && let Some(rarest) = (0..self.tags.len()).min_by_key(|place| self.tags[*place].1)
        {
            self.tags.swap_remove(rarest);
        }
        self.tags.push((tag, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;
    use proptest::prelude::*;

    const COOKING: Word = 1;
    const FOOTBALL: Word = 2;
    const CATS: Word = 3;

    /// Titles as people write them, with the tags that their owners gave.
    const TITLES: [(&str, &[Word]); 24] = [
        ("How to bake sourdough bread at home", &[COOKING]),
        ("One pot pasta recipe in fifteen minutes", &[COOKING]),
        ("My grandmother's apple pie recipe", &[COOKING]),
        ("Crispy oven potatoes, the only recipe you need", &[COOKING]),
        ("Baking bread with no oven", &[COOKING]),
        ("Quick pasta sauce with tomatoes and garlic", &[COOKING]),
        ("Street food tour: noodles and garlic bread", &[COOKING]),
        ("Tomato soup recipe for cold days", &[COOKING]),
        ("Last minute goal decides the derby", &[FOOTBALL]),
        ("Best goals of the season", &[FOOTBALL]),
        ("The goalkeeper saves three penalties in the final", &[FOOTBALL]),
        ("Derby highlights: two goals in stoppage time", &[FOOTBALL]),
        ("How to take a penalty like a striker", &[FOOTBALL]),
        ("Striker scores hat trick in the cup final", &[FOOTBALL]),
        ("Every goal of the cup season", &[FOOTBALL]),
        ("The striker and the goalkeeper: training day", &[FOOTBALL]),
        ("My kitten meets the vacuum cleaner", &[CATS]),
        ("Cat jumps into box, box wins", &[CATS]),
        ("Kitten falls asleep on keyboard", &[CATS]),
        ("The cat that hates Mondays", &[CATS]),
        ("A kitten and a cat share a box", &[CATS]),
        ("Cat steals bread from the kitchen", &[CATS, COOKING]),
        ("Why your cat sleeps on the keyboard", &[CATS]),
        ("Kitten sees snow for the first time", &[CATS]),
    ];

    fn of(text: &str) -> Vec<(u64, u32)> {
        tokens([text].into_iter())
    }

    fn learned() -> TextModel {
        let mut model = TextModel::default();
        TITLES.iter().for_each(|(title, tags)| model.learn(&of(title), tags));
        model
    }

    fn inferred(model: &TextModel, text: &str) -> Vec<Word> {
        model
            .infer(&of(text), false, 0.85, 5, 3)
            .into_iter()
            .map(|inferred| inferred.tag)
            .collect()
    }

    #[test]
    fn a_title_gets_the_tags_that_its_words_came_with() {
        let model = learned();
        assert_eq!(inferred(&model, "Garlic pasta: a recipe with bread"), [COOKING]);
        assert_eq!(inferred(&model, "Striker misses penalty in derby final"), [FOOTBALL]);
        assert_eq!(inferred(&model, "Sleepy kitten in a box"), [CATS]);
    }

    #[test]
    fn a_title_that_says_nothing_gets_none() {
        let model = learned();
        for title in [
            "",
            "The year in one minute",
            "Quantum physics for beginners",
            "How to do it at home",
        ] {
            assert_eq!(inferred(&model, title), [] as [Word; 0], "{title}");
        }
        assert_eq!(inferred(&TextModel::default(), "Kitten in a box"), [] as [Word; 0]);
    }

    #[test]
    fn what_is_unlearned_leaves_no_trace() {
        let mut model = learned();
        let before = model.infer(&of("Sleepy kitten in a box"), false, 0.0, 1, 9);
        model.learn(&of("A robot in a box"), &[9]);
        assert_ne!(model.infer(&of("Sleepy kitten in a box"), false, 0.0, 1, 9), before);
        model.unlearn(&of("A robot in a box"), &[9]);
        assert_eq!(model.infer(&of("Sleepy kitten in a box"), false, 0.0, 1, 9), before);
        TITLES.iter().for_each(|(title, tags)| model.unlearn(&of(title), tags));
        assert_eq!((model.items(), model.tokens.len(), model.tags.len()), (0, 0, 0));
    }

    #[test]
    fn a_rare_tag_is_not_guessed() {
        let mut model = learned();
        model.learn(&of("Telescope shows rings of Saturn"), &[7]);
        model.learn(&of("Telescope for beginners: Saturn"), &[7]);
        assert_eq!(inferred(&model, "Saturn through my telescope"), [] as [Word; 0]);
        assert_eq!(
            model.infer(&of("Saturn through my telescope"), false, 0.5, 2, 3)[0].tag,
            7
        );
    }

    #[test]
    fn words_and_tags_are_bounded() {
        let mut model = TextModel::default();
        for number in 0..60_000_u64 {
            model.learn(&[(number, 1), (7_000_000, 1)], &[number as Word % 500]);
        }
        assert!(model.tokens.len() <= TOKENS_MAX + 1, "{}", model.tokens.len());
        assert!(model.tokens[&7_000_000].tags.len() <= TAGS_OF_TOKEN_MAX);
    }

    proptest! {
        #[test]
        fn confidence_is_a_probability(texts in proptest::collection::vec(("[a-d ]{0,12}", 0u32..4), 0..30), asked in "[a-e ]{0,12}") {
            let mut model = TextModel::default();
            for (text, tag) in &texts {
                model.learn(&of(text), &[*tag]);
            }
            for inferred in model.infer(&of(&asked), false, 0.0, 1, 9) {
                prop_assert!((0.0..=1.0).contains(&inferred.confidence), "{inferred:?}");
            }
        }
    }
}
