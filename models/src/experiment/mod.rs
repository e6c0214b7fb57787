//! Layered A/B experiments: who is in which variant, what each variant's viewers did, and what that says.
//!
//! Owns: the assignment (a salted hash, nothing is stored for it), the sums per variant with viewers as units, and the
//! statistics over them. Must not know sessions, actors or where sums are stored; `now` comes from the caller.

mod arms;
mod estimate;
mod math;
mod metric;
mod plan;
#[cfg(test)]
mod plan_tests;
mod report;
mod sample_ratio;
mod sequential;
#[cfg(test)]
mod sequential_tests;
mod units;

pub use arms::{ARMS_MAX, ArmTable, StoredArm};
pub use estimate::{PairSums, RatioEstimate};
pub use math::{chi_square_tail, ln_gamma, normal_quantile, normal_two_sided};
pub use metric::{METRIC_COUNT, Metric};
pub use plan::{Choice, Plan, VARIANT_DEFAULT, ViewerVariant, WishError};
pub use report::report_of;
pub use sample_ratio::{SampleRatio, sample_ratio};
pub use sequential::{Sequential, sequential};
pub use units::{ArmSums, UNIT_TOTALS, UnitLedger, UnitTotals};
