//! Streaming features: counts, believed rates and their crosses, kept up to date by every outcome.
//!
//! Owns the state ([`StreamingFeatures`] shared by all, [`ViewerFeatures`] per viewer) and the schema of the row. Reads no
//! clock, and does not know what is predicted from the row.

mod bounded_table;
mod extract;
mod factors;
mod identity;
mod outcome;
mod rates;
mod shared;
mod update;
mod viewer;

pub use bounded_table::{BoundedTable, cross, mix};
pub use extract::{column_names, expectations, extract};
pub use factors::{FACTOR_DIMS, Factor};
pub use identity::identities;
pub use outcome::{
    ATTRIBUTES_MAX, DURATION_BUCKETS, Impression, LABEL_COUNT, LABEL_NAMES, LANE_COUNT, Lane, LaneRow, TAGS_MAX,
    WATCH_RATIO_MAX, bounded, duration_bucket,
};
pub use rates::{DecayedCell, LiftCell, RateCell, combine, logit, sigmoid};
pub use shared::{
    ITEM_HALF_LIVES_MS, ITEMS_MAX, ItemState, KEYS_MAX, KeyKind, KeyState, Levels, StreamingFeatures, hour_of_day,
};
pub use update::{learn, warm};
pub use viewer::{
    Affinities, Affinity, HORIZONS, RecentItem, SESSION_GAP_MS, VIEWER_AUTHORS_MAX, VIEWER_HALF_LIFE_MS,
    VIEWER_RECENT_MAX, VIEWER_SURFACES_MAX, VIEWER_TAGS_MAX, ViewCell, ViewerFeatures,
};
