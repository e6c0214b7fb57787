//! One file of the warm tier: the entries of one kind and interval, appended batch by batch. Owns the format, what a torn
//! end is, and that erased bytes leave the file; must not know which entries belong where.
//!
//! ```text
//! file    = magic "SWIPWARM" · version u32 · record*
//! record  = head_crc u32 · batch u64 · sections u32 · section head*  · content*             (all little-endian)
//! section head = partition u32 · entries u32 · length u32 · crc32 u32 of the content
//! content = chunk
//! ```
//! `head_crc` covers the rest of the head and all section heads. A later record's section replaces an earlier one of the
//! same batch and partition: so a batch that is put again counts once, and so entries are erased. What is replaced is then
//! overwritten with zeros, in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::chunk;
use crate::files::{UNFINISHED_EXTENSION, sync_dir};

const MAGIC: &[u8; 8] = b"SWIPWARM";
const VERSION: u32 = 1;
const FILE_HEADER_BYTES: u64 = 12;
const RECORD_HEAD_BYTES: usize = 16;
const SECTION_HEAD_BYTES: usize = 16;
/// One for each partition.
const SECTIONS_MAX: u32 = 256;

/// Where a section's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    offset: u64,
    entries: u32,
    length: u32,
    crc: u32,
}

/// A file of the warm tier, without an open handle: there are hundreds.
#[derive(Debug)]
pub(super) struct WarmFile {
    path: PathBuf,
    /// Whole records end here; 0 when there is no file.
    bytes: u64,
    /// Bytes behind that are what a failed write has left.
    is_torn: bool,
    /// Batch and partition; the order in which entries came.
    sections: BTreeMap<u64, BTreeMap<u8, Section>>,
}

