//! Opening a journal that a crash may have left behind: reads all segments, cuts a torn end off the last one, reports
//! damage elsewhere, and finds the number to go on with. Must not delete a record that is intact.

use std::collections::hash_map::RandomState;
use std::fs::{self, OpenOptions};
use std::hash::BuildHasher;
use std::path::Path;

use super::reader::{describe, unreadable};
use super::segment::{
    HeaderError, KIND_ERASED, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_VERSION, ScanCursor, Scanned,
    SegmentHeader,
};
use super::segment_files::{SegmentSpan, SegmentWriter, list_segments};
use super::{Damage, JournalError, Seq};

/// How many damaged stretches a report names; the rest is only counted.
pub const DAMAGES_REPORTED_MAX: usize = 64;

/// What opening a journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalOpenReport {
    /// Segments on disk, the active one included.
    pub segments: u64,
    /// Intact records.
    pub records: u64,
    /// How many of those were erased.
    pub erased: u64,
    /// The first [`DAMAGES_REPORTED_MAX`] damaged stretches.
    pub damaged: Vec<Damage>,
    /// How many there are.
    pub damaged_total: u64,
    /// Bytes that were cut off the end of the last segment because the last record was not complete.
    pub torn_tail_bytes: u64,
    /// The number of the first record that the journal can have; more than [`Seq::FIRST`] when it was trimmed.
    pub first_seq: Seq,
    /// The number that the next record gets.
    pub next_seq: Seq,
}

impl JournalOpenReport {
    fn damage(&mut self, damage: Damage) {
        tracing::error!(%damage, "the journal is damaged; the records in this stretch are lost");
        self.damaged_total += 1;
        if self.damaged.len() < DAMAGES_REPORTED_MAX {
            self.damaged.push(damage);
        }
    }
}

/// A journal ready to be appended to.
pub(super) struct Recovered {
    pub(super) spans: Vec<SegmentSpan>,
    pub(super) writer: SegmentWriter,
    pub(super) salt: u32,
    pub(super) report: JournalOpenReport,
}

/// Where writing can go on.
struct Resume {
    salt: u32,
    next_seq: Seq,
}

/// Reads the journal in `dir`.
pub(super) fn recover(dir: &Path, segment_bytes_max: u64) -> Result<Recovered, JournalError> {
    let mut spans = list_segments(dir)?;
    let mut report = JournalOpenReport {
        next_seq: Seq::FIRST,
        ..JournalOpenReport::default()
    };
    let mut resume = None;
    let last = spans.len().saturating_sub(1);
    for (index, span) in spans.iter_mut().enumerate() {
        resume = scan_segment(span, index == last, &mut report)?;
    }
    // A segment that was only just being created when the process died.
    while let Some(span) = spans.pop_if(|span| span.bytes == 0) {
        fs::remove_file(&span.path).map_err(|error| JournalError::io(&span.path, error))?;
        resume = None;
    }
    let writer_at = |path: &Path| {
        let path = path.to_path_buf();
        move |error| JournalError::io(path, error)
    };
    let (writer, salt) = match (resume, spans.last()) {
        (Some(resume), Some(span)) if resume.next_seq == report.next_seq => {
            let writer = SegmentWriter::resume(span, resume.salt, resume.next_seq, segment_bytes_max);
            (writer.map_err(writer_at(&span.path))?, resume.salt)
        }
        _ => {
            let salt = random_salt();
            let created = SegmentWriter::create(dir, salt, report.next_seq, segment_bytes_max);
            let (writer, span) = created.map_err(writer_at(dir))?;
            spans.push(span);
            (writer, salt)
        }
    };
    report.segments = spans.len() as u64;
    report.first_seq = spans.first().map_or(report.next_seq, |span| span.first_seq);
    Ok(Recovered {
        spans,
        writer,
        salt,
        report,
    })
}

/// Reads one segment into the report. Returns where writing can go on in it, if it can.
fn scan_segment(
    span: &mut SegmentSpan,
    is_last: bool,
    report: &mut JournalOpenReport,
) -> Result<Option<Resume>, JournalError> {
    report.next_seq = report.next_seq.max(span.first_seq);
    let bytes = span.read().map_err(|error| JournalError::io(&span.path, error))?;
    let header = match SegmentHeader::decode(&bytes) {
        Ok((header, damaged_copies)) => {
            if damaged_copies > 0 {
                report.damage(header_copy_damage(span));
            }
            header
        }
        Err(HeaderError::NewerVersion(version)) => {
            return Err(JournalError::NewerVersion {
                path: span.path.clone(),
                version,
                supported: SEGMENT_VERSION,
            });
        }
        Err(HeaderError::Damaged) if is_last && bytes.len() <= SEGMENT_HEADER_BYTES => {
            report.torn_tail_bytes += span.bytes;
            span.bytes = 0;
            return Ok(None);
        }
        Err(HeaderError::Damaged) => {
            report.damage(unreadable(
                span,
                "both copies of the segment header are damaged".to_owned(),
            ));
            // Numbers are never reused: leave room for as many records as the segment can have held.
            let records_max = (bytes.len() / RECORD_HEADER_BYTES) as u64 + 1;
            report.next_seq = report.next_seq.max(Seq(span.first_seq.0 + records_max));
            return Ok(None);
        }
    };
    let next_seq = scan_records(span, is_last, header, &bytes, report)?;
    report.next_seq = report.next_seq.max(next_seq);
    Ok(Some(Resume {
        salt: header.salt,
        next_seq,
    }))
}

/// Counts the records and returns the number after the last intact one.
fn scan_records(
    span: &mut SegmentSpan,
    is_last: bool,
    header: SegmentHeader,
    bytes: &[u8],
    report: &mut JournalOpenReport,
) -> Result<Seq, JournalError> {
    let name = span.file_name();
    let mut cursor = ScanCursor::new(header);
    let mut next_seq = header.first_seq;
    while let Some(found) = cursor.next(bytes) {
        match found {
            Scanned::Record(record) => {
                report.records += 1;
                report.erased += u64::from(record.kind == KIND_ERASED);
                next_seq = record.seq.next();
            }
            Scanned::Damaged {
                offset,
                bytes: torn_bytes,
                records_lost: None,
                detail,
            } if is_last => {
                tracing::warn!(
                    segment = name,
                    offset,
                    torn_bytes,
                    detail,
                    "cutting off the torn end of the journal"
                );
                cut_off(&span.path, offset as u64).map_err(|error| JournalError::io(&span.path, error))?;
                report.torn_tail_bytes += torn_bytes as u64;
                span.bytes = offset as u64;
            }
            damaged @ Scanned::Damaged { .. } => {
                if let Some(damage) = describe(&name, &damaged) {
                    report.damage(damage);
                }
            }
        }
    }
    Ok(next_seq)
}

fn cut_off(path: &Path, bytes: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(bytes)?;
    file.sync_all()
}

fn header_copy_damage(span: &SegmentSpan) -> Damage {
    Damage {
        segment: span.file_name(),
        offset: 0,
        bytes: 0,
        records_lost: Some(0),
        detail: "one of two copies of the segment header is damaged".to_owned(),
    }
}

/// Not secret, only unknown to whoever writes payloads: seeded by the system per process, stirred per call.
fn random_salt() -> u32 {
    let hashed = RandomState::new().hash_one(std::process::id());
    (hashed ^ (hashed >> 32)) as u32
}
