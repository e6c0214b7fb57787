//! The files of the journal: names, the list of segments, reading a segment whole, and the writer of the active one.
//! Must not decide when to commit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, leading_run, leading_seq};
use super::{JournalError, Seq};
use crate::files::sync_dir;

const SEGMENT_EXTENSION: &str = "seg";
/// A segment is marked after so many bytes: at most this much is read in vain, and 64 MiB take 256 marks of 16 bytes.
const MARK_BYTES: u64 = 256 * 1024;
/// A file above this size is not one of ours and is not read into memory.
pub(super) const SEGMENT_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The committed part of one segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentSpan {
    pub(crate) path: PathBuf,
    /// Number of its first record.
    pub(crate) first_seq: Seq,
    /// Committed bytes, header included.
    pub(crate) bytes: u64,
    /// Some records of it in their order, each with the byte that it begins at, so that a reader who wants the end does
    /// not read everything. Only what this process has written has any.
    marks: Vec<(Seq, u64)>,
}

/// A segment without some of its first records.
#[derive(Debug)]
pub(super) struct SegmentTail {
    /// The header and the records that are left.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the file between the two.
    pub(super) left_out: u64,
    /// Number of the first record that is left.
    pub(super) first_seq: Seq,
}

impl SegmentSpan {
    pub(super) fn new(path: PathBuf, first_seq: Seq, bytes: u64) -> Self {
        Self {
            path,
            first_seq,
            bytes,
            marks: Vec::new(),
        }
    }

    pub(crate) fn file_name(&self) -> String {
        self.path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The committed bytes.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        if self.bytes > SEGMENT_FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "too large for a journal segment",
            ));
        }
        let mut bytes = Vec::with_capacity(self.bytes as usize);
        File::open(&self.path)?.take(self.bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The committed bytes from the record `from` on, or from a known one before it.
    pub(super) fn read_from(&self, from: Seq) -> io::Result<SegmentTail> {
        let before = self.marks.partition_point(|(seq, _)| *seq <= from);
        let Some((first_seq, offset)) = before.checked_sub(1).map(|place| self.marks[place]) else {
            return Ok(SegmentTail {
                bytes: self.read()?,
                left_out: 0,
                first_seq: self.first_seq,
            });
        };
        let header_bytes = SEGMENT_HEADER_BYTES as u64;
        let mut bytes = Vec::with_capacity((header_bytes + self.bytes - offset) as usize);
        let mut file = File::open(&self.path)?;
        Read::by_ref(&mut file).take(header_bytes).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(offset))?;
        file.take(self.bytes - offset).read_to_end(&mut bytes)?;
        Ok(SegmentTail {
            bytes,
            left_out: offset - header_bytes,
            first_seq,
        })
    }
}

/// File name of the segment that starts with `first_seq`; names sort like numbers.
pub(super) fn segment_name(first_seq: Seq) -> String {
    format!("{:020}.{SEGMENT_EXTENSION}", first_seq.0)
}

/// All segments of `dir` in ascending order. Other files are left alone.
pub(crate) fn list_segments(dir: &Path) -> Result<Vec<SegmentSpan>, JournalError> {
    let mut spans = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| JournalError::io(dir, error))? {
        let entry = entry.map_err(|error| JournalError::io(dir, error))?;
        let path = entry.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse::<u64>().ok());
        let is_segment = path.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION);
        if let (Some(number), true) = (number, is_segment) {
            let bytes = entry.metadata().map_err(|error| JournalError::io(&path, error))?.len();
            spans.push(SegmentSpan::new(path, Seq(number), bytes));
        }
    }
    spans.sort_by_key(|span| span.first_seq);
    Ok(spans)
}

/// What is on disk and committed; shared by the writer, readers and maintenance. The last one is the active one.
#[derive(Debug, Default)]
pub(super) struct SegmentCatalog {
    spans: Mutex<Vec<SegmentSpan>>,
}

impl SegmentCatalog {
    pub(super) fn new(spans: Vec<SegmentSpan>) -> Self {
        Self {
            spans: Mutex::new(spans),
        }
    }

    /// The segments that can hold records from `from` on.
    pub(super) fn spans_from(&self, from: Seq) -> Vec<SegmentSpan> {
        let spans = self.spans.lock();
        let skipped = spans.partition_point(|span| span.first_seq <= from).saturating_sub(1);
        spans[skipped..].to_vec()
    }

    /// The sealed segments whose records are all before `before`.
    pub(super) fn spans_wholly_before(&self, before: Seq) -> Vec<SegmentSpan> {
        let spans = self.spans.lock();
        let count = spans.windows(2).take_while(|pair| pair[1].first_seq <= before).count();
        spans[..count].to_vec()
    }

    pub(super) fn forget(&self, path: &Path) {
        self.spans.lock().retain(|span| span.path != path);
    }

    /// Segments and their bytes.
    pub(super) fn totals(&self) -> (u64, u64) {
        let spans = self.spans.lock();
        (spans.len() as u64, spans.iter().map(|span| span.bytes).sum())
    }

    fn push(&self, span: SegmentSpan) {
        self.spans.lock().push(span);
    }