impl WarmFile {
    /// A file that is to be made by the first append.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            bytes: 0,
            is_torn: false,
            sections: BTreeMap::new(),
        }
    }

    /// Reads what is in the file at `path`: cuts off a torn end, and wipes what was replaced and is still there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut opened = Self::new(path);
        let mut file = OpenOptions::new().read(true).write(true).open(&opened.path)?;
        let length = file.metadata()?.len();
        let mut header = [0; FILE_HEADER_BYTES as usize];
        if length < FILE_HEADER_BYTES {
            opened.is_torn = true;
            return Ok(opened);
        }
        file.read_exact(&mut header)?;
        if header[..8] != *MAGIC || header[8..] != VERSION.to_le_bytes() {
            let what = "not a file of the warm archive, or of a newer version";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        opened.bytes = FILE_HEADER_BYTES;
        let mut replaced = Vec::new();
        let mut next = opened.bytes;
        while next < length {
            if let Some(record) = Record::read(&mut file, next, length)? {
                opened.bytes = record.end;
                next = record.end;
                replaced.extend(opened.take(record));
            } else if let Some(behind) = next_record(&mut file, next)? {
                // Not the end: another record follows.
                next = behind;
            } else {
                break;
            }
        }
        opened.is_torn = opened.bytes < length;
        if opened.is_torn {
            let cut = length - opened.bytes;
            tracing::warn!(path = %opened.path.display(), bytes = cut, "cutting off the torn end of a warm file");
        }
        wipe(&mut file, &replaced)?;
        Ok(opened)
    }

    /// Takes a record up; returns the sections that it replaces.
    fn take(&mut self, record: Record) -> Vec<Section> {
        let batch = self.sections.entry(record.batch).or_default();
        let replaced = record
            .sections
            .into_iter()
            .filter_map(|(partition, section)| batch.insert(partition, section));
        replaced.filter(|section| section.length > 0).collect()
    }

    /// Appends chunks of a batch, durably.
    ///
    /// # Errors
    /// Those of the file system; nothing of it counts then.
    pub(super) fn append(&mut self, batch: u64, chunks: &BTreeMap<u8, Vec<u8>>) -> io::Result<()> {
        let replaced = self.append_record(batch, chunks)?;
        if replaced.is_empty() {
            return Ok(());
        }
        // What was put before the process died, under the same name.
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        wipe(&mut file, &replaced)
    }

    fn append_record(&mut self, batch: u64, chunks: &BTreeMap<u8, Vec<u8>>) -> io::Result<Vec<Section>> {
        let is_new = self.bytes == 0;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(is_new)
            .truncate(false)
            .open(&self.path)?;
        if self.is_torn {
            file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        let mut encoded = Vec::new();
        if is_new {
            encoded.extend_from_slice(MAGIC);
            encoded.extend_from_slice(&VERSION.to_le_bytes());
        }
        let start = self.bytes.max(FILE_HEADER_BYTES);
        let record = encode(&mut encoded, start, batch, chunks);
        let written = file
            .seek(SeekFrom::Start(self.bytes))
            .and_then(|_| file.write_all(&encoded))
            .and_then(|()| file.sync_data());
        let named = written.and_then(|()| match self.path.parent() {
            Some(folder) if is_new => sync_dir(folder),
            Some(_) | None => Ok(()),
        });
        if let Err(error) = named {
            self.is_torn = true;
            return Err(error);
        }
        self.bytes = record.end;
        Ok(self.take(record))
    }

    /// The batches, oldest first.
    pub(super) fn batches(&self) -> impl Iterator<Item = u64> {
        self.sections.keys().copied()
    }

    /// About how many entries and bytes there are.
    pub(super) fn totals(&self) -> (u64, u64) {
        let all = self.sections.values().flat_map(BTreeMap::values);
        all.fold((0, 0), |(entries, bytes), section| {
            (entries + u64::from(section.entries), bytes + u64::from(section.length))
        })
    }

    /// The entries of some batches, batch by batch, each in the order of its numbers. Damaged chunks are reported and left
    /// out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn entries(&self, batches: &[u64]) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        if self.sections.is_empty() {
            return Ok(found);
        }
        let mut file = File::open(&self.path)?;
        for sections in batches.iter().filter_map(|batch| self.sections.get(batch)) {
            let batch_start = found.len();
            for section in sections.values() {
                if let Some(content) = self.read(&mut file, section)? {
                    found.extend(chunk::entries(&content).map(|(seq, payload)| (seq, payload.to_vec())));
                }
            }
            found[batch_start..].sort_by_key(|(seq, _)| *seq);
        }
        Ok(found)
    }

    fn read(&self, file: &mut File, section: &Section) -> io::Result<Option<Vec<u8>>> {
        let mut content = vec![0; section.length as usize];
        file.seek(SeekFrom::Start(section.offset))?;
        file.read_exact(&mut content)?;
        if crc32fast::hash(&content) == section.crc {
            return Ok(Some(content));
        }
        tracing::error!(
            path = %self.path.display(),
            offset = section.offset,
            "a damaged part of the warm archive is skipped"
        );
        Ok(None)
    }

    /// Erases the entries of a partition that match, from the disk too; returns how many those were.
    ///
    /// # Errors
    /// Those of the file system; call again then.
    pub(super) fn erase(&mut self, partition: u8, matches: &mut dyn FnMut(u64, &[u8]) -> bool) -> io::Result<u64> {
        let held: Vec<(u64, Section)> = self
            .sections
            .iter()
            .filter_map(|(batch, sections)| Some((*batch, *sections.get(&partition)?)))
            .filter(|(_, section)| section.length > 0)
            .collect();
        if held.is_empty() {
            return Ok(0);
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let mut erased = 0;
        for (batch, section) in held {
            let Some(content) = self.read(&mut file, &section)? else {
                // Nobody can say whom it is about: it goes as well.
                self.append(batch, &BTreeMap::from([(partition, Vec::new())]))?;
                continue;
            };
            let mut kept = Vec::new();
            let mut gone = 0;
            for (seq, payload) in chunk::entries(&content) {
                if matches(seq, payload) {
                    gone += 1;
                } else {
                    chunk::push(&mut kept, seq, payload);
                }
            }
            if gone > 0 {
                // First what stays, then what goes: a crash in between leaves both, and the next opening wipes.
                self.append(batch, &BTreeMap::from([(partition, kept)]))?;
                erased += gone;
            }
        }
        Ok(erased)
    }

    /// Removes the batches up to `batch`. Returns whether nothing is left; then there is no file either.
    ///
    /// # Errors
    /// Those of the file system; call again then.
    pub(super) fn remove(&mut self, batch: u64) -> io::Result<bool> {
        let stays: BTreeSet<u64> = self.batches().filter(|known| *known > batch).collect();
        if stays.is_empty() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.path.parent().map_or(Ok(()), sync_dir)?;
            *self = Self::new(std::mem::take(&mut self.path));
            return Ok(true);
        }
        if stays.len() == self.sections.len() {
            return Ok(false);
        }
        let mut fresh = Self::new(self.path.with_extension(UNFINISHED_EXTENSION));
        match fs::remove_file(&fresh.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::open(&self.path)?;
        for batch in stays {
            let mut chunks = BTreeMap::new();
            for (partition, section) in &self.sections[&batch] {
                if let Some(content) = self.read(&mut file, section)? {
                    chunks.insert(*partition, content);
                }
            }
            fresh.append(batch, &chunks)?;
        }
        fs::rename(&fresh.path, &self.path)?;
        self.path.parent().map_or(Ok(()), sync_dir)?;
        fresh.path = std::mem::take(&mut self.path);
        *self = fresh;
        Ok(false)
    }
}

