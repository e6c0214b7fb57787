//! How long the last calls of a channel took: a small histogram that forgets.
//!
//! Four buckets per doubling of the time (a quantile is right within a fifth), for the last one to two minutes.

use crate::time::{MINUTE_MS, TimestampMs};

/// Buckets per doubling.
const PER_DOUBLING: u32 = 4;
/// From 256 ns to about 17 s.
const BUCKETS: usize = 104;
/// Shorter times fall into the first bucket.
const FIRST_NS_LOG2: u32 = 8;

/// How long the last calls took.
#[derive(Debug, Clone)]
pub(super) struct CallTimes {
    now: [u32; BUCKETS],
    before: [u32; BUCKETS],
    began: TimestampMs,
}

impl Default for CallTimes {
    fn default() -> Self {
        Self {
            now: [0; BUCKETS],
            before: [0; BUCKETS],
            began: TimestampMs::default(),
        }
    }
}

impl CallTimes {
    /// Takes down a call.
    pub(super) fn add(&mut self, took_ns: u64, now: TimestampMs) {
        let age_ms = now.since(self.began);
        if !(0..2 * MINUTE_MS).contains(&age_ms) {
            *self = Self {
                began: now,
                ..Self::default()
            };
        } else if age_ms >= MINUTE_MS {
            self.before = std::mem::replace(&mut self.now, [0; BUCKETS]);
            self.began = now;
        }
        let bucket = &mut self.now[bucket_of(took_ns)];
        *bucket = bucket.saturating_add(1);
    }

    /// The time that a share of the last calls did not take longer than, in nanoseconds.
    pub(super) fn quantile(&self, share: f64, now: TimestampMs) -> Option<u64> {
        let age_ms = now.since(self.began);
        let counts = |bucket: usize| match age_ms {
            age_ms if age_ms >= 2 * MINUTE_MS => 0,
            _ => u64::from(self.now[bucket]) + u64::from(self.before[bucket]),
        };
        let total: u64 = (0..BUCKETS).map(counts).sum();
        let wanted = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        (0..BUCKETS)
            .find(|bucket| {
                seen += counts(*bucket);
                seen >= wanted
            })
            .map(middle_ns)
    }
}

fn bucket_of(took_ns: u64) -> usize {
    let log2 = (took_ns.max(1) as f64).log2() - f64::from(FIRST_NS_LOG2);
    ((log2 * f64::from(PER_DOUBLING)).max(0.0) as usize).min(BUCKETS - 1)
}

/// The middle of a bucket on the scale of logarithms.
fn middle_ns(bucket: usize) -> u64 {
    let log2 = f64::from(FIRST_NS_LOG2) + (bucket as f64 + 0.5) / f64::from(PER_DOUBLING);
    log2.exp2() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_fifth_and_old_calls_are_forgotten() {
        let mut times = CallTimes::default();
        let now = TimestampMs(10_000_000);
        assert_eq!(times.quantile(0.5, now), None);
        for micros in 1..=1_000 {
            times.add(micros * 1_000, now);
        }
        for (share, expected) in [(0.5, 500_000.0), (0.99, 990_000.0)] {
            let found = times.quantile(share, now).expect("calls") as f64;
            assert!((found / expected - 1.0).abs() < 0.2, "{share}: {found}");
        }
        times.add(5, now.plus_ms(MINUTE_MS));
        assert!(times.quantile(0.5, now.plus_ms(MINUTE_MS)).expect("both minutes") > 400_000);
        times.add(5, now.plus_ms(3 * MINUTE_MS + 1));
        assert!(times.quantile(0.99, now.plus_ms(3 * MINUTE_MS + 1)).expect("one call") < 400);
        assert_eq!(times.quantile(0.5, now.plus_ms(9 * MINUTE_MS)), None);
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
    }
}
