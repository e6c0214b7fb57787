//! Swipeline itself: the serving pipeline over the log's clock.
//!
//! Owns how a log's events become the product's items, signals and viewers. Everything else is the code that serves:
//! catalogue, session state, learning, statistics, recall, ranking, re-ranking. Chance and promises have no place in a
//! replay (nobody in the log was shown what was drawn, or an editor's picks), so the exploration slots and what is kept
//! for new items and in a new viewer's first feeds are off; nothing else differs from the defaults.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustc_hash::FxHashMap;
use swipeline_models::catalogue::Change;
use swipeline_models::event::Event;
use swipeline_models::ids::{AuthorId, ItemId, Row, UserId};
use swipeline_models::index::IndexParams;
use swipeline_models::item::{ITEM_CATEGORIES_MAX, Item};
use swipeline_models::learn::learn_event;
use swipeline_models::params::Params;
use swipeline_models::pipeline::{Effort, Query, Scratch, run};
use swipeline_models::popularity::{ItemSignal, ItemStats, TrendingBuilder};
use swipeline_models::recall::Pool;
use swipeline_models::session::SessionState;
use swipeline_models::time::TimestampMs;
use swipeline_models::world::World;

use super::swipeline_log::{embeddings_of, event_of, item_name};
use crate::eval::log::{Catalogue, Interaction, ItemFacts};
use crate::eval::method::{Answer, History, NextItemMethod, NextItemRequest, Validation};
use crate::eval::tune::{Tuned, tune_next_item};

/// The trending lists are made again after so many events of the log.
const EVENTS_PER_TRENDING: usize = 200;

/// One change of the defaults, for an ablation.
pub(crate) type Without = fn(&mut Params);

/// The row `swipeline`, and its ablations.
pub(crate) struct Swipeline {
    name: &'static str,
    without: Without,
    /// Whether items get embeddings learned from the history.
    learned_embeddings: bool,
    params: Params,
    replay: Option<Replay>,
}

/// A world that a log is being replayed in.
struct Replay {
    world: World,
    like_value_min: f32,
    threads: usize,
    seed: u64,
    facts: Vec<ItemFacts>,
    /// Learned from the history, one per item; empty where there are none.
    embeddings: Vec<Vec<f32>>,
    /// Each item of the log: its row once it has been put into the catalogue.
    rows: Vec<Option<Row>>,
    /// The item of each row.
    items: Vec<u32>,
    stats: Vec<ItemStats>,
    /// Viewers by what has been learned from them.
    viewers: FxHashMap<u32, Viewer>,
    /// Viewers of whom more has been seen than learned: sessions that still run.
    running: FxHashMap<u32, Viewer>,
    events_until_trending: usize,
    scratch: Scratch,
}

struct Viewer {
    state: SessionState,
    pool: Pool,
    events: usize,
}

impl Swipeline {
    /// With the product's defaults.
    pub(crate) fn product() -> Self {
        Self::ablation("swipeline", |_| {})
    }

    /// With the defaults but for `without`.
    pub(crate) fn ablation(name: &'static str, without: Without) -> Self {
        Self {
            name,
            without,
            learned_embeddings: false,
            params: Params::default(),
            replay: None,
        }
    }

    /// With item embeddings that `train embeddings` makes of the history, in place of hashed words.
    pub(crate) fn with_embeddings(name: &'static str) -> Self {
        Self {
            learned_embeddings: true,
            ..Self::ablation(name, |_| {})
        }
    }

    /// The params that it goes by.
    pub(crate) fn into_params(self) -> Params {
        self.params
    }
}

impl NextItemMethod for Swipeline {
    fn name(&self) -> &str {
        self.name
    }

    fn configure(&mut self, params: &Params) {
        self.params = params.clone();
    }

    fn tune(&mut self, validation: &dyn Validation) -> Result<Option<Tuned>> {
        let (name, without, learned_embeddings) = (self.name, self.without, self.learned_embeddings);
        let make = move |params: Params| -> Box<dyn NextItemMethod> {
            Box::new(Self {
                name,
                without,
                learned_embeddings,
                params,
                replay: None,
            })
        };
        let (params, tuned) = tune_next_item(name, &self.params, validation, &make)?;
        self.params = params;
        Ok(Some(tuned))
    }

