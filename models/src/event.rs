//! Events: what a viewer did with an item.
//!
//! Owns the kinds of signals and their sense (positive, negative, strong). Must not know wire formats or weights that
//! can be tuned (those are in `params`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, ItemId, UserId};
use crate::time::TimestampMs;

/// Number of [`Signal`]s.
pub const SIGNAL_COUNT: usize = 12;

/// What a viewer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Signal {
    /// The item was on the screen.
    Impression = 0,
    /// The item was watched for a while (`watch_ms`).
    View = 1,
    /// Liked.
    Like = 2,
    /// A like taken back.
    Unlike = 3,
    /// Swiped away.
    Skip = 4,
    /// Sent to somebody.
    Share = 5,
    /// Commented on.
    Comment = 6,
    /// Kept for later.
    Favorite = 7,
    /// The item's author is followed from now on.
    Follow = 8,
    /// Watched to the end.
    Complete = 9,
    /// "Not interested".
    Dislike = 10,
    /// Reported as bad.
    Report = 11,
}

impl Signal {
    /// All signals, in the order of their numbers.
    pub const ALL: [Signal; SIGNAL_COUNT] = [
        Signal::Impression,
        Signal::View,
        Signal::Like,
        Signal::Unlike,
        Signal::Skip,
        Signal::Share,
        Signal::Comment,
        Signal::Favorite,
        Signal::Follow,
        Signal::Complete,
        Signal::Dislike,
        Signal::Report,
    ];

    /// The signal's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Signal::Impression => "impression",
            Signal::View => "view",
            Signal::Like => "like",
            Signal::Unlike => "unlike",
            Signal::Skip => "skip",
            Signal::Share => "share",
            Signal::Comment => "comment",
            Signal::Favorite => "favorite",
            Signal::Follow => "follow",
            Signal::Complete => "complete",
            Signal::Dislike => "dislike",
            Signal::Report => "report",
        }
    }

    /// The signal of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// The signal of that number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Signal> {
        Signal::ALL.get(usize::from(number)).copied()
    }

    /// Whether the signal is answered by a fresh feed at once: everything except `impression` and `view`.
    #[must_use]
    pub fn is_strong(self) -> bool {
        !matches!(self, Signal::Impression | Signal::View)
    }

    /// Whether the signal says that the viewer wants more of this.
    #[must_use]
    pub fn is_positive(self) -> bool {
        matches!(
            self,
            Signal::Like | Signal::Share | Signal::Comment | Signal::Favorite | Signal::Follow | Signal::Complete
        )
    }

    /// Whether the signal says that the viewer wants less of this.
    #[must_use]
    pub fn is_negative(self) -> bool {
        matches!(self, Signal::Skip | Signal::Dislike | Signal::Report)
    }
}

/// One thing that one viewer did with one item at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The client's name for the event, if it gave one; the same name twice counts once.
    pub event_id: Option<EventId>,
    /// Who.
    pub user: UserId,
    /// With what.
    pub item: ItemId,
    /// What.
    pub signal: Signal,
    /// When, by the client's word or, without one, by the server's clock at arrival.
    pub at: TimestampMs,
    /// How long the item was watched, in milliseconds.
    pub watch_ms: Option<u32>,
    /// At which position of the feed the item stood.
    pub position: Option<u32>,
    /// The feed that the item came from.
    pub request_id: Option<String>,
    /// Whatever else the client wants to have kept with the event.
    pub context: BTreeMap<String, ContextValue>,
}

/// A value of an attribute or of an event's context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum ContextValue {
    /// True or false.
    Flag(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
}
