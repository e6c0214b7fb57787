//! The bytes of a journal segment: header, records, and the scan that finds every intact record in damaged bytes.
//! Pure functions over slices; must not open a file.
//!
//! ```text
//! segment  = header copy (32) · header copy (32) · record*
//! header   = magic "SWIPJRNL" · version u32 · salt u32 · first_seq u64 · reserved u32 · crc32 u32 of the 28 bytes before
//! record   = payload_len u32 · crc32 u32 · seq u64 · kind u8 · version u8 · partition u8 · reserved u8 · payload
//! ```
//! All numbers are little-endian. A record's CRC covers everything after the CRC field and starts from the segment's
//! salt: bytes that a client put into a payload can therefore not pass for a record when a scan looks for the next
//! one. Sequence numbers within a segment have no gaps, so a scan knows how many records a damaged stretch held.

use crc32fast::Hasher;

use super::{NewRecord, Record, Seq};
use crate::partition::Partition;

/// Largest payload of one record.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Kind of a record that was erased; its payload is zeros. Not available to callers.
pub const KIND_ERASED: u8 = 0;

pub(crate) const SEGMENT_VERSION: u32 = 1;
/// Two copies, so that one damaged byte does not cost a whole segment its salt.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 2 * HEADER_COPY_BYTES;
pub(crate) const RECORD_HEADER_BYTES: usize = 20;

const SEGMENT_MAGIC: [u8; 8] = *b"SWIPJRNL";
const HEADER_COPY_BYTES: usize = 32;
/// How far ahead a sequence number may be for a candidate to be checked at all while looking for the next record.
const SEQ_JUMP_MAX: u64 = 1 << 24;

/// What the head of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Where the CRC of every record in this segment starts from.
    pub(crate) salt: u32,
    /// Sequence number of the first record.
    pub(crate) first_seq: Seq,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Both copies are damaged or cut off.
    Damaged,
    /// Intact, but written by a newer program.
    NewerVersion(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0u8; SEGMENT_HEADER_BYTES];
        let (first, second) = bytes.split_at_mut(HEADER_COPY_BYTES);
        first[..8].copy_from_slice(&SEGMENT_MAGIC);
        first[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        first[12..16].copy_from_slice(&self.salt.to_le_bytes());
        first[16..24].copy_from_slice(&self.first_seq.0.to_le_bytes());
        let crc = crc32fast::hash(&first[..28]);
        first[28..].copy_from_slice(&crc.to_le_bytes());
        second.copy_from_slice(first);
        bytes
    }

    /// The header and how many of its two copies are damaged (0 or 1).
    pub(crate) fn decode(bytes: &[u8]) -> Result<(SegmentHeader, usize), HeaderError> {
        if bytes.len() < SEGMENT_HEADER_BYTES {
            // Cut off while it was written: records would start in the wrong place.
            return Err(HeaderError::Damaged);
        }
        let copies = bytes.chunks_exact(HEADER_COPY_BYTES).take(2).map(Self::decode_copy);
        let mut found = Err(HeaderError::Damaged);
        let mut intact = 0;
        for copy in copies.flatten() {
            intact += 1;
            found = copy;
        }
        found.map(|header| (header, 2 - intact))
    }

    /// `None` for a damaged copy.
    fn decode_copy(copy: &[u8]) -> Option<Result<SegmentHeader, HeaderError>> {
        if copy[..8] != SEGMENT_MAGIC || read_u32(copy, 28)? != crc32fast::hash(&copy[..28]) {
            return None;
        }
        let version = read_u32(copy, 8)?;
        if version > SEGMENT_VERSION {
            return Some(Err(HeaderError::NewerVersion(version)));
        }
        Some(Ok(SegmentHeader {
            salt: read_u32(copy, 12)?,
            first_seq: Seq(read_u64(copy, 16)?),
        }))
    }
}

/// Appends one encoded record to `buffer`. The caller has checked the payload against [`PAYLOAD_BYTES_MAX`].
pub(crate) fn encode_record(buffer: &mut Vec<u8>, salt: u32, seq: Seq, record: &NewRecord<'_>) {
    let mut header = [0u8; RECORD_HEADER_BYTES];
    let payload_len = u32::try_from(record.payload.len()).expect("payload length was checked against its bound");
    header[..4].copy_from_slice(&payload_len.to_le_bytes());
    header[8..16].copy_from_slice(&seq.0.to_le_bytes());
    header[16] = record.kind;
    header[17] = record.version;
    header[18] = record.partition.0;
    let crc = record_crc(salt, &header[8..], record.payload);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(record.payload);
}

/// One intact record inside the bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    /// Where the record starts in the segment.
    pub(crate) offset: usize,
    pub(crate) seq: Seq,
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) partition: Partition,
    pub(crate) payload: &'a [u8],
}

