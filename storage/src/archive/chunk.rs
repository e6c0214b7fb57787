//! Entries of one partition that came together, as one value of the warm tier. Pure.
//!
//! ```text
//! chunk = entry*     entry = seq u64 · payload_len u32 (little-endian) · payload
//! ```
//! The store frames the value with a checksum; zstd was not worth it for chunks of a few entries.

/// Bytes before a payload.
const ENTRY_HEADER_BYTES: usize = 12;

/// How many bytes an entry with this payload takes.
pub(super) fn entry_bytes(payload: &[u8]) -> usize {
    ENTRY_HEADER_BYTES + payload.len()
}

/// Appends an entry.
pub(super) fn push(chunk: &mut Vec<u8>, seq: u64, payload: &[u8]) {
    chunk.extend_from_slice(&seq.to_le_bytes());
    // A payload is bounded by the journal's limit of records, far below 4 GiB.
    chunk.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    chunk.extend_from_slice(payload);
}

/// The entries of a chunk; ends early where it is cut off.
pub(super) fn entries(chunk: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let (header, behind) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
        let (seq, length) = header.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (payload, next) = behind.split_at_checked(length)?;
        rest = next;
        Some((u64::from_le_bytes(*seq), payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back_and_a_torn_chunk_ends_early(
            written in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..10),
            torn in 0usize..40,
        ) {
            let mut chunk = Vec::new();
            written.iter().for_each(|(seq, payload)| push(&mut chunk, *seq, payload));
            let bytes: usize = written.iter().map(|(_, payload)| entry_bytes(payload)).sum();
            prop_assert_eq!(chunk.len(), bytes);
            let read = |chunk: &[u8]| entries(chunk).map(|(seq, payload)| (seq, payload.to_vec())).collect::<Vec<_>>();
            prop_assert_eq!(&read(&chunk), &written);
            let left = read(&chunk[..chunk.len().saturating_sub(torn)]);
            prop_assert!(written.starts_with(&left));
        }
    }
}
