//! The exact index as bytes, so that a restart reads vectors instead of embedding items again.
//!
//! Owns the format: a header, then every block that holds rows, each with its own checksum. Only the live `f32` rows are
//! written; the int8 codes follow from them in less time than reading them would take, and cannot contradict them. Must
//! not trust what it reads: lengths are derived from checked headers, and a damaged block is an error, never a panic.
//!
//! Little-endian. Header: magic, version u32, dimension u32, blocks u32, live rows u64, xxh3 u64 of what precedes. Block:
//! number u32, one bit per live row (120 bytes), the rows' vectors in `f32`, xxh3 u64 of what precedes in the block.

use std::io::{ErrorKind, Read, Write};

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::VectorIndex;
use super::block::{BLOCK_ROWS, CHUNKS};
use super::exact::ExactIndex;
use super::vector::{ROWS_MAX, VectorError};

const MAGIC: [u8; 4] = *b"SWVX";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 8;
const BLOCK_HEAD_BYTES: usize = 4 + CHUNKS * 8;

/// How far the squared length of a stored vector may be from 1.
const SQUARED_NORM_TOLERANCE: f32 = 1e-3;

/// Why bytes are not an index.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Reading or writing failed.
    #[error("the vectors could not be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes end too early.
    #[error("the vectors end before they are complete")]
    Truncated,
    /// The bytes are something else.
    #[error("this is not a file of vectors")]
    NotVectors,
    /// Written by a version that this one does not know.
    #[error("version {found} of the vector format is not the supported {VERSION}")]
    Version {
        /// The version in the header.
        found: u32,
    },
    /// A checksum does not match, or the parts contradict each other.
    #[error("the vectors are damaged: {0}")]
    Damaged(&'static str),
    /// The header names a dimension that no index can have.
    #[error(transparent)]
    Vector(#[from] VectorError),
}

/// Writes all live rows.
///
/// # Errors
/// [`CodecError::Io`] when the writer fails.
pub fn encode(index: &ExactIndex, writer: &mut dyn Write) -> Result<(), CodecError> {
    let filled = index.blocks().iter().filter(|block| !block.is_empty()).count();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + CHECKSUM_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((index.dim() as u32).to_le_bytes());
    bytes.extend((filled as u32).to_le_bytes());
    bytes.extend((index.len() as u64).to_le_bytes());
    write_checked(&mut bytes, writer)?;
    for (number, block) in index.blocks().iter().enumerate().filter(|(_, block)| !block.is_empty()) {
        bytes.extend((number as u32).to_le_bytes());
        (0..CHUNKS).for_each(|chunk| bytes.extend(block.live_bits(chunk).to_le_bytes()));
        for unit in (0..BLOCK_ROWS).filter_map(|row| block.unit(row)) {
            append_floats(&mut bytes, unit);
        }
        write_checked(&mut bytes, writer)?;
    }
    Ok(())
}

/// Reads what [`encode`] wrote; stops behind the last block and leaves the rest of the reader alone.
///
/// # Errors
/// [`CodecError`] says whether the bytes are foreign, too new, cut off or damaged. No partial index is returned.
pub fn decode(reader: &mut dyn Read) -> Result<ExactIndex, CodecError> {
    let mut header = Vec::new();
    read_exactly(reader, &mut header, HEADER_BYTES + CHECKSUM_BYTES)?;
    if header[..4] != MAGIC {
        return Err(CodecError::NotVectors);
    }
    let version = u32_at(&header, 4);
    if version != VERSION {
        return Err(CodecError::Version { found: version });
    }
    verify(&header, "the header's checksum does not match")?;
    let mut index = ExactIndex::new(u32_at(&header, 8) as usize)?;
    let mut first_free_block = 0;
    let mut bytes = Vec::new();
    for _ in 0..u32_at(&header, 12) {
        first_free_block = 1 + decode_block(reader, &mut bytes, first_free_block, &mut index)?;
    }
    if index.len() as u64 != u64_at(&header, 16) {
        return Err(CodecError::Damaged("the number of rows is not the one in the header"));
    }
    Ok(index)
}

/// Reads one block into the index and returns its number, which must be at least `number_min`.
fn decode_block(
    reader: &mut dyn Read,
    bytes: &mut Vec<u8>,
    number_min: u32,
    index: &mut ExactIndex,
) -> Result<u32, CodecError> {
    bytes.clear();
    read_exactly(reader, bytes, BLOCK_HEAD_BYTES)?;
    let number = u32_at(bytes, 0);
    let mut live = [0_u64; CHUNKS];
    for (chunk, bits) in live.iter_mut().enumerate() {
        *bits = u64_at(bytes, 4 + chunk * 8);
    }
    let rows: usize = live.iter().map(|bits| bits.count_ones() as usize).sum();
    read_exactly(reader, bytes, rows * index.dim() * 4 + CHECKSUM_BYTES)?;
    verify(bytes, "the checksum of a block does not match")?;
    if number < number_min || number > ROWS_MAX / BLOCK_ROWS as u32 {
        return Err(CodecError::Damaged("a block is out of order"));
    }
    let mut unit = vec![0.0_f32; index.dim()];
    let mut vectors = bytes[BLOCK_HEAD_BYTES..bytes.len() - CHECKSUM_BYTES].chunks_exact(unit.len() * 4);
    for row in (0..BLOCK_ROWS).filter(|row| live[row / 64] >> (row % 64) & 1 == 1) {
        let Some(components) = vectors.next() else {
            return Err(CodecError::Truncated);
        };
        for (component, bytes) in unit.iter_mut().zip(components.as_chunks::<4>().0) {
            *component = f32::from_le_bytes(*bytes);
        }
        let squared_norm = super::dot_f32(&unit, &unit);
        // Written so that a NaN is damage as well.
        let is_unit = (squared_norm - 1.0).abs() <= SQUARED_NORM_TOLERANCE;
        if !is_unit {
            return Err(CodecError::Damaged("a vector does not have length 1"));
        }
        index.set(number * BLOCK_ROWS as u32 + row as u32, &unit);
    }
    Ok(number)
}

fn append_floats(bytes: &mut Vec<u8>, floats: &[f32]) {
    let start = bytes.len();
    bytes.resize(start + floats.len() * 4, 0);
    for (target, float) in bytes[start..].as_chunks_mut::<4>().0.iter_mut().zip(floats) {
        *target = float.to_le_bytes();
    }
}

fn write_checked(bytes: &mut Vec<u8>, writer: &mut dyn Write) -> Result<(), CodecError> {
    bytes.extend(xxh3_64(bytes).to_le_bytes());
    writer.write_all(bytes)?;
    bytes.clear();
    Ok(())
}

fn verify(bytes: &[u8], problem: &'static str) -> Result<(), CodecError> {
    let (content, _) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if xxh3_64(content) == u64_at(bytes, content.len()) {
        Ok(())
    } else {
        Err(CodecError::Damaged(problem))
    }
}

/// Appends `count` bytes of the reader.
fn read_exactly(reader: &mut dyn Read, bytes: &mut Vec<u8>, count: usize) -> Result<(), CodecError> {
    let start = bytes.len();
    bytes.resize(start + count, 0);
    reader.read_exact(&mut bytes[start..]).map_err(|error| {
        if error.kind() == ErrorKind::UnexpectedEof {
            CodecError::Truncated
        } else {
            CodecError::Io(error)
        }
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::super::{ExactIndexWriter, testing};
    use super::*;

    fn encoded(index: &ExactIndex) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(index, &mut bytes).expect("a vector takes every byte");
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_was_encoded_is_decoded(
            rows in btree_map(0_u32..6_000, prop::array::uniform3(0.1_f32..1.0), 0..60),
        ) {
            let mut writer = ExactIndexWriter::new(3).expect("a supported dimension");
            for (&row, vector) in &rows {
                writer.upsert(row, vector).expect("a valid vector");
            }
            let index = writer.publish();
            let mut bytes = encoded(&index);
            bytes.extend(b"what follows");
            let mut rest = bytes.as_slice();
            let decoded = decode(&mut rest).expect("what was just encoded");
            prop_assert_eq!(rest, b"what follows");
            prop_assert_eq!(decoded.len(), rows.len());
            prop_assert!(decoded.rows().eq(index.rows()));
        }

        #[test]
        fn any_cut_and_any_flipped_bit_is_refused(cut in 0_usize..40_000, bit in 0_usize..320_000) {
            let index = testing::exact(&testing::clustered(1_100, 4, 5, 0.6, 5));
            let bytes = encoded(&index);
            let cut = cut % bytes.len();
            prop_assert!(matches!(decode(&mut &bytes[..cut]), Err(CodecError::Truncated)));
            let mut flipped = bytes.clone();
            let bit = bit % (bytes.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&mut flipped.as_slice()).is_err());
        }
    }

    #[test]
    fn foreign_and_newer_bytes_are_told_apart() {
        let mut bytes = encoded(&testing::exact(&[vec![1.0, 0.0]]));
        bytes[4] = 9;
        assert!(matches!(
            decode(&mut bytes.as_slice()),
            Err(CodecError::Version { found: 9 })
        ));
        bytes[0] = b'?';
        assert!(matches!(decode(&mut bytes.as_slice()), Err(CodecError::NotVectors)));
    }

    #[test]
    fn vectors_that_are_not_unit_vectors_are_refused_even_with_a_right_checksum() {
        for component in [0.5_f32, f32::NAN, f32::INFINITY, 0.0] {
            let mut bytes = encoded(&testing::exact(&[vec![1.0]]));
            let end = bytes.len() - CHECKSUM_BYTES;
            bytes[end - 4..end].copy_from_slice(&component.to_le_bytes());
            let checksum = xxh3_64(&bytes[HEADER_BYTES + CHECKSUM_BYTES..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            assert!(
                matches!(decode(&mut bytes.as_slice()), Err(CodecError::Damaged(_))),
                "{component}"
            );
        }
    }
}