    fn fit(&mut self, history: &History<'_>) -> Result<()> {
        let mut params = self.params.clone();
        params.cold_start.first_slates = 0;
        (self.without)(&mut params);
        let mut replay = Replay::new(history, params)?;
        if self.learned_embeddings {
            replay.embeddings = embeddings_of(history);
        }
        replay.put_all(history.events);
        for event in history.events {
            replay.learn(event);
        }
        replay.refit_if_due();
        replay.make_trending(history.events.last().map_or(0, |event| event.at_ms));
        self.replay = Some(replay);
        Ok(())
    }

    fn learn(&mut self, event: &Interaction) {
        if let Some(replay) = &mut self.replay {
            replay.learn(event);
            replay.refit_if_due();
        }
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, answer: &mut Answer) {
        let list = answer.list();
        if let Some(replay) = &mut self.replay {
            replay.rank(request, list);
        }
    }
}

impl Replay {
    fn new(history: &History<'_>, mut params: Params) -> Result<Self> {
        let world = World::new(None, IndexParams::default()).context("the world of the replay")?;
        params.rerank.exploration_share = 0.0;
        params.cold_start.new_item_impressions = 0;
        world.params.store(Arc::new(params));
        let Catalogue { item_ids, items, .. } = history.catalogue;
        Ok(Self {
            world,
            like_value_min: history.like_value_min,
            threads: history.threads,
            seed: history.seed,
            facts: items.clone(),
            embeddings: Vec::new(),
            rows: vec![None; item_ids.len()],
            items: Vec::new(),
            stats: Vec::new(),
            viewers: FxHashMap::default(),
            running: FxHashMap::default(),
            events_until_trending: EVENTS_PER_TRENDING,
            scratch: Scratch::default(),
        })
    }

    /// Puts the items of the history into the catalogue at once.
    fn put_all(&mut self, events: &[Interaction]) {
        let mut put = vec![false; self.rows.len()];
        let mut changes = Vec::new();
        let mut items = Vec::new();
        for event in events {
            if !std::mem::replace(&mut put[event.item as usize], true) {
                changes.extend(self.change(event.item, event.at_ms));
                items.push(event.item);
            }
        }
        self.world.catalogue.apply_unrecorded(changes);
        items.into_iter().for_each(|item| self.note_row(item));
    }

    /// The row of an item; an item that is new in the log is new in the catalogue.
    fn row_of(&mut self, item: u32, at_ms: i64) -> Option<Row> {
        if self.rows[item as usize].is_none() {
            let change = self.change(item, at_ms)?;
            self.world.catalogue.apply_unrecorded(vec![change]);
            self.note_row(item);
        }
        self.rows[item as usize]
    }

    fn note_row(&mut self, item: u32) {
        let row = self.world.catalogue.row(&item_name(item));
        self.rows[item as usize] = row;
        if let Some(row) = row {
            let place = row as usize;
            if place >= self.items.len() {
                self.items.resize(place + 1, 0);
                self.stats.resize_with(place + 1, ItemStats::default);
            }
            self.items[place] = item;
        }
    }

    fn change(&self, item: u32, at_ms: i64) -> Option<Change> {
        let facts = self.facts.get(item as usize).cloned().unwrap_or_default();
        let duration = facts.duration_ms.and_then(|duration| u32::try_from(duration).ok());
        let mut categories = facts.categories;
        categories.truncate(ITEM_CATEGORIES_MAX);
        let embedding = self.embeddings.get(item as usize).filter(|vector| !vector.is_empty());
        let item = Item {
            id: ItemId::new(&item_name(item)).ok()?,
            title: facts.title,
            author: facts.author.and_then(|author| AuthorId::new(&author).ok()),
            categories,
            tags: Vec::new(),
            duration_ms: duration,
            created_at: TimestampMs(facts.created_at_ms.unwrap_or(at_ms).min(at_ms)),
            regions: Vec::new(),
            available_from: None,
            expires_at: None,
            devices: Vec::new(),
            media: Default::default(),
            embedding: embedding.cloned(),
            hidden: false,
            attributes: Default::default(),
        };
        Some(Change::Upsert {
            item: Arc::new(item),
            row: None,
        })
    }

