//! Reading the journal back, in order, around damage. Must not change a file.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::segment::{HeaderError, KIND_ERASED, ScanCursor, Scanned, SegmentHeader};
use super::segment_files::SegmentSpan;
use super::{Damage, ReadItem, Record, Seq};

/// Iterates over the records that were committed when it was made. Holds one segment in memory at a time.
pub struct JournalReader {
    source: Source,
    from: Seq,
}

enum Source {
    Segments {
        spans: VecDeque<SegmentSpan>,
        contents: Arc<RwLock<()>>,
        open: Option<OpenSegment>,
    },
    Records(std::vec::IntoIter<Record>),
}

struct OpenSegment {
    name: String,
    bytes: Vec<u8>,
    /// Bytes of the file between the header and the rest that were not read.
    left_out: u64,
    cursor: ScanCursor,
}

impl JournalReader {
    pub(super) fn of_segments(spans: Vec<SegmentSpan>, from: Seq, contents: Arc<RwLock<()>>) -> Self {
        Self {
            source: Source::Segments {
                spans: spans.into(),
                contents,
                open: None,
            },
            from,
        }
    }

    /// A reader of records that are in memory, in the order of their numbers.
    #[must_use]
    pub fn of_records(records: Vec<Record>) -> Self {
        Self {
            source: Source::Records(records.into_iter()),
            from: Seq::ZERO,
        }
    }
}

impl Iterator for JournalReader {
    type Item = ReadItem;

    fn next(&mut self) -> Option<ReadItem> {
        match &mut self.source {
            Source::Records(records) => records.next().map(ReadItem::Record),
            Source::Segments { spans, contents, open } => loop {
                let Some(segment) = open else {
                    match open_segment(&spans.pop_front()?, self.from, contents) {
                        Ok(segment) => *open = segment,
                        Err(damage) => return Some(ReadItem::Damaged(damage)),
                    }
                    continue;
                };
                match segment.cursor.next(&segment.bytes) {
                    None => *open = None,
                    Some(Scanned::Record(record)) if record.seq < self.from || record.kind == KIND_ERASED => {}
                    Some(Scanned::Record(record)) => return Some(ReadItem::Record(record.to_record())),
                    Some(damaged @ Scanned::Damaged { .. }) => {
                        let mut damage = describe(&segment.name, &damaged)?;
                        damage.offset += segment.left_out;
                        return Some(ReadItem::Damaged(damage));
                    }
                }
            },
        }
    }
}

/// `None` when the segment was trimmed in the meantime: then it is not needed any more.
fn open_segment(span: &SegmentSpan, from: Seq, contents: &RwLock<()>) -> Result<Option<OpenSegment>, Damage> {
    let guard = contents.read();
    let read = span.read_from(from);
    drop(guard);
    let tail = match read {
        Ok(tail) => tail,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(span, error.to_string())),
    };
    match SegmentHeader::decode(&tail.bytes) {
        Ok((header, _)) => Ok(Some(OpenSegment {
            name: span.file_name(),
            bytes: tail.bytes,
            left_out: tail.left_out,
            cursor: ScanCursor::new(SegmentHeader {
                first_seq: tail.first_seq,
                ..header
            }),
        })),
        Err(HeaderError::Damaged) => Err(unreadable(
            span,
            "both copies of the segment header are damaged".to_owned(),
        )),
        Err(HeaderError::NewerVersion(version)) => Err(unreadable(span, format!("segment version {version} is newer"))),
    }
}

/// A whole segment that cannot be read.
pub(super) fn unreadable(span: &SegmentSpan, detail: String) -> Damage {
    Damage {
        segment: span.file_name(),
        offset: 0,
        bytes: span.bytes,
        records_lost: None,
        detail,
    }
}

/// The damage that a scan found, in the words of the report; `None` for a record.
pub(super) fn describe(segment: &str, scanned: &Scanned<'_>) -> Option<Damage> {
    match scanned {
        Scanned::Record(_) => None,
        Scanned::Damaged {
            offset,
            bytes,
            records_lost,
            detail,
        } => Some(Damage {
            segment: segment.to_owned(),
            offset: *offset as u64,
            bytes: *bytes as u64,
            records_lost: *records_lost,
            detail: (*detail).to_owned(),
        }),
    }
}

/// Intact records and damaged stretches in the bytes of a segment, for the check of a backup.
pub(crate) fn count_segment(bytes: &[u8]) -> (u64, u64) {
    let Ok((header, _)) = SegmentHeader::decode(bytes) else {
        return (0, 1);
    };
    let mut cursor = ScanCursor::new(header);
    let (mut records, mut damaged) = (0, 0);
    while let Some(found) = cursor.next(bytes) {
        match found {
            Scanned::Record(_) => records += 1,
            Scanned::Damaged { .. } => damaged += 1,
        }
    }
    (records, damaged)
}
