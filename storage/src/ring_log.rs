//! A log of bounded size that forgets its oldest part: a folder of segments, appended to by one writer.
//!
//! Owns the files, their rotation and their erasure; must not know what the records are. For what may be lost: an
//! append is in the hands of the system when [`RingLog::flush`] returns, and is not synced. A torn end (the process
//! died) ends the reading of its segment, never an opening: every opening begins a new segment.
//!
//! ```text
//! segment = magic "SWIPRING" · version u32 · record*
//! record  = payload_len u32 · crc32 u32 of the payload · payload          (all little-endian)
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::files::write_atomically;

const MAGIC: &[u8; 8] = b"SWIPRING";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 12;
const RECORD_HEADER_BYTES: usize = 8;
const SEGMENT_EXTENSION: &str = "log";
/// So many segments make up a full log: rotation forgets an eighth at a time.
const SEGMENTS_WANTED: u64 = 8;
/// A segment is at least so large, or a small log would be all headers.
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// However small they are (a server that restarts often): no more segments than this.
const SEGMENTS_MAX: usize = 256;
/// Largest record; a longer length is damage.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The writer of a log.
pub struct RingLog {
    dir: PathBuf,
    bytes_max: u64,
    number: u64,
    bytes: u64,
    file: BufWriter<File>,
}

impl RingLog {
    /// Opens the log in `dir` (made when missing) for writing, at most about `bytes_max` bytes on the disk. There must be
    /// one writer at a time; the lock of the data directory sees to that.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path, bytes_max: u64) -> io::Result<RingLog> {
        fs::create_dir_all(dir)?;
        let number = segments(dir)?.last().map_or(1, |(number, _)| number + 1);
        let log = RingLog {
            dir: dir.to_path_buf(),
            bytes_max,
            number,
            bytes: HEADER_BYTES as u64,
            file: new_segment(dir, number)?,
        };
        log.forget_oldest()?;
        Ok(log)
    }

    /// Appends a record. It may stay in memory until [`RingLog::flush`].
    ///
    /// # Errors
    /// Those of the file system, or a record that is too large.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(io::Error::other("the record is too large"));
        }
        if self.bytes >= (self.bytes_max / SEGMENTS_WANTED).max(SEGMENT_BYTES_MIN) {
            self.rotate()?;
        }
        self.file.write_all(&record_header(payload))?;
        self.file.write_all(payload)?;
        self.bytes += (RECORD_HEADER_BYTES + payload.len()) as u64;
        Ok(())
    }

    /// Hands everything to the system: it survives the death of the process.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Rewrites the log without the records that match, durably; returns how many there were. The writer goes on in a
    /// new segment.
    ///
    /// # Errors
    /// Those of the file system; call again then.
    pub fn erase(&mut self, matches: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<u64> {
        self.rotate()?;
        erase_records(&self.dir, matches)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file = new_segment(&self.dir, self.number + 1)?;
        self.number += 1;
        self.bytes = HEADER_BYTES as u64;
        self.forget_oldest()
    }

    /// Deletes the oldest segments until what is left and a full new segment have room.
    fn forget_oldest(&self) -> io::Result<()> {
        let segment_bytes = (self.bytes_max / SEGMENTS_WANTED).max(SEGMENT_BYTES_MIN);
        let room = self.bytes_max.saturating_sub(segment_bytes);
        let mut found = Vec::new();
        for (number, path) in segments(&self.dir)?
            .into_iter()
            .filter(|(number, _)| *number < self.number)
        {
            found.push((number, fs::metadata(&path)?.len(), path));
        }
        let mut bytes: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        let mut left = found.len();
        for (_, segment_bytes, path) in found {
            if bytes <= room && left < SEGMENTS_MAX {
                break;
            }
            fs::remove_file(path)?;
            bytes -= segment_bytes;
            left -= 1;
        }
        Ok(())
    }
}

/// Reads every whole record of the log in `dir`, oldest first; a missing folder is an empty log. Returns how many
/// segments end in damage (one is usual after a crash).
///
/// # Errors
/// Those of the file system.
pub fn read_ring_log(dir: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    let mut damaged = 0;
    for (_, path) in segments(dir)? {
        let bytes = fs::read(path)?;
        damaged += u64::from(!for_each_record(&bytes, &mut |payload| each(payload)));
    }
    Ok(damaged)
}

/// Rewrites every segment in `dir` that holds a matching record without it, durably, and returns how many there were.
/// Nobody may be writing to the log: see [`RingLog::erase`].
///
/// # Errors
/// Those of the file system; call again then.
pub fn erase_records(dir: &Path, matches: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<u64> {
    let mut erased = 0;
    for (_, path) in segments(dir)? {
        let bytes = fs::read(&path)?;
        let mut kept = header().to_vec();
        let mut erased_here = 0;
        let whole = for_each_record(&bytes, &mut |payload| {
            if matches(payload) {
                erased_here += 1;
            } else {
                kept.extend_from_slice(&record_header(payload));
                kept.extend_from_slice(payload);
            }
        });
        // What lies behind damage cannot be read, so nobody can say whom it is about: it goes as well.
        if erased_here > 0 || !whole {
            write_atomically(&path, &kept)?;
        }
        erased += erased_here;
    }
    Ok(erased)
}

/// Segments by number.
fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION);
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_segment, number) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

