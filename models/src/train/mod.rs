//! Training of the ranker, and the judgement of what was trained.
//!
//! Owns the samples (a feature row as it was served, with what came of it), the network's gradients, the optimiser, the
//! time-ordered split, the report, the off-policy estimates, and item embeddings from behaviour. Pure and seeded: the same samples and options give the
//! same bytes. Must not read files, join logs, or serve: `features` makes the rows, `rank` runs what comes out.

mod adam;
pub mod embeddings;
mod fit;
pub mod measure;
mod network;
pub mod off_policy;
pub mod ranking_value;
mod sample;
mod standardise;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use fit::{EpochLosses, SAMPLES_MIN, TrainError, TrainOptions, TrainedRanker, train_ranker};
pub use measure::{ObjectiveReport, report_on};
pub use sample::{Labels, Sample, Split};
