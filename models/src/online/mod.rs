//! Learners that live: they predict an outcome first and learn from it afterwards.
//!
//! Owns the members (logistic, trees), their blend and the log they learn from again. Knows no features by
//! name, no clock, no file.

mod binner;
mod forest;
mod live;
mod logistic;
mod random;
mod replay;
mod scaler;
mod stack;

pub use binner::{BINS_MAX, Binner};
pub use forest::{BinnedRows, Forest, ForestParams};
pub use live::{ForestJob, LiveModel, LiveParams, LiveScratch, Prediction, Sample};
pub use logistic::{LOGISTIC_ROWS, LogisticSteps, OnlineLogistic};
pub use random::SplitMix;
pub use replay::{REPLAY_MAX, Replay};
pub(crate) use replay::{from_half, to_half};
pub use scaler::Scaler;
pub use stack::{MEMBER_COUNT, Members, Stack};
