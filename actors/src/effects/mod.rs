//! Effect metrics: what feeds achieve, and the sums of experiments.
//!
//! Owns the one lock over them, who writes them down and how they are brought up to date from the journal. The counting
//! itself is in `swipeline_models::effect` and `swipeline_models::experiment`. Recording is a few hash lookups under a
//! lock; a reader takes shared handles out and counts without it.

mod mark;
mod stored;

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use swipeline_models::catalogue::Vocabulary as Words;
use swipeline_models::effect::{
    Answer, CellKey, Code, Counts, Level, Levels, NO_NAME, Names, Question, Slot, Vocabulary, answer,
};
use swipeline_models::experiment::{ArmTable, StoredArm, UnitTotals, VARIANT_DEFAULT, ViewerVariant};
use swipeline_models::ids::Word;
use swipeline_models::recall::ChannelSet;
use swipeline_models::time::TimestampMs;

pub(crate) use mark::{Counted, EffectMark, VISIT_GAP_MS};
pub(crate) use stored::{EffectsCut, PendingEffects, load_effects, take_effects};

/// How many pairs of a label and its statistics are told apart; viewers of further ones count as in no experiment.
const TAGS_MAX: usize = 4_096;

/// Names what a served item was served under; see [`Effects::tag`].
pub(crate) type Tag = u16;

/// Counts of what happened.
pub(crate) struct Effects {
    inner: Mutex<Inner>,
    tags: Mutex<Tags>,
}

struct Inner {
    sums: Sums,
    /// While a checkpoint takes the sums up to a journal number, what comes behind it is counted here.
    behind: Option<(u64, Box<Sums>)>,
    categories: Coded,
    regions: Coded,
    variants: Arc<Names>,
}

#[derive(Default)]
struct Sums {
    levels: Levels,
    arms: ArmTable,
}

/// Names with the numbers that the catalogue gave them in this process.
struct Coded {
    names: Arc<Names>,
    by_word: FxHashMap<Word, Code>,
}

/// One event or impression that counts.
pub(crate) struct Effect<'a> {
    /// Its journal number.
    pub(crate) sequence: u64,
    /// When it arrived.
    pub(crate) at: TimestampMs,
    /// What it adds.
    pub(crate) counts: Counts,
    /// The channels that had named the item.
    pub(crate) channels: ChannelSet,
    /// Where the item stood, as a bucket.
    pub(crate) position: u8,
    /// The viewer's variants; empty for none.
    pub(crate) variant: &'a str,
    /// The item's leading category.
    pub(crate) category: Option<Word>,
    /// The viewer's region.
    pub(crate) region: Option<Word>,
}

/// One viewer's totals under one variant have changed.
pub(crate) struct UnitChange {
    pub(crate) arm: u64,
    pub(crate) before: UnitTotals,
    pub(crate) after: UnitTotals,
}

#[derive(Default)]
struct Tags {
    numbers: FxHashMap<(Arc<str>, Arc<[u64]>), Tag>,
    tags: Vec<(Arc<str>, Arc<[u64]>)>,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                sums: Sums::default(),
                behind: None,
                categories: Coded::new(),
                regions: Coded::new(),
                variants: Arc::new(Names::new(VARIANT_DEFAULT)),
            }),
            tags: Mutex::default(),
        }
    }
}

