//! Boost and bury rules, compiled: words as numbers.
//!
//! Which rules hold is decided once per request; a candidate then costs a comparison of numbers per active rule, and
//! nothing while none is active. Must not order anything.

use std::sync::Arc;

use crate::catalogue::{Entry, Vocabularies};
use crate::ids::Word;
use crate::params::BoostRule;
use crate::rank::SUNK_SCORE;
use crate::time::TimestampMs;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Multiplies the fused score.
    Factor(f32),
    /// Is added to the fused score.
    Add(f32),
    /// So much more of the feed.
    Share(f32),
}

impl Effect {
    /// Whether the rule wants more of its target.
    #[must_use]
    pub fn raises(self) -> bool {
        match self {
            Effect::Factor(factor) => factor > 1.0,
            Effect::Add(value) | Effect::Share(value) => value > 0.0,
        }
    }
}

/// What is known of a request when it is decided which rules hold.
pub struct RuleContext<'a> {
    /// When.
    pub now: TimestampMs,
    /// Where the viewer is.
    pub region: Option<Word>,
    /// On what.
    pub device: Option<&'a str>,
    /// By which kind of network.
    pub network: Option<&'a str>,
    /// Whether the viewer has a label.
    pub has_label: &'a dyn Fn(&str) -> bool,
}

/// A boost or bury rule. A word that no vocabulary could take matches nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub effect: Effect,
    from: TimestampMs,
    until: TimestampMs,
    region: Option<Word>,
    label: Option<String>,
    device: Option<String>,
    network: Option<String>,
    /// The id of the one item that it aims at, if it is one.
    pub item: Option<String>,
    /// The items it aims at.
    pub items: ItemTarget,
}

/// Which items a rule aims at; all that is given must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemTarget {
    /// Of this category.
    pub category: Option<Word>,
    /// With this tag.
    pub tag: Option<Word>,
    /// By this author.
    pub author: Option<Word>,
    /// The item of this hash.
    pub item: Option<u64>,
    /// Limited to this region.
    pub region: Option<Word>,
}

impl ItemTarget {
    /// Whether it aims at an item.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.category
            .is_none_or(|category| entry.categories.contains(&category))
            && self.tag.is_none_or(|tag| entry.tags.contains(&tag))
            && self.author.is_none_or(|author| entry.author == author)
            && self.item.is_none_or(|hash| entry.hash == hash)
            && self.region.is_none_or(|region| entry.regions.contains(&region))
    }
}

impl Rule {
    /// Compiles a rule.
    #[must_use]
    pub fn compile(boost: &BoostRule, words: &Vocabularies) -> Self {
        let target = &boost.target;
        let number = |vocabulary: &crate::catalogue::Vocabulary, word: &Option<String>| {
            let word = word.as_ref()?;
            // A full vocabulary has no number for it, and no item that carries it.
            Some(vocabulary.intern(word).unwrap_or(Word::MAX - 1))
        };
        let region = number(&words.regions, &target.region);
        let mut items = ItemTarget {
            category: number(&words.categories, &target.category),
            tag: number(&words.tags, &target.tag),
            author: number(&words.authors, &target.author),
            item: target
                .item
                .as_ref()
                .map(|item| xxhash_rust::xxh3::xxh3_64(item.as_bytes())),
            region: None,
        };
        let is_region_alone = items == ItemTarget::default();
        if is_region_alone {
            items.region = region;
        }
        let effect = match (boost.factor, boost.add, boost.share) {
            (Some(factor), _, _) => Effect::Factor(factor),
            (None, Some(value), _) => Effect::Add(value),
            (None, None, share) => Effect::Share(share.unwrap_or(0.0)),
        };
        Self {
            name: Arc::from(boost.name.as_str()),
            effect,
            from: TimestampMs(boost.from.unwrap_or(i64::MIN)),
            until: TimestampMs(boost.until.unwrap_or(i64::MAX)),
            region: if is_region_alone { None } else { region },
            label: target.label.clone(),
            device: target.device.clone(),
            network: target.network.clone(),
            item: target.item.clone(),
            items,
        }
    }

    /// What the rule adds to a fused score of one of its items.
    #[must_use]
    pub fn delta(&self, fused: f32) -> f32 {
        match self.effect {
            // What sank stays sunk, and its factor would not be finite.
            _ if fused <= SUNK_SCORE => 0.0,
            // A boost raises a score below zero too.
            Effect::Factor(factor) => (factor - 1.0) * fused.abs(),
            Effect::Add(value) => value,
            Effect::Share(_) => 0.0,
        }
    }

    fn holds(&self, context: &RuleContext<'_>) -> bool {
        let is =
            |wanted: &Option<String>, given: Option<&str>| wanted.as_deref().is_none_or(|wanted| given == Some(wanted));
        (self.from..self.until).contains(&context.now)
            && self.region.is_none_or(|region| context.region == Some(region))
            && is(&self.device, context.device)
            && is(&self.network, context.network)
            && self.label.as_deref().is_none_or(|label| (context.has_label)(label))
    }
}

