//! Item actors: each owns the rolling popularity of one item with recent activity.

mod actor;
mod router;

pub(crate) use router::{ItemRouter, Recorded, ReplayedItems, publish_stored};
