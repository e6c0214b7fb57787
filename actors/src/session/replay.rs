//! Sessions that are brought up to date from the journal at a start, before any actor runs.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use swipeline_models::experiment::{Plan, UnitTotals};
use swipeline_models::ids::{Row, UserId};
use swipeline_models::learn::{learn_event, learn_event_again};
use swipeline_models::params::Params;
use swipeline_models::session::SessionState;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::UserDto;
use swipeline_storage::{SnapshotOp, Tree};

use super::events::{count_shown, region_of};
use super::sent::restore_served;
use super::store::{session_op, stored_session};
use crate::effects::{Counted, EffectMark, UnitChange};
use crate::items::{Recorded, ReplayedItems};
use crate::records::{AppliedUnder, EventRecord, ServedFeedRecord};
use crate::shared::{Shared, SharedRef, report_damage};
use swipeline_models::event::Signal;

/// The sessions that the journal's tail is about.
#[derive(Default)]
pub(crate) struct ReplayedSessions {
    sessions: FxHashMap<UserId, SessionState>,
    /// What the sums of variants lack, by viewer and variant.
    units: FxHashMap<(UserId, u64), UnitTotals>,
    /// Those of them that were deleted, and have not come back.
    forgotten: FxHashSet<UserId>,
}

/// What a viewer did.
pub(crate) struct ReplayedEvents<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) events: &'a [EventRecord],
    /// Those that the events counted under.
    pub(crate) params: &'a Params,
}

/// The numbers that records were applied under.
#[derive(Default)]
pub(crate) struct ReplayedParams {
    plans: FxHashMap<u64, Option<Plan>>,
}

impl ReplayedParams {
    /// The numbers of a record: those of its version and variant. Where that version is not kept any more, or the record
    /// does not say it, those in force at this point of the journal.
    pub(crate) fn of(&mut self, shared: &Shared, under: &AppliedUnder) -> Arc<Params> {
        let plan = self
            .plans
            .entry(under.params_version)
            .or_insert_with(|| shared.params.plan_of(under.params_version));
        let variant = plan.as_ref().and_then(|plan| plan.labelled(under.variant.as_deref()));
        variant.map_or_else(|| shared.world.params.load_full(), |variant| variant.params.clone())
    }
}

/// What a viewer was shown.
pub(crate) struct ReplayedShown<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) at: TimestampMs,
    pub(crate) items: &'a [(Row, u64)],
    pub(crate) marks: &'a [EffectMark],
    /// Those that it counted under.
    pub(crate) params: &'a Params,
}

impl ReplayedSessions {
    /// Takes up events, unless the stored session includes them.
    pub(crate) fn events(
        &mut self,
        shared: &SharedRef,
        items: &mut ReplayedItems,
        replayed: &ReplayedEvents<'_>,
        sequence: u64,
    ) {
        let ReplayedEvents { user, events, params } = *replayed;
        self.forgotten.remove(user);
        let state = session(&mut self.sessions, shared, user);
        let is_new = sequence > state.journal_sequence;
        for record in events {
            let Some(event) = record.event(user) else {
                report_damage("event", &format!("of {user} on {:?}", record.item_id));
                continue;
            };
            if is_new {
                learn_event(&shared.world, params, state, &event, record.row);
            } else {
                // Written down after the world that the checkpoint holds.
                learn_event_again(&shared.world, params, state, &event, record.row);
            }
            let watch_ms = record.watch_ms.unwrap_or(0);
            let region = region_of(shared, state, &event);
            if let Some(mark) = &record.mark {
                let counted = Counted {
                    counts: mark.counts(event.signal, watch_ms),
                    row: record.row,
                    at: event.at,
                    region: region_of(shared, state, &event),
                    sequence,
                };
                count_again(shared, &mut self.units, state, mark, &counted);
            }
            if record.repeats_showing {
                continue;
            }
            let recorded = Recorded {
                row: record.row,
                signal: event.signal,
                at: event.at,
                watch_ms,
                region,
                viewer: user.hash64() as u32,
                sequence,
            };
            items.record(shared, &recorded);
        }
        state.journal_sequence = state.journal_sequence.max(sequence);
    }

