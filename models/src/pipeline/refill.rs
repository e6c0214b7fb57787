//! When and how the pool is filled again.
//!
//! A full recall on every swipe is what the time would go into. The channels are asked again when the taste has turned,
//! the pool runs low or is old, or the request is special; the live channels (co-engagement, like sessions, words) are
//! asked after every further positive action, because they are cheap at any size and hold the newest evidence.

use super::Query;
use super::slate::{ChannelReport, Refill, Report};
use super::taste::cosine;
use crate::features::schema::CHANNEL_SCORE_MAX;
use crate::ids::Row;
use crate::popularity::ScoredRow;
use crate::recall::{Admission, CHANNELS, Channel, Filter, FilterCounts, Pool, RecallChannel, RecallContext};
use crate::time::TimestampMs;

/// New items whose cosine with the taste is at least this join every pool at once.
const NEW_ITEM_COSINE_MIN: f32 = 0.3;
/// So many of them join a pool beyond its size, until it is filled again.
const NEW_ITEMS_MAX: usize = 128;
/// Channels that live from the last positive actions (a follow is one) and search no more than some lists.
const LIVE_CHANNELS: [Channel; 5] = [
    Channel::ItemItem,
    Channel::SessionKnn,
    Channel::Linear,
    Channel::Tags,
    Channel::Followed,
];

/// A pool that is being brought up to date for one request.
pub(super) struct Refilling<'r, 'c> {
    /// The viewer's pool.
    pub(super) pool: &'r mut Pool,
    /// What the channels look at.
    pub(super) context: &'r mut RecallContext<'c>,
    /// The request.
    pub(super) query: &'r Query<'r>,
    /// What one channel names; memory that is reused.
    pub(super) named: &'r mut Vec<ScoredRow>,
    /// Where it is written down.
    pub(super) report: &'r mut Report,
}

impl Refilling<'_, '_> {
    /// Brings the pool up to date and says in the report what was asked. Returns how many candidates this request may
    /// use.
    pub(super) fn run(mut self) -> usize {
        let left_out = filter(self.pool, &self.context.admission, &mut self.report.pool_filtered);
        self.report.refill = self.decide(self.pool.len() - left_out);
        match self.report.refill {
            Refill::Full => self.ask_all_channels(),
            Refill::Live => self.ask_live_channels(),
            Refill::None => {}
        }
        self.pool.state.last_positive = self.last_positive();
        self.take_new_items();
        self.pool.len() - left_out
    }

    fn decide(&self, usable: usize) -> Refill {
        let params = &self.context.params.pool;
        let state = &self.pool.state;
        let Some(filled_at) = state.filled_at else {
            return Refill::Full;
        };
        let is_old = self.context.now.since(filled_at) > params.age_ms_max;
        let is_elsewhere = state.region != self.context.admission.region;
        let low = ((params.low_factor * self.query.n as f32) as usize).min(self.size_max() / 2);
        let is_low = usable < low.max(self.query.n);
        if self.query.explain || is_old || is_elsewhere || is_low || self.has_turned() {
            return Refill::Full;
        }
        if state.last_positive == self.last_positive() {
            Refill::None
        } else {
            Refill::Live
        }
    }

    fn has_turned(&self) -> bool {
        let (taste, taste_then) = (self.context.taste, self.pool.state.taste.as_slice());
        match (taste_then.is_empty(), taste.has_blended) {
            (true, false) => false,
            (false, true) => cosine(taste_then, &taste.blended) < self.context.params.pool.turn_cosine_min,
            (true, true) | (false, false) => true,
        }
    }

    fn last_positive(&self) -> Option<(Row, TimestampMs)> {
        self.context
            .session
            .last_positive()
            .map(|action| (action.row, action.at))
    }

    /// How many candidates a pool holds, beside what this request leaves out.
    fn size_max(&self) -> usize {
        (self.context.params.pool.size_max as usize).max(3 * self.query.n)
    }