/// Where the next whole record begins behind damage, if there is one.
fn next_record(file: &mut File, damaged: u64) -> io::Result<Option<u64>> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(damaged))?;
    file.read_to_end(&mut rest)?;
    let found = (1..rest.len()).find(|start| is_record(&rest[*start..]));
    if let Some(bytes) = found {
        tracing::error!(offset = damaged, bytes, "a damaged part of the warm archive is skipped");
    }
    Ok(found.map(|start| damaged + start as u64))
}

/// Whether these bytes begin with a whole record.
fn is_record(bytes: &[u8]) -> bool {
    let Some(sections) = bytes
        .get(12..16)
        .map(number)
        .filter(|sections| *sections <= SECTIONS_MAX)
    else {
        return false;
    };
    let heads = RECORD_HEAD_BYTES + sections as usize * SECTION_HEAD_BYTES;
    let Some(head) = bytes.get(..heads) else { return false };
    let lengths = head[RECORD_HEAD_BYTES..].chunks_exact(SECTION_HEAD_BYTES);
    let contents: u64 = lengths.map(|head| u64::from(number(&head[8..12]))).sum();
    heads as u64 + contents <= bytes.len() as u64 && crc32fast::hash(&head[4..]) == number(&head[..4])
}

/// Overwrites contents with zeros, durably; those that are zeros already stay as they are.
fn wipe(file: &mut File, sections: &[Section]) -> io::Result<()> {
    let mut has_changed = false;
    for section in sections {
        let mut content = vec![0; section.length as usize];
        file.seek(SeekFrom::Start(section.offset))?;
        file.read_exact(&mut content)?;
        if content.iter().any(|byte| *byte != 0) {
            content.fill(0);
            file.seek(SeekFrom::Start(section.offset))?;
            file.write_all(&content)?;
            has_changed = true;
        }
    }
    if has_changed { file.sync_data() } else { Ok(()) }
}

struct Record {
    batch: u64,
    sections: Vec<(u8, Section)>,
    end: u64,
}

