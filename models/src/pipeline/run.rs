//! The stages in their order.

use std::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::arrange::Rulebook;
use super::first_slots::Promises;
use super::prerank::PreRanker;
use super::private_queue::admission_of;
use super::refill::Refilling;
use super::score::score;
use super::scratch::{Candidates, Scratch};
use super::slate::{Degraded, Report, Slate, SlateItem, Stage};
use super::{Effort, Query, explain_item};
use crate::catalogue::CatalogueSnapshot;
use crate::features::FeatureContext;
use crate::features::schema::FEATURE_COUNT;
use crate::ids::Row;
use crate::params::Params;
use crate::popularity::{BoardEntry, ScoredRow};
use crate::rank::{RankError, ScoredBy};
use crate::recall::{
    Admission, Channel, ChannelSet, Evidence, FilterCounts, Pool, RecallContext, evidence_place, fill_from_everywhere,
    gather, personal_share,
};
use crate::rerank::{ExploreDraw, Pick, draw_exploration};
use crate::session::{BehaviourEffects, SessionState};
use crate::world::World;

/// Makes a slate for a viewer. `pool` is the viewer's candidate pool; everything else is only read.
pub fn run(world: &World, session: &SessionState, pool: &mut Pool, query: &Query<'_>, scratch: &mut Scratch) -> Slate {
    let params = query.params;
    let snapshot = Arc::clone(&world.catalogue.load());
    let prior = BoardEntry::prior(&params.popularity);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(query.seed);
    let mut report = Report::default();
    let mut watch = StageWatch {
        query,
        last: (query.clock)(),
    };
    scratch.load_viewer(session, params, snapshot.dimension());
    let behaviour = session.behaviour_effects(params, query.now);
    let rulebook = Rulebook::of(params.control(world), &behaviour, session, query);

    let admission = admission_of(session, query, &behaviour, &snapshot);
    let profile = world.profiles.current(&params.collaborative);
    let mut recall = RecallContext {
        world,
        params,
        control: rulebook.control,
        active: rulebook.active,
        profile,
        session,
        taste: &scratch.taste,
        admission,
        prior,
        now: query.now,
        random: &mut random,
        scratch: &mut scratch.recall,
        filtered: FilterCounts::default(),
    };
    let usable = Refilling {
        pool,
        context: &mut recall,
        query,
        named: &mut scratch.named,
        report: &mut report,
    }
    .run();
    let mut backfilled = Vec::new();
    let lacking = query.n.saturating_sub(usable);
    let lacking = lacking.max(rulebook.reserve_from_everywhere(pool, &admission, query.n));
    if lacking > 0 {
        fill_from_everywhere(&mut recall, lacking, &|row| pool.contains(row), &mut backfilled);
    }
    let personal = personal_share(session, params);
    let start = (personal < 1.0).then(|| gather(&mut recall, query.n));
    report.stage_ns[Stage::Recall as usize] = watch.lap();

    let mut draws = choose_candidates(pool, &admission, rulebook, world, query, &mut random, scratch);
    for row in backfilled {
        scratch
            .candidates
            .push(row, ChannelSet::of(Channel::Backfill), Evidence::default(), 0.0, 0.0);
    }
    let promises = Promises {
        world,
        admission: &admission,
        prior: &prior,
        taste: &scratch.taste,
        query,
        leads: behaviour.unwanted_leads.is_empty(),
    };
    let (given, mut parts) = promises.keep(start, personal, &mut random, &mut draws, &mut scratch.candidates);
    report.stage_ns[Stage::PreRank as usize] = watch.lap();

    extract_features(world, session, &snapshot, &prior, query, 0, scratch);
    report.stage_ns[Stage::Features as usize] = watch.lap();

    let scored = score(world, session, &snapshot, query, scratch);
    report.ranked = u32::try_from(scratch.candidates.len()).unwrap_or(u32::MAX);
    report.stage_ns[Stage::Rank as usize] = watch.lap();

    let picks = rulebook.arrange(&snapshot, query, &draws, &mut parts, scratch);
    let items: Vec<SlateItem> = picks
        .iter()
        .map(|pick| {
            let mut item = slate_item(pick, &given, &scratch.candidates, &snapshot, world, query.explain);
            if let Some(explain) = &mut item.explain {
                explain
                    .moves
                    .extend(rulebook.moves(pick, &snapshot, &scratch.candidates));
            }
            item
        })
        .collect();
    count_channels(&mut report, &scratch.candidates, &items);
    report.stage_ns[Stage::Rerank as usize] = watch.lap();
    let degraded = match scored {
        _ if items.len() < query.n => Some(Degraded::Exhausted),
        Ok(ScoredBy::Fallback(_) | ScoredBy::Linear) | Err(_) => Some(Degraded::LinearRanker),
        Ok(ScoredBy::Model) if query.effort != Effort::Full => Some(Degraded::SmallerSet),
        Ok(ScoredBy::Model) if !report.missing.is_empty() => Some(Degraded::Channels),
        Ok(ScoredBy::Model) => None,
    };
    Slate {
        items,
        report,
        degraded,
    }
}

