//! What a ranking leaves: the viewer's own next candidates, in the order in which they would have come.
//!
//! Owns: which ranked candidates are kept, until when they may answer in the place of the pipeline, and the slate that
//! is chosen among them. Everything is filtered again when it is served: what was shown, hidden or deleted since does
//! not come. Lives in memory only and is bounded; it can be dropped at any time.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::arrange::Rulebook;
use super::first_slots::Promises;
use super::run::{extract_features, slate_item};
use super::scratch::Candidates;
use super::slate::{Degraded, Slate};
use super::{Query, Scratch};
use crate::catalogue::CatalogueSnapshot;
use crate::features::schema::FEATURE_COUNT;
use crate::ids::{Row, Word};
use crate::popularity::{BoardEntry, ScoredRow, keep_best};
use crate::rank::{FusionWeights, ObjectiveRow};
use crate::recall::{Admission, Channel, ChannelSet, Pool, personal_share};
use crate::rerank::{ExploreDraw, Pick, draw_exploration};
use crate::session::{BehaviourEffects, SessionState, held};
use crate::time::TimestampMs;
use crate::world::World;

/// What a ranking was made from. While it is the same, and young enough, what the ranking left is as good as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStamp {
    /// When the ranking was made.
    pub made_at: TimestampMs,
    /// How many signals of the viewer had counted.
    pub signals: u64,
    /// The catalogue's version.
    pub catalogue_version: u64,
    /// The region that was asked for.
    pub region: Option<Word>,
    /// Names the device and the network that were told.
    pub context: u64,
    /// Names the params that held; another number means other params.
    pub params: u64,
    /// When the ranking model was loaded.
    pub model_loaded_at: TimestampMs,
}

/// What a ranking has left for one viewer, with everything that it was ranked by.
#[derive(Default)]
pub struct PrivateQueue {
    kept: Candidates,
    hashes: Vec<u64>,
    stamp: Option<QueueStamp>,
    degraded: Option<Degraded>,
}

impl QueueStamp {
    /// Whether what is asked for now would be made from the same, `time_ms_max` milliseconds at most after `self`.
    fn holds(&self, now: &QueueStamp, time_ms_max: i64) -> bool {
        let age_ms = now.made_at.since(self.made_at);
        let as_made = QueueStamp {
            made_at: self.made_at,
            ..*now
        };
        *self == as_made && (0..time_ms_max).contains(&age_ms)
    }
}