    /// Each channel is sure of its share of the room by quota, and takes what those before it have left over.
    fn ask_all_channels(&mut self) {
        // What the client holds already no channel names now, and it is wanted again when the client's feed is replaced.
        let admission = &self.context.admission;
        self.pool.retain(|_, hash, _| admission.excludes(hash));
        let size_max = self.pool.len() + self.size_max();
        let quotas = CHANNELS.map(|channel| self.quota_of(channel.channel()));
        let total: usize = quotas.iter().sum();
        let mut later = total;
        for (channel, quota) in CHANNELS.into_iter().zip(quotas) {
            later -= quota;
            let kept_free = if total > size_max {
                size_max * later / total
            } else {
                later
            };
            self.ask(channel, quota, size_max - kept_free);
        }
        self.pool.state.filled_at = Some(self.context.now);
        self.pool.state.region = self.context.admission.region;
        self.pool.state.catalogue_version = self.context.admission.snapshot.version();
        self.pool.state.taste.clear();
        if self.context.taste.has_blended {
            self.pool.state.taste.extend_from_slice(&self.context.taste.blended);
        }
    }

    /// What the live channels name always joins; the pool stays bounded, because what nobody names any more goes.
    fn ask_live_channels(&mut self) {
        for channel in CHANNELS
            .into_iter()
            .filter(|channel| LIVE_CHANNELS.contains(&channel.channel()))
        {
            self.pool.forget(channel.channel());
            let quota = self.quota_of(channel.channel());
            self.ask(channel, quota, self.pool.len() + quota);
        }
        self.pool.drop_unnamed();
    }

    /// How many candidates a channel may name; 0 when it is off. A long feed needs more of every channel.
    fn quota_of(&self, channel: Channel) -> usize {
        match self.context.params.channels.get(channel.name()) {
            Some(settings) if settings.enabled && settings.quota > 0 => (settings.quota as usize).max(self.query.n / 2),
            Some(_) | None => 0,
        }
    }

    fn ask(&mut self, channel: &dyn RecallChannel, quota: usize, size_max: usize) {
        if quota == 0 {
            return;
        }
        let started = (self.query.clock)();
        self.named.clear();
        self.context.filtered = FilterCounts::default();
        channel.recall(self.context, quota, self.named);
        self.named.truncate(quota);
        let snapshot = self.context.admission.snapshot;
        self.pool.merge(channel.channel(), self.named, size_max, |row| {
            Some(snapshot.entry(row)?.hash)
        });
        self.report.channels[channel.channel().number()] = ChannelReport {
            recalled: u32::try_from(self.named.len()).unwrap_or(u32::MAX),
            filtered: self.context.filtered,
            took_ns: (self.query.clock)().saturating_sub(started),
            asked: true,
        };
    }

    /// Items that were upserted since the pool was filled join it at once when their author is followed or they fit the
    /// taste, and others that are new while there is room.
    fn take_new_items(&mut self) {
        let (snapshot, taste) = (self.context.admission.snapshot, self.context.taste);
        if self.pool.state.catalogue_version == snapshot.version() {
            return;
        }
        let room = self.size_max();
        for row in snapshot.changed_since(self.pool.state.catalogue_version) {
            let Ok(entry) = self.context.admission.check(row) else {
                continue;
            };
            let likeness = snapshot
                .vector(row)
                .map_or(0.0, |vector| cosine(&taste.blended, vector));
            let fits = taste.has_blended && likeness >= NEW_ITEM_COSINE_MIN;
            let is_new = self.context.now.since(entry.created_at) <= self.context.params.cold_start.new_item_age_ms_max;
            let has_room = self.pool.len() < room + NEW_ITEMS_MAX;
            if has_room && self.context.session.is_following(entry.author) {
                self.pool.add(Channel::Followed, row, entry.hash, 0.0);
            } else if fits && has_room {
                self.pool
                    .add(Channel::Embedding, row, entry.hash, CHANNEL_SCORE_MAX * likeness);
            } else if is_new && self.pool.len() < room {
                self.pool.add(Channel::Fresh, row, entry.hash, 0.0);
            }
        }
        self.pool.state.catalogue_version = snapshot.version();
    }
}

/// Drops what may not be shown any more. What only this request leaves out stays for the next one; returns how many
/// those are.
fn filter(pool: &mut Pool, admission: &Admission<'_>, counts: &mut FilterCounts) -> usize {
    // While the catalogue stands still only the viewer's own history can have changed.
    let is_known_catalogue = pool.state.catalogue_version == admission.snapshot.version();
    let mut left_out = 0;
    pool.retain(|row, hash, _| {
        let verdict = if is_known_catalogue {
            admission.check_viewer(hash)
        } else {
            admission.check(row).map(|_| ())
        };
        let Err(filter) = verdict else { return true };
        counts[filter as usize] += 1;
        left_out += usize::from(filter == Filter::Excluded);
        filter == Filter::Excluded
    });
    left_out
}