/// Scores given items for a viewer, in the order given: rows, fused scores and objectives land in the scratch's
/// candidates, whose columns are returned. Items that the catalogue does not hold must have been left out.
///
/// # Errors
/// When there are more items than a scoring call takes.
pub fn rank_items<'s>(
    world: &World,
    session: &SessionState,
    rows: &[Row],
    query: &Query<'_>,
    scratch: &'s mut Scratch,
) -> Result<&'s Candidates, RankError> {
    let params = query.params;
    let snapshot = Arc::clone(&world.catalogue.load());
    let prior = BoardEntry::prior(&params.popularity);
    scratch.load_viewer(session, params, snapshot.dimension());
    scratch.candidates.clear();
    for row in rows {
        scratch
            .candidates
            .push(*row, ChannelSet::default(), Evidence::default(), 0.0, 0.0);
    }
    extract_features(world, session, &snapshot, &prior, query, 0, scratch);
    score(world, session, &snapshot, query, scratch)?;
    Ok(&scratch.candidates)
}

struct StageWatch<'a> {
    query: &'a Query<'a>,
    last: u64,
}

impl StageWatch<'_> {
    fn lap(&mut self) -> u64 {
        let now = (self.query.clock)();
        let elapsed = now.saturating_sub(self.last);
        self.last = now;
        elapsed
    }
}

impl Scratch {
    pub(super) fn load_viewer(&mut self, session: &SessionState, params: &Params, dimension: usize) {
        self.taste.load(session, &params.interest, dimension);
        self.short_tags.load(&session.short.tags);
        self.short_categories.load(&session.short.categories);
        self.long_tags.load(&session.long.tags);
        self.long_categories.load(&session.long.categories);
        if session.given.is_some() {
            self.long_tags.add(session.prior_tags(&params.interest));
            self.long_categories.add(session.prior_categories(&params.interest));
        }
    }
}

impl Candidates {
    pub(super) fn push(
        &mut self,
        row: Row,
        channels: ChannelSet,
        evidence: Evidence,
        pre_rank: f32,
        collaborative: f32,
    ) {
        self.rows.push(row);
        self.channels.push(channels);
        self.evidence.push(evidence);
        self.pre_rank.push(pre_rank);
        self.collaborative.push(collaborative);
    }
}

/// Copies the best candidates of the pool into columns and draws the exploration slots.
fn choose_candidates(
    pool: &Pool,
    admission: &Admission<'_>,
    rulebook: Rulebook<'_>,
    world: &World,
    query: &Query<'_>,
    random: &mut Xoshiro256PlusPlus,
    scratch: &mut Scratch,
) -> Vec<ExploreDraw> {
    let params = query.params;
    let explores = |channels: ChannelSet| channels.contains(Channel::Explore);
    let is_eligible = |place: &usize| explores(pool.channels[*place]) && !admission.excludes(pool.hashes[*place]);
    let mut eligible: Vec<usize> = (0..pool.len()).filter(is_eligible).collect();
    let exploration_share = (params.rerank.exploration_share + rulebook.behaviour.exploration_add).clamp(0.0, 1.0);
    let mut draws = draw_exploration(query.n, exploration_share, &mut eligible, random);
    let count = query.reduced((params.pool.rank_max as usize).max(query.n + query.n / 2));
    let ranker = PreRanker::new(
        pool,
        admission.snapshot,
        &scratch.taste,
        &scratch.short_categories,
        params,
        rulebook.control,
        world.profiles.current(&params.collaborative),
        world.linear.events(),
    );
    ranker.order(admission, count, &mut scratch.order);
    if !rulebook.behaviour.unwanted_leads.is_empty() {
        add_lead(pool, admission, rulebook.behaviour, &ranker, &mut scratch.order);
    }
    rulebook.reserve(pool, admission, &ranker, query.n, &mut scratch.order);
    let candidates = &mut scratch.candidates;
    candidates.clear();
    for ordered in &scratch.order {
        let place = ordered.row as usize;
        candidates.push(
            pool.rows[place],
            pool.channels[place],
            pool.evidence[place],
            ordered.score,
            ranker.collaborative(place),
        );
    }
    // The drawn ones are ranked too; from here on a draw names a place among the candidates.
    for draw in &mut draws {
        let known = scratch
            .order
            .iter()
            .position(|ordered| ordered.row as usize == draw.place);
        draw.place = known.unwrap_or_else(|| {
            let place = draw.place;
            candidates.push(
                pool.rows[place],
                pool.channels[place],
                pool.evidence[place],
                ranker.score(place),
                ranker.collaborative(place),
            );
            candidates.len() - 1
        });
    }
    draws
}

