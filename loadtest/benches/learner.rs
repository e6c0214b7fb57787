//! Does the online learner help? Simulated viewers swipe through the pipeline itself, in one process and in simulated
//! time: the same seed gives the same table.
//!
//! ```sh
//! cargo bench -p swipeline-loadtest --bench learner
//! cargo bench -p swipeline-loadtest --bench learner -- --seeds 16 --viewers 240
//! ```
//!
//! At the end it measures what a correction costs per request.
//!
//! Every way of serving sees the same viewers with the same luck. Behind each number stands how far it is from that of the
//! model alone (mean of the differences by seed, ± two standard errors). `--params` tries other params of the learner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rand_xoshiro::Xoshiro256PlusPlus;
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig, Viewer, ViewerConfig, seeded};
use swipeline_models::catalogue::Change;
use swipeline_models::event::{Event, Signal};
use swipeline_models::features::schema::NEUTRAL_ROW;
use swipeline_models::ids::{Row, UserId};
use swipeline_models::index::IndexParams;
use swipeline_models::learn::learn_event;
use swipeline_models::learner::{Columns, Learner, Level, PendingOutcomes, Sample, ServedRow, ViewerKeys, correct};
use swipeline_models::params::{Params, parse};
use swipeline_models::pipeline::{Query, Scratch, run};
use swipeline_models::popularity::{ItemSignal, ItemStats, TrendingBuilder};
use swipeline_models::rank::{OBJECTIVE_COUNT, Objective};
use swipeline_models::recall::{Channel, ChannelSet, Pool};
use swipeline_models::session::SessionState;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::ItemDto;
use swipeline_models::world::World;

/// When the simulation begins.
const BEGIN: TimestampMs = TimestampMs(1_790_000_000_000);
/// How long a viewer is at an item, in simulated milliseconds.
const SWIPE_MS: i64 = 5_000;
/// Candidates of a request, and requests, of which the cost is measured.
const RANKED: usize = 200;
const COST_REQUESTS: usize = 5_000;
/// Items of a feed.
const FEED_ITEMS: usize = 10;

