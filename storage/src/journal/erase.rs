//! Forgetting: overwrites records where they lie on the disk, so that a user's bytes are gone and every other record
//! keeps its place. Must not move or drop a record.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};

use parking_lot::RwLock;

use super::segment::{KIND_ERASED, RecordView, ScanCursor, Scanned, SegmentHeader, encode_record};
use super::segment_files::SegmentSpan;
use super::{JournalError, NewRecord, Record};
use crate::partition::PARTITION_COUNT;

/// Erases the matching records of one segment and syncs it; returns how many. A segment whose header is damaged has
/// no readable record and is left as it is.
pub(super) fn erase_in_segment(
    span: &SegmentSpan,
    contents: &RwLock<()>,
    wanted: &[bool; PARTITION_COUNT],
    matches: &mut dyn FnMut(&Record) -> bool,
) -> Result<u64, JournalError> {
    let at_path = |error| JournalError::io(&span.path, error);
    // Nothing but this function changes committed bytes, and the caller holds the maintenance lock.
    let bytes = span.read().map_err(at_path)?;
    let Ok((header, _)) = SegmentHeader::decode(&bytes) else {
        return Ok(0);
    };
    let mut cursor = ScanCursor::new(header);
    let mut doomed = Vec::new();
    while let Some(found) = cursor.next(&bytes) {
        if let Scanned::Record(record) = found
            && wanted[usize::from(record.partition.0)]
            && record.kind != KIND_ERASED
            && matches(&record.to_record())
        {
            doomed.push(record);
        }
    }
    if doomed.is_empty() {
        return Ok(0);
    }
    let mut file = OpenOptions::new().write(true).open(&span.path).map_err(at_path)?;
    let guard = contents.write();
    let overwritten = doomed
        .iter()
        .try_for_each(|record| overwrite(&mut file, header.salt, record));
    drop(guard);
    overwritten.and_then(|()| file.sync_data()).map_err(at_path)?;
    Ok(doomed.len() as u64)
}

fn overwrite(file: &mut File, salt: u32, record: &RecordView<'_>) -> io::Result<()> {
    let zeros = vec![0u8; record.payload.len()];
    let erased = NewRecord {
        kind: KIND_ERASED,
        version: 0,
        partition: record.partition,
        payload: &zeros,
    };
    let mut encoded = Vec::new();
    encode_record(&mut encoded, salt, record.seq, &erased);
    file.seek(SeekFrom::Start(record.offset as u64))?;
    file.write_all(&encoded)
}
