//! The two inner loops of the index: int8 scores of 64 rows at once, and the `f32` dot product.
//!
//! Owns every line of `unsafe` in this crate. Must not: allocate, or give another result on another processor; every
//! kernel equals its portable twin bit for bit (property tests below), so a replay on another machine finds the same items.
//!
//! # Why the unsafe code is sound
//! * Calls of a `#[target_feature]` function from outside stand directly behind the run-time test for that feature, which
//!   is all that such a call asks for.
//! * Loads and stores go through references to arrays of exactly the size of the register, so the pointer is valid for
//!   that many bytes; the unaligned forms are used, so no alignment is assumed; all bit patterns are valid values.
//! * A prefetch is a hint: it reads and writes nothing and no address makes it fault.

#![allow(unsafe_code)]

/// Rows whose codes lie interleaved, so that one register holds the same components of many rows and no sum over a
/// register is ever needed.
pub(super) const LANES: usize = 16;

/// Consecutive components of one row that lie side by side: what one multiply-add instruction sums up.
pub(super) const QUAD: usize = 4;

/// Rows scored by one kernel call; one bit of the answer each.
pub(super) const CHUNK_ROWS: usize = 64;

/// Lines of 16 rows in a chunk.
const GROUPS: usize = CHUNK_ROWS / LANES;

/// One quad of components of [`LANES`] rows: row after row, one cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [i8; LANES * QUAD]);

/// Scores [`CHUNK_ROWS`] rows against a query: `scores[row] = (codes of the row · query) as f32 * scales[row]`. Bit `row`
/// of the answer is set when that score is above `threshold`.
///
/// `lines` holds, for each group of [`LANES`] rows, one line per quad of the query. Query codes must not be -128.
#[inline]
pub(super) fn score_chunk(
    lines: &[Line],
    query: &[[i8; QUAD]],
    scales: &[f32; CHUNK_ROWS],
    threshold: f32,
    scores: &mut [f32; CHUNK_ROWS],
) -> u64 {
    debug_assert_eq!(lines.len(), GROUPS * query.len());
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: avx2 was just detected.
        return unsafe { x86::score_chunk(lines, query, scales, threshold, scores) };
    }
    score_chunk_portable(lines, query, scales, threshold, scores)
}

/// The inner product of two vectors of the same length (the shorter one counts otherwise).
///
/// Sums in 32 interleaved accumulators in a fixed order, without fused multiply-add, so that the result does not depend
/// on the processor.
#[inline]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: avx2 was just detected.
        return unsafe { x86::dot_f32(a, b) };
    }
    dot_f32_portable(a, b)
}

fn score_chunk_portable(
    lines: &[Line],
    query: &[[i8; QUAD]],
    scales: &[f32; CHUNK_ROWS],
    threshold: f32,
    scores: &mut [f32; CHUNK_ROWS],
) -> u64 {
    let mut above = 0_u64;
    for (group, group_lines) in lines.chunks_exact(query.len()).take(GROUPS).enumerate() {
        let mut sums = [0_i32; LANES];
        for (line, quad) in group_lines.iter().zip(query) {
            for (sum, codes) in sums.iter_mut().zip(line.0.as_chunks::<QUAD>().0) {
                for component in 0..QUAD {
                    *sum += i32::from(codes[component]) * i32::from(quad[component]);
                }
            }
        }
        for (lane, sum) in sums.into_iter().enumerate() {
            let row = group * LANES + lane;
            scores[row] = sum as f32 * scales[row];
            above |= u64::from(scores[row] > threshold) << row;
        }
    }
    above
}

/// Accumulators of [`dot_f32`]: four registers of eight.
const DOT_LANES: usize = 32;

