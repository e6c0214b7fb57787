//! When and how the pool is filled again.
//!
//! A full recall on every swipe is what the time would go into. The channels are asked again when the taste has turned,
//! the pool runs low or is old, or the request is special; the live channels (co-engagement, like sessions, words) are
//! asked after every further positive action, because they are cheap at any size and hold the newest evidence.

use super::slate::{RecallCause, Refill, Report, Trouble};
use super::taste::cosine;
use super::{Effort, Query};
use crate::control::Mixer;
use crate::features::schema::CHANNEL_SCORE_MAX;
use crate::ids::Row;
use crate::popularity::ScoredRow;
use crate::recall::{Admission, CHANNELS, Channel, ChannelSet, Filter, FilterCounts, Pool, RecallContext};
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
            Refill::Full(_) => self.ask_all_channels(),
            Refill::Live => self.ask_live_channels(),
            Refill::None => {}
        }
        self.pool.state.last_positive = self.last_positive();
        self.report.missing = self.pool.state.missing;
        self.take_new_items();
        self.pool.len() - left_out
    }

    fn decide(&self, usable: usize) -> Refill {
        if let Some(cause) = self.recall_cause(usable) {
            return Refill::Full(cause);
        }
        if self.pool.state.last_positive == self.last_positive() {
            Refill::None
        } else {
            Refill::Live
        }
    }

    /// Why the pool does not serve any more, the first of the reasons there are.
    fn recall_cause(&self, usable: usize) -> Option<RecallCause> {
        let params = &self.context.params.pool;
        let state = &self.pool.state;
        let Some(filled_at) = state.filled_at else {
            return Some(RecallCause::First);
        };
        let low = ((params.low_factor * self.query.n as f32) as usize).min(self.size_max() / 2);
        if self.query.explain {
            Some(RecallCause::Explained)
        } else if self.context.now.since(filled_at) > params.age_ms_max {
            Some(RecallCause::Old)
        } else if state.region != self.context.admission.region {
            Some(RecallCause::Region)
        } else if usable < low.max(self.query.n) {
            Some(RecallCause::Low)
        } else if state.control_key != self.control_key() || self.is_missed_channel_back() {
            Some(RecallCause::Control)
        } else if state.is_reduced && self.query.effort == Effort::Full {
            Some(RecallCause::Reduced)
        } else {
            self.has_turned().then_some(RecallCause::Turned)
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
        self.query
            .reduced((self.context.params.pool.size_max as usize).max(3 * self.query.n))
    }

    /// Moves when an operator changes a channel, and when a rule that names candidates begins or ends.
    fn control_key(&self) -> u64 {
        let control = self.context.control;
        // Odd, so that no two sets of rules fall together.
        control.recall_key ^ self.context.active.bits().wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Whether a channel that this pool lacks may be asked again.
    fn is_missed_channel_back(&self) -> bool {
        let (context, breakers) = (&self.context, &self.context.params.breakers);
        let is_back = |channel| context.world.guards.would_admit(channel, context.now, breakers);
        self.pool.state.missing.iter().any(is_back)
    }

    /// Each channel is sure of its share of the room by quota, and takes what those before it have left over.
    fn ask_all_channels(&mut self) {
        let resting = self.resting();
        // What the client holds already no channel names now, and it is wanted again when the client's feed is replaced.
        let admission = &self.context.admission;
        self.pool.forget_all_but(resting, |hash| admission.excludes(hash));
        self.pool.state.missing = ChannelSet::default();
        self.context.scratch.mix.clear();
        let size_max = self.pool.len() + self.size_max();
        self.pool.make_room(size_max);
        let control = self.context.control;
        let mixers = control.mixers.iter().map(|mixer| self.quota_of(mixer.channel));
        let quotas = CHANNELS.map(|channel| self.quota_of(channel.channel()));
        let total: usize = quotas.iter().sum::<usize>() + mixers.sum::<usize>();
        let mut later = total;
        let mut room = |quota: usize| {
            later -= quota;
            let kept_free = if total > size_max {
                size_max * later / total
            } else {
                later
            };
            size_max - kept_free
        };
        for (channel, quota) in CHANNELS.into_iter().zip(quotas) {
            let room = room(quota);
            if resting.contains(channel.channel()) {
                self.report.channels[channel.channel().number()].trouble = Some(Trouble::Resting);
            } else {
                self.ask(channel, quota, room);
            }
        }
        for mixer in &control.mixers {
            let quota = self.quota_of(mixer.channel);
            let room = room(quota);
            if resting.contains(mixer.channel) {
                self.report.channels[mixer.channel.number()].trouble = Some(Trouble::Resting);
            } else {
                self.mix(mixer, quota, room);
            }
        }
        self.pool.state.filled_at = Some(self.context.now);
        self.pool.state.control_key = self.control_key();
        self.pool.state.is_reduced = self.query.effort != Effort::Full;
        self.pool.state.region = self.context.admission.region;
        self.pool.state.catalogue_version = self.context.admission.snapshot.version();
        self.pool.state.taste.clear();
        if self.context.taste.has_blended {
            self.pool.state.taste.extend_from_slice(&self.context.taste.blended);
        }
    }

    /// Channels that this session asked too lately. What they named for another region or under other settings does not
    /// count.
    fn resting(&self) -> ChannelSet {
        let state = &self.pool.state;
        let mut resting = ChannelSet::default();
        if state.region != self.context.admission.region || state.control_key != self.control_key() {
            return resting;
        }
        for channel in Channel::ALL {
            let interval_ms = self.context.control.settings(channel).min_interval_ms;
            if interval_ms > 0 && self.context.now.since(state.asked_at[channel.number()]) < interval_ms {
                resting = resting.with(ChannelSet::of(channel));
            }
        }
        resting
    }

    /// What the live channels name always joins; the pool stays bounded, because what nobody names any more goes.
    fn ask_live_channels(&mut self) {
        let resting = self.resting();
        let control = self.context.control;
        self.context.scratch.mix.clear();
        let is_live = |channel: Channel| LIVE_CHANNELS.contains(&channel) && !resting.contains(channel);
        for channel in CHANNELS.into_iter().filter(|channel| is_live(channel.channel())) {
            let quota = self.quota_of(channel.channel());
            self.pool.forget(channel.channel());
            self.ask(channel, quota, self.pool.len() + quota);
        }
        // A mixer with other sources stays as it was when all were asked.
        let is_live_mixer = |mixer: &&Mixer| {
            !resting.contains(mixer.channel) && mixer.sources.iter().all(|(source, _)| is_live(*source))
        };
        for mixer in control.mixers.iter().filter(is_live_mixer) {
            let quota = self.quota_of(mixer.channel);
            self.pool.forget(mixer.channel);
            self.mix(mixer, quota, self.pool.len() + quota);
        }
        self.pool.drop_unnamed();
    }

    /// How many candidates a channel may name by itself; 0 when it is off. A long feed needs more of every channel.
    fn quota_of(&self, channel: Channel) -> usize {
        let settings = self.context.control.settings(channel);
        if settings.enabled && settings.quota > 0 && !self.is_idle(channel) {
            self.query.reduced_quota(settings.quota.max(self.query.n / 2))
        } else {
            0
        }
    }

    /// Whether a channel has nothing to name and takes no room: the one for boosts while no rule raises anything.
    pub(super) fn is_idle(&self, channel: Channel) -> bool {
        let context = &self.context;
        let mut active = context.active.iter(&context.control.rules);
        channel == Channel::Boost && !active.any(|rule| rule.effect.raises())
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
            if self.context.admission.check(row).is_err() {
                continue;
            }
            let Some(entry) = snapshot.entry(row) else { continue };
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
    // While the catalogue stands still, and no label hides anything, only the viewer's own history can have changed.
    let is_known_catalogue = pool.state.catalogue_version == admission.snapshot.version()
        && !admission.behaviour.hides_items()
        && !admission.snapshot.has_limited_items();
    let mut left_out = 0;
    pool.retain(|row, hash, _| {
        let verdict = if is_known_catalogue {
            admission.check_viewer(hash)
        } else {
            admission.check(row)
        };
        let Err(filter) = verdict else { return true };
        counts[filter as usize] += 1;
        left_out += usize::from(filter == Filter::Excluded);
        filter == Filter::Excluded
    });
    left_out
}