    /// The active segment ends behind `bytes` now, where `next_seq` will follow.
    fn extend_active(&self, bytes: u64, next_seq: Seq) {
        if let Some(active) = self.spans.lock().last_mut() {
            active.bytes = bytes;
            let marked = active.marks.last().map_or(0, |(_, offset)| *offset);
            if bytes - marked >= MARK_BYTES {
                active.marks.push((next_seq, bytes));
            }
        }
    }
}

/// An open segment.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// Writes records at the end of the active segment and starts new segments. Owned by whoever commits.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    dir: PathBuf,
    segment_bytes_max: u64,
    salt: u32,
    active: Arc<SegmentFile>,
    written: Written,
    /// Up to here the segment holds what a commit has come to its end with.
    settled: Written,
    /// The file may have bytes behind `settled`: a write or sync has failed. They must go before anything else is written,
    /// or a later opening would take them for records.
    is_torn: bool,
}

/// How far a segment is written.
#[derive(Clone, Copy, Debug)]
struct Written {
    bytes: u64,
    /// Number that the next record must have to go into this segment.
    next_seq: Seq,
}

impl SegmentWriter {
    /// Goes on in the last segment of a recovered journal; `span` ends behind its last good record.
    pub(super) fn resume(span: &SegmentSpan, salt: u32, next_seq: Seq, segment_bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).open(&span.path)?;
        let dir = span.path.parent().map(Path::to_path_buf).unwrap_or_default();
        let active = SegmentFile {
            path: span.path.clone(),
            file,
        };
        let written = Written {
            bytes: span.bytes,
            next_seq,
        };
        Ok(Self::of(dir, salt, segment_bytes_max, active, written))
    }

    fn of(dir: PathBuf, salt: u32, segment_bytes_max: u64, active: SegmentFile, written: Written) -> Self {
        Self {
            dir,
            segment_bytes_max,
            salt,
            active: Arc::new(active),
            written,
            settled: written,
            is_torn: false,
        }
    }

    /// Starts a segment; the caller lists the returned span in the catalog.
    pub(super) fn create(
        dir: &Path,
        salt: u32,
        first_seq: Seq,
        segment_bytes_max: u64,
    ) -> io::Result<(Self, SegmentSpan)> {
        let path = dir.join(segment_name(first_seq));
        remove_unfinished_segment(&path)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path)?;
        file.write_all(&SegmentHeader { salt, first_seq }.encode())?;
        file.sync_all()?;
        sync_dir(dir)?;
        let bytes = SEGMENT_HEADER_BYTES as u64;
        let active = SegmentFile {
            path: path.clone(),
            file,
        };
        let written = Written {
            bytes,
            next_seq: first_seq,
        };
        let writer = Self::of(dir.to_path_buf(), salt, segment_bytes_max, active, written);
        Ok((writer, SegmentSpan::new(path, first_seq, bytes)))
    }

    /// The active segment, to sync it.
    pub(super) fn active(&self) -> &Arc<SegmentFile> {
        &self.active
    }

    /// Writes those of the `encoded` records that are not settled yet; `seal` gets every segment that is full, and makes it
    /// as durable as a commit. After an error [`SegmentWriter::roll_back`] is to be called, and then the same records are
    /// to be written again.
    pub(super) fn write(
        &mut self,
        catalog: &SegmentCatalog,
        encoded: &[u8],
        mut seal: impl FnMut(&Arc<SegmentFile>) -> io::Result<()>,
    ) -> io::Result<()> {
        let begins_anew = self.cut_torn_end()?;
        let mut rest = behind(encoded, self.written.next_seq);
        let mut begins_anew = begins_anew && self.written.bytes > SEGMENT_HEADER_BYTES as u64;
        while let Some(seq) = leading_seq(rest) {
            let room = self.segment_bytes_max.saturating_sub(self.written.bytes);
            let is_full = room == 0 && self.written.bytes > SEGMENT_HEADER_BYTES as u64;
            if is_full || begins_anew || seq != self.written.next_seq {
                self.publish(catalog);
                seal(&self.active)?;
                self.settle();
                let (writer, span) = Self::create(&self.dir, self.salt, seq, self.segment_bytes_max)?;
                *self = writer;
                catalog.push(span);
                begins_anew = false;
                continue;
            }
            let (run, next_seq) = leading_run(rest, seq, usize::try_from(room).unwrap_or(usize::MAX));
            (&self.active.file).write_all(&rest[..run])?;
            self.written.bytes += run as u64;
            self.written.next_seq = next_seq;
            rest = &rest[run..];
        }
        Ok(())
    }

    /// What was written has come to its end: it stays.
    pub(super) fn settle(&mut self) {
        self.settled = self.written;
    }

    /// Forgets what was written since the last settling; it is cut off before the next write, and at once if that can be.
    pub(super) fn roll_back(&mut self) {
        self.written = self.settled;
        self.is_torn = true;
        // The next write does it again, and means it; but the process may die before that.
        let _ = self.active.file.set_len(self.settled.bytes);
    }

    /// Removes what failed writes have left behind the last record, for certain. Returns whether there was such a failure:
    /// then a new segment is begun, for the old one may be what does not take any more.
    fn cut_torn_end(&mut self) -> io::Result<bool> {
        if !self.is_torn {
            return Ok(false);
        }
        self.active.file.set_len(self.settled.bytes)?;
        self.active.file.sync_all()?;
        self.is_torn = false;
        Ok(true)
    }

    /// Whether all of `encoded` goes into the active segment: starting another one waits for the disk.
    pub(super) fn has_room_for(&self, encoded: &[u8]) -> bool {
        let bytes = self.written.bytes.saturating_add(encoded.len() as u64);
        bytes <= self.segment_bytes_max && leading_seq(encoded) == Some(self.written.next_seq)
    }

    /// Makes what was written visible to readers.
    pub(super) fn publish(&self, catalog: &SegmentCatalog) {
        catalog.extend_active(self.written.bytes, self.written.next_seq);
    }

    /// Puts another file in the place of the active one, to see what a failing disk does; returns that one.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) -> Arc<SegmentFile> {
        let path = self.active.path.clone();
        std::mem::replace(&mut self.active, Arc::new(SegmentFile { path, file }))
    }

    /// Puts the right file back.
    #[cfg(test)]
    pub(super) fn restore_file(&mut self, file: Arc<SegmentFile>) {
        self.active = file;
    }
}

