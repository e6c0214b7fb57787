//! The open-loop plan: when swipes happen, whatever the server does.
//!
//! Owns arrivals, the course of the rate, and the hand-over of each planned swipe to its viewer. Must not know the server.

mod arrivals;
mod dispatch;
mod profile;

pub use arrivals::{Arrivals, Plan, PlannedSwipe};
pub use dispatch::{DispatchTotals, dispatch_in_thread, dispatch_in_tokio};
pub use profile::RateProfile;
