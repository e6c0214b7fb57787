//! Large immutable values (models), each in a file of its own that is named by its content.
//!
//! Journal records and snapshot rows name a blob; they are small whatever it is. Owns names, files and checksums. Must not
//! know what a blob is for, nor which are still needed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use crate::files::write_atomically;

/// The name of a blob: 32 hexadecimal digits of the XXH3 hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

impl BlobName {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("{:032x}", xxh3_128(bytes)))
    }

    /// A name that was written down; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is none of that name.
    #[error("there is no blob {0}")]
    Missing(BlobName),
    /// The file does not hold what its name says.
    #[error("blob {0} is damaged")]
    Damaged(BlobName),
    /// The file or folder could not be used.
    #[error("blob {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The blobs of a data directory, or of a process without one.
#[derive(Debug)]
pub enum Blobs {
    /// In files of this folder, which is made with the first one.
    Folder(PathBuf),
    /// In memory.
    Memory(Mutex<BTreeMap<BlobName, Vec<u8>>>),
}

impl Blobs {
    /// Nothing, in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Keeps bytes; on the disk when this returns. What is kept already is not written again.
    ///
    /// # Errors
    /// `Io`.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobName, BlobError> {
        let name = BlobName::of(bytes);
        match self {
            Self::Memory(kept) => {
                kept.lock().insert(name.clone(), bytes.to_vec());
            }
            Self::Folder(folder) => {
                let path = folder.join(name.as_str());
                if self.get(&name).is_err() {
                    let written = fs::create_dir_all(folder).and_then(|()| write_atomically(&path, bytes));
                    written.map_err(|source| BlobError::Io { path, source })?;
                }
            }
        }
        Ok(name)
    }

    /// The bytes of a blob, checked.
    ///
    /// # Errors
    /// `Missing`, `Damaged`, `Io`.
    pub fn get(&self, name: &BlobName) -> Result<Vec<u8>, BlobError> {
        let bytes = match self {
            Self::Memory(kept) => kept.lock().get(name).cloned(),
            Self::Folder(folder) => read(&folder.join(name.as_str()))?,
        };
        let bytes = bytes.ok_or_else(|| BlobError::Missing(name.clone()))?;
        if BlobName::of(&bytes) == *name {
            Ok(bytes)
        } else {
            Err(BlobError::Damaged(name.clone()))
        }
    }

    /// Deletes all blobs but those named. What is no blob is left alone.
    ///
    /// # Errors
    /// `Io`; some may be gone then.
    pub fn keep_only(&self, needed: &[BlobName]) -> Result<(), BlobError> {
        let folder = match self {
            Self::Memory(kept) => {
                kept.lock().retain(|name, _| needed.contains(name));
                return Ok(());
            }
            Self::Folder(folder) => folder,
        };
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| BlobError::Io { path, source }
        };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(at(folder))?.path();
            let name = path.file_name().and_then(|name| BlobName::parse(name.to_str()?));
            if name.is_some_and(|name| !needed.contains(&name)) {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, BlobError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BlobError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blobs: &Blobs) {
        let (one, two) = (blobs.put(b"one").expect("kept"), blobs.put(b"two").expect("kept"));
        assert_eq!(blobs.put(b"one").expect("kept"), one);
        assert_eq!(blobs.get(&one).expect("there"), b"one");
        blobs.keep_only(std::slice::from_ref(&two)).expect("the other goes");
        assert!(matches!(blobs.get(&one), Err(BlobError::Missing(name)) if name == one));
        assert_eq!(blobs.get(&two).expect("there"), b"two");
    }

    #[test]
    fn what_is_kept_is_found_by_its_content() {
        check(&Blobs::in_memory());
        let dir = tempfile::tempdir().expect("temporary folder");
        let folder = dir.path().join("blobs");
        check(&Blobs::Folder(folder.clone()));
        // A file of somebody else, and a damaged one that is written again.
        fs::write(folder.join("README"), "mine").expect("written");
        let blobs = Blobs::Folder(folder.clone());
        let name = blobs.put(b"three").expect("kept");
        fs::write(folder.join(name.as_str()), "thre").expect("written");
        assert!(matches!(blobs.get(&name), Err(BlobError::Damaged(_))));
        blobs.put(b"three").expect("kept");
        assert_eq!(blobs.get(&name).expect("there"), b"three");
        blobs.keep_only(&[]).expect("all go");
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);
        Blobs::Folder(dir.path().join("none"))
            .keep_only(&[])
            .expect("nothing to do");
    }

    #[test]
    fn names_are_digits_only() {
        assert!(BlobName::parse("../../etc/passwd").is_none());
        assert!(BlobName::parse(&"A".repeat(32)).is_none());
        let name = BlobName::of(b"x");
        assert_eq!(BlobName::parse(name.as_str()), Some(name));
    }
}
