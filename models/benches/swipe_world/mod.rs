//! The catalogue, the crowd and the viewers of the swipe bench: seeded, in clusters as tastes are, with a long tail.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_models::catalogue::Change;
use swipeline_models::collaborative::RecentItem;
use swipeline_models::event::{Event, Signal};
use swipeline_models::ids::{ItemId, Row, UserId};
use swipeline_models::popularity::{ItemSignal, ItemStats, TrendingBuilder};
use swipeline_models::session::SessionState;
use swipeline_models::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, TimestampMs};
use swipeline_models::wire::ItemDto;
use swipeline_models::world::World;

/// When the bench takes place.
pub(crate) const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);
const DIMENSION: usize = 64;
/// Items per cluster of tastes.
const CLUSTER_ITEMS: usize = 200;
const CATEGORIES: usize = 40;
const TAGS: usize = 2_000;
/// Items per catalogue change.
const BATCH_ITEMS: usize = 50_000;
/// The most items that anybody has done anything with lately, and viewers who did.
const ACTIVE_ITEMS_MAX: usize = 50_000;
const CROWD_VIEWERS_MAX: usize = 30_000;
const CROWD_LIKES: usize = 8;
/// Past events of the measured viewers, and items shown to them before.
const PAST_EVENTS: usize = 100;
const PAST_SHOWN: usize = 1_500;