/// The rules that hold for one request, as bits by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActiveRules(u64);

impl ActiveRules {
    /// Decides which rules hold; at most 64 do.
    #[must_use]
    pub fn of(rules: &[Rule], context: &RuleContext<'_>) -> Self {
        let bit = |(place, rule): (usize, &Rule)| u64::from(rule.holds(context)) << place;
        Self(rules.iter().take(64).enumerate().map(bit).sum())
    }

    /// Whether none holds.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The rules that hold.
    pub fn iter(self, rules: &[Rule]) -> impl Iterator<Item = &Rule> {
        rules
            .iter()
            .enumerate()
            .filter(move |(place, _)| *place < 64 && self.0 >> place & 1 == 1)
            .map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{NOW, catalogue_of};
    use crate::world::World;
    use serde_json::{Value, json};

    fn rule(world: &World, boost: Value) -> Rule {
        Rule::compile(&serde_json::from_value(boost).expect("a rule"), world.catalogue.words())
    }

    fn holds(rule: &Rule, world: &World, region: Option<&str>, device: Option<&str>, at: TimestampMs) -> bool {
        let words = world.catalogue.words();
        let context = RuleContext {
            now: at,
            region: region.and_then(|region| words.regions.get(region)),
            device,
            network: None,
            has_label: &|label| label == "active",
        };
        !ActiveRules::of(std::slice::from_ref(rule), &context).is_empty()
    }

    #[test]
    fn a_rule_holds_in_its_window_and_for_its_viewers() {
        let world = catalogue_of(10);
        let window =
            json!({"name": "w", "target": {"category": "cats"}, "factor": 1.2, "from": NOW.0, "until": NOW.0 + 10});
        let window = rule(&world, window);
        for (later, expected) in [(-1, false), (0, true), (9, true), (10, false)] {
            assert_eq!(
                holds(&window, &world, None, None, NOW.plus_ms(later)),
                expected,
                "{later}"
            );
        }
        let viewers =
            json!({"name": "v", "add": 1, "target": {"tag": "t", "region": "de", "device": "tv", "label": "active"}});
        let viewers = rule(&world, viewers);
        assert!(holds(&viewers, &world, Some("de"), Some("tv"), NOW));
        assert!(!holds(&viewers, &world, Some("fr"), Some("tv"), NOW));
        assert!(!holds(&viewers, &world, Some("de"), None, NOW));
        let label = rule(
            &world,
            json!({"name": "l", "add": 1, "target": {"tag": "t", "label": "bored"}}),
        );
        assert!(!holds(&label, &world, None, None, NOW));
    }

    #[test]
    fn a_rule_aims_at_items_also_at_those_that_come_later() {
        let world = catalogue_of(10);
        let later = rule(&world, json!({"name": "b", "add": 1, "target": {"category": "beauty"}}));
        let author = rule(
            &world,
            json!({"name": "a", "add": 1, "target": {"author": "cats-author-0", "category": "cats"}}),
        );
        let item = rule(&world, json!({"name": "i", "add": 1, "target": {"item": "v3"}}));
        let region = rule(&world, json!({"name": "r", "add": 1, "target": {"region": "de"}}));
        let mut dto = crate::pipeline::testing::item("new", "beauty", "someone");
        dto.regions = Some(vec!["de".to_owned()]);
        let row = crate::pipeline::testing::put(&world, dto);
        let snapshot = world.catalogue.load();
        let matches = |rule: &Rule, row| rule.items.matches(snapshot.entry(row).expect("an item"));
        assert!(matches(&later, row) && !matches(&later, 0));
        assert!(matches(&author, 0) && !matches(&author, 1));
        assert!(matches(&item, 3) && !matches(&item, 4));
        assert!(matches(&region, row) && !matches(&region, 0));
        assert!(
            holds(&region, &world, None, None, NOW),
            "the region of the items, not of the viewer"
        );
    }

    #[test]
    fn a_factor_raises_scores_on_both_sides_of_zero_and_leaves_what_sank() {
        let world = catalogue_of(1);
        let factor = rule(&world, json!({"name": "f", "factor": 1.5, "target": {"item": "v0"}}));
        assert_eq!(
            (factor.delta(2.0), factor.delta(-2.0), factor.delta(SUNK_SCORE)),
            (1.0, 1.0, 0.0)
        );
        let bury = rule(&world, json!({"name": "b", "factor": 0.5, "target": {"item": "v0"}}));
        assert_eq!((bury.delta(2.0), bury.delta(-2.0)), (-1.0, -1.0));
        assert!(factor.effect.raises() && !bury.effect.raises());
    }
}