impl PrivateQueue {
    /// How many bytes the queue holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.kept.memory_bytes() + held(&self.hashes)
    }

    /// How many candidates are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps what the last run of the pipeline ranked: its slate, and the best of the rest, `items_max` at most. Without
    /// a stamp it never answers in the place of the pipeline, only when the server is overloaded. `scratch` must be as
    /// the run left it.
    pub fn fill(
        &mut self,
        slate: &Slate,
        snapshot: &CatalogueSnapshot,
        items_max: usize,
        stamp: Option<QueueStamp>,
        scratch: &mut Scratch,
    ) {
        self.clear();
        if items_max == 0 {
            return;
        }
        // A channel that was cut off is tried again by the next recall.
        self.stamp = stamp.filter(|_| slate.degraded != Some(Degraded::Channels));
        self.degraded = slate.degraded.filter(|degraded| *degraded != Degraded::Exhausted);
        let Scratch { candidates, order, .. } = scratch;
        order.clear();
        for (place, row) in candidates.rows.iter().enumerate() {
            let is_on_slate = slate.items.iter().any(|item| item.row == *row);
            // What stands on the slate comes first whatever its score: exploration has a slot there with a low one.
            let score = if is_on_slate {
                f32::INFINITY
            } else {
                candidates.fused[place]
            };
            order.push(ScoredRow {
                row: place as u32,
                score,
            });
        }
        keep_best(order, items_max);
        for ordered in order.iter() {
            let place = ordered.row as usize;
            let Some(entry) = snapshot.entry(candidates.rows[place]) else {
                continue;
            };
            self.kept.take_from(candidates, place);
            self.hashes.push(entry.hash);
        }
    }

    /// Forgets everything; memory is kept for the next ranking.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.hashes.clear();
        self.stamp = None;
        self.degraded = None;
    }

    /// The next items of the ranking, when they are as good as those of a new one: nothing that the ranking was made
    /// from has changed, it is young enough, and enough is left. Exploration and the slot of a new item are as in the
    /// pipeline. `None`: ask the pipeline.
    #[must_use]
    pub fn serve_fresh(
        &self,
        world: &World,
        session: &SessionState,
        pool: &Pool,
        query: &Query<'_>,
        stamp: &QueueStamp,
        scratch: &mut Scratch,
    ) -> Option<Slate> {
        let params = query.params;
        let is_fresh = self.stamp.is_some_and(|made| made.holds(stamp, params.caches.feed_ms));
        let behaviour = session.behaviour_effects(params, query.now);
        let rulebook = Rulebook::of(params.control(world), &behaviour, session, query);
        // Rules and shares decide among more candidates than are kept; a new viewer's feed has parts of its own.
        let is_ruled =
            !rulebook.active.is_empty() || !rulebook.control.shared.is_empty() || !behaviour.unwanted_leads.is_empty();
        if !is_fresh || query.explain || is_ruled || personal_share(session, params) < 1.0 {
            return None;
        }
        let snapshot = world.catalogue.load();
        let admission = admission_of(session, query, &behaviour, &snapshot);
        let first = self.load(&admission, scratch);
        if first < query.n {
            return None;
        }
        scratch.load_viewer(session, params, snapshot.dimension());
        let mut random = Xoshiro256PlusPlus::seed_from_u64(query.seed);
        let share = (params.rerank.exploration_share + behaviour.exploration_add).clamp(0.0, 1.0);
        let mut draws = explore(pool, &admission, query.n, share, &mut random, scratch);
        let prior = BoardEntry::prior(&params.popularity);
        let promises = Promises {
            world,
            admission: &admission,
            prior: &prior,
            taste: &scratch.taste,
            query,
            leads: true,
        };
        let (given, _) = promises.keep(None, 1.0, &mut random, &mut draws, &mut scratch.candidates);
        rank_from(first, world, session, &snapshot, &prior, query, scratch);
        let mut slate = choose(world, &snapshot, rulebook, query, &draws, &given, scratch);
        slate.degraded = self.degraded;
        Some(slate)
    }

    /// The best of what is left of the ranking, and behind it of the pool, however old they are: what an overloaded
    /// server still does for a viewer of its own. May be shorter than asked for.
    #[must_use]
    pub fn serve_overloaded(
        &self,
        world: &World,
        session: &SessionState,
        pool: &Pool,
        query: &Query<'_>,
        scratch: &mut Scratch,
    ) -> Slate {
        let snapshot = world.catalogue.load();
        let behaviour = session.behaviour_effects(query.params, query.now);
        let admission = admission_of(session, query, &behaviour, &snapshot);
        if self.load(&admission, scratch) < query.n {
            add_pool(pool, &admission, scratch);
            let count = scratch.candidates.len();
            scratch.candidates.objectives.resize(count, ObjectiveRow::default());
        }
        let rulebook = Rulebook::of(query.params.control(world), &behaviour, session, query);
        let mut slate = choose(world, &snapshot, rulebook, query, &[], &[], scratch);
        slate.degraded = Some(Degraded::PrivateQueue);
        slate
    }

    /// Copies what may still be shown into the candidates; returns how many those are.
    fn load(&self, admission: &Admission<'_>, scratch: &mut Scratch) -> usize {
        let candidates = &mut scratch.candidates;
        candidates.clear();
        for (place, row) in self.kept.rows.iter().enumerate() {
            // A row may have been given to another item since.
            let is_same = |hash: u64| hash == self.hashes[place];
            if admission.check(*row).is_ok() && admission.snapshot.hash(*row).is_some_and(is_same) {
                candidates.take_from(&self.kept, place);
            }
        }
        candidates.len()
    }
}

