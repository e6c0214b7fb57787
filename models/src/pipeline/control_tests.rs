//! What an operator may expect of shares, intervals, breakers, mixers and rules.

use std::sync::Arc;

use serde_json::{Value, json};

use super::testing::{CATEGORIES, NOW, Viewer, catalogue_of, item, make_popular, put, share_of};
use super::{Degraded, RecallCause, Refill, Slate, Trouble};
use crate::control::{BreakerState, ByHand};
use crate::event::Signal;
use crate::ids::Row;
use crate::params::{Params, merge_patch, parse};
use crate::recall::{Channel, ChannelSet};
use crate::wire::Name;
use crate::world::World;

/// Changes some params as an operator would.
fn patch(world: &World, patch: Value) {
    let mut document = serde_json::to_value(Params::clone(&world.params.load())).expect("JSON");
    merge_patch(&mut document, &patch);
    world.params.store(Arc::new(parse(document).expect("valid params")));
}

/// 600 items, a hundred of them popular, and a viewer who likes cats.
fn lively() -> (World, Viewer) {
    let world = catalogue_of(600);
    make_popular(
        &world,
        &(200..300).map(|row| (row, row % 7 + 1)).collect::<Vec<_>>(),
        None,
    );
    let mut viewer = Viewer::new();
    for number in 0..12 {
        viewer.act(&world, number * CATEGORIES.len() as Row, Signal::Like);
    }
    (world, viewer)
}

fn count(slate: &Slate, channel: Channel) -> usize {
    slate
        .items
        .iter()
        .filter(|item| item.channels.contains(channel))
        .count()
}

fn mean(world: &World, viewer: &mut Viewer, category: &str) -> f32 {
    (0..20)
        .map(|_| share_of(world, &viewer.feed(world, 10), category))
        .sum::<f32>()
        / 20.0
}

fn trouble(slate: &Slate, channel: Channel) -> Option<Trouble> {
    slate.report.channels[channel.number()].trouble
}

fn rules(slate: &Slate) -> Vec<Name> {
    let moves = slate
        .items
        .iter()
        .filter_map(|item| item.explain.as_ref())
        .flat_map(|explain| &explain.moves);
    moves.map(|one| one.rule.clone()).collect()
}

#[test]
fn a_channel_has_at_least_and_at_most_its_share() {
    let (world, mut viewer) = lively();
    let before = viewer.feed(&world, 10);
    assert!(count(&before, Channel::Tags) > 3, "{}", count(&before, Channel::Tags));
    patch(
        &world,
        json!({"channels": {"tags": {"max_share": 0.2}, "fresh": {"min_share": 0.3}}}),
    );
    for n in [10, 20, 5] {
        let slate = viewer.feed(&world, n);
        assert_eq!(slate.items.len(), n);
        assert!(count(&slate, Channel::Tags) <= n / 5);
        assert!(
            10 * count(&slate, Channel::Fresh) >= 3 * n,
            "{} of {n}",
            count(&slate, Channel::Fresh)
        );
        let mut rows = super::testing::rows(&slate);
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), n, "nothing twice");
    }
    viewer.explain = true;
    assert!(rules(&viewer.feed(&world, 10)).contains(&Name::Borrowed("channel_share")));
}

#[test]
fn what_a_limited_channel_may_not_fill_comes_from_elsewhere() {
    let (world, mut viewer) = lively();
    let off: serde_json::Map<String, Value> = Channel::ALL
        .into_iter()
        .filter(|channel| channel.mixer().is_none() && *channel != Channel::Backfill)
        .map(|channel| (channel.name().to_owned(), json!({"enabled": channel == Channel::Hot})))
        .collect();
    patch(&world, json!({"channels": off, "rerank": {"exploration_share": 0.0}}));
    assert_eq!(count(&viewer.feed(&world, 10), Channel::Hot), 10);
    patch(&world, json!({"channels": {"hot": {"max_share": 0.2}}}));
    let slate = viewer.feed(&world, 10);
    assert_eq!((count(&slate, Channel::Hot), count(&slate, Channel::Backfill)), (2, 8));
    assert_eq!(slate.degraded, None);
}

#[test]
fn a_change_of_a_channel_holds_for_the_next_feed() {
    let (world, mut viewer) = lively();
    assert_eq!(viewer.feed(&world, 10).report.refill, Refill::Full(RecallCause::First));
    assert_eq!(viewer.feed(&world, 10).report.refill, Refill::None);
    patch(&world, json!({"channels": {"tags": {"enabled": false}}}));
    let slate = viewer.feed(&world, 10);
    assert_eq!(
        (count(&slate, Channel::Tags), trouble(&slate, Channel::Tags)),
        (0, Some(Trouble::Off))
    );
    assert_eq!(viewer.feed(&world, 10).report.refill, Refill::None);
}