fn dot_f32_portable(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a_wide, a_tail) = a[..length].as_chunks::<DOT_LANES>();
    let (b_wide, b_tail) = b[..length].as_chunks::<DOT_LANES>();
    let mut sums = [0.0_f32; DOT_LANES];
    for (a, b) in a_wide.iter().zip(b_wide) {
        for lane in 0..DOT_LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let mut folded = [0.0_f32; 8];
    for (lane, sum) in folded.iter_mut().enumerate() {
        *sum = (sums[lane] + sums[lane + 8]) + (sums[lane + 16] + sums[lane + 24]);
    }
    finish_dot(folded, a_tail, b_tail)
}

/// Adds the last eight sums and the products of the components that filled no whole register; shared by both kernels.
#[inline]
fn finish_dot(sums: [f32; 8], a_tail: &[f32], b_tail: &[f32]) -> f32 {
    let wide = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    a_tail.iter().zip(b_tail).fold(wide, |sum, (a, b)| sum + a * b)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{CHUNK_ROWS, DOT_LANES, GROUPS, LANES, Line, QUAD, finish_dot};

    /// How far ahead codes are asked for. At a million rows the codes come from memory and this halves the time of a scan;
    /// in the cache it costs nothing that can be measured.
    const PREFETCH_BYTES: usize = 8_192;

    /// Rows whose 32-bit sums fill one register.
    const SUMS: usize = 8;

    #[target_feature(enable = "avx2")]
    pub(super) fn score_chunk(
        lines: &[Line],
        query: &[[i8; QUAD]],
        scales: &[f32; CHUNK_ROWS],
        threshold: f32,
        scores: &mut [f32; CHUNK_ROWS],
    ) -> u64 {
        let threshold = _mm256_set1_ps(threshold);
        let scales = scales.as_chunks::<SUMS>().0;
        let scores = scores.as_chunks_mut::<SUMS>().0;
        let mut above = 0_u64;
        for (group, group_lines) in lines.chunks_exact(query.len()).take(GROUPS).enumerate() {
            let mut sums = [_mm256_setzero_si256(); LANES / SUMS];
            for (line, quad) in group_lines.iter().zip(query) {
                prefetch(line);
                let quad = _mm256_set1_epi32(i32::from_ne_bytes(quad.map(|code| code as u8)));
                let halves = line.0.as_chunks::<32>().0;
                sums[0] = multiply_add(sums[0], load_codes(&halves[0]), quad);
                sums[1] = multiply_add(sums[1], load_codes(&halves[1]), quad);
            }
            for (half, sum) in sums.into_iter().enumerate() {
                let eight = group * (LANES / SUMS) + half;
                let score = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), load_floats(&scales[eight]));
                store_floats(&mut scores[eight], score);
                let bits = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(score, threshold));
                above |= u64::from(bits as u8) << (eight * SUMS);
            }
        }
        above
    }

    /// Adds to each 32-bit sum the four products of its row. `maddubs` wants one unsigned factor, so the sign of the
    /// row's code moves to the query's; |row| ≤ 128 and |query| ≤ 127 keep every pair within 16 bits (2·128·127 < 2^15).
    #[inline]
    #[target_feature(enable = "avx2")]
    fn multiply_add(sums: __m256i, codes: __m256i, quad: __m256i) -> __m256i {
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(quad, codes));
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        let length = a.len().min(b.len());
        let (a_wide, a_tail) = a[..length].as_chunks::<DOT_LANES>();
        let (b_wide, b_tail) = b[..length].as_chunks::<DOT_LANES>();
        let mut sums = [_mm256_setzero_ps(); 4];
        for (a, b) in a_wide.iter().zip(b_wide) {
            let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
            for register in 0..4 {
                let product = _mm256_mul_ps(load_floats(&a[register]), load_floats(&b[register]));
                sums[register] = _mm256_add_ps(sums[register], product);
            }
        }
        let folded = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let mut lanes = [0.0_f32; 8];
        store_floats(&mut lanes, folded);
        finish_dot(lanes, a_tail, b_tail)
    }

    #[inline]
    fn prefetch(line: &Line) {
        // SAFETY: sse is part of x86_64; a prefetch is a hint that reads nothing and accepts any address, and the address is
        // formed without leaving the rules for pointers (`wrapping_add`).
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().wrapping_add(PREFETCH_BYTES)) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_codes(codes: &[i8; 32]) -> __m256i {
        // SAFETY: the reference covers the 32 bytes that are read; the load needs no alignment.
        unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_floats(floats: &[f32; 8]) -> __m256 {
        // SAFETY: the reference covers the 32 bytes that are read; the load needs no alignment.
        unsafe { _mm256_loadu_ps(floats.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store_floats(floats: &mut [f32; 8], values: __m256) {
        // SAFETY: the exclusive reference covers the 32 bytes that are written; the store needs no alignment.
        unsafe { _mm256_storeu_ps(floats.as_mut_ptr(), values) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn chunk() -> impl Strategy<Value = (Vec<i8>, Vec<i8>)> {
        (1_usize..40).prop_flat_map(|quads| {
            (
                vec(any::<i8>(), quads * QUAD * CHUNK_ROWS),
                vec(-127_i8..=127, quads * QUAD),
            )
        })
    }

    proptest! {
        #[test]
        fn the_score_kernel_equals_the_sum_over_components(
            (codes, query) in chunk(),
            scales in vec(0.0_f32..0.01, CHUNK_ROWS),
            threshold in -50.0_f32..50.0,
        ) {
            let lines: Vec<Line> = codes.as_chunks::<64>().0.iter().map(|&codes| Line(codes)).collect();
            let quads = query.as_chunks::<QUAD>().0;
            let scales: &[f32; CHUNK_ROWS] = scales.first_chunk().expect("as many scales as rows");
            let mut scores = [0.0; CHUNK_ROWS];
            let above = score_chunk(&lines, quads, scales, threshold, &mut scores);
            let mut portable_scores = [0.0; CHUNK_ROWS];
            let portable_above = score_chunk_portable(&lines, quads, scales, threshold, &mut portable_scores);
            prop_assert_eq!(scores, portable_scores);
            prop_assert_eq!(above, portable_above);
            for row in 0..CHUNK_ROWS {
                let sum: i32 = (0..query.len())
                    .map(|component| {
                        let line = &lines[(row / LANES) * quads.len() + component / QUAD];
                        let code = line.0[(row % LANES) * QUAD + component % QUAD];
                        i32::from(code) * i32::from(query[component])
                    })
                    .sum();
                prop_assert_eq!(scores[row], sum as f32 * scales[row]);
                prop_assert_eq!(above >> row & 1 == 1, scores[row] > threshold);
            }
        }

        #[test]
        fn the_dot_kernel_equals_its_portable_twin_bit_for_bit(pairs in vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..200)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let dot = dot_f32(&a, &b);
            prop_assert_eq!(dot.to_bits(), dot_f32_portable(&a, &b).to_bits());
            let reference: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            prop_assert!((f64::from(dot) - reference).abs() < 1e-4, "{} is not {}", dot, reference);
        }
    }

    #[test]
    fn extreme_codes_do_not_saturate() {
        let lines = [Line([-128; 64]); GROUPS * 2];
        let mut scores = [0.0; CHUNK_ROWS];
        for code in [127_i8, -127] {
            let above = score_chunk(&lines, &[[code; QUAD]; 2], &[1.0; CHUNK_ROWS], 0.0, &mut scores);
            assert_eq!(scores, [-128.0 * f32::from(code) * 8.0; CHUNK_ROWS]);
            assert_eq!(above, if code < 0 { u64::MAX } else { 0 });
        }
    }

    #[test]
    fn vectors_of_different_lengths_count_as_long_as_the_shorter() {
        assert_eq!(dot_f32(&[1.0, 2.0, 3.0], &[4.0, 5.0]), 14.0);
        assert_eq!(dot_f32(&[], &[4.0]), 0.0);
    }
}
