//! A token bucket: how many messages a session may send.

/// A token bucket on a clock that the caller brings. It must never go back: with the wall clock, an hour back would be an
/// hour without a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateBudget {
    used: f32,
    at_ns: u64,
}

impl RateBudget {
    /// Takes one token at `now_ns` (nanoseconds of a monotonic clock); `Err` says in how many milliseconds one will be
    /// there.
    pub fn take(&mut self, now_ns: u64, per_second: f32, burst: f32) -> Result<(), u64> {
        let elapsed_s = now_ns.saturating_sub(self.at_ns) as f32 / 1e9;
        self.at_ns = self.at_ns.max(now_ns);
        self.used = (self.used - elapsed_s * per_second).max(0.0);
        if self.used + 1.0 > burst.max(1.0) {
            let missing = self.used + 1.0 - burst.max(1.0);
            return Err((missing / per_second.max(1e-3) * 1_000.0).ceil().max(1.0) as u64);
        }
        self.used += 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_only_the_rate() {
        let mut budget = RateBudget::default();
        let now = 1_000_000_000;
        let later = now + 100_000_000;
        assert!((0..5).all(|_| budget.take(now, 10.0, 5.0).is_ok()));
        assert_eq!(budget.take(now, 10.0, 5.0), Err(100));
        assert!(budget.take(later, 10.0, 5.0).is_ok());
        assert!(budget.take(later, 10.0, 5.0).is_err());
    }
}
