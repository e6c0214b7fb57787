//! Doing less when there is too much to do: the levels, and the state machine that walks between them.
//!
//! Owns which level holds under which load. Must not measure anything nor know what a level does to a feed.

mod ladder;
mod level;

pub use ladder::{Ladder, Load, Measure, Reason, Transition};
pub use level::{LEVEL_COUNT, Level};
