//! Users: what the outside says about a viewer (what the viewer does is in the session state).
//!
//! Owns the domain form of a profile. Must not hold anything learned.

use std::collections::BTreeMap;

use crate::event::ContextValue;
use crate::ids::{AuthorId, UserId};
use crate::time::TimestampMs;

/// The most tags a user may be registered with.
pub const USER_TAGS_MAX: usize = 256;
/// The most authors a user may follow.
pub const USER_FOLLOWS_MAX: usize = 10_000;

/// The most authors a user may block.
pub const USER_BLOCKS_MAX: usize = 10_000;
/// The most friends a user may have.
pub const USER_FRIENDS_MAX: usize = 1_000;

/// What the outside says about a viewer.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Tags given at registration.
    pub tags: Vec<String>,
    /// Where the viewer is.
    pub region: Option<String>,
    /// On what.
    pub device: Option<String>,
    /// Since when.
    pub registered_at: Option<TimestampMs>,
    /// The authors that the viewer follows; those that are known stay when this says nothing.
    pub follows: Option<Vec<AuthorId>>,
    /// The authors of whom the viewer wants to see nothing.
    pub blocks: Vec<AuthorId>,
    /// The users whose likes the viewer may see.
    pub friends: Vec<UserId>,
    /// What the viewer has cared for in the long run, by tag (or category), with a weight.
    pub long_term_tags: BTreeMap<String, f32>,
    /// The hours of the day (UTC) at which the viewer is mostly there.
    pub active_hours: Vec<u8>,
    /// Whatever else is known.
    pub attributes: BTreeMap<String, ContextValue>,
}
