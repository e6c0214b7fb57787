//! Collaborative recall: what viewers who did the same did next.
//!
//! Owns: incremental item-item co-engagement (`co_visits`) and nearest sessions (`session_knn`), both updated by every
//! positive event and read by all threads at once. Must not: read a clock, know viewers beyond what is passed in, or
//! hold a lock while anything is computed.

mod co_visit_row;
mod co_visits;
#[cfg(test)]
mod co_visits_tests;
mod posting;
mod session_knn;
#[cfg(test)]
mod session_knn_tests;
mod session_slot;
mod sparse_scores;

pub use co_visit_row::{CO_VISIT_NEIGHBOURS_MAX, CoVisitNeighbour, CoVisitRow};
pub use co_visits::{CoVisits, RecentItem, RecentScratch};
pub use posting::ITEM_SESSIONS_MAX;
pub use session_knn::{EVOLVING_ITEMS_MAX, KnnScratch, SESSIONS_MAX, SessionKnn};
pub use session_slot::{SESSION_ITEMS_MAX, SessionKey, SessionRecord};
