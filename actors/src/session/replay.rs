//! Sessions that are brought up to date from the journal at a start, before any actor runs.

use rustc_hash::FxHashMap;
use swipeline_models::ids::{Row, UserId};
use swipeline_models::learn::learn_event;
use swipeline_models::session::SessionState;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::UserDto;
use swipeline_storage::SnapshotOp;

use super::events::{count_shown, region_of};
use super::store::{session_row, stored_session};
use crate::items::{Recorded, ReplayedItems};
use crate::records::EventRecord;
use crate::shared::{SharedRef, report_damage};
use swipeline_models::event::Signal;

/// The sessions that the journal's tail is about.
#[derive(Default)]
pub(crate) struct ReplayedSessions {
    sessions: FxHashMap<UserId, SessionState>,
}

impl ReplayedSessions {
    /// Takes up events, unless the stored session includes them.
    pub(crate) fn events(
        &mut self,
        shared: &SharedRef,
        items: &mut ReplayedItems,
        user: &UserId,
        events: &[EventRecord],
        sequence: u64,
    ) {
        let params = shared.world.params.load();
        let state = self.session(shared, user);
        let is_new = sequence > state.journal_sequence;
        for record in events {
            let Some(event) = record.event(user) else {
                report_damage("event", &format!("of {user} on {:?}", record.item_id));
                continue;
            };
            if is_new && !state.is_duplicate(&event) {
                learn_event(&shared.world, &params, state, &event, record.row);
            }
            let watch_ms = record.watch_ms.unwrap_or(0);
            let region = region_of(shared, state, &event);
            let recorded = Recorded {
                row: record.row,
                signal: event.signal,
                at: event.at,
                watch_ms,
                region,
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
        user: &UserId,
        at: TimestampMs,
        shown: &[(Row, u64)],
        sequence: u64,
    ) {
        let params = shared.world.params.load();
        let state = self.session(shared, user);
        let region = state.region;
        for (row, hash) in shown {
            if sequence > state.journal_sequence {
                count_shown(shared, state, (*row, *hash), at, &params);
            }
            let signal = Signal::Impression;
            items.record(
                shared,
                &Recorded {
                    row: *row,
                    signal,
                    at,
                    watch_ms: 0,
                    region,
                    sequence,
                },
            );
        }
        state.journal_sequence = state.journal_sequence.max(sequence);
    }

    /// Takes up what the outside said about a user.
    pub(crate) fn described(&mut self, shared: &SharedRef, user: UserDto, sequence: u64) {
        let user = match user.into_user() {
            Ok(user) => user,
            Err(error) => return report_damage("user", &error.detail),
        };
        let state = self.session(shared, &user.id);
        if sequence > state.journal_sequence {
            state.describe(user, shared.world.catalogue.words());
            state.journal_sequence = sequence;
        }
    }

    /// How many sessions were touched.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The sessions as snapshot rows.
    pub(crate) fn rows(&self, shared: &SharedRef) -> Vec<SnapshotOp> {
        self.sessions.values().map(|state| session_row(shared, state)).collect()
    }

    fn session(&mut self, shared: &SharedRef, user: &UserId) -> &mut SessionState {
        self.sessions
            .entry(user.clone())
            .or_insert_with(|| stored_session(shared, user))
    }
}