    fn learn(&mut self, happened: &Interaction) {
        let Some(row) = self.row_of(happened.item, happened.at_ms) else {
            return;
        };
        let Some(event) = event_of(happened, self.like_value_min, &self.facts) else {
            return;
        };
        self.running.remove(&happened.user);
        let viewer = self
            .viewers
            .entry(happened.user)
            .or_insert_with(|| Viewer::new(&event.user));
        learn_event(&self.world, &self.world.params.load(), &mut viewer.state, &event, row);
        viewer.events += 1;
        self.count(row, &event);
        self.events_until_trending -= 1;
        if self.events_until_trending == 0 {
            self.make_trending(happened.at_ms);
        }
    }

    fn count(&mut self, row: Row, event: &Event) {
        let params = self.world.params.load();
        let signal = ItemSignal {
            signal: event.signal,
            at: event.at,
            watch_ms: 0,
            region: None,
            viewer: None,
        };
        let stats = &mut self.stats[row as usize];
        stats.record(&signal, event.at, &params.popularity);
        // A full board is not an error here: what is beyond it has the prior, as in the server.
        let _ = self
            .world
            .board
            .publish(row, &stats.reading(event.at, &params.popularity));
    }

    fn make_trending(&mut self, at_ms: i64) {
        let now = TimestampMs(at_ms);
        let params = self.world.params.load().popularity;
        let snapshot = self.world.catalogue.load();
        let mut lists = TrendingBuilder::new(now, &params);
        for (row, stats) in (0..).zip(&self.stats) {
            if let Some(entry) = snapshot.entry(row) {
                lists.add(row, &entry.categories, &stats.reading(now, &params));
            }
        }
        self.world.trending.store(Arc::new(lists.build()));
        self.events_until_trending = EVENTS_PER_TRENDING;
    }

    fn refit_if_due(&self) {
        let params = self.world.params.load().collaborative;
        let is_wanted = self.world.profiles.current(&params).linear_weight > 0.0;
        if is_wanted && self.world.linear.is_due(&params) {
            // The server goes on with the model before, too.
            let _ = self.world.linear.refit(&self.world.session_knn, &params, self.threads);
        }
    }

    fn rank(&mut self, request: &NextItemRequest<'_>, list: &mut Vec<u32>) {
        let is_learned = self
            .viewers
            .get(&request.user)
            .is_some_and(|viewer| viewer.events == request.context.len());
        if !is_learned {
            self.follow(request);
        }
        let home = if is_learned {
            &mut self.viewers
        } else {
            &mut self.running
        };
        let Some(viewer) = home.get_mut(&request.user) else {
            return;
        };
        let params = self.world.params.load();
        let query = Query {
            n: request.places,
            now: TimestampMs(request.now_ms),
            seed: self.seed,
            region: None,
            context: Default::default(),
            excluded: &[],
            limits: Default::default(),
            params: &params,
            explain: false,
            effort: Effort::Full,
            clock: &|| 0,
        };
        let slate = run(&self.world, &viewer.state, &mut viewer.pool, &query, &mut self.scratch);
        let items = slate.items.iter().map(|item| self.items[item.row as usize]);
        list.extend(items.filter(|item| request.candidates.contains(*item)));
    }

    /// Brings the state of a viewer of whom nothing has been learned yet up to the request.
    fn follow(&mut self, request: &NextItemRequest<'_>) {
        let known = self.running.get(&request.user).map_or(0, |viewer| viewer.events);
        for happened in request.context.iter().skip(known) {
            let (Some(row), Some(event)) = (
                self.row_of(happened.item, happened.at_ms),
                event_of(happened, self.like_value_min, &self.facts),
            ) else {
                continue;
            };
            let viewer = self
                .running
                .entry(request.user)
                .or_insert_with(|| Viewer::new(&event.user));
            let (params, snapshot) = (self.world.params.load(), self.world.catalogue.load());
            viewer.events += 1;
            if let Some(entry) = snapshot.entry(row) {
                viewer.state.short.fit_dimension(snapshot.dimension());
                viewer.state.long.fit_dimension(snapshot.dimension());
                viewer.state.apply(&event, row, entry, snapshot.vector(row), &params);
            }
        }
    }
}

impl Viewer {
    fn new(user: &UserId) -> Self {
        Self {
            state: SessionState::new(user.clone()),
            pool: Pool::default(),
            events: 0,
        }
    }
}
