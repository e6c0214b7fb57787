//! Questions about effects: groupings add up, filters hold, answers are bounded, and storing loses nothing.

use super::question::*;
use super::*;
use crate::recall::Channel;
use crate::recall::ChannelSet;
use crate::time::{DAY_MS, HOUR_MS, TimestampMs};

const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

struct World {
    levels: Levels,
    categories: Names,
    variants: Names,
    regions: Names,
}

impl World {
    fn new() -> Self {
        Self {
            levels: Levels::default(),
            categories: Names::new("none"),
            variants: Names::new("default"),
            regions: Names::new("none"),
        }
    }

    fn count(&mut self, channels: ChannelSet, category: &str, variant: &str, likes: u32, ago_ms: i64) {
        let key = CellKey {
            channels,
            category: self.categories.intern(category),
            variant: self.variants.intern(variant),
            ..CellKey::default()
        };
        let counts = Counts {
            impressions: 1,
            likes,
            ..Counts::default()
        };
        self.levels.add(key, &counts, NOW.plus_ms(-ago_ms), 7);
    }

    fn ask(&self, question: &Question) -> Answer {
        let names = Vocabulary {
            categories: &self.categories,
            variants: &self.variants,
            regions: &self.regions,
        };
        answer(question, &self.levels.slots_of(question, NOW), &names)
    }
}

fn question(window: StatsWindow, filter: &[(Dimension, &str)], group_by: &[Dimension]) -> Question {
    let filter = filter.iter().map(|(dimension, name)| (*dimension, (*name).to_owned()));
    Question {
        window,
        filter: Filter(filter.collect()),
        group_by: group_by.to_vec(),
        interval_ms: None,
    }
}

#[test]
fn any_grouping_adds_up_and_filters_hold() {
    let mut world = World::new();
    let (hot, both) = (
        ChannelSet::of(Channel::Hot),
        ChannelSet::of(Channel::Hot).with(ChannelSet::of(Channel::Fresh)),
    );
    world.count(hot, "pets", "default", 0, 0);
    world.count(both, "pets", "e1:a,e2:x", 1, 0);
    world.count(ChannelSet::default(), "cars", "e1:b,e2:x", 1, 0);
    let plain = world.ask(&question(StatsWindow::FIVE_MINUTES, &[], &[]));
    assert_eq!(
        (
            plain.total.impressions,
            plain.channels[Channel::Hot.number()].impressions
        ),
        (3, 2)
    );
    assert_eq!(
        plain.variants.keys().collect::<Vec<_>>(),
        ["default", "e1:a", "e1:b", "e2:x"]
    );
    assert_eq!(plain.variants["e2:x"].likes, 2);
    let grouped = world.ask(&question(
        StatsWindow::FIVE_MINUTES,
        &[],
        &[Dimension::Channel, Dimension::Category],
    ));
    let found: Vec<(Vec<&str>, u32)> = grouped
        .groups
        .iter()
        .map(|group| {
            (
                group.names.iter().map(String::as_str).collect(),
                group.counts.impressions,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (vec!["hot", "pets"], 2),
            (vec!["fresh", "pets"], 1),
            (vec!["none", "cars"], 1)
        ]
    );
    let of = |filter: &[(Dimension, &str)]| {
        world
            .ask(&question(StatsWindow::ONE_HOUR, filter, &[]))
            .total
            .impressions
    };
    assert_eq!(
        (
            of(&[(Dimension::Variant, "e2:x")]),
            of(&[(Dimension::Variant, "e1:b,e2:x")])
        ),
        (2, 1)
    );
    assert_eq!(
        (
            of(&[(Dimension::Variant, "default")]),
            of(&[(Dimension::Variant, "e9:z")])
        ),
        (1, 0)
    );
    assert_eq!(
        (
            of(&[(Dimension::Channel, "none")]),
            of(&[(Dimension::Channel, "hot"), (Dimension::Category, "pets")])
        ),
        (1, 2)
    );
    assert_eq!(
        (
            of(&[(Dimension::Position, "unknown")]),
            of(&[(Dimension::Position, "0")]),
            of(&[(Dimension::Channel, "x")])
        ),
        (3, 0, 0)
    );
}

#[test]
fn steps_begin_at_whole_intervals() {
    let mut world = World::new();
    for hours in [0, 0, 5, 50] {
        world.count(ChannelSet::default(), "pets", "default", 0, hours * HOUR_MS);
    }
    let mut asked = question(StatsWindow::ONE_WEEK, &[], &[Dimension::Category]);
    asked.interval_ms = Some(DAY_MS);
    let answer = world.ask(&asked);
    assert!(
        answer.series.keys().all(|at| at % DAY_MS == 0) && answer.series.len() >= 2,
        "{:?}",
        answer.series
    );
    assert_eq!(answer.series.values().map(|counts| counts.impressions).sum::<u32>(), 4);
    assert_eq!(answer.groups[0].series, answer.series);
}

#[test]
fn groups_are_bounded_and_the_rest_is_summed_up() {
    let mut world = World::new();
    for number in 0..300 {
        world.count(ChannelSet::default(), &format!("c{number}"), "default", 0, 0);
    }
    world.count(ChannelSet::default(), "c7", "default", 0, 0);
    let answer = world.ask(&question(StatsWindow::ONE_MINUTE, &[], &[Dimension::Category]));
    assert_eq!(
        (
            answer.groups.len(),
            answer.groups_left_out,
            answer.groups[0].names[0].as_str()
        ),
        (GROUPS_MAX, 101, "c7")
    );
    let sum: u32 = answer.groups.iter().map(|group| group.counts.impressions).sum();
    assert_eq!((sum, answer.groups[GROUPS_MAX - 1].names[0].as_str()), (301, "other"));
}

#[test]
fn what_is_stored_comes_back_with_other_numbers() {
    let mut world = World::new();
    world.count(ChannelSet::of(Channel::Hot), "unused", "default", 0, 40 * DAY_MS);
    world.count(ChannelSet::of(Channel::Hot), "pets", "e:b", 1, 0);
    let names = Vocabulary {
        categories: &world.categories,
        variants: &world.variants,
        regions: &world.regions,
    };
    let mut back = World::new();
    for (level, slot) in world.levels.clone().take_dirty() {
        let stored = rmp_serde::to_vec(&StoredSlot::of(&slot, 9, &names)).expect("encodes");
        let stored: StoredSlot = rmp_serde::from_slice(&stored).expect("decodes");
        if Levels::is_kept(level, stored.number(), NOW) {
            let slot = stored.restore(&mut back.categories, &mut back.variants, &mut back.regions);
            back.levels.restore(level, slot);
        }
    }
    let asked = question(
        StatsWindow::THIRTY_DAYS,
        &[],
        &[Dimension::Category, Dimension::Variant],
    );
    assert_eq!(back.ask(&asked), world.ask(&asked));
    assert_eq!(
        (back.categories.get("unused"), back.levels.take_dirty().len()),
        (None, 0)
    );
}
