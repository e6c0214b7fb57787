//! Questions about effects: which window, of what, by what, in which steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::counts::Counts;
use super::key::{CellKey, Dimension, position_name};
use super::levels::{Level, Levels};
use super::names::Names;
use super::slot::Slot;
use crate::recall::{CHANNEL_COUNT, Channel};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, TimestampMs};

/// The most groups of one answer; what is left is summed up.
pub const GROUPS_MAX: usize = 200;

/// A window of effect metrics: any length that the slots of one level add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsWindow {
    length_ms: i64,
}

impl StatsWindow {
    /// One minute.
    pub const ONE_MINUTE: StatsWindow = StatsWindow { length_ms: MINUTE_MS };
    /// Five minutes.
    pub const FIVE_MINUTES: StatsWindow = StatsWindow {
        length_ms: 5 * MINUTE_MS,
    };
    /// One hour.
    pub const ONE_HOUR: StatsWindow = StatsWindow { length_ms: HOUR_MS };
    /// One day.
    pub const ONE_DAY: StatsWindow = StatsWindow { length_ms: DAY_MS };
    /// One week.
    pub const ONE_WEEK: StatsWindow = StatsWindow { length_ms: 7 * DAY_MS };
    /// 30 days, the longest.
    pub const THIRTY_DAYS: StatsWindow = StatsWindow { length_ms: 30 * DAY_MS };

    /// A window of a length of 5 seconds to 30 days; rounded up to whole slots of its level. `None`: it is not kept.
    #[must_use]
    pub fn of_length(length_ms: i64) -> Option<Self> {
        let is_kept = (Level::Seconds.slot_ms()..=Self::THIRTY_DAYS.length_ms).contains(&length_ms);
        let slot_ms = StatsWindow { length_ms }.level().slot_ms();
        let length_ms = length_ms.checked_add(slot_ms - 1)?.div_euclid(slot_ms) * slot_ms;
        is_kept.then_some(Self { length_ms })
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn length_ms(self) -> i64 {
        self.length_ms
    }

    /// The level that the window is answered from: the finest that reaches so far back.
    #[must_use]
    pub const fn level(self) -> Level {
        if self.length_ms <= 5 * MINUTE_MS {
            Level::Seconds
        } else if self.length_ms <= 2 * HOUR_MS {
            Level::Minutes
        } else if self.length_ms <= 7 * DAY_MS {
            Level::Hours
        } else {
            Level::Days
        }
    }

    /// The numbers of its slots at a time, the oldest and the newest.
    #[must_use]
    pub const fn slots(self, now: TimestampMs) -> (i64, i64) {
        let slot_ms = self.level().slot_ms();
        let newest = now.0.div_euclid(slot_ms);
        (newest - self.length_ms() / slot_ms + 1, newest)
    }
}

/// Which counts are asked for; a name that nothing was counted under asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub BTreeMap<Dimension, String>);

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// About which time.
    pub window: StatsWindow,
    /// About what.
    pub filter: Filter,
    /// One group per combination of these.
    pub group_by: Vec<Dimension>,
    /// In steps of so many milliseconds; a multiple of the level's slots.
    pub interval_ms: Option<i64>,
}

/// The counts of one combination of the dimensions asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The combination, in the order asked for.
    pub names: Vec<String>,
    /// Its counts.
    pub counts: Counts,
    /// Its counts by the beginning of each step, in milliseconds.
    pub series: BTreeMap<i64, Counts>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Everything that the filter leaves.
    pub total: Counts,
    /// The same by the beginning of each step.
    pub series: BTreeMap<i64, Counts>,
    /// The same by channel.
    pub channels: [Counts; CHANNEL_COUNT],
    /// The same by variant.
    pub variants: BTreeMap<String, Counts>,
    /// The same by what was asked for; the most impressions first.
    pub groups: Vec<Group>,
    /// How many groups were summed up in the last one.
    pub groups_left_out: usize,
}

/// The names behind the codes of cells.
pub struct Vocabulary<'a> {
    /// Leading categories.
    pub categories: &'a Names,
    /// Variants, all layers together.
    pub variants: &'a Names,
    /// Regions.
    pub regions: &'a Names,
}

