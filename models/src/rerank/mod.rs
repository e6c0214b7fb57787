//! Re-ranking: from scored candidates to the order of a slate.
//!
//! Owns freshness, diversity by author, category and similarity, where exploration goes, and shares of channels and
//! rules. Filling is greedy, slot by slot: each slot takes the candidate with the best score after penalties for what
//! stands in the slots before it (maximal marginal relevance, Carbonell and Goldstein 1998). Must not filter.

mod explore;
mod greedy;
#[cfg(test)]
mod greedy_tests;
mod parts;
mod shares;

pub use explore::{ExploreDraw, draw_exploration};
pub use greedy::{Move, Pick, RerankInput, RerankScratch, Rule, select};
pub use parts::{Part, share_slots};
pub use shares::{SHARE_GROUPS_MAX, ShareLimit, Shares};
