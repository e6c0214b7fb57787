//! Effect metrics: what happened in the last minutes, in all and per recall channel.
//!
//! Owns a ring of five-second buckets over one hour. Memory is fixed; a bucket is cleared when its time comes again.

use parking_lot::Mutex;
use swipeline_models::control::MixerNames;
use swipeline_models::event::Signal;
use swipeline_models::recall::{CHANNEL_COUNT, ChannelSet};
use swipeline_models::time::{HOUR_MS, MINUTE_MS, SECOND_MS, TimestampMs};
use swipeline_models::wire::{EffectDto, StatsReply};

use crate::api::StatsWindow;

const BUCKET_MS: i64 = 5 * SECOND_MS;
const BUCKETS: usize = (HOUR_MS / BUCKET_MS) as usize;
/// The variant that everybody is in while there are no experiments.
pub(crate) const VARIANT_DEFAULT: &str = "default";

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    impressions: u64,
    views: u64,
    likes: u64,
    skips: u64,
    completions: u64,
    shares: u64,
    watch_ms: u64,
    /// Everything that says that the viewer took the item up.
    taken_up: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// The number of the five seconds since 1970 that the counts belong to.
    number: i64,
    total: Counts,
    channels: [Counts; CHANNEL_COUNT],
}

/// What happened in the last hour.
pub(crate) struct Effects {
    ring: Mutex<Box<[Bucket]>>,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            ring: Mutex::new(vec![Bucket::default(); BUCKETS].into_boxed_slice()),
        }
    }
}

impl Effects {
    /// Counts a signal on an item that these channels had named. `newly_shown` says that the item was not reported as
    /// shown before: then the signal counts as its impression too.
    pub(crate) fn record(
        &self,
        signal: Signal,
        watch_ms: u32,
        newly_shown: bool,
        channels: ChannelSet,
        now: TimestampMs,
    ) {
        let number = now.0 / BUCKET_MS;
        let mut ring = self.ring.lock();
        let bucket = &mut ring[(number.rem_euclid(BUCKETS as i64)) as usize];
        if bucket.number != number {
            *bucket = Bucket {
                number,
                ..Bucket::default()
            };
        }
        bucket.total.add(signal, watch_ms, newly_shown);
        for channel in channels.iter() {
            bucket.channels[channel.number()].add(signal, watch_ms, newly_shown);
        }
    }

    /// The counts of a window. A variant that nobody is in has counts of zero.
    pub(crate) fn reply(
        &self,
        window: StatsWindow,
        variant: Option<&str>,
        now: TimestampMs,
        names: &MixerNames,
    ) -> StatsReply {
        let window_ms = match window {
            StatsWindow::OneMinute => MINUTE_MS,
            StatsWindow::FiveMinutes => 5 * MINUTE_MS,
            StatsWindow::OneHour => HOUR_MS,
        };
        let newest = now.0 / BUCKET_MS;
        let oldest = newest - window_ms / BUCKET_MS + 1;
        let mut total = Counts::default();
        let mut channels = [Counts::default(); CHANNEL_COUNT];
        if variant.is_none_or(|variant| variant == VARIANT_DEFAULT) {
            let ring = self.ring.lock();
            for bucket in ring.iter().filter(|bucket| (oldest..=newest).contains(&bucket.number)) {
                total.merge(&bucket.total);
                channels
                    .iter_mut()
                    .zip(&bucket.channels)
                    .for_each(|(sum, counts)| sum.merge(counts));
            }
        }
        let named = names
            .channels()
            .map(|channel| (names.name(channel).into_owned(), channels[channel.number()].reply()));
        StatsReply {
            window_ms,
            total: total.reply(),
            channels: named.collect(),
            variants: [(VARIANT_DEFAULT.to_owned(), total.reply())].into(),
        }
    }
}

impl Counts {
    fn add(&mut self, signal: Signal, watch_ms: u32, newly_shown: bool) {
        self.impressions += u64::from(newly_shown);
        self.watch_ms += u64::from(watch_ms);
        match signal {
            Signal::View => self.views += 1,
            Signal::Like => self.likes += 1,
            Signal::Skip => self.skips += 1,
            Signal::Complete => self.completions += 1,
            Signal::Share => self.shares += 1,
            Signal::Impression
            | Signal::Unlike
            | Signal::Comment
            | Signal::Favorite
            | Signal::Follow
            | Signal::Dislike
            | Signal::Report => {}
        }
        self.taken_up += u64::from(signal == Signal::View || signal.is_positive());
    }

    fn merge(&mut self, other: &Counts) {
        self.impressions += other.impressions;
        self.views += other.views;
        self.likes += other.likes;
        self.skips += other.skips;
        self.completions += other.completions;
        self.shares += other.shares;
        self.watch_ms += other.watch_ms;
        self.taken_up += other.taken_up;
    }

    fn reply(&self) -> EffectDto {
        let rate = |count: u64| {
            if self.impressions == 0 {
                0.0
            } else {
                count as f64 / self.impressions as f64
            }
        };
        EffectDto {
            impressions: self.impressions,
            views: self.views,
            likes: self.likes,
            skips: self.skips,
            completions: self.completions,
            shares: self.shares,
            watch_time_ms: self.watch_ms,
            ctr: rate(self.taken_up).min(1.0),
            like_rate: rate(self.likes).min(1.0),
            skip_rate: rate(self.skips).min(1.0),
            completion_rate: rate(self.completions).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::recall::Channel;

    #[test]
    fn a_window_holds_what_is_young_enough_and_channels_add_up() {
        let (effects, names) = (Effects::default(), MixerNames::default());
        let now = TimestampMs(1_700_000_000_000);
        let both = ChannelSet::of(Channel::Hot).with(ChannelSet::of(Channel::Fresh));
        effects.record(Signal::Like, 0, true, both, now.plus_ms(-2 * MINUTE_MS));
        effects.record(Signal::Skip, 900, true, ChannelSet::of(Channel::Hot), now);
        let minute = effects.reply(StatsWindow::OneMinute, None, now, &names);
        assert_eq!(
            (minute.total.impressions, minute.total.skips, minute.total.likes),
            (1, 1, 0)
        );
        let five = effects.reply(StatsWindow::FiveMinutes, None, now, &names);
        assert_eq!((five.channels["hot"].impressions, five.channels["fresh"].likes), (2, 1));
        assert!((five.total.like_rate - 0.5).abs() < 1e-9 && five.total.watch_time_ms == 900);
        assert_eq!(
            effects
                .reply(StatsWindow::FiveMinutes, Some("b"), now, &names)
                .total
                .impressions,
            0
        );
        let later = effects.reply(StatsWindow::OneHour, None, now.plus_ms(2 * HOUR_MS), &names);
        assert_eq!(later.total.impressions, 0);
    }
}
