//! What the recommendations are worth to simulated viewers: the whole system against popularity and chance.
//!
//! `cargo bench --bench viewers`. The viewers are the load tester's: hidden tastes, likes by match and by an item's
//! hidden quality, and a sudden change of taste after [`CHANGE_AFTER_SWIPES`] items. No server and no clock: the serving
//! code is called in the process, one item per swipe, everybody in turn, so that what one likes helps the others. Printed
//! are like rates with 95 % intervals (bootstrap by viewer) and after how many swipes a changed taste shows. The same
//! numbers every time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig, Viewer, ViewerConfig, category_names};
use swipeline_models::catalogue::Change;
use swipeline_models::event::{Event, Signal};
use swipeline_models::ids::{ItemId, Row, UserId};
use swipeline_models::index::IndexParams;
use swipeline_models::learn::learn_event;
use swipeline_models::pipeline::{Query, Scratch, run};
use swipeline_models::popularity::{ItemSignal, ItemStats, TrendingBuilder};
use swipeline_models::recall::Pool;
use swipeline_models::session::SessionState;
use swipeline_models::time::{DAY_MS, TimestampMs};
use swipeline_models::wire::ItemDto;
use swipeline_models::world::World;

const SEED: u64 = 1;
const ITEMS: usize = 4_000;
const VIEWERS: usize = 150;
const SWIPES: u32 = 90;
const CHANGE_AFTER_SWIPES: u32 = 45;
/// Between two items of one viewer, in milliseconds.
const SWIPE_MS: i64 = 6_000;
/// The changed taste shows once so many of the last [`WINDOW`] items are of the new favourite category.
const SHOWS_ITEMS: usize = 3;
const WINDOW: usize = 10;
/// The trending lists are made again after so many swipes of all viewers.
const SWIPES_PER_TRENDING: usize = 200;
const RESAMPLES: usize = 1_000;
const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);

/// Who chooses the next item.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Feed {
    Swipeline,
    Popularity,
    Random,
}

/// What came of one viewer.
#[derive(Debug, Clone, Default)]
struct Outcome {
    /// Whether each item shown was liked.
    liked: Vec<bool>,
    /// Swipes from the change of taste until it showed.
    shows_after: Option<u32>,
}

struct Simulation {
    world: World,
    items: Vec<ItemDto>,
    rows: Vec<Row>,
    stats: Vec<ItemStats>,
    likes: Vec<u32>,
    scratch: Scratch,
    random: Xoshiro256PlusPlus,
}

struct Seat {
    viewer: Viewer,
    state: SessionState,
    pool: Pool,
    seen: HashSet<usize>,
    window: Vec<bool>,
    outcome: Outcome,
}

impl Simulation {
    fn new(catalogue: &Catalogue) -> Self {
        let world = World::new(None, IndexParams::default()).expect("a world");
        let items: Vec<ItemDto> = (0..catalogue.len()).map(|index| catalogue.item(index)).collect();
        let changes = items.iter().map(|dto| Change::Upsert {
            item: Arc::new(dto.clone().into_item(NOW).expect("a valid item")),
            row: None,
        });
        world.catalogue.apply_unrecorded(changes.collect());
        let rows = items
            .iter()
            .map(|dto| world.catalogue.row(&dto.id).expect("it was put"));
        Self {
            rows: rows.collect(),
            stats: (0..items.len()).map(|_| ItemStats::default()).collect(),
            likes: vec![0; items.len()],
            world,
            items,
            scratch: Scratch::default(),
            random: Xoshiro256PlusPlus::seed_from_u64(SEED),
        }
    }

