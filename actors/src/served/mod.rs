//! The served log: what viewers were served, by which feature rows, with which chance. What training learns from.
//!
//! Owns the record and its encoding ([`record`]), the queue ([`served_log`]) and the thread that writes ([`writer`]), and how training
//! reads it back beside the journal's outcomes ([`history`]). Must not slow a feed down: a session hands over one small
//! value per slate, or drops and counts it when the queue is full.

mod history;
mod record;
mod served_log;
mod writer;

pub use history::{HistoryError, Outcome, ServedHistory};
pub use record::{ServedItemRecord, ServedSlateRecord};
pub(crate) use served_log::{ServedLog, ServedSlate, ServedSlot};
