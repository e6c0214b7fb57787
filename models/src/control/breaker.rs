//! The circuit breaker of one channel: a pure state machine.
//!
//! Owns when a channel is cut off, tried again and taken back (Nygard, Release It!, 2007). Must not know what a channel
//! does, nor read a clock: every step is told the time.

use crate::params::BreakerParams;
use crate::time::TimestampMs;

/// Whether a channel is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum BreakerState {
    /// It is.
    #[default]
    Closed = 0,
    /// A few calls try it.
    HalfOpen = 1,
    /// It is not.
    Open = 2,
}

impl BreakerState {
    /// The name in explanations and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}

/// What an operator decides by hand; holds until the next such decision or a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// The channel is not asked, whatever happens.
    Open,
    /// The channel is asked, whatever happens.
    Close,
    /// The breaker decides again, and starts with nothing counted.
    Reset,
}

/// What happens to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerInput {
    /// Somebody wants to call the channel.
    Ask,
    /// A call came back in time.
    Succeeded,
    /// A call was late or failed.
    Failed,
    /// An operator decides.
    Hand(ByHand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open {
        until: TimestampMs,
    },
    HalfOpen {
        since: TimestampMs,
        asked: u32,
        succeeded: u32,
    },
}

/// Calls and failures of half a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct HalfWindow {
    calls: u32,
    failures: u32,
}

/// The circuit breaker of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    phase: Phase,
    /// `Some(true)`: held open by hand, `Some(false)`: held closed.
    held_open: Option<bool>,
    /// The half window that runs and the one before it: together at least half a window and at most a whole one.
    halves: [HalfWindow; 2],
    half_began: TimestampMs,
    opened: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            phase: Phase::Closed,
            held_open: None,
            halves: [HalfWindow::default(); 2],
            half_began: TimestampMs(i64::MIN / 2),
            opened: 0,
        }
    }
}

impl Breaker {
    /// Lets something happen. After [`BreakerInput::Ask`] the answer is whether the channel may be called; each such
    /// call owes one `Succeeded` or `Failed`. After anything else the answer means nothing.
    pub fn step(&mut self, input: BreakerInput, now: TimestampMs, params: &BreakerParams) -> bool {
        match input {
            BreakerInput::Ask => self.ask(now, params),
            BreakerInput::Succeeded => self.take(false, now, params),
            BreakerInput::Failed => self.take(true, now, params),
            BreakerInput::Hand(decision) => self.decide(decision),
        }
    }

    /// Whether the channel is asked.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match (self.held_open, self.phase) {
            (Some(true), _) | (None, Phase::Open { .. }) => BreakerState::Open,
            (Some(false), _) | (None, Phase::Closed) => BreakerState::Closed,
            (None, Phase::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    /// Whether [`BreakerInput::Ask`] would be answered with yes; changes nothing.
    #[must_use]
    pub fn would_pass(&self, now: TimestampMs, params: &BreakerParams) -> bool {
        let mut copy = *self;
        copy.ask(now, params)
    }

    /// Whether an operator holds it where it is.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held_open.is_some()
    }

