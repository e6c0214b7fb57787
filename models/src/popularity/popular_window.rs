//! The windows that trending lists are made for, and their names on the wire.
//!
//! Owns nothing but names. Must not know how a list is made.

use super::windows::{WINDOW_COUNT, WindowSpan};

/// Number of [`PopularWindow`]s.
pub(super) const POPULAR_WINDOW_COUNT: usize = WINDOW_COUNT + 1;

/// Over which time a list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum PopularWindow {
    /// The last 5 minutes.
    FiveMinutes = 0,
    /// The last hour.
    Hour = 1,
    /// The last day.
    Day = 2,
    /// The last 7 days.
    Week = 3,
    /// All time, the recent first: decayed popularity. Scores are its binary logarithm as of the lists' making, so that
    /// an imported log of long ago still has an order.
    AllTime = 4,
}

impl PopularWindow {
    /// All of them, the shortest first.
    pub const ALL: [PopularWindow; POPULAR_WINDOW_COUNT] = [
        PopularWindow::FiveMinutes,
        PopularWindow::Hour,
        PopularWindow::Day,
        PopularWindow::Week,
        PopularWindow::AllTime,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PopularWindow::FiveMinutes => "5m",
            PopularWindow::Hour => "1h",
            PopularWindow::Day => "24h",
            PopularWindow::Week => "7d",
            PopularWindow::AllTime => "all",
        }
    }

    /// The window of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }
}

impl From<WindowSpan> for PopularWindow {
    fn from(span: WindowSpan) -> Self {
        match span {
            WindowSpan::FiveMinutes => PopularWindow::FiveMinutes,
            WindowSpan::Hour => PopularWindow::Hour,
            WindowSpan::Day => PopularWindow::Day,
            WindowSpan::Week => PopularWindow::Week,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for window in PopularWindow::ALL {
            assert_eq!(PopularWindow::from_name(window.name()), Some(window));
        }
        assert_eq!(PopularWindow::from_name("2h"), None);
        let spans = WindowSpan::ALL.map(|span| PopularWindow::from(span) as usize);
        assert_eq!(spans, [0, 1, 2, 3]);
    }
}
