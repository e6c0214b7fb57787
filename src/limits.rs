//! Rates: how many calls per second everybody, one address, one user and one key may make.
//!
//! Owns the token buckets. Must not know what a refusal looks like on the wire. Memory is bounded: a key is a number of
//! [`BUCKETS_MAX`], so that a flood of names cannot grow a map without end.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use crate::config::LimitSettings;

/// The most buckets of one kind; two names that fall into the same bucket share its rate.
const BUCKETS_MAX: u64 = 1 << 20;
/// A bucket holds the calls of so many seconds.
const BURST_S: u32 = 2;

/// A rate was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Whose rate: `global`, `ip`, `user` or `key`.
    pub(crate) scope: &'static str,
    /// When the next call may succeed.
    pub(crate) retry_after: Duration,
}

/// All rates.
pub(crate) struct Limits {
    clock: DefaultClock,
    hasher: RandomState,
    global: Option<DefaultDirectRateLimiter>,
    ip: Option<DefaultKeyedRateLimiter<u64>>,
    user: Option<DefaultKeyedRateLimiter<u64>>,
    key: Option<DefaultKeyedRateLimiter<u64>>,
}

impl Limits {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self {
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            global: quota(settings.global_per_s).map(RateLimiter::direct),
            ip: quota(settings.ip_per_s).map(RateLimiter::keyed),
            user: quota(settings.user_per_s).map(RateLimiter::keyed),
            key: quota(settings.key_per_s).map(RateLimiter::keyed),
        }
    }

    /// One call of everybody and of this address.
    pub(crate) fn check_caller(&self, ip: Option<IpAddr>) -> Result<(), Exceeded> {
        if let (Some(limiter), Some(ip)) = (&self.ip, ip) {
            self.check_keyed("ip", limiter, &ip)?;
        }
        match &self.global {
            Some(limiter) => limiter.check().map_err(|not_until| self.exceeded("global", &not_until)),
            None => Ok(()),
        }
    }

    /// One call for this user.
    pub(crate) fn check_user(&self, user: &str) -> Result<(), Exceeded> {
        self.user
            .as_ref()
            .map_or(Ok(()), |limiter| self.check_keyed("user", limiter, &user))
    }

    /// One call with this API key.
    pub(crate) fn check_key(&self, place: usize) -> Result<(), Exceeded> {
        self.key
            .as_ref()
            .map_or(Ok(()), |limiter| self.check_keyed("key", limiter, &place))
    }

    /// Forgets buckets that are full again; called on a timer.
    pub(crate) fn forget_idle(&self) {
        for limiter in [&self.ip, &self.user, &self.key].into_iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    fn check_keyed<K: Hash>(
        &self,
        scope: &'static str,
        limiter: &DefaultKeyedRateLimiter<u64>,
        key: &K,
    ) -> Result<(), Exceeded> {
        let bucket = self.hasher.hash_one(key) % BUCKETS_MAX;
        limiter
            .check_key(&bucket)
            .map_err(|not_until| self.exceeded(scope, &not_until))
    }

    fn exceeded(&self, scope: &'static str, not_until: &NotUntil<governor::clock::QuantaInstant>) -> Exceeded {
        Exceeded {
            scope,
            retry_after: not_until.wait_time_from(self.clock.now()),
        }
    }
}

fn quota(per_s: u32) -> Option<Quota> {
    let rate = NonZeroU32::new(per_s)?;
    let burst = NonZeroU32::new(per_s.saturating_mul(BURST_S)).unwrap_or(rate);
    Some(Quota::per_second(rate).allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_call_is_told_when_to_come_again() {
        let limits = Limits::new(&LimitSettings {
            user_per_s: 2,
            ..LimitSettings::default()
        });
        for _ in 0..4 {
            assert_eq!(limits.check_user("u"), Ok(()));
        }
        let exceeded = limits.check_user("u").expect_err("too many");
        assert_eq!(exceeded.scope, "user");
        assert!(exceeded.retry_after > Duration::ZERO && exceeded.retry_after <= Duration::from_millis(500));
        assert_eq!(limits.check_user("somebody else"), Ok(()));
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let off = LimitSettings {
            global_per_s: 0,
            ip_per_s: 0,
            user_per_s: 0,
            key_per_s: 0,
        };
        let limits = Limits::new(&off);
        for _ in 0..10_000 {
            assert_eq!(limits.check_caller(Some(IpAddr::from([127, 0, 0, 1]))), Ok(()));
            assert_eq!(limits.check_user("u"), Ok(()));
        }
    }
}