#[test]
fn a_resting_channel_is_not_asked_and_what_it_named_stays() {
    let (world, mut viewer) = lively();
    patch(
        &world,
        json!({"channels": {"hot": {"min_interval_ms": 60_000}, "tags": {"min_interval_ms": 60_000}}}),
    );
    viewer.feed(&world, 10);
    let named = |viewer: &Viewer| {
        let is_hot = |channels: &&ChannelSet| channels.contains(Channel::Hot);
        viewer.pool.channels.iter().filter(is_hot).count()
    };
    let hot = named(&viewer);
    assert!(hot > 10);
    viewer.now = viewer.now.plus_ms(40_000);
    let slate = viewer.feed(&world, 10);
    assert_eq!(slate.report.refill, Refill::Full(RecallCause::Old));
    assert_eq!(trouble(&slate, Channel::Hot), Some(Trouble::Resting));
    assert!(!slate.report.channels[Channel::Hot.number()].asked && named(&viewer) == hot);
    assert!(slate.report.channels[Channel::Fresh.number()].asked && slate.degraded.is_none());
    viewer.act(&world, 0, Signal::Like);
    let slate = viewer.feed(&world, 10);
    assert!(
        !slate.report.channels[Channel::Tags.number()].asked,
        "not after a like either"
    );
    viewer.now = viewer.now.plus_ms(40_000);
    assert!(viewer.feed(&world, 10).report.channels[Channel::Hot.number()].asked);
}

#[test]
fn a_late_channel_is_cut_off_shown_and_taken_back() {
    let (world, mut viewer) = lively();
    viewer.tick_ns = 2_000;
    viewer.explain = true;
    patch(
        &world,
        json!({"channels": {"tags": {"time_budget_us": 1}}, "breakers": {"min_calls": 3, "open_ms": 1_000, "half_open_calls": 1}}),
    );
    for _ in 0..3 {
        let slate = viewer.feed(&world, 10);
        assert_eq!(
            (trouble(&slate, Channel::Tags), slate.degraded),
            (Some(Trouble::Late), None)
        );
        assert!(count(&slate, Channel::Tags) > 0, "what came late is used");
    }
    let slate = viewer.feed(&world, 10);
    assert_eq!((slate.items.len(), slate.degraded), (10, Some(Degraded::Channels)));
    assert_eq!(
        (trouble(&slate, Channel::Tags), count(&slate, Channel::Tags)),
        (Some(Trouble::CutOff), 0)
    );
    assert_eq!(world.guards.state(Channel::Tags), BreakerState::Open);
    assert_eq!(world.guards.state(Channel::Hot), BreakerState::Closed);
    viewer.explain = false;
    assert_eq!(
        viewer.feed(&world, 10).degraded,
        Some(Degraded::Channels),
        "the pool lacks it still"
    );
    // It is tried again, in vain; then the budget is what it was.
    viewer.now = viewer.now.plus_ms(1_000);
    assert_eq!(trouble(&viewer.feed(&world, 10), Channel::Tags), Some(Trouble::Late));
    assert_eq!(world.guards.state(Channel::Tags), BreakerState::Open);
    patch(&world, json!({"channels": {"tags": {"time_budget_us": 50_000}}}));
    assert_eq!(viewer.feed(&world, 10).degraded, Some(Degraded::Channels));
    viewer.now = viewer.now.plus_ms(1_000);
    let slate = viewer.feed(&world, 10);
    assert_eq!(
        (slate.report.refill, slate.degraded),
        (Refill::Full(RecallCause::Control), None)
    );
    assert!(count(&slate, Channel::Tags) > 0);
    assert_eq!(world.guards.state(Channel::Tags), BreakerState::Closed);
    world
        .guards
        .decide(Channel::Tags, ByHand::Open, viewer.now, &world.params.load().breakers);
    viewer.explain = true;
    assert_eq!(viewer.feed(&world, 10).degraded, Some(Degraded::Channels), "by hand");
}

#[test]
fn a_mixer_is_a_channel_of_its_own() {
    let (world, mut viewer) = lively();
    let both = json!({"sources": ["hot", "tags"], "rule": "intersection", "weight": 0.7, "quota": 200});
    patch(&world, json!({"mixers": {"trending_tags": both}}));
    let slate = viewer.feed(&world, 10);
    let mixer = world.mixers.channel("trending_tags").expect("its channel");
    assert!(slate.report.channels[mixer.number()].recalled > 0);
    let sources = ChannelSet::of(Channel::Hot).with(ChannelSet::of(Channel::Tags));
    let named = viewer.pool.channels.iter().filter(|channels| channels.contains(mixer));
    assert!(named.clone().count() > 0);
    assert!(named.filter(|channels| !channels.both(sources).is_empty()).count() > 0);
    // With a quota of 0 a source names nothing by itself, and the mixer has it all the same.
    let all = json!({"trending_tags": {"rule": "union", "min_share": 0.5}});
    patch(&world, json!({"mixers": all, "channels": {"hot": {"quota": 0}}}));
    viewer.explain = true;
    let slate = viewer.feed(&world, 10);
    assert_eq!(count(&slate, Channel::Hot), 0);
    assert!(count(&slate, mixer) >= 5);
    let explained = |name: &str| {
        let explains = slate.items.iter().filter_map(|item| item.explain.as_ref());
        explains
            .filter(|explain| explain.channel_scores.contains_key(name))
            .count()
    };
    assert_eq!(explained("trending_tags"), count(&slate, mixer));
    assert!(slate.report.on_slate[mixer.number()] >= 5);
    // Off is off for everybody.
    patch(
        &world,
        json!({"channels": {"hot": {"enabled": false}, "tags": {"enabled": false}}}),
    );
    assert_eq!(count(&viewer.feed(&world, 10), mixer), 0);
}