    /// How often it has cut the channel off.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    fn ask(&mut self, now: TimestampMs, params: &BreakerParams) -> bool {
        if let Some(held_open) = self.held_open {
            return !held_open;
        }
        if !params.enabled {
            self.phase = Phase::Closed;
            return true;
        }
        match self.phase {
            Phase::Closed => true,
            Phase::Open { until } if now < until => false,
            Phase::Open { .. } => self.try_again(now),
            // A try whose outcome never came (its session was lost) must not keep the channel away for good.
            Phase::HalfOpen { since, .. } if now.since(since) > params.open_ms => self.try_again(now),
            Phase::HalfOpen { asked, .. } if asked >= params.half_open_calls => false,
            Phase::HalfOpen {
                since,
                asked,
                succeeded,
            } => {
                self.phase = Phase::HalfOpen {
                    since,
                    asked: asked + 1,
                    succeeded,
                };
                true
            }
        }
    }

    fn try_again(&mut self, now: TimestampMs) -> bool {
        self.phase = Phase::HalfOpen {
            since: now,
            asked: 1,
            succeeded: 0,
        };
        true
    }

    fn take(&mut self, has_failed: bool, now: TimestampMs, params: &BreakerParams) -> bool {
        self.count(has_failed, now, params);
        match self.phase {
            Phase::Closed if self.is_over_limit(params) => self.cut_off(now, params),
            Phase::HalfOpen { .. } if has_failed => self.cut_off(now, params),
            Phase::HalfOpen {
                since,
                asked,
                succeeded,
            } => {
                let succeeded = succeeded + 1;
                self.phase = if succeeded >= params.half_open_calls {
                    self.halves = [HalfWindow::default(); 2];
                    Phase::Closed
                } else {
                    Phase::HalfOpen {
                        since,
                        asked,
                        succeeded,
                    }
                };
            }
            // Calls that were on their way when the channel was cut off say nothing new.
            Phase::Closed | Phase::Open { .. } => {}
        }
        true
    }

    fn cut_off(&mut self, now: TimestampMs, params: &BreakerParams) {
        if !params.enabled || self.held_open == Some(false) {
            return;
        }
        self.phase = Phase::Open {
            until: now.plus_ms(params.open_ms),
        };
        self.opened += 1;
    }

    fn decide(&mut self, decision: ByHand) -> bool {
        let opened = self.opened;
        *self = Self {
            opened,
            held_open: match decision {
                ByHand::Open => Some(true),
                ByHand::Close => Some(false),
                ByHand::Reset => None,
            },
            ..Self::default()
        };
        true
    }

    fn count(&mut self, has_failed: bool, now: TimestampMs, params: &BreakerParams) {
        let half_ms = (params.window_ms / 2).max(1);
        let age_ms = now.since(self.half_began);
        // A clock that was set back begins anew too.
        if age_ms >= 2 * half_ms || age_ms < 0 {
            self.halves = [HalfWindow::default(); 2];
            self.half_began = now;
        } else if age_ms >= half_ms {
            self.halves = [HalfWindow::default(), self.halves[0]];
            self.half_began = self.half_began.plus_ms(half_ms);
        }
        self.halves[0].calls = self.halves[0].calls.saturating_add(1);
        self.halves[0].failures = self.halves[0].failures.saturating_add(u32::from(has_failed));
    }

    fn is_over_limit(&self, params: &BreakerParams) -> bool {
        let sum = |of: fn(&HalfWindow) -> u32| self.halves.iter().map(|half| u64::from(of(half))).sum::<u64>();
        let (calls, failures) = (sum(|half| half.calls), sum(|half| half.failures));
        calls >= u64::from(params.min_calls) && failures as f64 > f64::from(params.error_share_max) * calls as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARAMS: BreakerParams = BreakerParams {
        enabled: true,
        window_ms: 1_000,
        min_calls: 4,
        error_share_max: 0.25,
        open_ms: 500,
        half_open_calls: 2,
    };

    fn call(breaker: &mut Breaker, outcome: BreakerInput, at: i64) -> bool {
        let may = breaker.step(BreakerInput::Ask, TimestampMs(at), &PARAMS);
        if may {
            breaker.step(outcome, TimestampMs(at), &PARAMS);
        }
        may
    }

    #[test]
    fn a_broken_channel_is_cut_off_tried_again_and_taken_back() {
        use BreakerInput::{Failed, Succeeded};
        let mut breaker = Breaker::default();
        assert!(
            (0..3).all(|at| call(&mut breaker, Failed, at)),
            "three calls say nothing yet"
        );
        assert!(call(&mut breaker, Failed, 3));
        assert_eq!((breaker.state(), breaker.opened()), (BreakerState::Open, 1));
        assert!(!call(&mut breaker, Succeeded, 502));
        assert!(call(&mut breaker, Failed, 503), "tried once");
        assert_eq!((breaker.state(), breaker.opened()), (BreakerState::Open, 2));
        assert!(call(&mut breaker, Succeeded, 1_003));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(call(&mut breaker, Succeeded, 1_004));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(
            (0..3).all(|_| call(&mut breaker, Failed, 1_005)),
            "what was before is forgotten"
        );
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn failures_at_the_limit_and_failures_of_long_ago_do_not_cut_off() {
        let mut breaker = Breaker::default();
        for at in 0..100 {
            let outcome = if at % 4 == 3 {
                BreakerInput::Failed
            } else {
                BreakerInput::Succeeded
            };
            assert!(call(&mut breaker, outcome, at));
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "one of four is the limit");
        let mut breaker = Breaker::default();
        for round in 0..10 {
            assert!(
                call(&mut breaker, BreakerInput::Failed, round * 2_000),
                "never four in a window"
            );
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn an_operator_has_the_last_word() {
        let mut breaker = Breaker::default();
        breaker.step(BreakerInput::Hand(ByHand::Open), TimestampMs(0), &PARAMS);
        assert!(!call(&mut breaker, BreakerInput::Succeeded, 1_000_000) && breaker.is_held());
        breaker.step(BreakerInput::Hand(ByHand::Close), TimestampMs(0), &PARAMS);
        assert!((0..100).all(|at| call(&mut breaker, BreakerInput::Failed, at)));
        breaker.step(BreakerInput::Hand(ByHand::Reset), TimestampMs(0), &PARAMS);
        assert!((0..4).all(|at| call(&mut breaker, BreakerInput::Failed, at)) && !breaker.is_held());
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    fn any_input() -> impl Strategy<Value = BreakerInput> {
        prop_oneof![
            4 => Just(BreakerInput::Ask),
            3 => Just(BreakerInput::Succeeded),
            3 => Just(BreakerInput::Failed),
        ]
    }

    proptest! {
        #[test]
        fn an_open_breaker_lets_nobody_through_and_a_half_open_one_only_a_few(
            steps in proptest::collection::vec((any_input(), 0i64..300), 1..200)
        ) {
            let mut breaker = Breaker::default();
            let (mut now, mut opened_at, mut tried_at, mut tries) = (0, 0, 0, 0);
            for (input, later) in steps {
                now += later;
                let (before, count) = (breaker.state(), breaker.opened());
                let answer = breaker.step(input, TimestampMs(now), &PARAMS);
                if breaker.opened() > count {
                    prop_assert_eq!(breaker.state(), BreakerState::Open);
                    prop_assert!(input != BreakerInput::Ask, "only an outcome cuts off");
                    opened_at = now;
                }
                if before == BreakerState::Open && now < opened_at + PARAMS.open_ms {
                    prop_assert!(input != BreakerInput::Ask || !answer);
                    prop_assert_eq!(breaker.state(), BreakerState::Open);
                }
                if input == BreakerInput::Ask && answer && breaker.state() == BreakerState::HalfOpen {
                    let is_first = before == BreakerState::Open || now - tried_at > PARAMS.open_ms;
                    (tried_at, tries) = if is_first { (now, 1) } else { (tried_at, tries + 1) };
                }
                prop_assert!(tries <= PARAMS.half_open_calls);
                prop_assert!(breaker.state() != BreakerState::Closed || breaker.would_pass(TimestampMs(now), &PARAMS));
            }
        }

        #[test]
        fn a_channel_that_works_again_always_comes_back(
            steps in proptest::collection::vec((any_input(), 0i64..300), 1..100)
        ) {
            let mut breaker = Breaker::default();
            let mut now = 0;
            for (input, later) in steps {
                now += later;
                breaker.step(input, TimestampMs(now), &PARAMS);
            }
            for _ in 0..10 {
                now += PARAMS.open_ms + 1;
                for _ in 0..PARAMS.half_open_calls {
                    call(&mut breaker, BreakerInput::Succeeded, now);
                }
            }
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