impl RecordView<'_> {
    /// An owned copy.
    pub(crate) fn to_record(self) -> Record {
        Record {
            seq: self.seq,
            kind: self.kind,
            version: self.version,
            partition: self.partition,
            payload: self.payload.to_vec(),
        }
    }

    fn end(&self) -> usize {
        self.offset + RECORD_HEADER_BYTES + self.payload.len()
    }
}

/// What a scan finds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scanned<'a> {
    Record(RecordView<'a>),
    /// `bytes` bytes from `offset` on hold no intact record. `records_lost` is known when an intact record follows.
    Damaged {
        offset: usize,
        bytes: usize,
        records_lost: Option<u64>,
        detail: &'static str,
    },
}

/// A position in the records of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanCursor {
    salt: u32,
    /// Where the next record is expected.
    pub(crate) offset: usize,
    /// Which sequence number is expected there.
    pub(crate) next_seq: Seq,
}

impl ScanCursor {
    pub(crate) fn new(header: SegmentHeader) -> Self {
        Self {
            salt: header.salt,
            offset: SEGMENT_HEADER_BYTES,
            next_seq: header.first_seq,
        }
    }

    /// The next record or damaged stretch of `bytes` (the whole segment, the same at every call); `None` at the end.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<Scanned<'a>> {
        if self.offset >= bytes.len() {
            return None;
        }
        let detail = match decode_record(bytes, self.offset, self.salt) {
            Ok(record) if record.seq == self.next_seq => {
                self.offset = record.end();
                self.next_seq = record.seq.next();
                return Some(Scanned::Record(record));
            }
            Ok(_) => "sequence number out of order",
            Err(detail) => detail,
        };
        let start = self.offset;
        let Some(found) = (start..bytes.len()).find_map(|offset| self.candidate(bytes, offset)) else {
            self.offset = bytes.len();
            return Some(Scanned::Damaged {
                offset: start,
                bytes: bytes.len() - start,
                records_lost: None,
                detail,
            });
        };
        let records_lost = Some(found.seq.0 - self.next_seq.0);
        self.offset = found.offset;
        self.next_seq = found.seq;
        Some(Scanned::Damaged {
            offset: start,
            bytes: found.offset - start,
            records_lost,
            detail,
        })
    }

    /// An intact record at `offset` that can follow what was read so far. Cheap tests come before the checksum.
    fn candidate<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<RecordView<'a>> {
        let seq = read_u64(bytes, offset + 8)?;
        if seq < self.next_seq.0 || seq - self.next_seq.0 > SEQ_JUMP_MAX {
            return None;
        }
        decode_record(bytes, offset, self.salt).ok()
    }
}

/// Decodes the record at `offset`, or says what is wrong with it.
fn decode_record(bytes: &[u8], offset: usize, salt: u32) -> Result<RecordView<'_>, &'static str> {
    let rest = &bytes[offset..];
    if rest.len() < RECORD_HEADER_BYTES {
        return Err("record header is cut off");
    }
    let (header, body) = rest.split_at(RECORD_HEADER_BYTES);
    let payload_len = read_u32(header, 0).map_or(usize::MAX, |len| len as usize);
    if payload_len > PAYLOAD_BYTES_MAX {
        return Err("record length is impossible");
    }
    let payload = body.get(..payload_len).ok_or("record is cut off")?;
    if read_u32(header, 4) != Some(record_crc(salt, &header[8..], payload)) {
        return Err("record checksum does not match");
    }
    let seq = Seq(read_u64(header, 8).ok_or("record header is cut off")?);
    let partition = Partition(header[18]);
    Ok(RecordView {
        offset,
        seq,
        kind: header[16],
        version: header[17],
        partition,
        payload,
    })
}

fn record_crc(salt: u32, header_after_crc: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(header_after_crc);
    hasher.update(payload);
    hasher.finalize()
}

/// Bytes of the leading records of `encoded` (whole records, one at least) that have consecutive sequence numbers
/// from `first_seq` on and fit into `room`; 0 when the first record does not carry `first_seq`. Also the sequence
/// number after them.
pub(crate) fn leading_run(encoded: &[u8], first_seq: Seq, room: usize) -> (usize, Seq) {
    let mut taken = 0;
    let mut next_seq = first_seq;
    while let (Some(payload_len), Some(seq)) = (read_u32(encoded, taken), read_u64(encoded, taken + 8)) {
        let end = taken + RECORD_HEADER_BYTES + payload_len as usize;
        if seq != next_seq.0 || (taken > 0 && end > room) {
            break;
        }
        taken = end;
        next_seq = next_seq.next();
    }
    (taken, next_seq)
}

/// Sequence number of the record that `encoded` starts with.
pub(crate) fn leading_seq(encoded: &[u8]) -> Option<Seq> {
    read_u64(encoded, 8).map(Seq)
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    field.try_into().ok().map(u32::from_le_bytes)
}

fn read_u64(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(8)?)?;
    field.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
