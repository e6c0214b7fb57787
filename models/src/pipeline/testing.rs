//! A small world with one viewer, for the tests of the pipeline and of sessions.

use std::sync::Arc;

use super::{Effort, Query, RequestContext, Scratch, Slate, run};
use crate::catalogue::Change;
use crate::event::{Event, Signal};
use crate::ids::{EventId, ItemId, Row, UserId, Word};
use crate::params::Params;
use crate::popularity::{ItemSignal, ItemStats, TrendingBuilder};
use crate::recall::Pool;
use crate::session::SessionState;
use crate::time::{DAY_MS, MINUTE_MS, TimestampMs};
use crate::wire::ItemDto;
use crate::world::World;

/// When the tests take place.
pub(crate) const NOW: TimestampMs = TimestampMs(20_000 * DAY_MS);
/// Categories of [`catalogue_of`].
pub(crate) const CATEGORIES: [&str; 5] = ["cats", "cars", "cooking", "chess", "climbing"];

/// An item of a category, a month old so that nothing about it is new.
pub(crate) fn item(id: &str, category: &str, author: &str) -> ItemDto {
    ItemDto {
        id: id.to_owned(),
        categories: Some(vec![category.to_owned()]),
        tags: Some(vec![format!(
            "{category}-{}",
            id.bytes().map(u32::from).sum::<u32>() % 3
        )]),
        author_id: Some(author.to_owned()),
        duration_ms: Some(20_000),
        created_at: Some(NOW.plus_ms(-30 * DAY_MS).0),
        ..ItemDto::default()
    }
}

/// Puts an item into the world.
pub(crate) fn put(world: &World, item: ItemDto) -> Row {
    let item = item.into_item(NOW).expect("a valid item");
    let id = item.id.clone();
    let accepted = world.catalogue.apply_unrecorded(vec![Change::Upsert {
        item: Arc::new(item),
        row: None,
    }]);
    assert!(accepted.iter().all(Result::is_ok), "{accepted:?}");
    world.catalogue.row(id.as_str()).expect("it was put")
}

/// Takes an item out of the world.
pub(crate) fn delete(world: &World, id: &str) {
    world.catalogue.apply_unrecorded(vec![Change::Delete {
        id: ItemId::new(id).expect("an id"),
    }]);
}

/// A world of `count` items, `v0`, `v1`, ..., in [`CATEGORIES`] by turns, each author with three of a category.
pub(crate) fn catalogue_of(count: usize) -> World {
    let world = World::new(None, Default::default()).expect("a world");
    let change = |number: usize| {
        let category = CATEGORIES[number % CATEGORIES.len()];
        let author = format!("{category}-author-{}", number / (3 * CATEGORIES.len()));
        let item = item(&format!("v{number}"), category, &author)
            .into_item(NOW)
            .expect("a valid item");
        Change::Upsert {
            item: Arc::new(item),
            row: None,
        }
    };
    world.catalogue.apply_unrecorded((0..count).map(change).collect());
    world
}

/// Lets an item have been liked, and publishes board and trending lists of all such items.
pub(crate) fn make_popular(world: &World, likes_by_row: &[(Row, u32)], region: Option<Word>) {
    let params = world.params.load().popularity;
    let snapshot = world.catalogue.load();
    let mut lists = TrendingBuilder::new(NOW, &params);
    for &(row, likes) in likes_by_row {
        let mut stats = ItemStats::default();
        for _ in 0..likes {
            let signal = ItemSignal {
                signal: Signal::Like,
                at: NOW.plus_ms(-MINUTE_MS),
                watch_ms: 0,
                region,
                viewer: None,
            };
            stats.record(&signal, NOW, &params);
        }
        let reading = stats.reading(NOW, &params);
        world.board.publish(row, &reading).expect("a row of the board");
        lists.add(row, &snapshot.entry(row).expect("an item").categories, &reading);
    }
    world.trending.store(Arc::new(lists.build()));
}

/// An event on an item.
pub(crate) fn event(id: &str, signal: Signal, at: TimestampMs) -> Event {
    Event {
        event_id: None,
        user: UserId::new("viewer").expect("an id"),
        item: ItemId::new(id).expect("an id"),
        signal,
        at,
        watch_ms: None,
        position: None,
        request_id: None,
        context: Default::default(),
    }
}

