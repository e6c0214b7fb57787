//! The breakers of all channels and what they have seen, shared by all session threads.
//!
//! Owns one small lock per channel, taken twice per call of the channel and never per candidate. Must not be asked on the
//! path of a swipe that asks no channel.

use parking_lot::Mutex;

use super::breaker::{Breaker, BreakerInput, BreakerState, ByHand};
use super::times::CallTimes;
use crate::params::BreakerParams;
use crate::recall::{CHANNEL_COUNT, Channel};
use crate::time::TimestampMs;

/// How a call of a channel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// In time.
    InTime,
    /// After its time budget; what it named is used all the same.
    Late,
    /// Not at all.
    Failed,
}

/// What is known of a channel's calls.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GuardReport {
    /// Whether it is asked.
    pub state: BreakerState,
    /// Whether an operator holds the breaker where it is.
    pub is_held: bool,
    /// How often it was cut off.
    pub opened: u64,
    /// Calls since the start.
    pub calls: u64,
    /// How many of them were late.
    pub late: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many were not made because the channel was cut off.
    pub refused: u64,
    /// The median time of the last calls, in nanoseconds; `None` without calls.
    pub p50_ns: Option<u64>,
    /// The time that one of a hundred of the last calls took longer than, in nanoseconds.
    pub p99_ns: Option<u64>,
}

#[derive(Default)]
struct Guard {
    breaker: Breaker,
    calls: u64,
    late: u64,
    failed: u64,
    refused: u64,
    times: CallTimes,
}

/// The breakers of all channels.
pub struct ChannelGuards {
    guards: [Mutex<Guard>; CHANNEL_COUNT],
}

impl Default for ChannelGuards {
    fn default() -> Self {
        Self {
            guards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl ChannelGuards {
    /// Whether a channel may be called now. Each call that may owes one [`ChannelGuards::record`].
    pub fn admit(&self, channel: Channel, now: TimestampMs, params: &BreakerParams) -> bool {
        let mut guard = self.guards[channel.number()].lock();
        let may = guard.breaker.step(BreakerInput::Ask, now, params);
        guard.refused += u64::from(!may);
        may
    }

    /// Takes down how a call ended.
    pub fn record(
        &self,
        channel: Channel,
        outcome: CallOutcome,
        took_ns: u64,
        now: TimestampMs,
        params: &BreakerParams,
    ) {
        let mut guard = self.guards[channel.number()].lock();
        guard.calls += 1;
        guard.late += u64::from(outcome == CallOutcome::Late);
        guard.failed += u64::from(outcome == CallOutcome::Failed);
        guard.times.add(took_ns, now);
        let input = match outcome {
            CallOutcome::InTime => BreakerInput::Succeeded,
            CallOutcome::Late | CallOutcome::Failed => BreakerInput::Failed,
        };
        guard.breaker.step(input, now, params);
    }

    /// Whether a channel that was cut off would be called again now.
    #[must_use]
    pub fn would_admit(&self, channel: Channel, now: TimestampMs, params: &BreakerParams) -> bool {
        self.guards[channel.number()].lock().breaker.would_pass(now, params)
    }

    /// Lets an operator decide.
    pub fn decide(&self, channel: Channel, decision: ByHand, now: TimestampMs, params: &BreakerParams) {
        let mut guard = self.guards[channel.number()].lock();
        guard.breaker.step(BreakerInput::Hand(decision), now, params);
    }

    /// Whether a channel is asked.
    #[must_use]
    pub fn state(&self, channel: Channel) -> BreakerState {
        self.guards[channel.number()].lock().breaker.state()
    }

    /// What is known of a channel's calls.
    #[must_use]
    pub fn report(&self, channel: Channel, now: TimestampMs) -> GuardReport {
        let guard = self.guards[channel.number()].lock();
        GuardReport {
            state: guard.breaker.state(),
            is_held: guard.breaker.is_held(),
            opened: guard.breaker.opened(),
            calls: guard.calls,
            late: guard.late,
            failed: guard.failed,
            refused: guard.refused,
            p50_ns: guard.times.quantile(0.5, now),
            p99_ns: guard.times.quantile(0.99, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_calls_by_their_end() {
        let guards = ChannelGuards::default();
        let params = BreakerParams {
            min_calls: 3,
            ..BreakerParams::default()
        };
        let now = TimestampMs(1_000_000);
        for outcome in [CallOutcome::InTime, CallOutcome::Late, CallOutcome::Failed] {
            assert!(guards.admit(Channel::Hot, now, &params));
            guards.record(Channel::Hot, outcome, 40_000, now, &params);
        }
        assert!(!guards.admit(Channel::Hot, now, &params));
        assert!(guards.admit(Channel::Tags, now, &params));
        let report = guards.report(Channel::Hot, now);
        assert_eq!((report.calls, report.late, report.failed, report.refused), (3, 1, 1, 1));
        assert_eq!((report.state, report.opened), (BreakerState::Open, 1));
        let median = report.p50_ns.expect("calls");
        assert!((35_000..=48_000).contains(&median), "{median}");
        guards.decide(Channel::Hot, ByHand::Reset, now, &params);
        assert!(guards.would_admit(Channel::Hot, now, &params));
    }
}
