//! Symmetric positive definite matrices: their inverse, blocked and on several threads.
//!
//! Owns the arithmetic only. The result does not depend on the number of threads: every entry is computed by the same
//! operations in the same order, whoever computes it.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul, s};
use thiserror::Error;

/// Rows and columns that are swept at once.
const BLOCK: usize = 64;

/// The matrix is not positive definite, or not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the matrix is not positive definite (row {row}); a larger regularisation helps")]
pub struct NotPositiveDefinite {
    /// The row whose pivot is not positive.
    pub row: usize,
}

/// Inverts a symmetric positive definite matrix in place by block sweeps (Gauss-Jordan without pivoting, which positive
/// definite matrices do not need).
///
/// # Errors
/// A pivot is not positive.
///
/// # Panics
/// If the matrix is not square.
pub(crate) fn invert(matrix: &mut Array2<f32>, threads: usize) -> Result<(), NotPositiveDefinite> {
    assert_eq!(matrix.nrows(), matrix.ncols(), "only square matrices have an inverse");
    let size = matrix.nrows();
    for start in (0..size).step_by(BLOCK) {
        let end = (start + BLOCK).min(size);
        sweep(matrix, start, end, threads)?;
    }
    Ok(())
}

/// Exchanges the block `start..end` with its right-hand side: afterwards the matrix is the inverse on the swept blocks.
fn sweep(matrix: &mut Array2<f32>, start: usize, end: usize, threads: usize) -> Result<(), NotPositiveDefinite> {
    let pivot = invert_small(matrix.slice(s![start..end, start..end]), start)?;
    let mut pivot_rows = pivot.dot(&matrix.slice(s![start..end, ..]));
    pivot_rows.slice_mut(s![.., start..end]).assign(&pivot);
    let rows_per_thread = matrix.nrows().div_ceil(threads.max(1)).next_multiple_of(BLOCK);
    std::thread::scope(|scope| {
        for (part, rows) in matrix.axis_chunks_iter_mut(Axis(0), rows_per_thread).enumerate() {
            let (pivot, pivot_rows) = (pivot.view(), pivot_rows.view());
            let first_row = part * rows_per_thread;
            let work = move || eliminate(rows, first_row, start..end, pivot, pivot_rows);
            if threads > 1 {
                scope.spawn(work);
            } else {
                work();
            }
        }
    });
    matrix.slice_mut(s![start..end, ..]).assign(&pivot_rows);
    Ok(())
}

/// Subtracts the pivot rows from `rows`, one block of rows after the other; the pivot's own rows are left alone.
fn eliminate(
    mut rows: ArrayViewMut2<'_, f32>,
    first_row: usize,
    pivot_range: std::ops::Range<usize>,
    pivot: ArrayView2<'_, f32>,
    pivot_rows: ArrayView2<'_, f32>,
) {
    for (number, mut block) in rows.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
        if first_row + number * BLOCK == pivot_range.start {
            continue;
        }
        let factors = block.slice(s![.., pivot_range.clone()]).to_owned();
        general_mat_mul(-1.0, &factors, &pivot_rows, 1.0, &mut block);
        let mut own = block.slice_mut(s![.., pivot_range.clone()]);
        general_mat_mul(-1.0, &factors, &pivot, 0.0, &mut own);
    }
}

/// The inverse of a small block, in double precision.
fn invert_small(block: ArrayView2<'_, f32>, first_row: usize) -> Result<Array2<f32>, NotPositiveDefinite> {
    let size = block.nrows();
    let mut work = block.mapv(f64::from);
    for k in 0..size {
        let pivot = work[[k, k]];
        if !pivot.is_finite() || pivot <= 0.0 {
            return Err(NotPositiveDefinite { row: first_row + k });
        }
        work[[k, k]] = 1.0;
        work.row_mut(k).mapv_inplace(|entry| entry / pivot);
        for i in (0..size).filter(|i| *i != k) {
            let factor = work[[i, k]];
            work[[i, k]] = 0.0;
            for j in 0..size {
                work[[i, j]] -= factor * work[[k, j]];
            }
        }
    }
    Ok(work.mapv(|entry| entry as f32))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn positive_definite(size: usize) -> Array2<f32> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let factor = Array2::from_shape_fn((size, size), |_| random.random_range(-1.0..1.0_f32));
        let mut matrix = factor.dot(&factor.t());
        matrix.diag_mut().mapv_inplace(|entry| entry + size as f32 / 10.0);
        matrix
    }

    #[test]
    fn the_inverse_times_the_matrix_is_one_on_any_number_of_threads() {
        for size in [1, 63, 64, 65, 200] {
            let matrix = positive_definite(size);
            let mut inverse = matrix.clone();
            invert(&mut inverse, 1).expect("positive definite");
            let one = inverse.dot(&matrix);
            for ((row, column), entry) in one.indexed_iter() {
                let expected = if row == column { 1.0 } else { 0.0 };
                assert!((entry - expected).abs() < 1e-3, "{size}: [{row}, {column}] is {entry}");
            }
            let mut on_three = matrix.clone();
            invert(&mut on_three, 3).expect("positive definite");
            assert_eq!(inverse, on_three, "{size}");
        }
    }

    #[test]
    fn what_has_no_inverse_is_refused() {
        let mut singular = Array2::from_elem((70, 70), 1.0_f32);
        assert!(invert(&mut singular, 2).is_err());
        let mut not_finite = Array2::from_elem((2, 2), f32::NAN);
        assert_eq!(invert(&mut not_finite, 1), Err(NotPositiveDefinite { row: 0 }));
    }
}