#[test]
fn a_boost_raises_a_category_in_its_window_only_and_a_bury_lowers_it() {
    let (world, mut viewer) = lively();
    let before = mean(&world, &mut viewer, "chess");
    let (from, until) = (NOW.0 + 60_000, NOW.0 + 120_000);
    let rule = |effect: Value| {
        let mut rule = json!({"name": "week", "target": {"category": "chess"}, "from": from, "until": until});
        merge_patch(&mut rule, &effect);
        json!({"boosts": [rule]})
    };
    for effect in [json!({"share": 0.2}), json!({"factor": 2.5}), json!({"add": 1.0})] {
        patch(&world, rule(effect.clone()));
        viewer.now = NOW.plus_ms(30_000);
        let early = mean(&world, &mut viewer, "chess");
        viewer.now = NOW.plus_ms(90_000);
        let inside = mean(&world, &mut viewer, "chess");
        viewer.explain = true;
        assert!(
            rules(&viewer.feed(&world, 10)).contains(&Name::Borrowed("boost:week")),
            "{effect}"
        );
        viewer.explain = false;
        viewer.now = NOW.plus_ms(150_000);
        let late = mean(&world, &mut viewer, "chess");
        assert!(
            (early - before).abs() < 0.1 && (late - before).abs() < 0.1,
            "{effect} {before} {early} {late}"
        );
        assert!(inside > before + 0.15, "{effect}: from {before} to {inside}");
    }
    let cats = mean(&world, &mut viewer, "cats");
    for effect in [json!({"share": -0.3}), json!({"factor": 0.2}), json!({"add": -1.0})] {
        let mut bury = json!({"name": "less", "target": {"category": "cats"}});
        merge_patch(&mut bury, &effect);
        patch(&world, json!({"boosts": [bury]}));
        let buried = mean(&world, &mut viewer, "cats");
        assert!(buried < cats - 0.15, "{effect}: from {cats} to {buried}");
    }
}

#[test]
fn a_share_rule_adds_its_share_to_what_is_there_by_itself() {
    let (world, mut viewer) = lively();
    patch(
        &world,
        json!({"boosts": [{"name": "a", "target": {"category": "chess"}, "share": 0.2}]}),
    );
    for _ in 0..10 {
        let with = viewer.feed(&world, 10);
        assert!(share_of(&world, &with, "chess") >= 0.2);
    }
    patch(
        &world,
        json!({"boosts": [{"name": "a", "target": {"category": "cats"}, "share": -1.0}]}),
    );
    let without = viewer.feed(&world, 10);
    assert_eq!((share_of(&world, &without, "cats"), without.items.len()), (0.0, 10));
}

#[test]
fn a_rule_may_be_for_a_device_and_a_region_only() {
    let (world, mut viewer) = lively();
    let target = json!({"category": "chess", "device": "tv", "region": "de"});
    patch(
        &world,
        json!({"boosts": [{"name": "a", "target": target, "share": 0.5}]}),
    );
    let region = world.catalogue.words().regions.intern("de");
    for (device, region, expected) in [
        (Some("tv"), region, true),
        (Some("tv"), None, false),
        (None, region, false),
    ] {
        (viewer.device, viewer.region) = (device, region);
        let share = mean(&world, &mut viewer, "chess");
        assert_eq!(share > 0.45, expected, "{device:?} {region:?}: {share}");
    }
}

#[test]
fn a_boosted_item_is_found_and_a_limited_region_is_kept() {
    let (world, mut viewer) = lively();
    let mut only_there = item("only-there", "chess", "someone");
    only_there.regions = Some(vec!["fr".to_owned()]);
    let row = put(&world, only_there);
    patch(
        &world,
        json!({"boosts": [{"name": "a", "target": {"item": "only-there"}, "share": 0.1}]}),
    );
    assert!(!super::testing::rows(&viewer.feed(&world, 10)).contains(&row));
    viewer.region = world.catalogue.words().regions.get("fr");
    assert!(super::testing::rows(&viewer.feed(&world, 10)).contains(&row));
}
