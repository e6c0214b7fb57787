//! What counts as a vector: dimension, finiteness, unit length, and its int8 form.
//!
//! Owns the validation that every vector passes on its way in. Must not store anything.

use thiserror::Error;

/// Largest accepted number of components; keeps every int8 dot product far inside an `i32`.
pub const DIMENSION_MAX: usize = 4_096;

/// Number of catalogue rows that an index can address; a wild row number must not allocate a huge block table.
pub const ROWS_MAX: u32 = 1 << 26;

/// Largest magnitude of an int8 code. -128 is never produced, so that a code can always be negated.
const CODE_MAX: f32 = 127.0;

/// Why a vector was refused.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum VectorError {
    /// The index was asked for with a dimension that it cannot have.
    #[error("a dimension of {0} is not between 1 and {DIMENSION_MAX}")]
    DimensionUnsupported(usize),
    /// The vector has another number of components than the index.
    #[error("the vector has {found} components, the index has {expected}")]
    WrongDimension {
        /// Components of every vector of this index.
        expected: usize,
        /// Components of the refused vector.
        found: usize,
    },
    /// A component is NaN or infinite.
    #[error("component {component} of the vector is not finite")]
    NotFinite {
        /// Position of the first such component.
        component: usize,
    },
    /// All components are zero, so the vector has no direction.
    #[error("the vector is zero and has no direction")]
    ZeroVector,
    /// The row number is beyond what an index addresses.
    #[error("row {0} is not below {ROWS_MAX}")]
    RowOutOfRange(u32),
}

/// Writes `vector` scaled to length 1 into `unit`, which must be as long as the index's dimension.
///
/// The length is taken in `f64`, where the square of no finite `f32` overflows or vanishes.
///
/// # Errors
/// [`VectorError`] when the vector has another length than `unit`, is zero, or has a component that is not finite.
pub fn normalise(vector: &[f32], unit: &mut [f32]) -> Result<(), VectorError> {
    if vector.len() != unit.len() {
        return Err(VectorError::WrongDimension {
            expected: unit.len(),
            found: vector.len(),
        });
    }
    if let Some(component) = vector.iter().position(|value| !value.is_finite()) {
        return Err(VectorError::NotFinite { component });
    }
    let squared_norm: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    if squared_norm == 0.0 {
        return Err(VectorError::ZeroVector);
    }
    let inverse_norm = squared_norm.sqrt().recip();
    for (target, &value) in unit.iter_mut().zip(vector) {
        *target = (f64::from(value) * inverse_norm) as f32;
    }
    Ok(())
}

/// The factor by which the int8 codes of `unit` are multiplied to give back its components.
pub(super) fn quantisation_scale(unit: &[f32]) -> f32 {
    let largest = unit.iter().fold(0.0_f32, |largest, &value| largest.max(value.abs()));
    largest / CODE_MAX
}

/// The int8 code of one component under a scale from [`quantisation_scale`].
pub(super) fn quantise(value: f32, inverse_scale: f32) -> i8 {
    (value * inverse_scale).round().clamp(-CODE_MAX, CODE_MAX) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vector: &[f32], expected: Result<[f32; 2], VectorError>) {
        let mut unit = [0.0; 2];
        assert_eq!(normalise(vector, &mut unit).map(|()| unit), expected, "{vector:?}");
    }

    #[test]
    fn vectors_are_scaled_to_length_one_or_refused_with_the_reason() {
        check(&[3.0, 4.0], Ok([0.6, 0.8]));
        check(&[-2.0, 0.0], Ok([-1.0, 0.0]));
        check(&[0.0, 0.0], Err(VectorError::ZeroVector));
        check(&[0.0, -0.0], Err(VectorError::ZeroVector));
        check(&[1.0, f32::NAN], Err(VectorError::NotFinite { component: 1 }));
        check(&[f32::NEG_INFINITY, 1.0], Err(VectorError::NotFinite { component: 0 }));
        check(&[1.0], Err(VectorError::WrongDimension { expected: 2, found: 1 }));
        check(&[1.0; 3], Err(VectorError::WrongDimension { expected: 2, found: 3 }));
    }

    #[test]
    fn extreme_magnitudes_neither_overflow_nor_vanish() {
        check(&[f32::MAX, 0.0], Ok([1.0, 0.0]));
        check(&[0.0, f32::from_bits(1)], Ok([0.0, 1.0]));
    }

    #[test]
    fn codes_span_the_int8_range_symmetrically() {
        let unit = [0.8_f32, -0.8, 0.0, 0.4];
        let inverse_scale = quantisation_scale(&unit).recip();
        assert_eq!(unit.map(|value| quantise(value, inverse_scale)), [127, -127, 0, 64]);
    }
}
