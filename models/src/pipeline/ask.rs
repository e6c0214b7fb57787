//! How one channel, or one mixer, is asked: under its breaker and its time budget.
//!
//! Owns what a call that is late, or breaks down, means for a request: an entry in the report, and never an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::refill::Refilling;
use super::slate::{ChannelReport, Trouble};
use crate::control::{CallOutcome, Mixer};
use crate::popularity::ScoredRow;
use crate::recall::{Channel, ChannelSet, FilterCounts, RecallChannel, RecallContext};

impl Refilling<'_, '_> {
    /// Asks a channel for up to `quota` candidates, and for more when mixers want more of it. Takes them into the pool as
    /// long as it has room.
    pub(super) fn ask(&mut self, channel: &dyn RecallChannel, quota: usize, size_max: usize) {
        let settings = self.context.control.settings(channel.channel());
        let wanted = if settings.enabled {
            quota.max(settings.mixers_quota)
        } else {
            0
        };
        self.call(channel.channel(), wanted, |context, named| {
            channel.recall(context, wanted, named);
        });
        if self.context.control.mixed.contains(channel.channel()) {
            self.context.scratch.mix.take(channel.channel(), self.named);
        }
        self.named.truncate(quota);
        self.merge(channel.channel(), size_max);
    }

    /// Combines what the sources of a mixer have named.
    pub(super) fn mix(&mut self, mixer: &Mixer, quota: usize, size_max: usize) {
        self.call(mixer.channel, quota, |context, named| {
            context.scratch.mix.mix(mixer, quota, named);
        });
        self.merge(mixer.channel, size_max);
    }

    /// Calls a channel unless it is off or cut off; what it names is in `named` then, which is empty otherwise.
    fn call(
        &mut self,
        channel: Channel,
        wanted: usize,
        recall: impl FnOnce(&mut RecallContext<'_>, &mut Vec<ScoredRow>),
    ) {
        self.named.clear();
        let number = channel.number();
        if wanted == 0 {
            self.report.channels[number].trouble = (!self.is_idle(channel)).then_some(Trouble::Off);
            return;
        }
        let (world, breakers, now) = (self.context.world, &self.context.params.breakers, self.context.now);
        let missing = &mut self.pool.state.missing;
        if !world.guards.admit(channel, now, breakers) {
            *missing = missing.with(ChannelSet::of(channel));
            self.report.channels[number].trouble = Some(Trouble::CutOff);
            return;
        }
        let started = (self.query.clock)();
        self.context.filtered = FilterCounts::default();
        let (context, named) = (&mut *self.context, &mut *self.named);
        // Whatever a channel leaves half done is scratch memory, which every channel clears before it uses it.
        let ended = catch_unwind(AssertUnwindSafe(|| recall(context, named)));
        self.named.truncate(wanted);
        let took_ns = (self.query.clock)().saturating_sub(started);
        let (outcome, trouble) = match ended {
            Err(_) => (CallOutcome::Failed, Some(Trouble::Failed)),
            Ok(()) if took_ns > self.context.control.settings(channel).time_budget_ns => {
                (CallOutcome::Late, Some(Trouble::Late))
            }
            Ok(()) => (CallOutcome::InTime, None),
        };
        if outcome == CallOutcome::Failed {
            self.named.clear();
            *missing = missing.with(ChannelSet::of(channel));
        } else {
            *missing = missing.without(ChannelSet::of(channel));
        }
        world.guards.record(channel, outcome, took_ns, now, breakers);
        self.pool.state.asked_at[number] = now;
        self.report.channels[number] = ChannelReport {
            recalled: u32::try_from(self.named.len()).unwrap_or(u32::MAX),
            filtered: self.context.filtered,
            took_ns,
            asked: true,
            trouble,
        };
    }

    fn merge(&mut self, channel: Channel, size_max: usize) {
        let snapshot = self.context.admission.snapshot;
        self.pool.merge(channel, self.named, size_max, |row| snapshot.hash(row));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::control::ActiveRules;
    use crate::pipeline::testing::{NOW, Viewer, catalogue_of};
    use crate::pipeline::{Query, Report, Taste};
    use crate::popularity::BoardEntry;
    use crate::recall::{Admission, RecallScratch};
    use crate::session::BehaviourEffects;

    /// A channel that names one item and breaks down.
    struct BrokenChannel;

    impl RecallChannel for BrokenChannel {
        fn channel(&self) -> Channel {
            Channel::Hot
        }

        fn recall(&self, _context: &mut RecallContext<'_>, quota: usize, out: &mut Vec<ScoredRow>) {
            out.push(ScoredRow { row: 1, score: 1.0 });
            assert!(quota == 0, "a list that is broken");
        }
    }

    #[test]
    fn a_channel_that_breaks_down_is_an_entry_in_the_report() {
        let world = catalogue_of(10);
        let mut viewer = Viewer::new();
        let (params, snapshot) = (world.params.load_full(), world.catalogue.load());
        let (mut report, mut named, mut scratch) = (Report::default(), Vec::new(), RecallScratch::default());
        let (taste, mut random) = (Taste::default(), Xoshiro256PlusPlus::seed_from_u64(1));
        let query = Query {
            n: 5,
            now: NOW,
            seed: 1,
            region: None,
            context: Default::default(),
            excluded: &[],
            limits: Default::default(),
            params: &params,
            explain: false,
            effort: Default::default(),
            clock: &|| 0,
        };
        let mut context = RecallContext {
            world: &world,
            params: &params,
            control: params.control(&world),
            active: ActiveRules::default(),
            profile: world.profiles.current(&params.collaborative),
            session: &viewer.state,
            taste: &taste,
            admission: Admission {
                snapshot: &snapshot,
                exposure: &viewer.state.exposure,
                region: None,
                excluded: &[],
                behaviour: &BehaviourEffects::default(),
                blocks: &[],
                follows: &[],
                limits: Default::default(),
                now: NOW,
            },
            prior: BoardEntry::prior(&params.popularity),
            now: NOW,
            random: &mut random,
            scratch: &mut scratch,
            filtered: FilterCounts::default(),
        };
        let mut refilling = Refilling {
            pool: &mut viewer.pool,
            context: &mut context,
            query: &query,
            named: &mut named,
            report: &mut report,
        };
        for _ in 0..40 {
            refilling.ask(&BrokenChannel, 10, 100);
        }
        let hot = report.channels[Channel::Hot.number()];
        assert_eq!((hot.trouble, hot.recalled), (Some(Trouble::CutOff), 0));
        assert!(viewer.pool.is_empty() && viewer.pool.state.missing.contains(Channel::Hot));
        let known = world.guards.report(Channel::Hot, NOW);
        assert_eq!((known.calls, known.failed, known.refused), (20, 20, 20));
    }
}