/// Draws the exploration slots among the pool's candidates for exploration.
fn explore(
    pool: &Pool,
    admission: &Admission<'_>,
    n: usize,
    share: f32,
    random: &mut Xoshiro256PlusPlus,
    scratch: &mut Scratch,
) -> Vec<ExploreDraw> {
    let explores = |channels: ChannelSet| channels.contains(Channel::Explore);
    let mut eligible: Vec<usize> = (0..pool.len())
        .filter(|place| explores(pool.channels[*place]) && admission.check(pool.rows[*place]).is_ok())
        .collect();
    let mut draws = draw_exploration(n, share, &mut eligible, random);
    let candidates = &mut scratch.candidates;
    for draw in &mut draws {
        let row = pool.rows[draw.place];
        let known = candidates.rows.iter().position(|candidate| *candidate == row);
        draw.place = known.unwrap_or_else(|| {
            candidates.push(row, pool.channels[draw.place], pool.evidence[draw.place], 0.0, 0.0);
            candidates.len() - 1
        });
    }
    draws
}

/// Chooses a slate among the candidates under the same diversity, labels and rules as ever.
fn choose(
    world: &World,
    snapshot: &CatalogueSnapshot,
    rulebook: Rulebook<'_>,
    query: &Query<'_>,
    draws: &[ExploreDraw],
    given: &[Row],
    scratch: &mut Scratch,
) -> Slate {
    let picks = rulebook.arrange(snapshot, query, draws, &mut [], scratch);
    let item = |pick: &Pick| slate_item(pick, given, &scratch.candidates, snapshot, world, false);
    let mut slate = Slate {
        items: picks.iter().map(item).collect(),
        ..Slate::default()
    };
    for one in &slate.items {
        let named = one.channels.iter();
        named.for_each(|channel| slate.report.on_slate[channel.number()] += 1);
    }
    slate
}

/// What may be shown to the viewer in this request.
pub(super) fn admission_of<'a>(
    session: &'a SessionState,
    query: &Query<'a>,
    behaviour: &'a BehaviourEffects,
    snapshot: &'a CatalogueSnapshot,
) -> Admission<'a> {
    Admission {
        snapshot,
        exposure: &session.exposure,
        region: query.region,
        excluded: query.excluded,
        behaviour,
        blocks: &session.blocks,
        follows: &session.follows,
        limits: query.limits,
        now: query.now,
    }
}

/// Ranks the candidates from a place on; those before have been ranked.
fn rank_from(
    first: usize,
    world: &World,
    session: &SessionState,
    snapshot: &CatalogueSnapshot,
    prior: &BoardEntry,
    query: &Query<'_>,
    scratch: &mut Scratch,
) {
    let count = scratch.candidates.len() - first;
    if count == 0 {
        return;
    }
    extract_features(world, session, snapshot, prior, query, first, scratch);
    let candidates = &mut scratch.candidates;
    let mut scored = Vec::with_capacity(count);
    let rows = &candidates.features[first * FEATURE_COUNT..];
    // What nobody can score is drawn or owed all the same.
    let is_scored = world.ranker.score(rows, count, &mut scored, &mut scratch.rank).is_ok();
    scored.resize(count, ObjectiveRow::default());
    if !candidates.predicted.is_empty() && is_scored {
        candidates.predicted.extend_from_slice(&scored);
    }
    candidates.objectives.append(&mut scored);
    candidates.fused.resize(first + count, 0.0);
    FusionWeights::from(query.params.fusion).fuse_into(
        &candidates.objectives[first..],
        &candidates.pre_rank[first..],
        &candidates.collaborative[first..],
        &mut candidates.fused[first..],
    );
}

/// Adds the rest of the pool behind what is there, by the evidence of its channels.
fn add_pool(pool: &Pool, admission: &Admission<'_>, scratch: &mut Scratch) {
    let candidates = &mut scratch.candidates;
    let least = candidates.fused.iter().copied().fold(0.0, f32::min);
    for place in 0..pool.len() {
        let row = pool.rows[place];
        let is_same = |hash: u64| hash == pool.hashes[place];
        if candidates.rows.contains(&row)
            || admission.check(row).is_err()
            || !admission.snapshot.hash(row).is_some_and(is_same)
        {
            continue;
        }
        let evidence: f32 = pool.evidence[place].iter().sum();
        candidates.push(row, pool.channels[place], pool.evidence[place], 0.0, 0.0);
        // Below everything that was ranked, and among themselves by evidence.
        candidates.fused.push(least - 1.0 / (1.0 + evidence.max(0.0)));
    }
}

#[cfg(test)]
#[path = "private_queue_tests.rs"]
mod tests;