#[derive(Debug, Parser)]
struct Options {
    /// How many times with other viewers and videos.
    #[arg(long, default_value_t = 8)]
    seeds: u64,
    #[arg(long, default_value_t = 120)]
    viewers: usize,
    #[arg(long, default_value_t = 3_000)]
    items: usize,
    /// How many items each viewer sees.
    #[arg(long, default_value_t = 100)]
    swipes: usize,
    /// Params of the learner as JSON, such as '{"learning_rate": 0.2}'.
    #[arg(long, default_value = "{}")]
    params: String,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way of serving: its name and how the learner's part of the params differs.
const WAYS: [(&str, &str); 5] = [
    ("model alone", r#"{"correct": false}"#),
    ("learner", "{}"),
    ("learner, never less", r#"{"spread_factor_min": 1}"#),
    (
        "learner, spread free",
        r#"{"spread_factor_min": 1, "spread_factor_max": 1}"#,
    ),
    ("calibration only", r#"{"learning_rate": 0.001, "l2": 1000}"#),
];

/// What viewers did with what they saw.
#[derive(Debug, Default, Clone, Copy)]
struct Effect {
    seen: f64,
    likes: f64,
    skips: f64,
    completes: f64,
    watched: f64,
}

/// The rates that are told: likes, likes in the second half, skips, completes, watched share.
type Rates = [f64; 5];

struct Seat {
    viewer: Viewer,
    luck: Xoshiro256PlusPlus,
    state: SessionState,
    pool: Pool,
    pending: PendingOutcomes,
    feed: Vec<Row>,
    place: usize,
}

struct Play {
    world: World,
    params: Params,
    items: Vec<ItemDto>,
    stats: Vec<ItemStats>,
    seats: Vec<Seat>,
    learner: Learner,
    scratch: Scratch,
    samples: Vec<Sample>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    println!(
        "{} seeds x {} viewers x {} swipes, {} items; learner params {}",
        options.seeds, options.viewers, options.swipes, options.items, options.params
    );
    let mut base: Vec<Rates> = Vec::new();
    let mut learned = None;
    for (name, patch) in WAYS {
        let params = params_of(&options, patch)?;
        let (mut rates, mut last) = (Vec::new(), None);
        for seed in 0..options.seeds {
            let mut play = Play::new(&options, params.clone(), seed)?;
            rates.push(play.play(&options)?);
            last = Some(play);
        }
        if base.is_empty() {
            base.clone_from(&rates);
        }
        tell(name, &rates, &base);
        if let Some(play) = last.filter(|_| name == "learner") {
            tell_losses(&play.learner);
            learned = Some(play);
        }
    }
    if let Some(play) = learned {
        tell_cost(&play);
    }
    Ok(())
}

/// What it costs to correct all objectives of 200 candidates, of all items by turns.
fn tell_cost(play: &Play) {
    let snapshot = play.world.catalogue.load();
    let published = Arc::clone(&play.world.learner.load());
    let viewers: Vec<ViewerKeys> = play
        .seats
        .iter()
        .map(|seat| ViewerKeys::of(&seat.state, None, BEGIN))
        .collect();
    let predicted = vec![[0.4; OBJECTIVE_COUNT]; RANKED];
    let (mut objectives, mut rows) = (predicted.clone(), vec![0; RANKED]);
    let features = NEUTRAL_ROW.repeat(RANKED);
    let (channels, pre_rank, collaborative) = (
        vec![ChannelSet::of(Channel::Embedding).with(ChannelSet::of(Channel::Hot)); RANKED],
        vec![0.6; RANKED],
        vec![0.3; RANKED],
    );
    let mut spent = Duration::ZERO;
    for request in 0..COST_REQUESTS {
        for (place, row) in rows.iter_mut().enumerate() {
            *row = ((request * RANKED + place) * 7 % play.items.len()) as Row;
        }
        objectives.copy_from_slice(&predicted);
        let columns = Columns {
            rows: &rows,
            channels: &channels,
            features: &features,
            pre_rank: &pre_rank,
            collaborative: &collaborative,
        };
        let began = Instant::now();
        let viewer = viewers[request % viewers.len()];
        let applied = correct(
            &published,
            &play.params.learner,
            viewer,
            &snapshot,
            columns,
            &mut objectives,
        );
        spent += began.elapsed();
        std::hint::black_box((&applied, &objectives));
    }
    println!(
        "correcting {RANKED} candidates: {:.1} us a request; objectives served by {:?}",
        spent.as_secs_f64() * 1e6 / COST_REQUESTS as f64,
        published.levels().map(Level::name)
    );
}

fn params_of(options: &Options, patch: &str) -> anyhow::Result<Params> {
    let mut learner: serde_json::Value = serde_json::from_str(&options.params).context("--params")?;
    let patch: serde_json::Value = serde_json::from_str(patch)?;
    swipeline_models::params::merge_patch(&mut learner, &patch);
    parse(serde_json::json!({ "learner": learner })).map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

fn tell(name: &str, rates: &[Rates], base: &[Rates]) {
    let names = ["like", "like, 2nd half", "skip", "complete", "watch"];
    let told: Vec<String> = (0..names.len())
        .map(|column| {
            let values: Vec<f64> = rates.iter().map(|rates| rates[column]).collect();
            let differences: Vec<f64> = rates
                .iter()
                .zip(base)
                .map(|(one, base)| one[column] - base[column])
                .collect();
            let (mean, _) = mean_and_error(&values);
            let (difference, error) = mean_and_error(&differences);
            format!("{} {mean:.4} ({difference:+.4} ±{:.4})", names[column], 2.0 * error)
        })
        .collect();
    println!("{name:<22} {}", told.join("  "));
}

fn tell_losses(learner: &Learner) {
    for objective in Objective::ALL {
        let (losses, outcomes) = learner.losses(objective.index());
        let told: Vec<String> = Level::ALL
            .into_iter()
            .map(|level| format!("{} {:.4}", level.name(), losses[level as usize]))
            .collect();
        println!(
            "    {:<9} log loss {} after {outcomes}, served {}",
            objective.name(),
            told.join("  "),
            learner.levels()[objective.index()].name()
        );
    }
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

impl Effect {
    fn add(&mut self, signals: &[Signal], watched: f64) {
        let has = |signal: Signal| f64::from(u8::from(signals.contains(&signal)));
        self.seen += 1.0;
        self.likes += has(Signal::Like);
        self.skips += has(Signal::Skip) + has(Signal::Dislike);
        self.completes += has(Signal::Complete);
        self.watched += watched.min(1.0);
    }
}

impl Play {
    fn new(options: &Options, params: Params, seed: u64) -> anyhow::Result<Self> {
        let world = World::new(None, IndexParams::default()).context("a world")?;
        world.params.store(Arc::new(params.clone()));
        let catalogue = Catalogue::new(CatalogueConfig {
            items: options.items,
            dim: None,
            seed: seed + 1,
            now: BEGIN,
            days: 14,
        })?;
        let items: Vec<ItemDto> = (0..options.items).map(|number| catalogue.item(number)).collect();
        let changes: Result<Vec<Change>, _> = items
            .iter()
            .map(|item| {
                let item = item.clone().into_item(BEGIN)?;
                Ok(Change::Upsert {
                    item: Arc::new(item),
                    row: None,
                })
            })
            .collect();
        let changes =
            changes.map_err(|error: swipeline_models::wire::FieldError| anyhow::anyhow!("{}", error.detail))?;
        world.catalogue.apply_unrecorded(changes);
        let seats: anyhow::Result<Vec<Seat>> = (0..options.viewers)
            .map(|index| Seat::new(seed, index as u64))
            .collect();
        let mut learner = Learner::new(params.learner);
        learner.serve_model("simulated");
        Ok(Self {
            world,
            learner,
            params,
            stats: vec![ItemStats::default(); items.len()],
            items,
            seats: seats?,
            scratch: Scratch::default(),
            samples: Vec::new(),
        })
    }

    fn play(&mut self, options: &Options) -> anyhow::Result<Rates> {
        let mut halves = [Effect::default(); 2];
        for swipe in 0..options.swipes {
            let half = usize::from(swipe * 2 >= options.swipes);
            for number in 0..self.seats.len() {
                let now = BEGIN.plus_ms(swipe as i64 * SWIPE_MS + number as i64);
                self.swipe(number, now, &mut halves[half])?;
            }
            for sample in self.samples.drain(..) {
                self.learner.learn(&sample);
            }
            if let Some(published) = self.learner.publish() {
                self.world.learner.publish(published);
            }
            self.make_trending(BEGIN.plus_ms(swipe as i64 * SWIPE_MS));
        }
        let [first, second] = halves;
        let seen = first.seen + second.seen;
        Ok([
            (first.likes + second.likes) / seen,
            second.likes / second.seen.max(1.0),
            (first.skips + second.skips) / seen,
            (first.completes + second.completes) / seen,
            (first.watched + second.watched) / seen,
        ])
    }

    fn swipe(&mut self, number: usize, now: TimestampMs, effect: &mut Effect) -> anyhow::Result<()> {
        if self.seats[number].place >= self.seats[number].feed.len() {
            self.feed(number, now);
        }
        let seat = &mut self.seats[number];
        let Some(row) = seat.feed.get(seat.place).copied() else {
            return Ok(());
        };
        seat.place += 1;
        let item = &self.items[row as usize];
        let reaction = seat.viewer.react(item, &mut seat.luck, now);
        let watch_ms = u32::try_from(reaction.watch_ms).unwrap_or(0);
        effect.add(
            &reaction.signals,
            reaction.watch_ms as f64 / item.duration_ms.unwrap_or(1).max(1) as f64,
        );
        let checked = item.clone().into_item(BEGIN);
        let id = checked.map_err(|error| anyhow::anyhow!("{}", error.detail))?.id;
        let hash = id.hash64();
        for signal in &reaction.signals {
            let event = Event {
                event_id: None,
                user: seat.state.user.clone(),
                item: id.clone(),
                signal: *signal,
                at: now,
                watch_ms: Some(watch_ms),
                position: None,
                request_id: None,
                context: Default::default(),
            };
            learn_event(&self.world, &self.params, &mut seat.state, &event, row);
            seat.pending.note(hash, *signal, Some(watch_ms));
            let signal = ItemSignal {
                signal: *signal,
                at: now,
                watch_ms,
                region: None,
                viewer: None,
            };
            self.stats[row as usize].record(&signal, now, &self.params.popularity);
        }
        seat.pending.move_to(hash, &mut self.samples);
        let reading = self.stats[row as usize].reading(now, &self.params.popularity);
        self.world.board.publish(row, &reading)?;
        if reaction.signals.iter().any(|signal| signal.is_strong()) {
            self.feed(number, now);
        }
        Ok(())
    }

    fn feed(&mut self, number: usize, now: TimestampMs) {
        let seat = &mut self.seats[number];
        let query = Query {
            n: FEED_ITEMS,
            now,
            seed: seat.state.user.hash64() ^ seat.state.signals(),
            region: None,
            context: Default::default(),
            excluded: &[],
            params: &self.params,
            explain: false,
            effort: Default::default(),
            limits: Default::default(),
            clock: &|| 0,
        };
        let slate = run(&self.world, &seat.state, &mut seat.pool, &query, &mut self.scratch);
        seat.feed = slate.items.iter().map(|item| item.row).collect();
        seat.place = 0;
        let (keys, snapshot) = (ViewerKeys::of(&seat.state, None, now), self.world.catalogue.load());
        let served = seat.feed.iter().enumerate().filter_map(|(position, row)| {
            let ranked = self.scratch.ranked_by(*row)?;
            Some(ServedRow::new(&keys, snapshot.entry(*row)?, &ranked, position))
        });
        seat.pending.serve(served.collect(), false, &mut self.samples);
    }

    fn make_trending(&self, now: TimestampMs) {
        let snapshot = self.world.catalogue.load();
        let mut lists = TrendingBuilder::new(now, &self.params.popularity);
        for (row, stats) in (0..).zip(&self.stats) {
            if let Some(entry) = snapshot.entry(row) {
                lists.add(row, &entry.categories, &stats.reading(now, &self.params.popularity));
            }
        }
        self.world.trending.store(Arc::new(lists.build()));
    }
}

impl Seat {
    fn new(seed: u64, index: u64) -> anyhow::Result<Self> {
        let config = ViewerConfig {
            seed,
            index,
            ..ViewerConfig::default()
        };
        let user = UserId::new(&format!("viewer-{index}")).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self {
            viewer: Viewer::new(config),
            luck: seeded(seed, "luck", index),
            state: SessionState::new(user),
            pool: Pool::default(),
            pending: PendingOutcomes::default(),
            feed: Vec::new(),
            place: 0,
        })
    }
}
