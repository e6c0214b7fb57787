//! From scored candidates to the order of a slate: what the operator's rules and shares do around the re-ranking.
//!
//! Costs nothing while no share is set and no rule is active. Must not filter, nor order anything by itself.

use std::borrow::Cow;

use super::Query;
use super::prerank::PreRanker;
use super::scratch::{Candidates, Scratch};
use crate::catalogue::CatalogueSnapshot;
use crate::control::{ActiveRules, Control, Effect, Rule, RuleContext};
use crate::popularity::ScoredRow;
use crate::recall::{Admission, Channel, ChannelSet, Pool};
use crate::rerank::{ExploreDraw, Part, Pick, RerankInput, SHARE_GROUPS_MAX, ShareLimit, select};
use crate::session::{BehaviourEffects, SessionState};
use crate::wire::MoveDto;

/// What an operator decided, as it holds for one request.
#[derive(Clone, Copy)]
pub(super) struct Rulebook<'a> {
    /// Settings and rules.
    pub(super) control: &'a Control,
    /// The rules that hold now and for this viewer.
    pub(super) active: ActiveRules,
    /// What the viewer's labels do.
    pub(super) behaviour: &'a BehaviourEffects,
}

impl<'a> Rulebook<'a> {
    /// Decides which rules hold.
    pub(super) fn of(
        control: &'a Control,
        behaviour: &'a BehaviourEffects,
        session: &SessionState,
        query: &Query<'_>,
    ) -> Self {
        let described = session.described.as_deref().and_then(|user| user.device.as_deref());
        let active = ActiveRules::of(
            &control.rules,
            &RuleContext {
                now: query.now,
                region: query.region,
                device: query.context.device.or(described),
                network: query.context.network,
                has_label: &|label| session.has_label(label, query.now),
            },
        );
        Self {
            control,
            active,
            behaviour,
        }
    }

    /// Arranges the slate.
    pub(super) fn arrange(
        self,
        snapshot: &CatalogueSnapshot,
        query: &Query<'_>,
        draws: &[ExploreDraw],
        parts: &mut [Part],
        scratch: &mut Scratch,
    ) -> Vec<Pick> {
        self.boost(snapshot, &mut scratch.candidates);
        let Scratch { candidates, rerank, .. } = scratch;
        let input = RerankInput {
            rows: &candidates.rows,
            fused: if candidates.boosted.is_empty() {
                &candidates.fused
            } else {
                &candidates.boosted
            },
            snapshot,
            params: &query.params.rerank,
            behaviour: self.behaviour,
            now: query.now,
        };
        rerank.shares.clear();
        self.share_channels(candidates, query, rerank);
        let share_rules = || self.active.iter(&self.control.rules).filter(|rule| is_share(rule));
        if share_rules().next().is_none() {
            return select(&input, query.n, draws, parts, rerank);
        }
        // A rule's share is counted from what the slate would be without it.
        let natural = select(&input, query.n, draws, &mut parts.to_vec(), rerank);
        rerank.shares.groups.resize(candidates.len(), 0);
        for rule in share_rules() {
            let group = rerank.shares.limits.len();
            if group >= SHARE_GROUPS_MAX {
                break;
            }
            let is_target = |place: usize| is_target(rule, snapshot, candidates, place);
            for place in (0..candidates.len()).filter(|place| is_target(*place)) {
                rerank.shares.groups[place] |= 1 << group;
            }
            let count = natural.iter().filter(|pick| is_target(pick.place)).count();
            let limit = limit_of(rule, count, query, group);
            rerank.shares.limits.push(limit);
        }
        select(&input, query.n, draws, parts, rerank)
    }

    /// What rules did to a picked candidate.
    pub(super) fn moves(self, pick: &Pick, snapshot: &CatalogueSnapshot, candidates: &Candidates) -> Vec<MoveDto> {
        let mut moves = Vec::new();
        let channels = self.control.shared.len() as usize;
        let mut group = channels;
        for rule in self.active.iter(&self.control.rules) {
            let is_needed = is_share(rule) && pick.share == Some(group);
            group += usize::from(is_share(rule));
            let delta = rule.delta(candidates.fused[pick.place]);
            let is_moved = delta != 0.0 && is_target(rule, snapshot, candidates, pick.place);
            if is_needed || is_moved {
                moves.push(MoveDto {
                    rule: Cow::Owned(format!("boost:{}", rule.name)),
                    delta: if is_moved { delta } else { 0.0 },
                });
            }
        }
        if pick.share.is_some_and(|group| group < channels) {
            moves.push(MoveDto {
                rule: Cow::Borrowed("channel_share"),
                delta: 0.0,
            });
        }
        moves
    }

    /// How many candidates from everywhere a slate may need because the channels that named all others are limited.
    pub(super) fn reserve_from_everywhere(self, pool: &Pool, admission: &Admission<'_>, n: usize) -> usize {
        let capped = self.capped();
        if capped.is_empty() {
            return 0;
        }
        let is_free =
            |(channels, hash): (&ChannelSet, &u64)| channels.both(capped).is_empty() && !admission.excludes(*hash);
        let free = pool.channels.iter().zip(&pool.hashes).filter(|pair| is_free(*pair));
        n.saturating_sub(free.count())
    }