/// The random numbers of one part of the set-up.
pub(crate) fn random(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A world of `count` items with trending lists, co-engagement and sessions.
pub(crate) fn world_of(count: usize) -> World {
    let world = World::new(Some(DIMENSION), Default::default()).expect("64 dimensions");
    let mut random = random(count as u64);
    let clusters = (count / CLUSTER_ITEMS).max(1);
    let centres: Vec<f32> = (0..clusters * DIMENSION).map(|_| normal(&mut random)).collect();
    for start in (0..count).step_by(BATCH_ITEMS) {
        let items = start..(start + BATCH_ITEMS).min(count);
        let changes = items
            .map(|number| item(number, clusters, &centres, &mut random))
            .collect();
        let accepted = world.catalogue.apply_unrecorded(changes);
        assert!(accepted.iter().all(Result::is_ok));
    }
    let active = count.min(ACTIVE_ITEMS_MAX);
    publish_popularity(&world, count, active, &mut random);
    let_the_crowd_swipe(&world, count, clusters, active, &mut random);
    world
}

/// Row `place` of a cluster.
fn row_of(cluster: usize, place: usize, clusters: usize, count: usize) -> Row {
    ((place * clusters + cluster) % count) as Row
}

fn normal(random: &mut Xoshiro256PlusPlus) -> f32 {
    (0..4).map(|_| random.random_range(-1.0_f32..1.0)).sum()
}

fn item(number: usize, clusters: usize, centres: &[f32], random: &mut Xoshiro256PlusPlus) -> Change {
    let cluster = number % clusters;
    let centre = &centres[cluster * DIMENSION..][..DIMENSION];
    let tags = (0..4).map(|_| format!("tag-{}", (cluster * 7 + random.random_range(0..12_usize)) % TAGS));
    let dto = ItemDto {
        id: format!("video-{number}"),
        author_id: Some(format!("author-{}", number / clusters * 97 + cluster / 3)),
        categories: Some(vec![format!("category-{}", cluster % CATEGORIES)]),
        tags: Some(tags.collect()),
        duration_ms: Some(random.random_range(5_000..90_000)),
        created_at: Some(NOW.0 - random.random_range(0..200) * DAY_MS),
        embedding: Some(
            centre
                .iter()
                .map(|component| component + 0.6 * normal(random))
                .collect(),
        ),
        ..ItemDto::default()
    };
    Change::Upsert {
        item: Arc::new(dto.into_item(NOW).expect("a valid item")),
        row: None,
    }
}

/// Publishes board and trending lists of the items that are active, spread over the catalogue.
fn publish_popularity(world: &World, count: usize, active: usize, random: &mut Xoshiro256PlusPlus) {
    let params = world.params.load().popularity;
    let snapshot = world.catalogue.load();
    let mut lists = TrendingBuilder::new(NOW, &params);
    for number in 0..active {
        let row = (number * (count / active)) as Row;
        let mut stats = ItemStats::default();
        for _ in 0..random.random_range(1..12) {
            let signal = [Signal::Impression, Signal::Like, Signal::Skip, Signal::Complete][random.random_range(0..4)];
            let at = NOW.plus_ms(-random.random_range(0..3 * HOUR_MS));
            stats.record(
                &ItemSignal {
                    signal,
                    at,
                    watch_ms: 5_000,
                    region: None,
                    viewer: None,
                },
                NOW,
                &params,
            );
        }
        let reading = stats.reading(NOW, &params);
        world.board.publish(row, &reading).expect("a row of the board");
        lists.add(row, &snapshot.entry(row).expect("an item").categories, &reading);
    }
    world.trending.store(Arc::new(lists.build()));
}

/// Viewers who each like items of one cluster, the popular ones more often.
fn let_the_crowd_swipe(world: &World, count: usize, clusters: usize, active: usize, random: &mut Xoshiro256PlusPlus) {
    let params = world.params.load().collaborative;
    for _ in 0..active.min(CROWD_VIEWERS_MAX) {
        let cluster = random.random_range(0..clusters);
        let mut at = NOW.plus_ms(-random.random_range(HOUR_MS..7 * DAY_MS));
        let mut recent: Vec<RecentItem> = Vec::new();
        let mut session = None;
        for _ in 0..CROWD_LIKES {
            at = at.plus_ms(20 * SECOND_MS);
            let row = row_of(cluster, skewed(random), clusters, count);
            world.co_visits.record(row, &recent, at, 1.0, &params);
            session = Some(world.session_knn.extend(session, row, at, 1.0, &params));
            recent.push(RecentItem { row, at, weight: 1.0 });
        }
    }
}

/// A place in a cluster, low ones more often.
fn skewed(random: &mut Xoshiro256PlusPlus) -> usize {
    let uniform: f32 = random.random();
    (uniform * uniform * CLUSTER_ITEMS as f32) as usize
}

/// A viewer with a hundred past events, three of four of them in one cluster, and 1 500 items shown before.
pub(crate) fn viewer_of(world: &World, count: usize, number: u64) -> SessionState {
    let mut random = random(number + 1);
    let clusters = (count / CLUSTER_ITEMS).max(1);
    let favourite = random.random_range(0..clusters);
    let mut state = SessionState::new(UserId::new("viewer").expect("an id"));
    let params = world.params.load();
    let snapshot = world.catalogue.load();
    for event in 0..PAST_EVENTS {
        let is_favourite = event % 4 != 0;
        let cluster = if is_favourite {
            favourite
        } else {
            random.random_range(0..clusters)
        };
        let row = row_of(cluster, skewed(&mut random), clusters, count);
        let signal = match (is_favourite, event % 2) {
            (true, 0) => Signal::Complete,
            (true, _) => Signal::Like,
            (false, _) => Signal::Skip,
        };
        let at = NOW.plus_ms((event as i64 - PAST_EVENTS as i64) * MINUTE_MS / 2);
        apply(world, &mut state, row, signal, at);
    }
    for _ in 0..PAST_SHOWN.min(count / 10) {
        let row = random.random_range(0..count) as Row;
        state.show(snapshot.entry(row).expect("an item").hash, &params);
    }
    state
}

/// Lets an event count.
pub(crate) fn apply(world: &World, state: &mut SessionState, row: Row, signal: Signal, at: TimestampMs) {
    let snapshot = world.catalogue.load();
    let entry = snapshot.entry(row).expect("an item");
    let event = Event {
        event_id: None,
        user: state.user.clone(),
        item: ItemId::new(entry.item.id.as_str()).expect("an id"),
        signal,
        at,
        watch_ms: None,
        position: None,
        request_id: None,
        context: Default::default(),
    };
    state.apply(&event, row, entry, snapshot.vector(row), &world.params.load());
}