type Codes = SmallVec<[u16; 5]>;

/// Answers a question from slots with their levels' length.
#[must_use]
pub fn answer(question: &Question, slots: &[Arc<Slot>], names: &Vocabulary<'_>) -> Answer {
    let variants = Members::of(names.variants);
    let wanted = Wanted::of(&question.filter, names, &variants);
    let slot_ms = question.window.level().slot_ms();
    let mut answer = Answer::default();
    let mut by_variant: FxHashMap<u16, Counts> = FxHashMap::default();
    let mut groups: FxHashMap<Codes, Group> = FxHashMap::default();
    for slot in slots {
        let begin = question.interval_ms.map(|interval| {
            let at = slot.number * slot_ms;
            at - at.rem_euclid(interval)
        });
        for (key, counts) in slot.cells.iter().filter(|(key, _)| wanted.takes(key)) {
            answer.total.merge(counts);
            if let Some(begin) = begin {
                answer.series.entry(begin).or_default().merge(counts);
            }
            for channel in key.channels.iter() {
                answer.channels[channel.number()].merge(counts);
            }
            for member in variants.members(key.variant) {
                by_variant.entry(*member).or_default().merge(counts);
            }
            if !question.group_by.is_empty() {
                for codes in combinations(&question.group_by, key, &variants) {
                    let group = groups.entry(codes).or_default();
                    group.counts.merge(counts);
                    if let Some(begin) = begin {
                        group.series.entry(begin).or_default().merge(counts);
                    }
                }
            }
        }
    }
    let named = by_variant
        .into_iter()
        .map(|(member, counts)| (variants.name(member).to_owned(), counts));
    answer.variants = named.collect();
    finish_groups(&mut answer, groups, question, names, &variants);
    answer
}

impl Levels {
    /// Takes out the slots that a question is about.
    #[must_use]
    pub fn slots_of(&self, question: &Question, now: TimestampMs) -> Vec<Arc<Slot>> {
        let (oldest, newest) = question.window.slots(now);
        self.range(question.window.level(), oldest, newest).cloned().collect()
    }
}

fn finish_groups(
    answer: &mut Answer,
    groups: FxHashMap<Codes, Group>,
    question: &Question,
    names: &Vocabulary<'_>,
    variants: &Members<'_>,
) {
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(codes, group)| {
            let dimensions = question.group_by.iter().zip(&codes);
            let named = dimensions.map(|(dimension, code)| name_of(*dimension, *code, names, variants).to_owned());
            Group {
                names: named.collect(),
                ..group
            }
        })
        .collect();
    let impressions = |group: &Group| group.counts.impressions;
    groups.sort_by(|a, b| impressions(b).cmp(&impressions(a)).then_with(|| a.names.cmp(&b.names)));
    if groups.len() > GROUPS_MAX {
        let rest = groups.split_off(GROUPS_MAX - 1);
        answer.groups_left_out = rest.len();
        let mut other = Group {
            names: vec!["other".to_owned(); question.group_by.len()],
            ..Group::default()
        };
        for group in rest {
            other.counts.merge(&group.counts);
            for (begin, counts) in &group.series {
                other.series.entry(*begin).or_default().merge(counts);
            }
        }
        groups.push(other);
    }
    answer.groups = groups;
}

/// The numbers of channels as codes; none is the number behind the last.
const CHANNEL_NONE: u16 = CHANNEL_COUNT as u16;

/// Every combination that a cell counts for: channels and variants may be several.
fn combinations(group_by: &[Dimension], key: &CellKey, variants: &Members<'_>) -> SmallVec<[Codes; 4]> {
    let mut combinations: SmallVec<[Codes; 4]> = smallvec![Codes::new()];
    for dimension in group_by {
        let codes: SmallVec<[u16; 4]> = match dimension {
            Dimension::Channel if key.channels.is_empty() => smallvec![CHANNEL_NONE],
            Dimension::Channel => key.channels.iter().map(|channel| channel as u16).collect(),
            Dimension::Variant => variants.members(key.variant).iter().copied().collect(),
            Dimension::Category => smallvec![key.category],
            Dimension::Region => smallvec![key.region],
            Dimension::Position => smallvec![u16::from(key.position)],
        };
        combinations = combinations
            .iter()
            .flat_map(|begun| {
                codes.iter().map(|code| {
                    let mut codes = begun.clone();
                    codes.push(*code);
                    codes
                })
            })
            .collect();
    }
    combinations
}