    /// The next item for a viewer.
    fn choose(&mut self, feed: Feed, seat: &mut Seat, now: TimestampMs, item_of: &HashMap<Row, usize>) -> usize {
        match feed {
            Feed::Swipeline => {
                let params = self.world.params.load();
                let query = Query {
                    n: 10,
                    now,
                    seed: self.random.random(),
                    region: None,
                    context: Default::default(),
                    excluded: &[],
                    limits: Default::default(),
                    params: &params,
                    effort: Default::default(),
                    explain: false,
                    clock: &|| 0,
                };
                let slate = run(&self.world, &seat.state, &mut seat.pool, &query, &mut self.scratch);
                item_of[&slate.items[0].row]
            }
            Feed::Popularity => {
                let unseen = (0..self.items.len()).filter(|item| !seat.seen.contains(item));
                unseen
                    .max_by_key(|item| (self.likes[*item], usize::MAX - item))
                    .expect("an item is left")
            }
            Feed::Random => loop {
                let item = self.random.random_range(0..self.items.len());
                if !seat.seen.contains(&item) {
                    break item;
                }
            },
        }
    }

    /// One viewer sees one item and reacts; everybody learns.
    fn swipe(&mut self, feed: Feed, seat: &mut Seat, now: TimestampMs, item_of: &HashMap<Row, usize>) {
        let item = self.choose(feed, seat, now, item_of);
        seat.seen.insert(item);
        let dto = &self.items[item];
        let reaction = seat.viewer.react(dto, &mut self.random, now);
        let is_liked = reaction.signals.contains(&Signal::Like);
        seat.outcome.liked.push(is_liked);
        self.likes[item] += u32::from(is_liked);
        if let Some(change) = seat.viewer.taste_change().filter(|change| change.swipes_since > 0) {
            seat.window
                .push(dto.categories.iter().flatten().next() == Some(&change.category));
            let hits = seat.window.iter().rev().take(WINDOW).filter(|hit| **hit).count();
            if hits >= SHOWS_ITEMS && seat.outcome.shows_after.is_none() {
                seat.outcome.shows_after = Some(change.swipes_since);
            }
        }
        let watch_ms = u32::try_from(reaction.watch_ms).unwrap_or(0);
        for signal in reaction.signals {
            let event = Event {
                event_id: None,
                user: seat.state.user.clone(),
                item: ItemId::new(&self.items[item].id).expect("an id"),
                signal,
                at: now,
                watch_ms: (signal == Signal::View).then_some(watch_ms),
                position: None,
                request_id: None,
                context: Default::default(),
            };
            learn_event(
                &self.world,
                &self.world.params.load(),
                &mut seat.state,
                &event,
                self.rows[item],
            );
            self.count(item, &event);
        }
    }

    fn count(&mut self, item: usize, event: &Event) {
        let params = self.world.params.load();
        let signal = ItemSignal {
            signal: event.signal,
            at: event.at,
            watch_ms: event.watch_ms.unwrap_or(0),
            region: None,
            viewer: None,
        };
        let stats = &mut self.stats[item];
        stats.record(&signal, event.at, &params.popularity);
        let reading = stats.reading(event.at, &params.popularity);
        // A full board is not an error: what is beyond it has the prior, as in the server.
        let _ = self.world.board.publish(self.rows[item], &reading);
    }

    fn keep_up(&self, now: TimestampMs) {
        let params = self.world.params.load();
        let snapshot = self.world.catalogue.load();
        let mut lists = TrendingBuilder::new(now, &params.popularity);
        for (row, stats) in self.rows.iter().zip(&self.stats) {
            if let Some(entry) = snapshot.entry(*row) {
                lists.add(*row, &entry.categories, &stats.reading(now, &params.popularity));
            }
        }
        self.world.trending.store(Arc::new(lists.build()));
        let collaborative = &params.collaborative;
        let is_wanted = self.world.profiles.current(collaborative).linear_weight > 0.0;
        if is_wanted && self.world.linear.is_due(collaborative) {
            let _ = self.world.linear.refit(&self.world.session_knn, collaborative, 1);
        }
    }
}