impl Record {
    /// The record at `offset` of a file of `length` bytes; `None` at the end, or where what follows is not whole.
    fn read(file: &mut File, offset: u64, length: u64) -> io::Result<Option<Self>> {
        if length - offset < RECORD_HEAD_BYTES as u64 {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut head = vec![0; RECORD_HEAD_BYTES];
        file.read_exact(&mut head)?;
        let sections = number(&head[12..16]);
        let heads_bytes = u64::from(sections) * SECTION_HEAD_BYTES as u64;
        let contents = offset + RECORD_HEAD_BYTES as u64 + heads_bytes;
        if sections > SECTIONS_MAX || contents > length {
            return Ok(None);
        }
        head.resize(RECORD_HEAD_BYTES + heads_bytes as usize, 0);
        file.read_exact(&mut head[RECORD_HEAD_BYTES..])?;
        if crc32fast::hash(&head[4..]) != number(&head[..4]) {
            return Ok(None);
        }
        let batch = u64::from(number(&head[4..8])) | (u64::from(number(&head[8..12])) << 32);
        let mut end = contents;
        let mut found = Vec::with_capacity(sections as usize);
        for head in head[RECORD_HEAD_BYTES..].chunks_exact(SECTION_HEAD_BYTES) {
            let section = Section {
                offset: end,
                entries: number(&head[4..8]),
                length: number(&head[8..12]),
                crc: number(&head[12..]),
            };
            end += u64::from(section.length);
            found.push((head[0], section));
        }
        Ok((end <= length).then_some(Self {
            batch,
            sections: found,
            end,
        }))
    }
}

/// Appends a record to `encoded` that will stand at `offset` of its file.
fn encode(encoded: &mut Vec<u8>, offset: u64, batch: u64, chunks: &BTreeMap<u8, Vec<u8>>) -> Record {
    // Chunks are of a batch, which is bounded far below 4 GiB.
    let narrow = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut head = Vec::new();
    head.extend_from_slice(&batch.to_le_bytes());
    head.extend_from_slice(&narrow(chunks.len()).to_le_bytes());
    let mut end = offset + (RECORD_HEAD_BYTES + chunks.len() * SECTION_HEAD_BYTES) as u64;
    let mut sections = Vec::with_capacity(chunks.len());
    for (partition, content) in chunks {
        let section = Section {
            offset: end,
            entries: narrow(chunk::entries(content).count()),
            length: narrow(content.len()),
            crc: crc32fast::hash(content),
        };
        for field in [u32::from(*partition), section.entries, section.length, section.crc] {
            head.extend_from_slice(&field.to_le_bytes());
        }
        end += u64::from(section.length);
        sections.push((*partition, section));
    }
    encoded.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    encoded.extend_from_slice(&head);
    chunks.values().for_each(|content| encoded.extend_from_slice(content));
    Record { batch, sections, end }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn chunks(partition: u8, entries: &[(u64, &[u8])]) -> BTreeMap<u8, Vec<u8>> {
        let mut content = Vec::new();
        entries
            .iter()
            .for_each(|(seq, payload)| chunk::push(&mut content, *seq, payload));
        BTreeMap::from([(partition, content)])
    }

    fn all(file: &WarmFile) -> Vec<u64> {
        let batches: Vec<u64> = file.batches().collect();
        let entries = file.entries(&batches).expect("read");
        entries.into_iter().map(|(seq, _)| seq).collect()
    }

    fn filled(path: &Path) -> WarmFile {
        let mut file = WarmFile::new(path.to_path_buf());
        file.append(1, &chunks(7, &[(1, b"alice"), (2, b"bobby")]))
            .expect("appended");
        file.append(3, &chunks(7, &[(3, b"alice")])).expect("appended");
        file.append(4, &chunks(8, &[(4, b"carol")])).expect("appended");
        file
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("0.log");
        let two = {
            let mut file = WarmFile::new(path.clone());
            file.append(1, &chunks(7, &[(1, b"alice")])).expect("appended");
            file.append(2, &chunks(7, &[(2, b"bobby")])).expect("appended");
            file.bytes
        };
        filled(&dir.path().join("whole"));
        let whole = fs::read(&path).expect("read");
        assert_eq!(whole.len() as u64, two);
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).expect("torn");
            let mut file = WarmFile::open(path.clone()).expect("opened");
            let kept = all(&file);
            assert!([1, 2].starts_with(&kept), "{kept:?}");
            file.append(9, &chunks(1, &[(9, b"later")])).expect("goes on");
            let file = WarmFile::open(path.clone()).expect("opened again");
            assert_eq!(all(&file), [kept, vec![9]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_erased_leaves_the_disk_and_stays_away() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("0.log");
        let mut file = filled(&path);
        let erased = file.erase(7, &mut |seq, payload| seq <= 2 && payload == b"alice");
        assert_eq!(erased.expect("erased"), 1);
        assert_eq!(file.erase(7, &mut |_, payload| payload == b"alice").expect("erased"), 1);
        assert_eq!(file.erase(9, &mut |_, _| true).expect("erased"), 0);
        for file in [file, WarmFile::open(path.clone()).expect("opened")] {
            assert_eq!((all(&file), file.totals().0), (vec![2, 4], 2));
        }
        let bytes = fs::read(&path).expect("read");
        assert!(!bytes.windows(5).any(|window| window == b"alice"));
    }

    #[test]
    fn what_a_crash_left_of_an_erasure_is_wiped_at_the_next_opening() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("0.log");
        let mut file = filled(&path);
        // It died between the new section and the wiping of the old one.
        file.append_record(1, &chunks(7, &[(2, b"bobby")])).expect("appended");
        let is_there = || {
            fs::read(&path)
                .expect("read")
                .windows(5)
                .filter(|window| window == b"alice")
                .count()
        };
        assert_eq!(is_there(), 2);
        let file = WarmFile::open(path.clone()).expect("opened");
        assert_eq!((all(&file), is_there()), (vec![2, 3, 4], 1));
    }

    #[test]
    fn batches_are_removed_and_the_last_one_takes_the_file_with_it() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("0.log");
        let mut file = filled(&path);
        assert!(!file.remove(0).expect("removed"));
        assert!(!file.remove(1).expect("removed"));
        assert_eq!(all(&file), [3, 4]);
        file.append(5, &chunks(7, &[(5, b"david")])).expect("appended");
        let mut file = WarmFile::open(path.clone()).expect("opened");
        assert_eq!(all(&file), [3, 4, 5]);
        assert!(file.remove(u64::MAX).expect("removed") && !path.exists());
        file.append(6, &chunks(7, &[(6, b"emily")])).expect("goes on");
        assert_eq!(all(&WarmFile::open(path).expect("opened")), [6]);
    }

    #[test]
    fn a_flipped_bit_costs_one_record_at_most() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("0.log");
        filled(&path);
        let whole = fs::read(&path).expect("read");
        for position in FILE_HEADER_BYTES as usize..whole.len() {
            let mut bytes = whole.clone();
            bytes[position] ^= 4;
            fs::write(&path, bytes).expect("written");
            let file = WarmFile::open(path.clone()).expect("opened");
            let left = all(&file);
            let lost = |seqs: &[u64]| seqs.iter().all(|seq| !left.contains(seq));
            let is_one = [lost(&[1, 2]), lost(&[3]), lost(&[4])];
            assert_eq!(
                is_one.iter().filter(|lost| **lost).count(),
                1,
                "{left:?} with a flip at {position}"
            );
        }
    }
}
