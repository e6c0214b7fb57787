//! A token bucket: how many messages a session may send.

use crate::time::TimestampMs;

/// A token bucket on a clock that the caller brings.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateBudget {
    used: f32,
    at: TimestampMs,
}

impl RateBudget {
    /// Takes one token; `Err` says in how many milliseconds one will be there.
    pub fn take(&mut self, now: TimestampMs, per_second: f32, burst: f32) -> Result<(), u64> {
        let elapsed_s = now.since(self.at).max(0) as f32 / 1_000.0;
        self.at = self.at.max(now);
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
        let now = TimestampMs(1_000_000);
        assert!((0..5).all(|_| budget.take(now, 10.0, 5.0).is_ok()));
        assert_eq!(budget.take(now, 10.0, 5.0), Err(100));
        assert!(budget.take(now.plus_ms(100), 10.0, 5.0).is_ok());
        assert!(budget.take(now.plus_ms(100), 10.0, 5.0).is_err());
    }
}
