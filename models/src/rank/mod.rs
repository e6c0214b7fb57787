//! The ranking stage: from feature rows to objectives, from objectives to one score.
//!
//! Owns the scorers (an ONNX model through tract, a linear fallback), the bundled model, hot swap and fusion. Must not
//! compute features, order a slate, or read a file or a clock.

pub mod error;
pub mod explain;
pub mod fusion;
mod kept;
pub mod linear;
pub mod mlp;
#[cfg(test)]
mod monotone;
pub mod objectives;
pub mod onnx;
pub mod onnx_check;
mod onnx_graph;
#[cfg(test)]
mod onnx_refusal_tests;
mod onnx_trace;
pub mod onnx_writer;
pub mod prior;
pub mod ranker;
pub mod slot;
mod warm_up;

pub use error::{ModelError, RankError};
pub use explain::{GroupExplanation, explain_groups};
pub use fusion::{FusionWeights, SUNK_SCORE};
pub use kept::KEPT_MODELS_MAX;
pub use linear::LinearRanker;
pub use objectives::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
pub use onnx::OnnxRanker;
pub use prior::bundled_ranker_bytes;
pub use ranker::{RankScratch, Ranker};
pub use slot::{ModelInfo, RankerSlot, ScoredBy, ServingModel};
