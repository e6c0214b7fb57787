//! The learner in the serving path: corrects what the ranking model predicts by what has come of it lately.
//!
//! Owns, per objective: a calibration of the model (two numbers), a logistic correction on top of it (FTRL-proximal,
//! McMahan et al. 2013, "Ad click prediction: a view from the trenches") over the feature row and hashed crosses of viewer
//! and item, and the guard that decides which of them may speak. What is learned from was taken down when the item was
//! served. Must not know threads, clocks or storage: the caller brings samples in their order, and the same order gives
//! the same weights.

mod calibration;
mod correct;
mod explain;
mod ftrl;
mod guard;
mod inputs;
mod lanes;
mod model;
mod pending;
mod record;
mod report;
mod sample;
mod slots;
#[cfg(test)]
mod tests;
mod weights;

pub use correct::{Applied, Columns, correct};
pub use explain::explain_candidate;
pub use guard::{Level, OBJECTIVE_LEVELS};
pub use lanes::{LANES, Lanes};
pub use model::Learner;
pub use pending::{PENDING_ITEMS_MAX, PendingOutcomes};
pub use record::{HeaderRecord, LearnerRecordError};
pub use report::{LearnerReport, LearnerWeight, ObjectiveReport};
pub use sample::{Labels, RankedBy, Sample, ServedRow};
pub(crate) use slots::name_key;
pub use slots::{SLOT_SPACE, ViewerKeys};
pub use weights::{LearnerSlot, PAGE_COUNT, Published};
