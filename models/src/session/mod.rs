//! What is known about one viewer: the state that a session actor owns.
//!
//! Owns: how an event changes what is known, what counts as shown, and the stored form of all of it. Must not know
//! actors, sockets or the journal; `now` comes from the caller.

mod affinity;
mod behaviour;
mod drift;
mod exposure;
mod features;
mod given;
mod habits;
mod interest;
mod memory;
mod observed;
mod profile;
mod rate;
mod recent_hashes;
mod served;
mod showing;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod windows;

pub use affinity::{Affinities, squash};
pub use behaviour::{Behaviour, BehaviourEffects, BehaviourSnapshot, Label};
pub use drift::{LearnedFusion, Stray};
pub use exposure::{EXACT_ITEMS, Exposure, ExposureSnapshot, LayerSnapshot};
pub use features::features_of;
pub use given::Given;
pub use habits::{HOURS, Habits, hour_of};
pub use interest::{Interest, blended_direction};
pub(crate) use memory::held;
pub use profile::profile_of;
pub use rate::RateBudget;
pub use recent_hashes::RecentHashes;
pub use served::{Served, ServedItem, VARIANT_UNKNOWN};
pub use showing::UNREPORTED_MAX;
pub use snapshot::SessionSnapshot;
pub use state::{Applied, EVENT_IDS_MAX, RECENT_ACTIONS_MAX, RecentAction, SessionState, signal_weight};
pub use windows::{SignalCounts, WINDOW_COUNT, WindowCounts, WindowSpan, Windows, WindowsSnapshot};
