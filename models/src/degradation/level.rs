//! The levels by name and number.

use serde::{Deserialize, Serialize};

/// Number of [`Level`]s.
pub const LEVEL_COUNT: usize = 6;

/// How much is done for a feed, from everything to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// Everything.
    Full = 0,
    /// Fewer candidates are recalled and ranked.
    SmallerSet = 1,
    /// Those are ranked by the linear scorer.
    LinearRanker = 2,
    /// What is left of the viewer's own last candidates; no recall, no model.
    PrivateQueue = 3,
    /// What is popular in the viewer's region; no work on the session but what has been shown.
    RegionHot = 4,
    /// Feeds are refused; events are taken.
    Refused = 5,
}

impl Level {
    /// All levels, the best first.
    pub const ALL: [Level; LEVEL_COUNT] = [
        Level::Full,
        Level::SmallerSet,
        Level::LinearRanker,
        Level::PrivateQueue,
        Level::RegionHot,
        Level::Refused,
    ];

    /// The name in params, metrics and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Full => "full",
            Level::SmallerSet => "smaller_set",
            Level::LinearRanker => "linear_ranker",
            Level::PrivateQueue => "private_queue",
            Level::RegionHot => "region_hot",
            Level::Refused => "refused",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The level of that number; numbers that no level has mean the best.
    #[must_use]
    pub fn numbered(number: u8) -> Level {
        Level::ALL.get(usize::from(number)).copied().unwrap_or(Level::Full)
    }

    /// The next worse level; the worst stays.
    #[must_use]
    pub fn worse(self) -> Level {
        Level::ALL
            .get(usize::from(self.number()) + 1)
            .copied()
            .unwrap_or(Level::Refused)
    }

    /// The next better level; the best stays.
    #[must_use]
    pub fn better(self) -> Level {
        Level::numbered(self.number().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_by_name_and_number_and_their_neighbours_are_next_to_them() {
        for (number, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(level.number()), number);
            assert_eq!(Level::numbered(level.number()), level);
            assert_eq!(Level::named(level.name()), Some(level));
            assert_eq!(usize::from(level.worse().number()), (number + 1).min(LEVEL_COUNT - 1));
            assert_eq!(usize::from(level.better().number()), number.saturating_sub(1));
            let json = serde_json::to_value(level).expect("JSON");
            assert_eq!(json, level.name());
        }
        assert_eq!(Level::named("none"), None);
    }
}
