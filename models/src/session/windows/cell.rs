//! A count of one signal in one slot of time, in 8 bytes.

use serde::{Deserialize, Serialize};

use super::WindowSpan;

/// A cell as one number, so that a scan compares one: slot's first minute, key, span of the slot, signal, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Cell(u64);

impl Cell {
    pub(super) fn new(minute: i64, key: u8, span: WindowSpan, signal: u8) -> Self {
        let minute = minute.div_euclid(span.slot_minutes()) * span.slot_minutes();
        let minute = u64::try_from(minute.max(0)).unwrap_or(0).min(u64::from(u32::MAX));
        Self(minute << 32 | u64::from(key) << 24 | (span as u64) << 20 | u64::from(signal & 0xF) << 16)
    }

    /// Everything but the count; the time stands first.
    pub(super) fn place(self) -> u64 {
        self.0 >> 16
    }

    pub(super) fn minute(self) -> i64 {
        (self.0 >> 32) as i64
    }

    pub(super) fn key(self) -> u8 {
        (self.0 >> 24 & 0xFF) as u8
    }

    pub(super) fn span(self) -> WindowSpan {
        match self.0 >> 20 & 0xF {
            0 => WindowSpan::FiveMinutes,
            1 => WindowSpan::Hour,
            _ => WindowSpan::Day,
        }
    }

    pub(super) fn signal(self) -> usize {
        (self.0 >> 16 & 0xF) as usize
    }

    pub(super) fn count(self) -> u16 {
        (self.0 & 0xFFFF) as u16
    }

    pub(super) fn plus(self, count: u16) -> Self {
        Self(self.place() << 16 | u64::from(self.count().saturating_add(count)))
    }
}
