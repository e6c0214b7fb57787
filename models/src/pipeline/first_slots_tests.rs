//! What a new viewer may expect of the first feeds: editor's picks, what is popular in the region, registered tags, and
//! more and more of the own taste.

use std::sync::Arc;

use super::testing::{Viewer, catalogue_of, make_popular, rows, share_of};
use super::{Slate, SlateItem};
use crate::event::Signal;
use crate::ids::{Row, UserId};
use crate::params::Params;
use crate::recall::Channel;
use crate::session::SessionState;
use crate::wire::UserDto;
use crate::world::World;

const PICKS: [Row; 6] = [307, 12, 444, 51, 258, 33];

/// A world with editor's picks for everybody and for one region, with popular items in two regions.
fn world() -> World {
    let world = catalogue_of(600);
    let mut params = Params::default();
    let ids = |rows: &[Row]| rows.iter().map(|row| format!("v{row}")).collect::<Vec<_>>();
    let picks = &mut params.cold_start.editors_picks;
    picks.insert("*".to_owned(), ids(&PICKS));
    picks.insert("se".to_owned(), ids(&[199, 200]));
    params.rerank.exploration_share = 0.0;
    assert_eq!(params.validate(), vec![]);
    world.params.store(Arc::new(params));
    for region in ["se", "jp"] {
        world.catalogue.words().regions.intern(region);
    }
    let region = world.catalogue.words().regions.get("se");
    let popular: Vec<(Row, u32)> = (100..120).map(|row| (row, 40)).collect();
    make_popular(&world, &popular, region);
    world
}

fn new_viewer(world: &World, tags: &[&str]) -> Viewer {
    let mut state = SessionState::new(UserId::new("viewer").expect("an id"));
    let dto = UserDto {
        id: "viewer".to_owned(),
        tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        ..UserDto::default()
    };
    state.describe(dto.into_user().expect("valid"), world.catalogue.words());
    Viewer::of(state)
}

fn count(slate: &Slate, is_such: impl Fn(&SlateItem) -> bool) -> usize {
    slate.items.iter().filter(|item| is_such(item)).count()
}

#[test]
fn the_first_feed_is_made_of_picks_hot_items_and_registered_tags() {
    let world = world();
    let mut viewer = new_viewer(&world, &["chess-1"]);
    let slate = viewer.feed(&world, 10);
    let of = |channel: Channel| count(&slate, |item| item.reason == channel);
    assert_eq!((of(Channel::ColdStart), of(Channel::Hot), of(Channel::Tags)), (4, 3, 3));
    for item in &slate.items {
        assert!(item.channels.contains(item.reason), "each part is named: {item:?}");
    }
    let picks: Vec<Row> = rows(&slate).into_iter().filter(|row| PICKS.contains(row)).collect();
    assert_eq!(picks[..], PICKS[..4], "in the editor's order");
    assert_eq!(rows(&slate)[0], PICKS[0], "the editor's first pick leads");
}

#[test]
fn picks_of_the_region_come_before_those_for_all() {
    let world = world();
    let mut viewer = new_viewer(&world, &[]);
    viewer.region = world.catalogue.words().regions.get("se");
    let slate = viewer.feed(&world, 10);
    assert_eq!(rows(&slate)[0], 199);
    let of = |channel: Channel| count(&slate, |item| item.reason == channel);
    assert_eq!(
        (of(Channel::ColdStart), of(Channel::Hot)),
        (6, 4),
        "no tags: the others share their slots"
    );
}

#[test]
fn what_was_seen_is_not_picked_again_and_the_picks_go_on() {
    let world = world();
    let mut viewer = new_viewer(&world, &["chess-1"]);
    let first = viewer.feed(&world, 10);
    viewer.see(&world, &first);
    let second = viewer.feed(&world, 10);
    assert!(rows(&second).iter().all(|row| !rows(&first).contains(row)));
    assert_eq!(rows(&second)[0], PICKS[4]);
    assert_eq!(
        count(&second, |item| item.reason == Channel::ColdStart),
        2,
        "two are left"
    );
}

#[test]
fn the_personal_part_grows_with_signals_until_nothing_else_is_left() {
    let world = world();
    let mut viewer = new_viewer(&world, &["chess-1"]);
    let (mut picked, mut liked) = (Vec::new(), Vec::new());
    for signals in 0..12 {
        if signals > 0 {
            viewer.act(&world, 5 * (60 + signals), Signal::Like);
        }
        let slate = viewer.feed(&world, 10);
        picked.push(count(&slate, |item| PICKS.contains(&item.row)));
        liked.push(share_of(&world, &slate, "cats"));
    }
    // Of ten slots ten, then four, then fewer are owed: by weight four, two, one of them to the picks.
    assert_eq!((picked[0], picked[1], picked[6], picked[8]), (4, 2, 2, 1), "{picked:?}");
    assert_eq!(picked[10..], [0, 0], "personal after ten signals");
    assert!(liked[1] >= liked[0] + 0.3, "the first like is not drowned: {liked:?}");
    assert!(liked[10] >= 0.6 && liked[10] >= liked[1], "{liked:?}");
}

#[test]
fn the_first_like_shows_in_the_very_next_feed() {
    let world = world();
    let mut viewer = new_viewer(&world, &["chess-1"]);
    let before = share_of(&world, &viewer.feed(&world, 10), "climbing");
    viewer.act(&world, 304, Signal::Like);
    let slate = viewer.feed(&world, 10);
    let after = share_of(&world, &slate, "climbing");
    assert!(after >= before + 0.3, "{before} before, {after} after");
    let leading = world
        .catalogue
        .load()
        .entry(slate.items[0].row)
        .expect("an item")
        .leading_category();
    assert_eq!(
        Some(leading),
        world.catalogue.words().categories.get("climbing"),
        "and it leads"
    );
}

#[test]
fn who_is_not_new_gets_no_picks_by_force() {
    let world = world();
    let mut viewer = new_viewer(&world, &["chess-1"]);
    for number in 0..12 {
        viewer.act(&world, 5 * (60 + number), Signal::Like);
    }
    let slate = viewer.feed(&world, 10);
    assert_eq!(count(&slate, |item| item.reason == Channel::ColdStart), 0);
    assert!(share_of(&world, &slate, "cats") > 0.5);
}