    /// Lets the candidates that shares may need be ranked too, when the pre-ranking left them out.
    pub(super) fn reserve(
        self,
        pool: &Pool,
        admission: &Admission<'_>,
        ranker: &PreRanker<'_>,
        n: usize,
        order: &mut Vec<ScoredRow>,
    ) {
        let control = self.control;
        let needs_share = |rule: &&Rule| matches!(rule.effect, Effect::Share(share) if share > 0.0);
        let rules: Vec<&Rule> = self.active.iter(&control.rules).filter(needs_share).collect();
        if control.shared.is_empty() && rules.is_empty() {
            return;
        }
        let mut is_ranked = vec![false; pool.len()];
        order.iter().for_each(|ordered| is_ranked[ordered.row as usize] = true);
        let capped = self.capped();
        let is_free = |place: usize| !capped.is_empty() && pool.channels[place].both(capped).is_empty();
        self.reserve_group(&is_free, n, pool, admission, ranker, &mut is_ranked, order);
        for channel in control.shared.iter() {
            let wanted = ShareLimit::of(n, control.settings(channel).min_share, 1.0, 0.0).min;
            let is_named = |place: usize| pool.channels[place].contains(channel);
            self.reserve_group(&is_named, wanted, pool, admission, ranker, &mut is_ranked, order);
        }
        for rule in rules {
            let is_target = |place: usize| {
                let entry = admission.snapshot.entry(pool.rows[place]);
                entry.is_some_and(|entry| rule.items.matches(entry))
            };
            self.reserve_group(&is_target, n, pool, admission, ranker, &mut is_ranked, order);
        }
    }

    /// Adds the best of a group until `wanted` of it are ranked.
    #[expect(clippy::too_many_arguments, reason = "one step of `reserve`, which owns all of them")]
    fn reserve_group(
        self,
        is_in_group: &dyn Fn(usize) -> bool,
        wanted: usize,
        pool: &Pool,
        admission: &Admission<'_>,
        ranker: &PreRanker<'_>,
        is_ranked: &mut [bool],
        order: &mut Vec<ScoredRow>,
    ) {
        let known = (0..pool.len())
            .filter(|place| is_ranked[*place] && is_in_group(*place))
            .count();
        let missing = wanted.saturating_sub(known);
        if missing == 0 {
            return;
        }
        let is_left =
            |place: &usize| !is_ranked[*place] && is_in_group(*place) && !admission.excludes(pool.hashes[*place]);
        let mut left: Vec<(usize, f32)> = (0..pool.len())
            .filter(is_left)
            .map(|place| (place, ranker.score(place)))
            .collect();
        left.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (place, score) in left.into_iter().take(missing) {
            is_ranked[place] = true;
            order.push(ScoredRow {
                row: place as u32,
                score,
            });
        }
    }

    /// Channels whose share of a slate is limited.
    fn capped(self) -> ChannelSet {
        let is_capped = |channel: &Channel| self.control.settings(*channel).max_share < 1.0;
        let channels = self.control.shared.iter().filter(is_capped);
        channels.fold(ChannelSet::default(), |set, channel| set.with(ChannelSet::of(channel)))
    }

    /// Scores with what the active rules add.
    fn boost(self, snapshot: &CatalogueSnapshot, candidates: &mut Candidates) {
        candidates.boosted.clear();
        if self.active.iter(&self.control.rules).all(is_share) {
            return;
        }
        for place in 0..candidates.len() {
            let fused = candidates.fused[place];
            let rules = self.active.iter(&self.control.rules);
            let hit = rules.filter(|rule| is_target(rule, snapshot, candidates, place));
            let boosted = fused + hit.map(|rule| rule.delta(fused)).sum::<f32>();
            candidates.boosted.push(boosted);
        }
    }

    fn share_channels(self, candidates: &Candidates, query: &Query<'_>, rerank: &mut crate::rerank::RerankScratch) {
        if self.control.shared.is_empty() {
            return;
        }
        let shares = &mut rerank.shares;
        shares.groups.resize(candidates.len(), 0);
        for (group, channel) in self.control.shared.iter().enumerate() {
            let settings = self.control.settings(channel);
            let phase = phase(query.seed, group);
            shares
                .limits
                .push(ShareLimit::of(query.n, settings.min_share, settings.max_share, phase));
            for (groups, channels) in shares.groups.iter_mut().zip(&candidates.channels) {
                *groups |= u64::from(channels.contains(channel)) << group;
            }
        }
    }
}

fn is_share(rule: &Rule) -> bool {
    matches!(rule.effect, Effect::Share(_))
}

fn is_target(rule: &Rule, snapshot: &CatalogueSnapshot, candidates: &Candidates, place: usize) -> bool {
    let entry = snapshot.entry(candidates.rows[place]);
    entry.is_some_and(|entry| rule.items.matches(entry))
}

/// The slots of a rule's target: so many more, or fewer, than it has by itself. A fraction of a slot is given by chance,
/// so that small shares are right on average.
fn limit_of(rule: &Rule, count: usize, query: &Query<'_>, group: usize) -> ShareLimit {
    let share = match rule.effect {
        Effect::Share(share) => share,
        Effect::Factor(_) | Effect::Add(_) => 0.0,
    };
    let phase = phase(query.seed, group);
    let slots = (share.abs() * query.n as f32 + phase + 1e-3).floor() as usize;
    let (min, max) = if share >= 0.0 {
        ((count + slots).min(query.n), query.n)
    } else {
        (0, count.saturating_sub(slots))
    };
    ShareLimit { min, max, phase }
}

/// A number from 0 to 1 that is another one for every request and group, and the same when the request is replayed.
fn phase(seed: u64, group: usize) -> f32 {
    let mixed = (seed ^ (group as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 40) as f32 / (1_u64 << 24) as f32
}