/// The records that come after those before `next_seq`.
fn behind(encoded: &[u8], next_seq: Seq) -> &[u8] {
    let mut rest = encoded;
    while let Some(seq) = leading_seq(rest) {
        if seq >= next_seq {
            break;
        }
        // One record at a time: a room of nothing still takes the first.
        let (run, _) = leading_run(rest, seq, 0);
        rest = &rest[run..];
    }
    rest
}

/// A segment that could not be started, for want of room, has left an empty file of its name.
fn remove_unfinished_segment(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= SEGMENT_HEADER_BYTES as u64 => fs::remove_file(path),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(first_seqs: &[u64]) -> SegmentCatalog {
        let span = |first: &u64| SegmentSpan::new(segment_name(Seq(*first)).into(), Seq(*first), 1);
        SegmentCatalog::new(first_seqs.iter().map(span).collect())
    }

    fn firsts(spans: &[SegmentSpan]) -> Vec<u64> {
        spans.iter().map(|span| span.first_seq.0).collect()
    }

    #[test]
    fn catalog_selects_segments_by_sequence_number() {
        let catalog = catalog(&[1, 10, 20]);
        assert_eq!(firsts(&catalog.spans_from(Seq(0))), [1, 10, 20]);
        assert_eq!(firsts(&catalog.spans_from(Seq(9))), [1, 10, 20]);
        assert_eq!(firsts(&catalog.spans_from(Seq(10))), [10, 20]);
        assert_eq!(firsts(&catalog.spans_from(Seq(99))), [20]);
        assert_eq!(firsts(&catalog.spans_wholly_before(Seq(9))), [0u64; 0]);
        assert_eq!(firsts(&catalog.spans_wholly_before(Seq(10))), [1]);
        assert_eq!(
            firsts(&catalog.spans_wholly_before(Seq(99))),
            [1, 10],
            "the active segment stays"
        );
    }

    #[test]
    fn the_end_of_a_segment_is_read_without_the_rest() {
        use super::super::segment::encode_record;
        let dir = tempfile::tempdir().expect("temporary folder");
        let (mut writer, span) = SegmentWriter::create(dir.path(), 7, Seq(1), 1 << 30).expect("created");
        let catalog = SegmentCatalog::new(vec![span]);
        let payload = vec![5_u8; 100_000];
        for seq in 1..=20 {
            let mut encoded = Vec::new();
            let record = crate::journal::NewRecord {
                kind: 1,
                version: 1,
                partition: crate::partition::partition_of("u1"),
                payload: &payload,
            };
            encode_record(&mut encoded, 7, Seq(seq), &record);
            writer.write(&catalog, &encoded, |_| Ok(())).expect("written");
            writer.publish(&catalog);
        }
        for from in 1..=20 {
            let reader = super::super::reader::JournalReader::of_segments(
                catalog.spans_from(Seq(from)),
                Seq(from),
                Arc::default(),
            );
            let seqs: Vec<u64> = reader
                .map(|item| match item {
                    super::super::ReadItem::Record(record) => record.seq.0,
                    super::super::ReadItem::Damaged(damage) => panic!("{damage:?}"),
                })
                .collect();
            assert!(seqs.into_iter().eq(from..=20), "from {from}");
        }
        let tail = catalog.spans_from(Seq(20))[0].read_from(Seq(20)).expect("read");
        assert!(tail.bytes.len() < 400_000, "{} bytes", tail.bytes.len());
    }

    #[test]
    fn foreign_files_are_not_segments() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for name in [
            "notes.txt",
            "abc.seg",
            "00000000000000000003.seg",
            "00000000000000000001.seg.bak",
        ] {
            fs::write(dir.path().join(name), b"x").expect("file is written");
        }
        assert_eq!(firsts(&list_segments(dir.path()).expect("folder is listed")), [3]);
    }
}