fn new_segment(dir: &Path, number: u64) -> io::Result<BufWriter<File>> {
    let path = dir.join(format!("{number:012}.{SEGMENT_EXTENSION}"));
    let mut file = BufWriter::new(File::create_new(path)?);
    file.write_all(&header())?;
    // On the disk at once: an empty file would look damaged to an erasure.
    file.flush()?;
    Ok(file)
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&VERSION.to_le_bytes());
    header
}

fn record_header(payload: &[u8]) -> [u8; RECORD_HEADER_BYTES] {
    let mut header = [0; RECORD_HEADER_BYTES];
    // Appends are bounded by RECORD_BYTES_MAX.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    header
}

/// Calls `each` for the records up to the end or to the first damage; returns whether all was whole.
fn for_each_record(segment: &[u8], each: &mut dyn FnMut(&[u8])) -> bool {
    let Some(mut rest) = segment.strip_prefix(header().as_slice()) else {
        return false;
    };
    while let Some((record_header, behind)) = rest.split_at_checked(RECORD_HEADER_BYTES) {
        let (length, crc) = record_header.split_at(4);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
        };
        let length = number(length) as usize;
        let Some((payload, next)) = behind.split_at_checked(length) else {
            return false;
        };
        if length > RECORD_BYTES_MAX || crc32fast::hash(payload) != number(crc) {
            return false;
        }
        each(payload);
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dir: &Path) -> (Vec<Vec<u8>>, u64) {
        let mut found = Vec::new();
        let damaged = read_ring_log(dir, &mut |payload| found.push(payload.to_vec())).expect("readable");
        (found, damaged)
    }

    #[test]
    fn records_come_back_in_order_over_several_openings() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(all(&dir.path().join("none")), (Vec::new(), 0));
        for opening in 0..3_u8 {
            let mut log = RingLog::open(dir.path(), 1 << 20).expect("opens");
            for number in 0..10_u8 {
                log.append(&vec![opening; usize::from(number)]).expect("appended");
            }
            log.flush().expect("flushed");
        }
        let (found, damaged) = all(dir.path());
        assert_eq!((found.len(), damaged), (30, 0));
        assert_eq!((found[9].len(), found[10].len(), found[29].clone()), (9, 0, vec![2; 9]));
    }

    #[test]
    fn the_oldest_goes_when_the_bound_is_reached() {
        let dir = tempfile::tempdir().expect("a folder");
        let bytes_max = 1 << 20;
        let mut log = RingLog::open(dir.path(), bytes_max).expect("opens");
        for number in 0..5_000_u32 {
            let mut payload = number.to_le_bytes().to_vec();
            payload.resize(1_000, 7);
            log.append(&payload).expect("appended");
        }
        log.flush().expect("flushed");
        let on_disk: u64 = segments(dir.path())
            .expect("listed")
            .iter()
            .map(|(_, path)| fs::metadata(path).expect("a size").len())
            .sum();
        assert!(on_disk <= bytes_max + 2_000 && on_disk > bytes_max / 2, "{on_disk}");
        let (found, _) = all(dir.path());
        let numbers: Vec<u32> = found
            .iter()
            .map(|payload| u32::from_le_bytes([payload[0], payload[1], payload[2], payload[3]]))
            .collect();
        assert_eq!(numbers.last(), Some(&4_999));
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }

    #[test]
    fn a_torn_end_or_a_flipped_bit_ends_one_segment_only() {
        let dir = tempfile::tempdir().expect("a folder");
        for opening in 0..3_u8 {
            let mut log = RingLog::open(dir.path(), 1 << 20).expect("opens");
            log.append(&[opening; 100]).expect("appended");
            log.append(&[opening; 100]).expect("appended");
            log.flush().expect("flushed");
        }
        let paths = segments(dir.path()).expect("listed");
        let mut torn = fs::read(&paths[0].1).expect("bytes");
        torn.truncate(torn.len() - 3);
        fs::write(&paths[0].1, torn).expect("written");
        let mut flipped = fs::read(&paths[1].1).expect("bytes");
        flipped[30] ^= 1;
        fs::write(&paths[1].1, flipped).expect("written");
        let (found, damaged) = all(dir.path());
        assert_eq!((found, damaged), (vec![vec![0; 100], vec![2; 100], vec![2; 100]], 2));
    }

    #[test]
    fn erased_bytes_are_gone_from_the_disk_and_the_rest_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = RingLog::open(dir.path(), 1 << 20).expect("opens");
        for who in [b"alice", b"bobby", b"alice", b"carol"] {
            log.append(who).expect("appended");
        }
        assert_eq!(log.erase(&mut |payload| payload == b"alice").expect("erased"), 2);
        log.append(b"david").expect("goes on");
        log.flush().expect("flushed");
        let (found, damaged) = all(dir.path());
        assert_eq!(
            (found, damaged),
            (vec![b"bobby".to_vec(), b"carol".to_vec(), b"david".to_vec()], 0)
        );
        for entry in fs::read_dir(dir.path()).expect("listed") {
            let bytes = fs::read(entry.expect("an entry").path()).expect("bytes");
            assert!(!bytes.windows(5).any(|window| window == b"alice"));
        }
        drop(log);
        assert_eq!(
            erase_records(dir.path(), &mut |payload| payload == b"bobby").expect("erased"),
            1
        );
        assert_eq!(all(dir.path()).0.len(), 2);
    }
}
