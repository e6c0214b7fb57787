//! What feeds achieve: counts by time, channel, category, variant, position and region.
//!
//! Owns: cells, the rings of time slots that hold them for up to 30 days, grouping and the stored form. Must not know
//! locks, journals or who asks; times come from the caller.

mod counts;
mod key;
mod levels;
mod names;
mod question;
#[cfg(test)]
mod question_tests;
mod slot;
mod stored;

pub use counts::{Counts, Happening};
pub use key::{CellKey, Dimension, POSITION_UNKNOWN, position_bucket};
pub use levels::{Level, Levels};
pub use names::{Code, NO_NAME, Names, OTHER_NAME};
pub use question::{Answer, Filter, GROUPS_MAX, Group, Question, StatsWindow, Vocabulary, answer};
pub use slot::Slot;
pub use stored::StoredSlot;
