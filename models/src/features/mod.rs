//! Features: what the ranking model sees of a candidate.
//!
//! Owns the schema (which column means what) and the extraction (where the numbers come from). Must not rank.

mod extract;
pub mod schema;

pub(crate) use extract::freshness;
pub use extract::{FeatureContext, WordWeights};