fn name_of<'a>(dimension: Dimension, code: u16, names: &Vocabulary<'a>, variants: &'a Members<'_>) -> &'a str {
    match dimension {
        Dimension::Channel => Channel::ALL
            .get(usize::from(code))
            .map_or("none", |channel| channel.name()),
        Dimension::Variant => variants.name(code),
        Dimension::Category => names.categories.name(code),
        Dimension::Region => names.regions.name(code),
        Dimension::Position => u8::try_from(code).map_or("other", position_name),
    }
}

/// The single variants behind labels of several layers.
struct Members<'a> {
    names: Vec<&'a str>,
    of_label: Vec<SmallVec<[u16; 2]>>,
    other: SmallVec<[u16; 2]>,
}

impl<'a> Members<'a> {
    fn of(labels: &'a Names) -> Self {
        let mut numbers: FxHashMap<&'a str, u16> = FxHashMap::default();
        let mut names = Vec::new();
        let mut number_of = |name: &'a str| {
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                u16::try_from(names.len() - 1).unwrap_or(u16::MAX)
            })
        };
        let of_label = labels
            .iter()
            .map(|label| label.split(',').map(&mut number_of).collect())
            .collect();
        let other = smallvec![number_of("other")];
        Self { names, of_label, other }
    }

    fn members(&self, label: u16) -> &[u16] {
        self.of_label.get(usize::from(label)).unwrap_or(&self.other)
    }

    fn name(&self, member: u16) -> &str {
        self.names.get(usize::from(member)).copied().unwrap_or("other")
    }
}

/// A filter in codes.
struct Wanted {
    channel: Option<Option<u16>>,
    category: Option<Option<u16>>,
    region: Option<Option<u16>>,
    position: Option<String>,
    /// By label: all of whose members are wanted.
    labels: Option<Vec<bool>>,
}

impl Wanted {
    fn of(filter: &Filter, names: &Vocabulary<'_>, variants: &Members<'_>) -> Self {
        let text = |dimension: Dimension| filter.0.get(&dimension).map(String::as_str);
        let channel = |name: &str| match name {
            "none" => Some(CHANNEL_NONE),
            name => Channel::ALL
                .into_iter()
                .find(|channel| channel.name() == name)
                .map(|channel| channel as u16),
        };
        let labels = text(Dimension::Variant).map(|wanted| {
            let wanted: Vec<&str> = wanted.split(',').collect();
            let is_wanted = |members: &SmallVec<[u16; 2]>| {
                wanted
                    .iter()
                    .all(|name| members.iter().any(|member| variants.name(*member) == *name))
            };
            variants.of_label.iter().map(is_wanted).collect()
        });
        Self {
            channel: text(Dimension::Channel).map(channel),
            category: text(Dimension::Category).map(|name| names.categories.get(name)),
            region: text(Dimension::Region).map(|name| names.regions.get(name)),
            position: text(Dimension::Position).map(str::to_owned),
            labels,
        }
    }

    fn takes(&self, key: &CellKey) -> bool {
        let has_channel = |wanted: &Option<u16>| match wanted {
            Some(CHANNEL_NONE) => key.channels.is_empty(),
            Some(wanted) => key.channels.iter().any(|channel| channel as u16 == *wanted),
            None => false,
        };
        let label = usize::from(key.variant);
        let in_label = |wanted: &Vec<bool>| wanted.get(label).copied().unwrap_or(false);
        self.channel.as_ref().is_none_or(has_channel)
            && self.category.is_none_or(|wanted| wanted == Some(key.category))
            && self.region.is_none_or(|wanted| wanted == Some(key.region))
            && self
                .position
                .as_ref()
                .is_none_or(|wanted| wanted == position_name(key.position))
            && self.labels.as_ref().is_none_or(in_label)
    }
}
