//! Item actors: each owns the rolling popularity of one item with recent activity.

mod actor;
mod included;
mod router;
mod stored;

pub(crate) use router::{ItemRouter, Recorded};
#[cfg(test)]
pub(crate) use stored::stored_likes;
pub(crate) use stored::{ReplayedItems, publish_stored};
