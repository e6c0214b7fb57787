//! The domain types of Swipeline and the whole of recommending as pure, synchronous code.
//!
//! Owns: events, items, interest, exposure, windows, recall, ranking, re-ranking, parameters and the wire types.
//! Must not: read a clock, a file or a socket, or know anything asynchronous. `now` and seeds are arguments, so that the
//! same code serves, replays a log and is simulated in tests.

pub mod baselines;
pub mod catalogue;
pub mod collaborative;
pub mod control;
pub mod degradation;
pub mod effect;
pub mod enrichment;
pub mod event;
pub mod experiment;
pub mod features;
pub mod ids;
pub mod index;
pub mod item;
pub mod learn;
pub mod learner;
pub mod new_items;
pub mod online;
pub mod params;
pub mod pipeline;
pub mod popularity;
pub mod rank;
pub mod recall;
pub mod rerank;
pub mod session;
pub mod streaming;
pub mod time;
pub mod train;
pub mod user;
pub mod wire;
pub mod world;
