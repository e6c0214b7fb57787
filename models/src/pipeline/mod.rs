//! The pipeline: from a viewer's state to a slate.
//!
//! Owns the order of the stages and the report of what each did. The stages themselves live in `recall`, `features`,
//! `rank` and `rerank`. Must not change anything shared or anything of the viewer but the candidate pool.

mod arrange;
mod ask;
#[cfg(test)]
mod behaviour_tests;
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod drift_tests;
#[cfg(test)]
mod effort_tests;
mod explain;
#[cfg(test)]
mod exposure_tests;
mod first_slots;
#[cfg(test)]
mod first_slots_tests;
#[cfg(test)]
mod learner_tests;
mod prerank;
mod private_queue;
mod query;
mod refill;
mod region_hot;
mod run;
mod score;
mod scratch;
mod slate;
mod taste;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use explain::explain_item;
pub use private_queue::{PrivateQueue, QueueStamp};
pub use query::{Clock, Effort, Query, RequestContext};
pub use region_hot::add_region_hot;
pub use run::{rank_items, run};
pub use scratch::Scratch;
pub use slate::{ChannelReport, Degraded, RecallCause, Refill, Report, STAGE_COUNT, Slate, SlateItem, Stage, Trouble};
pub use taste::Taste;
pub(crate) use taste::cosine;