impl Effects {
    /// Counts what happened. `words` give the names of categories and regions.
    pub(crate) fn record(&self, effect: &Effect<'_>, units: &[UnitChange], categories: &Words, regions: &Words) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let key = CellKey {
            channels: effect.channels,
            category: inner.categories.code(effect.category, categories),
            variant: if effect.variant.is_empty() {
                NO_NAME
            } else {
                intern(&mut inner.variants, effect.variant)
            },
            region: inner.regions.code(effect.region, regions),
            position: effect.position,
        };
        let sums = match &mut inner.behind {
            Some((cut, behind)) if effect.sequence > *cut => &mut **behind,
            Some(_) | None => &mut inner.sums,
        };
        sums.levels.add(key, &effect.counts, effect.at, effect.sequence);
        for unit in units {
            sums.arms.change(unit.arm, &unit.before, &unit.after, effect.at.0);
        }
    }

    /// Corrects a variant's sums by a viewer whose totals were brought up to date from the journal.
    pub(crate) fn correct(&self, unit: &UnitChange, at: TimestampMs) {
        let mut inner = self.inner.lock();
        inner.sums.arms.change(unit.arm, &unit.before, &unit.after, at.0);
    }

    /// Up to which journal number a variant's sums were stored.
    pub(crate) fn arm_sequence(&self, arm: u64) -> u64 {
        self.inner.lock().sums.arms.sequence(arm)
    }

    /// Answers a question.
    pub(crate) fn answer(&self, question: &Question, now: TimestampMs) -> Answer {
        let (slots, categories, variants, regions) = {
            let inner = self.inner.lock();
            let mut slots = inner.sums.levels.slots_of(question, now);
            if let Some((_, behind)) = &inner.behind {
                slots.extend(behind.levels.slots_of(question, now));
            }
            let (categories, regions) = (inner.categories.names.clone(), inner.regions.names.clone());
            (slots, categories, inner.variants.clone(), regions)
        };
        let names = Vocabulary {
            categories: &categories,
            variants: &variants,
            regions: &regions,
        };
        answer(question, &slots, &names)
    }

    /// The sums of all variants.
    pub(crate) fn arms(&self) -> ArmTable {
        let inner = self.inner.lock();
        let mut arms = inner.sums.arms.clone();
        if let Some((_, behind)) = &inner.behind {
            arms.merge(&behind.arms);
        }
        arms
    }

    /// A small number for a viewer's variants, to be kept with every item that is served.
    pub(crate) fn tag(&self, viewer: &ViewerVariant) -> Tag {
        let Some(label) = &viewer.label else { return 0 };
        self.tag_of(label.clone(), viewer.arms.clone())
    }

    /// The same for a label and the variants whose statistics count the viewer.
    pub(crate) fn tag_of(&self, label: Arc<str>, arms: Arc<[u64]>) -> Tag {
        let key = (label, arms);
        let mut tags = self.tags.lock();
        if let Some(tag) = tags.numbers.get(&key) {
            return *tag;
        }
        // 0 stands for no experiment.
        match Tag::try_from(tags.tags.len() + 1) {
            Ok(tag) if tags.tags.len() < TAGS_MAX => {
                tags.tags.push(key.clone());
                tags.numbers.insert(key, tag);
                tag
            }
            Ok(_) | Err(_) => 0,
        }
    }

    /// The label and the statistics of a number.
    pub(crate) fn tagged(&self, tag: Tag) -> Option<(Arc<str>, Arc<[u64]>)> {
        let place = usize::from(tag).checked_sub(1)?;
        self.tags.lock().tags.get(place).cloned()
    }

    /// From now on, what lies behind a journal number is counted apart.
    fn begin_cut(&self, cut: u64) {
        let mut inner = self.inner.lock();
        // A checkpoint that was broken off has left its cut.
        inner.end_cut();
        inner.behind = Some((cut, Box::default()));
    }

    /// Takes out what has changed before the cut since the last time. Let go of it before the cut ends: a slot that somebody
    /// looks at is copied whole, under the lock, when it is counted in.
    fn take_changed(&self, cut: u64) -> Taken {
        let mut inner = self.inner.lock();
        Taken {
            slots: inner.sums.levels.take_dirty(),
            arms: inner.sums.arms.take_dirty(cut),
            categories: inner.categories.names.clone(),
            regions: inner.regions.names.clone(),
            variants: inner.variants.clone(),
        }
    }

    /// What lies behind the cut counts like everything else again.
    fn end_cut(&self) {
        self.inner.lock().end_cut();
    }

    fn put_back(&self, changed: &Changed) {
        let mut inner = self.inner.lock();
        for (level, slot) in &changed.slots {
            inner.sums.levels.mark_dirty(*level, *slot);
        }
        changed.arms.iter().for_each(|arm| inner.sums.arms.mark_dirty(*arm));
    }
}

impl Inner {
    fn end_cut(&mut self) {
        if let Some((_, behind)) = self.behind.take() {
            self.sums.levels.merge(&behind.levels);
            self.sums.arms.merge(&behind.arms);
        }
    }
}

/// What a checkpoint writes down.
struct Taken {
    slots: Vec<(Level, Arc<Slot>)>,
    arms: Vec<(u64, StoredArm)>,
    categories: Arc<Names>,
    regions: Arc<Names>,
    variants: Arc<Names>,
}

/// What of it there was, by number.
struct Changed {
    slots: Vec<(Level, i64)>,
    arms: Vec<u64>,
}

