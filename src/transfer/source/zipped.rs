//! Files in zip archives.
//!
//! Owns how a member is found and inflated as a stream. Must not know what its bytes mean.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;
use zip::CompressionMethod;

use super::packed::ZIP_MAGIC;

/// The most members of an archive that are looked at.
const MEMBERS_MAX: usize = 100_000;

/// A file in a zip archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The archive's path and the member's name, for people and for the rules by name.
    pub(super) shown: PathBuf,
    /// Its size in the archive.
    pub(super) bytes_packed: u64,
    archive: PathBuf,
    offset: u64,
    is_deflated: bool,
    bytes: u64,
    crc32: u32,
}

/// Whether a file starts as zip archives do.
pub(super) fn is_zip(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(ZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == ZIP_MAGIC)
}

/// The files in an archive, without folders and what macOS puts beside them.
///
/// # Errors
/// It is damaged, or packed in a way that is not known here.
pub(super) fn members(path: &Path) -> Result<Vec<Member>> {
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path)?)).map_err(Error::other)?;
    let mut members = Vec::new();
    for place in 0..archive.len().min(MEMBERS_MAX) {
        let file = archive.by_index_raw(place).map_err(Error::other)?;
        let name = file.name().map_err(Error::other)?.into_owned();
        if !file.is_file() || name.starts_with("__MACOSX/") {
            continue;
        }
        let refused = |why: &str| Error::new(ErrorKind::Unsupported, format!("{name}: {why}"));
        if file.encrypted() {
            return Err(refused("is encrypted"));
        }
        let method = file.compression();
        if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method) {
            return Err(refused(&format!("is packed with {method}; unpack the archive first")));
        }
        let offset = file
            .data_start()
            .ok_or_else(|| refused("has no place in the archive"))?;
        members.push(Member {
            shown: path.join(&name),
            bytes_packed: file.compressed_size(),
            archive: path.to_owned(),
            offset,
            is_deflated: method == CompressionMethod::Deflated,
            bytes: file.size(),
            crc32: file.crc32(),
        });
    }
    Ok(members)
}

impl Member {
    /// Its bytes as they lie in the archive.
    pub(super) fn packed(&self) -> Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.archive)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(Box::new(file.take(self.bytes_packed)))
    }

    /// Its bytes, checked at their end.
    pub(super) fn unpacked(&self, packed: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let inner: Box<dyn Read + Send> = if self.is_deflated {
            Box::new(DeflateDecoder::new(BufReader::new(packed)))
        } else {
            Box::new(packed)
        };
        Box::new(Checked {
            inner: flate2::CrcReader::new(inner),
            bytes_left: self.bytes,
            crc32: self.crc32,
        })
    }
}

/// Says at the end whether everything was there.
struct Checked {
    inner: flate2::CrcReader<Box<dyn Read + Send>>,
    bytes_left: u64,
    crc32: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes_left = self.bytes_left.saturating_sub(count as u64);
        let is_end = count == 0 && !buffer.is_empty();
        if is_end && (self.bytes_left > 0 || self.inner.crc().sum() != self.crc32) {
            return Err(Error::new(ErrorKind::InvalidData, "the archive is damaged here"));
        }
        Ok(count)
    }
}
