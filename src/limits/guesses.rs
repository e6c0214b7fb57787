//! Keys that nobody has: who tries them is heard less and less.
//!
//! Owns a fixed table of buckets, one number each (GCRA): a failed try moves its bucket ahead by [`TRY_INTERVAL`]; a bucket
//! that is ahead by more than [`TRIES`] of them hears nobody, not even with the right key, or the guessing would go on.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Exceeded;

/// So many failed tries are free.
const TRIES: u32 = 10;
/// How often one more is.
const TRY_INTERVAL: Duration = Duration::from_secs(2);
/// Addresses that share a bucket share its tries; guessing from one address seldom hits another one.
const BUCKETS: usize = 4_096;

/// Failed tries by address.
pub(crate) struct Guesses {
    began: Instant,
    hasher: RandomState,
    /// Until when a bucket's failed tries are paid for, in microseconds since `began`.
    paid_until_us: Box<[AtomicU64]>,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            hasher: RandomState::new(),
            paid_until_us: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether an address may try a key.
    pub(crate) fn check(&self, ip: IpAddr) -> Result<(), Exceeded> {
        self.check_at(ip, self.now_us())
    }

    /// An address has tried a key that nobody has.
    pub(crate) fn failed(&self, ip: IpAddr) {
        self.failed_at(ip, self.now_us());
    }

    fn check_at(&self, ip: IpAddr, now_us: u64) -> Result<(), Exceeded> {
        let free_us = u64::from(TRIES - 1) * interval_us();
        let paid_until_us = self.bucket(ip).load(Ordering::Relaxed);
        let wait_us = paid_until_us.saturating_sub(now_us).saturating_sub(free_us);
        if wait_us == 0 {
            return Ok(());
        }
        Err(Exceeded {
            scope: "guesses",
            retry_after: Duration::from_micros(wait_us),
        })
    }

    fn failed_at(&self, ip: IpAddr, now_us: u64) {
        let pay = |paid_until_us: u64| Some(paid_until_us.max(now_us) + interval_us());
        // The closure always returns a value.
        let _ = self.bucket(ip).fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
    }

    fn bucket(&self, ip: IpAddr) -> &AtomicU64 {
        &self.paid_until_us[self.hasher.hash_one(ip) as usize % BUCKETS]
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }
}

fn interval_us() -> u64 {
    TRY_INTERVAL.as_secs() * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(9, 9, 9, 9));

    #[test]
    fn some_tries_are_free_and_then_one_at_a_time() {
        let guesses = Guesses::new();
        for _ in 0..TRIES {
            assert_eq!(guesses.check_at(GUESSER, 0), Ok(()));
            guesses.failed_at(GUESSER, 0);
        }
        let exceeded = guesses.check_at(GUESSER, 0).expect_err("too many");
        assert_eq!((exceeded.scope, exceeded.retry_after), ("guesses", TRY_INTERVAL));
        assert_eq!(guesses.check_at(GUESSER, interval_us()), Ok(()));
        guesses.failed_at(GUESSER, interval_us());
        assert!(guesses.check_at(GUESSER, interval_us()).is_err());
        assert_eq!(guesses.check_at(GUESSER, u64::from(TRIES + 1) * interval_us()), Ok(()));
    }

    proptest! {
        #[test]
        fn in_any_time_few_tries_are_heard(steps in prop::collection::vec(0_u64..5_000_000, 1..300)) {
            let (guesses, mut now_us, mut heard) = (Guesses::new(), 0, 0_u64);
            for step in steps {
                now_us += step;
                if guesses.check_at(GUESSER, now_us).is_ok() {
                    heard += 1;
                    guesses.failed_at(GUESSER, now_us);
                }
            }
            prop_assert!(heard <= u64::from(TRIES) + now_us / interval_us() + 1);
        }
    }
}