fn simulate(feed: Feed, catalogue: &Catalogue) -> Vec<Outcome> {
    let mut simulation = Simulation::new(catalogue);
    let item_of: HashMap<Row, usize> = simulation.rows.iter().copied().zip(0..).collect();
    let mut seats: Vec<Seat> = (0..VIEWERS as u64).map(seat).collect();
    simulation.keep_up(NOW);
    for swipe in 0..SWIPES as usize {
        for (number, seat) in seats.iter_mut().enumerate() {
            let place = swipe * VIEWERS + number;
            let at = NOW.0 + swipe as i64 * SWIPE_MS + number as i64 * SWIPE_MS / VIEWERS as i64;
            if place.is_multiple_of(SWIPES_PER_TRENDING) {
                simulation.keep_up(TimestampMs(at));
            }
            simulation.swipe(feed, seat, TimestampMs(at), &item_of);
        }
    }
    seats.into_iter().map(|seat| seat.outcome).collect()
}

fn seat(index: u64) -> Seat {
    let config = ViewerConfig {
        seed: SEED,
        index,
        categories: category_names(),
        changing_share: 1.0,
        change_after_swipes: (CHANGE_AFTER_SWIPES, CHANGE_AFTER_SWIPES),
        ..ViewerConfig::default()
    };
    Seat {
        viewer: Viewer::new(config),
        state: SessionState::new(UserId::new(&format!("v{index}")).expect("an id")),
        pool: Pool::default(),
        seen: HashSet::new(),
        window: Vec::new(),
        outcome: Outcome::default(),
    }
}

/// The like rate over some swipes, with half the width of its 95 % interval.
fn rate(outcomes: &[Outcome], swipes: std::ops::Range<usize>) -> (f64, f64) {
    let of = |outcome: &Outcome| outcome.liked[swipes.clone()].iter().filter(|liked| **liked).count() as f64;
    let mean = |chosen: &mut dyn Iterator<Item = f64>| chosen.sum::<f64>() / (VIEWERS * swipes.len()) as f64;
    let each: Vec<f64> = outcomes.iter().map(of).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| mean(&mut (0..each.len()).map(|_| *each.choose(&mut random).expect("viewers"))))
        .collect();
    resampled.sort_by(f64::total_cmp);
    let width = resampled[RESAMPLES * 39 / 40] - resampled[RESAMPLES / 40];
    (mean(&mut each.iter().copied()), width / 2.0)
}

/// The median, and the share of viewers for whom it never showed.
fn adaptation(outcomes: &[Outcome]) -> (String, f64) {
    let mut after: Vec<u32> = outcomes
        .iter()
        .map(|outcome| outcome.shows_after.unwrap_or(u32::MAX))
        .collect();
    after.sort_unstable();
    let median = after[after.len() / 2];
    let never = after.iter().filter(|after| **after == u32::MAX).count() as f64 / after.len() as f64;
    (
        if median == u32::MAX {
            "never".to_owned()
        } else {
            median.to_string()
        },
        never,
    )
}

fn main() {
    let catalogue = Catalogue::new(CatalogueConfig {
        items: ITEMS,
        dim: None,
        seed: SEED,
        now: NOW,
        days: 30,
    })
    .expect("a catalogue");
    println!(
        "{VIEWERS} viewers, {ITEMS} items, {SWIPES} swipes each, the taste changes after {CHANGE_AFTER_SWIPES}; like rates in %"
    );
    println!(
        "{:<11} {:>13} {:>13} {:>13} {:>13}   the change shows after (median; never)",
        "feed", "swipes 1-15", "16-45", "46-60", "61-90"
    );
    for (feed, name) in [
        (Feed::Swipeline, "swipeline"),
        (Feed::Popularity, "popularity"),
        (Feed::Random, "random"),
    ] {
        let outcomes = simulate(feed, &catalogue);
        let rates: Vec<String> = [0..15, 15..45, 45..60, 60..90]
            .into_iter()
            .map(|swipes| {
                let (rate, half) = rate(&outcomes, swipes);
                format!("{:>6.1} ± {:<4.1}", 100.0 * rate, 100.0 * half)
            })
            .collect();
        let (median, never) = adaptation(&outcomes);
        println!(
            "{name:<11} {}   {median} swipes; {:.0} %",
            rates.join(" "),
            100.0 * never
        );
    }
}