    /// Takes up what was shown, unless the stored session includes it.
    pub(crate) fn shown(
        &mut self,
        shared: &SharedRef,
        items: &mut ReplayedItems,
        shown: &ReplayedShown<'_>,
        sequence: u64,
    ) {
        self.forgotten.remove(shown.user);
        let state = session(&mut self.sessions, shared, shown.user);
        let (region, at) = (state.region, shown.at);
        for (place, (row, hash)) in shown.items.iter().enumerate() {
            if sequence > state.journal_sequence {
                count_shown(shared, state, (*row, *hash), at, shown.params);
            }
            let signal = Signal::Impression;
            if let Some(mark) = shown.marks.get(place) {
                let counted = Counted {
                    counts: mark.counts(signal, 0),
                    row: *row,
                    at,
                    region,
                    sequence,
                };
                count_again(shared, &mut self.units, state, mark, &counted);
            }
            items.record(
                shared,
                &Recorded {
                    row: *row,
                    signal,
                    at,
                    watch_ms: 0,
                    region,
                    viewer: shown.user.hash64() as u32,
                    sequence,
                },
            );
        }
        state.journal_sequence = state.journal_sequence.max(sequence);
    }

    /// Takes up a feed that was sent, unless the stored session includes it.
    pub(crate) fn served(&mut self, shared: &SharedRef, served: &ServedFeedRecord, sequence: u64) {
        self.forgotten.remove(&served.user);
        let state = session(&mut self.sessions, shared, &served.user);
        if sequence > state.journal_sequence {
            restore_served(shared, state, served);
            state.journal_sequence = sequence;
        }
    }

    /// Takes up what the outside said about a user.
    pub(crate) fn described(&mut self, shared: &SharedRef, user: UserDto, sequence: u64) {
        let user = match user.into_user() {
            Ok(user) => user,
            Err(error) => return report_damage("user", &error.detail),
        };
        self.forgotten.remove(&user.id);
        let state = session(&mut self.sessions, shared, &user.id);
        if sequence > state.journal_sequence {
            state.describe(user, shared.world.catalogue.words());
            state.journal_sequence = sequence;
        }
    }

    /// Takes up that a user was deleted, unless the stored session began after that.
    pub(crate) fn forgotten(&mut self, shared: &SharedRef, user: UserId, sequence: u64) {
        let state = session(&mut self.sessions, shared, &user);
        if sequence <= state.journal_sequence {
            return;
        }
        *state = SessionState::new(user.clone());
        state.journal_sequence = sequence;
        // What is left of the viewer's totals says nothing about what they were before.
        self.units.retain(|(of, _), _| *of != user);
        self.forgotten.insert(user);
    }

    /// Brings the sums of variants up to date. A viewer's totals before the records that a variant's sums lack are the
    /// totals after them less what they add, whether or not the stored session held them.
    pub(crate) fn correct_units(&mut self, shared: &SharedRef, now: TimestampMs) {
        for ((user, arm), delta) in self.units.drain() {
            let Some(state) = self.sessions.get(&user) else {
                continue;
            };
            let after = state.units.of(arm);
            let before = after.minus(&delta);
            shared.effects.correct(&UnitChange { arm, before, after }, now);
        }
    }

    /// How many sessions were touched.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The sessions as snapshot rows.
    pub(crate) fn rows(&self, shared: &SharedRef) -> Vec<SnapshotOp> {
        let is_there = |user: &UserId| !self.forgotten.contains(user);
        let puts = self.sessions.values().filter(|state| is_there(&state.user));
        let puts = puts.map(|state| session_op(shared, state));
        puts.chain(self.forgotten.iter().flat_map(deletions_of)).collect()
    }
}

fn session<'a>(
    sessions: &'a mut FxHashMap<UserId, SessionState>,
    shared: &SharedRef,
    user: &UserId,
) -> &'a mut SessionState {
    let stored = || stored_session(shared, user);
    sessions.entry(user.clone()).or_insert_with(stored)
}

/// What deletes the rows of a user.
pub(crate) fn deletions_of(user: &UserId) -> [SnapshotOp; 2] {
    let key = user.as_str().as_bytes().to_vec();
    [Tree::Sessions, Tree::Users].map(|tree| SnapshotOp::Delete { tree, key: key.clone() })
}

/// Lets a marked record count: for the viewer unless the stored session includes it, in each slot of the effects and each
/// variant's sums unless the stored ones do.
fn count_again(
    shared: &SharedRef,
    lacking: &mut FxHashMap<(UserId, u64), UnitTotals>,
    state: &mut SessionState,
    mark: &EffectMark,
    counted: &Counted,
) {
    if counted.sequence > state.journal_sequence {
        mark.count_viewer(state, &counted.counts, counted.at);
    }
    mark.count_effect(shared, counted, &[]);
    let is_lacking = |arm: &&u64| counted.sequence > shared.effects.arm_sequence(**arm);
    for arm in mark.arms.iter().filter(is_lacking) {
        let delta = lacking.entry((state.user.clone(), *arm)).or_default();
        *delta = delta.plus(&UnitTotals::of(&counted.counts));
    }
}
