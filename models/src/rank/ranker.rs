//! The one trait behind which every scorer stands, and the scratch memory that a thread lends to it.
//!
//! Must not know any particular scorer, nor how objectives are fused.

use super::error::RankError;
use super::objectives::ObjectiveRow;
use crate::features::schema::FEATURE_COUNT;

/// Most rows that one scoring call takes; a slate is chosen among a few hundred candidates, so this is far away.
pub const RANK_ROWS_MAX: usize = 16_384;

/// Predicts the objectives of candidates from their feature rows. Shared by all session threads.
pub trait Ranker: Send + Sync {
    /// Name of the kind of scorer, for metrics and `explain`.
    fn name(&self) -> &str;

    /// Version of the weights.
    fn version(&self) -> &str;

    /// Scores `n` rows of [`FEATURE_COUNT`] features (row-major) into `out`, which is cleared first and then holds `n`
    /// rows with every value finite and in [0, 1]. On an error `out` is empty.
    fn score(
        &self,
        rows: &[f32],
        n: usize,
        out: &mut Vec<ObjectiveRow>,
        scratch: &mut RankScratch,
    ) -> Result<(), RankError>;
}

/// Memory that a thread keeps between scoring calls. It carries no meaning from one call to the next.
#[derive(Debug, Default)]
pub struct RankScratch {
    /// Activations of the hidden layers of a network computed in plain Rust.
    pub(crate) activations: Vec<f32>,
    /// The other half of the same ping-pong.
    pub(crate) activations_next: Vec<f32>,
}

impl RankScratch {
    /// Empty scratch; it grows with the first calls.
    pub fn new() -> RankScratch {
        RankScratch::default()
    }
}

/// Checks that `rows` are `n` feature rows and that `n` is within [`RANK_ROWS_MAX`].
pub(crate) fn check_rows(rows: &[f32], n: usize) -> Result<(), RankError> {
    if n > RANK_ROWS_MAX {
        return Err(RankError::TooManyRows {
            rows: n,
            rows_max: RANK_ROWS_MAX,
        });
    }
    if rows.len() != n * FEATURE_COUNT {
        return Err(RankError::RowShape {
            values: rows.len(),
            rows: n,
            width: FEATURE_COUNT,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_must_fill_the_announced_shape() {
        let rows = vec![0.0; 2 * FEATURE_COUNT];
        assert_eq!(check_rows(&rows, 2), Ok(()));
        assert_eq!(check_rows(&[], 0), Ok(()));
        assert!(matches!(check_rows(&rows, 3), Err(RankError::RowShape { rows: 3, .. })));
        assert!(matches!(
            check_rows(&rows[1..], 2),
            Err(RankError::RowShape { values: 63, .. })
        ));
        // A count whose product would overflow must be an answer, too.
        assert!(matches!(
            check_rows(&rows, usize::MAX),
            Err(RankError::TooManyRows { .. })
        ));
    }
}
