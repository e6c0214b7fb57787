//! `swipeline train`: from a served log, or a file of samples, to a ranking model that the server loads.
//!
//! Owns where samples come from ([`join`], [`file`]), the check of what is written ([`ranker`]) and the words of the
//! report ([`table`]). How a network learns and how it is judged is `swipeline_models::train`'s matter.

pub(crate) mod embeddings;
mod file;
mod join;
pub(crate) mod ranker;
pub(crate) mod table;

pub(crate) use file::{SAMPLES_MAX, SampleLine, read_samples};
pub(crate) use join::{Join, JoinCounts};
