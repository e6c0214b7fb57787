//! How far a webhook has come, on disk: a number in a file that is replaced as a whole.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// A place on disk for one number.
pub(super) struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// The place of what is called `name` (an address) in `folder`.
    pub(super) fn of(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        Ok(Self {
            path: folder.join(format!("{hash:016x}.cursor")),
        })
    }

    /// The number; `None` when none has been written.
    pub(super) fn read(&self) -> Result<Option<u64>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => {
                let number = text
                    .trim()
                    .parse()
                    .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
                Ok(Some(number))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the number.
    pub(super) fn write(&self, number: u64) -> Result<()> {
        let aside = self.path.with_extension("new");
        std::fs::write(&aside, format!("{number}\n"))?;
        std::fs::rename(&aside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two] = ["http://one", "http://two"].map(|name| Cursor::of(folder.path(), name).expect("a place"));
        assert_eq!(one.read().expect("readable"), None);
        one.write(7).expect("written");
        two.write(9).expect("written");
        one.write(8).expect("written");
        let again = Cursor::of(folder.path(), "http://one").expect("a place");
        assert_eq!(again.read().expect("readable"), Some(8));
        std::fs::write(&again.path, "no number").expect("written");
        assert!(again.read().is_err());
    }
}