/// When all candidates are of categories that the viewer's labels keep from the first slot, the best of the pool that is
/// not joins them.
fn add_lead(
    pool: &Pool,
    admission: &Admission<'_>,
    behaviour: &BehaviourEffects,
    ranker: &PreRanker<'_>,
    order: &mut Vec<ScoredRow>,
) {
    let may_lead = |place: usize| {
        let entry = admission.snapshot.entry(pool.rows[place]);
        entry.is_some_and(|entry| !behaviour.unwanted_leads.contains(&entry.leading_category()))
    };
    if order.iter().any(|ordered| may_lead(ordered.row as usize)) {
        return;
    }
    let others = (0..pool.len()).filter(|place| !admission.excludes(pool.hashes[*place]) && may_lead(*place));
    let scored = others.map(|place| ScoredRow {
        row: place as u32,
        score: ranker.score(place),
    });
    order.extend(scored.max_by(|a, b| a.score.total_cmp(&b.score)));
}

/// Builds the feature rows of the candidates from a place on; those before have theirs.
pub(super) fn extract_features(
    world: &World,
    session: &SessionState,
    snapshot: &CatalogueSnapshot,
    prior: &BoardEntry,
    query: &Query<'_>,
    first: usize,
    scratch: &mut Scratch,
) {
    let context = FeatureContext {
        snapshot,
        board: &world.board,
        prior,
        session,
        taste: &scratch.taste,
        short_words: (&scratch.short_tags, &scratch.short_categories),
        long_words: (&scratch.long_tags, &scratch.long_categories),
        region: query.region,
        now: query.now,
        params: query.params,
        leader: FeatureContext::leader_of(&world.trending.load()),
        user_columns: FeatureContext::user_columns_of(session),
    };
    let candidates = &mut scratch.candidates;
    candidates.features.truncate(first * FEATURE_COUNT);
    snapshot.fetch_entries(&candidates.rows[first..]);
    world.board.fetch(&candidates.rows[first..]);
    for place in first..candidates.rows.len() {
        let (row, channels) = (candidates.rows[place], candidates.channels[place]);
        context.extract(row, channels, &candidates.evidence[place], &mut candidates.features);
    }
}

pub(super) fn slate_item(
    pick: &Pick,
    new_items: &[Row],
    candidates: &Candidates,
    snapshot: &CatalogueSnapshot,
    world: &World,
    explain: bool,
) -> SlateItem {
    let place = pick.place;
    let (row, channels) = (candidates.rows[place], candidates.channels[place]);
    let reason = match pick.part {
        Some(part) => part,
        None if new_items.contains(&row) => Channel::Fresh,
        None => strongest(channels, &candidates.evidence[place], pick.propensity.is_some()),
    };
    SlateItem {
        row,
        score: pick.score,
        channels,
        reason,
        propensity: pick.propensity,
        objectives: candidates.objectives[place],
        explain: explain.then(|| Box::new(explain_item(pick, candidates, snapshot, &world.mixers))),
    }
}

/// The channel with the strongest evidence; a channel without a score of its own stands behind those that have one.
fn strongest(channels: ChannelSet, evidence: &Evidence, explores: bool) -> Channel {
    if explores {
        return Channel::Explore;
    }
    let strength = |channel: Channel| match channel {
        Channel::Followed => 2.0,
        Channel::Explore | Channel::Backfill => -1.0,
        Channel::EmbeddingLong | Channel::Fresh | Channel::ColdStart | Channel::Linear | Channel::SimilarUsers => 0.1,
        Channel::Boost | Channel::Mixer1 | Channel::Mixer2 | Channel::Mixer3 | Channel::Mixer4 => 0.1,
        Channel::Embedding | Channel::ItemItem | Channel::SessionKnn | Channel::Tags | Channel::Hot => {
            evidence_place(channel).map_or(0.1, |column| evidence[column])
        }
    };
    channels
        .iter()
        .max_by(|a, b| strength(*a).total_cmp(&strength(*b)))
        .unwrap_or(Channel::Backfill)
}

fn count_channels(report: &mut Report, candidates: &Candidates, items: &[SlateItem]) {
    for channels in &candidates.channels {
        channels.iter().for_each(|channel| report.kept[channel.number()] += 1);
    }
    for item in items {
        item.channels
            .iter()
            .for_each(|channel| report.on_slate[channel.number()] += 1);
    }
}
