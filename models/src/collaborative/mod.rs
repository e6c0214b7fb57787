//! Collaborative recall: what viewers who did the same did next.
//!
//! Owns: incremental item-item co-engagement (`co_visits`), nearest sessions (`session_knn`), a linear model of both
//! (`linear`, fitted beside the requests), and how far back a request looks (`profile`); all are updated by positive
//! events and read by all threads at once. Must not: read a clock, know viewers beyond what is passed in, or
//! hold a lock while anything is computed.

mod co_visit_row;
mod co_visits;
#[cfg(test)]
mod co_visits_tests;
mod dirty_pages;
mod linear;
mod posting;
mod profile;
mod session_knn;
#[cfg(test)]
mod session_knn_tests;
mod session_slot;
mod similar_sessions;
mod similar_users;
mod sparse_scores;
pub(crate) mod symmetric;

pub use co_visit_row::{CO_VISIT_NEIGHBOURS_MAX, CoVisitNeighbour, CoVisitRow};
pub use co_visits::{CoVisits, QUERY_ITEMS_MAX, RECENT_ITEMS_MAX, RecentItem, RecentScratch};
pub use linear::{LinearModel, LinearSlot};
pub use posting::ITEM_SESSIONS_MAX;
pub use profile::{PROFILE_COUNT, ProfileChoice, ProfileRecord};
pub use session_knn::{KnnScratch, SESSIONS_MAX, SessionKnn};
pub use session_slot::{SESSION_ITEMS_MAX, SessionKey, SessionRecord};
pub use similar_users::{SimilarUsers, USERS_MAX};
pub use symmetric::NotPositiveDefinite;