impl Taken {
    fn changed(&self) -> Changed {
        Changed {
            slots: self.slots.iter().map(|(level, slot)| (*level, slot.number())).collect(),
            arms: self.arms.iter().map(|(arm, _)| *arm).collect(),
        }
    }
}

impl Coded {
    fn new() -> Self {
        Self {
            names: Arc::new(Names::new("none")),
            by_word: FxHashMap::default(),
        }
    }

    fn code(&mut self, word: Option<Word>, words: &Words) -> Code {
        let Some(word) = word else { return NO_NAME };
        if let Some(code) = self.by_word.get(&word) {
            return *code;
        }
        let code = words.name(word).map_or(NO_NAME, |name| intern(&mut self.names, &name));
        // Names beyond the bound are `other`, and are not remembered one by one.
        if code != swipeline_models::effect::OTHER_NAME {
            self.by_word.insert(word, code);
        }
        code
    }
}

/// Readers share the list; it is copied only when a new name comes while one of them holds it.
fn intern(names: &mut Arc<Names>, name: &str) -> Code {
    match names.get(name) {
        Some(code) => code,
        None => Arc::make_mut(names).intern(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::effect::{Filter, StatsWindow};
    use swipeline_models::recall::Channel;

    const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

    fn record(effects: &Effects, sequence: u64, likes: u32) {
        let words = Words::default();
        let effect = Effect {
            sequence,
            at: NOW,
            counts: Counts {
                impressions: 1,
                likes,
                ..Counts::default()
            },
            channels: ChannelSet::of(Channel::Hot),
            position: 0,
            variant: "e:a",
            category: words.intern("pets"),
            region: None,
        };
        let delta = UnitTotals::of(&effect.counts);
        let unit = UnitChange {
            arm: 5,
            before: UnitTotals::default(),
            after: delta,
        };
        effects.record(&effect, &[unit], &words, &words);
    }

    fn total(effects: &Effects) -> Counts {
        let question = Question {
            window: StatsWindow::ONE_HOUR,
            filter: Filter::default(),
            group_by: Vec::new(),
            interval_ms: None,
        };
        effects.answer(&question, NOW).total
    }

    #[test]
    fn a_cut_divides_exactly_at_its_number_and_nothing_is_lost() {
        let effects = Effects::default();
        record(&effects, 3, 0);
        record(&effects, 7, 1);
        let cut = 7;
        effects.begin_cut(cut);
        // Lies behind.
        record(&effects, 9, 1);
        record(&effects, 6, 0);
        assert_eq!((total(&effects).impressions, effects.arms().of(5).users), (4, 4));
        let taken = effects.take_changed(cut);
        // Counted behind the cut as long as it is open.
        record(&effects, 10, 0);
        effects.end_cut();
        let stored: u32 = taken
            .slots
            .iter()
            .filter(|(level, _)| *level == Level::Days)
            .map(|(_, slot)| slot.total().impressions)
            .sum();
        assert_eq!((stored, taken.arms.len()), (3, 1));
        assert_eq!((total(&effects).impressions, total(&effects).likes), (5, 2));
        let again = effects.take_changed(10);
        assert_eq!(
            (again.slots.len(), again.arms.len()),
            (4, 1),
            "what lay behind is still to be written"
        );
        effects.put_back(&again.changed());
        assert_eq!(effects.take_changed(10).slots.len(), 4);
        // A cut that nobody ended is ended by the next one.
        effects.begin_cut(10);
        record(&effects, 12, 1);
        effects.begin_cut(12);
        assert_eq!((effects.take_changed(12).slots.len(), total(&effects).likes), (4, 3));
    }

    #[test]
    fn tags_are_the_same_for_the_same_variants() {
        let effects = Effects::default();
        let viewer = |label: Option<&str>, arms: &[u64]| ViewerVariant {
            version: 1,
            params: Arc::default(),
            label: label.map(Arc::from),
            arms: Arc::from(arms),
        };
        let (one, forced) = (
            effects.tag(&viewer(Some("e:a"), &[1])),
            effects.tag(&viewer(Some("e:a"), &[])),
        );
        assert_eq!(
            (effects.tag(&viewer(None, &[])), effects.tag(&viewer(Some("e:a"), &[1]))),
            (0, one)
        );
        assert_ne!(one, forced);
        assert_eq!(
            effects
                .tagged(forced)
                .map(|(label, arms)| (label.to_string(), arms.len())),
            Some(("e:a".to_owned(), 0))
        );
        assert!(effects.tagged(0).is_none());
    }
}
