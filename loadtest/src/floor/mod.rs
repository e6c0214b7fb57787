//! The floor: what the same frames cost on a bare WebSocket server that thinks nothing.
//!
//! Owns the echo, the frames and the measurement. No recommender on this stack can be cheaper than this.

mod frames;
mod measure;
mod server;

pub use frames::{FloorFrames, floor_frames};
pub use measure::{FloorConfig, FloorError, FloorRun, measure};
pub use server::serve;
