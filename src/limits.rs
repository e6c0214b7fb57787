//! Rates: how many calls per second everybody, one address, one user and one key may make.
//!
//! Owns the token buckets. Must not know what a refusal looks like on the wire. Memory is bounded: a key is a number of
//! [`BUCKETS_MAX`], so that a flood of names cannot grow a map without end.

mod flights;
mod guesses;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

pub(crate) use flights::{Flight, Flights};
pub(crate) use guesses::Guesses;

use crate::config::LimitSettings;

/// The most buckets of one kind; two names that fall into the same bucket share its rate.
const BUCKETS_MAX: u64 = 1 << 20;
/// A bucket holds the calls of so many seconds.
const BURST_S: u32 = 2;

/// When to come again with a call that was one too many at a time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A rate was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Whose rate: `global`, `ip`, `user`, `key`, `guesses`, `ip_in_flight` or `user_in_flight`.
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
    /// Where `ip` is off: addresses of other machines.
    remote_ip: Option<DefaultKeyedRateLimiter<u64>>,
    user: Option<DefaultKeyedRateLimiter<u64>>,
    key: Option<DefaultKeyedRateLimiter<u64>>,
    /// Calls in work by address.
    ip_flights: Flights,
    /// Calls in work by viewer.
    user_flights: Flights,
    /// Keys that nobody has.
    guesses: Guesses,
}

impl Limits {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self {
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            global: quota(settings.global_per_s).map(RateLimiter::direct),
            ip: quota(settings.ip_per_s).map(RateLimiter::keyed),
            remote_ip: quota(settings.remote_ip_per_s).map(RateLimiter::keyed),
            user: quota(settings.user_per_s).map(RateLimiter::keyed),
            key: quota(settings.key_per_s).map(RateLimiter::keyed),
            ip_flights: Flights::new(settings.ip_in_flight),
            user_flights: Flights::new(settings.user_in_flight),
            guesses: Guesses::new(),
        }
    }

    /// One call of everybody and of this address.
    pub(crate) fn check_caller(&self, ip: Option<IpAddr>) -> Result<(), Exceeded> {
        let of_address = self
            .ip
            .as_ref()
            .or(self.remote_ip.as_ref().filter(|_| ip.is_some_and(is_remote)));
        if let (Some(limiter), Some(ip)) = (of_address, ip) {
            self.check_keyed("ip", limiter, &network_of(ip))?;
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

    /// One more call in work of an address.
    pub(crate) fn enter_ip(&self, ip: Option<IpAddr>) -> Result<Option<Flight>, Exceeded> {
        let Some(ip) = ip else { return Ok(None) };
        self.ip_flights
            .enter(&network_of(ip))
            .ok_or(too_many_at_once("ip_in_flight"))
    }

    /// One more call in work of a viewer.
    pub(crate) fn enter_user(&self, user: &str) -> Result<Option<Flight>, Exceeded> {
        self.user_flights.enter(&user).ok_or(too_many_at_once("user_in_flight"))
    }

    /// Keys that nobody has.
    pub(crate) fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// Forgets buckets that are full again; called on a timer.
    pub(crate) fn forget_idle(&self) {
        for limiter in [&self.ip, &self.remote_ip, &self.user, &self.key].into_iter().flatten() {
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

/// When a call may succeed that was one too many at a time, nobody knows.
fn too_many_at_once(scope: &'static str) -> Exceeded {
    Exceeded {
        scope,
        retry_after: RETRY_AFTER,
    }
}

/// Whether an address is another machine's.
fn is_remote(ip: IpAddr) -> bool {
    !ip.to_canonical().is_loopback()
}

/// What one caller has: an address of version 4, or a network of 64 bits of version 6.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
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
    fn other_machines_have_a_rate_by_default_and_this_one_has_none() {
        let limits = Limits::new(&LimitSettings::default());
        let calls = |ip: [u8; 4]| (0..10_000).find(|_| limits.check_caller(Some(IpAddr::from(ip))).is_err());
        assert_eq!(calls([127, 0, 0, 1]), None);
        assert!(calls([10, 0, 0, 1]).is_some_and(|passed| passed >= 2_000));
        // All addresses of one IPv6 network are one caller.
        let v6 = |last: u16| IpAddr::from([0xfd00, 1, 2, 3, 4, 5, 6, last]);
        let passed = (0..10_000_u16).find(|last| limits.check_caller(Some(v6(*last))).is_err());
        assert!(passed.is_some_and(|passed| passed >= 2_000));
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let off = LimitSettings {
            global_per_s: 0,
            ip_per_s: 0,
            remote_ip_per_s: 0,
            user_per_s: 0,
            key_per_s: 0,
            ip_in_flight: 0,
            user_in_flight: 0,
        };
        let limits = Limits::new(&off);
        for _ in 0..10_000 {
            assert_eq!(limits.check_caller(Some(IpAddr::from([127, 0, 0, 1]))), Ok(()));
            assert_eq!(limits.check_user("u"), Ok(()));
        }
    }
}