/// An event with a name of its own.
pub(crate) fn named_event(name: &str, id: &str, signal: Signal, at: TimestampMs) -> Event {
    Event {
        event_id: Some(EventId::new(name).expect("an id")),
        ..event(id, signal, at)
    }
}

/// One viewer with everything that a session actor holds of it.
pub(crate) struct Viewer {
    pub(crate) state: SessionState,
    pub(crate) pool: Pool,
    pub(crate) scratch: Scratch,
    pub(crate) now: TimestampMs,
    pub(crate) seed: u64,
    pub(crate) region: Option<Word>,
    pub(crate) excluded: Vec<u64>,
    pub(crate) explain: bool,
    pub(crate) device: Option<&'static str>,
    /// Nanoseconds that pass between two looks at the clock.
    pub(crate) tick_ns: u64,
    pub(crate) effort: Effort,
}

impl Viewer {
    pub(crate) fn new() -> Self {
        Self::of(SessionState::new(UserId::new("viewer").expect("an id")))
    }

    pub(crate) fn of(state: SessionState) -> Self {
        Self {
            state,
            pool: Pool::default(),
            scratch: Scratch::default(),
            now: NOW,
            seed: 7,
            region: None,
            excluded: Vec::new(),
            explain: false,
            device: None,
            tick_ns: 0,
            effort: Effort::Full,
        }
    }

    /// The next slate. Nothing on it counts as shown yet.
    pub(crate) fn feed(&mut self, world: &World, n: usize) -> Slate {
        self.seed += 1;
        let params = world.params.load();
        let (mut pool, mut scratch) = (std::mem::take(&mut self.pool), std::mem::take(&mut self.scratch));
        let (looks, tick_ns) = (std::cell::Cell::new(0), self.tick_ns);
        let clock = move || {
            looks.set(looks.get() + tick_ns);
            looks.get()
        };
        let query = Query {
            clock: &clock,
            ..self.query(n, &params)
        };
        let slate = run(world, &self.state, &mut pool, &query, &mut scratch);
        (self.pool, self.scratch) = (pool, scratch);
        slate
    }

    /// What the next request asks.
    pub(crate) fn query<'a>(&'a self, n: usize, params: &'a Params) -> Query<'a> {
        Query {
            n,
            now: self.now,
            seed: self.seed,
            region: self.region,
            context: RequestContext {
                device: self.device,
                network: None,
            },
            excluded: &self.excluded,
            limits: Default::default(),
            params,
            explain: self.explain,
            effort: self.effort,
            clock: &|| 0,
        }
    }

    /// Lets an event count a second after the one before.
    pub(crate) fn act(&mut self, world: &World, row: Row, signal: Signal) {
        self.now = self.now.plus_ms(1_000);
        let snapshot = world.catalogue.load();
        let entry = snapshot.entry(row).expect("an item");
        let event = event(entry.item.id.as_str(), signal, self.now);
        let params = world.params.load();
        let mut applied = self.state.apply(&event, row, entry, snapshot.vector(row), &params);
        self.state
            .observe(&event, row, entry, &params, world.catalogue.words(), &mut applied);
    }

    /// Lets all of a slate count as shown.
    pub(crate) fn see(&mut self, world: &World, slate: &Slate) {
        let snapshot = world.catalogue.load();
        for item in &slate.items {
            self.state
                .show(snapshot.entry(item.row).expect("an item").hash, &world.params.load());
        }
    }
}

/// The rows of a slate in their order.
pub(crate) fn rows(slate: &Slate) -> Vec<Row> {
    slate.items.iter().map(|item| item.row).collect()
}

/// The share of a slate that is of a category.
pub(crate) fn share_of(world: &World, slate: &Slate, category: &str) -> f32 {
    let word = world.catalogue.words().categories.get(category);
    let snapshot = world.catalogue.load();
    let is_of = |row: Row| word.is_some_and(|word| snapshot.entry(row).expect("an item").categories.contains(&word));
    slate.items.iter().filter(|item| is_of(item.row)).count() as f32 / slate.items.len().max(1) as f32
}
