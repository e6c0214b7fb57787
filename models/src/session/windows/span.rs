//! The kinds of windows: how far each reaches and by what steps it moves.

use crate::time::{MINUTE_MS, TimestampMs};

/// How many kinds of windows there are.
pub const WINDOW_COUNT: usize = 3;

/// How far a window reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WindowSpan {
    /// Five minutes, which move by a minute.
    FiveMinutes = 0,
    /// An hour, which moves by five minutes.
    Hour = 1,
    /// A day, which moves by an hour.
    Day = 2,
}

impl WindowSpan {
    /// All spans, the shortest first.
    pub const ALL: [WindowSpan; WINDOW_COUNT] = [WindowSpan::FiveMinutes, WindowSpan::Hour, WindowSpan::Day];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            WindowSpan::FiveMinutes => "5m",
            WindowSpan::Hour => "1h",
            WindowSpan::Day => "24h",
        }
    }

    /// The length of a slot in minutes.
    pub(super) const fn slot_minutes(self) -> i64 {
        match self {
            WindowSpan::FiveMinutes => 1,
            WindowSpan::Hour => 5,
            WindowSpan::Day => 60,
        }
    }

    /// How many slots make the window.
    const fn slots(self) -> i64 {
        match self {
            WindowSpan::FiveMinutes => 5,
            WindowSpan::Hour => 12,
            WindowSpan::Day => 24,
        }
    }

    /// The first minute of the window at that time: a window reaches from the start of a slot up to now.
    #[must_use]
    pub const fn first_minute(self, now: TimestampMs) -> i64 {
        let slot = now.0.div_euclid(MINUTE_MS).div_euclid(self.slot_minutes());
        (slot + 1 - self.slots()) * self.slot_minutes()
    }
}
