//! Small helpers around files that every part of the crate needs. Must not know what is in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the creation, renaming and deletion of entries of `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix can open a folder as a file; elsewhere the file system does this by itself.
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

/// Replaces the file at `path` as a whole: after a crash it has either the old or the new content.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("EPOCH");
        for content in [b"first".as_slice(), b"second"] {
            write_atomically(&path, content).expect("file is written");
            assert_eq!(fs::read(&path).expect("file is read"), content);
        }
        assert_eq!(fs::read_dir(dir.path()).expect("folder is listed").count(), 1);
    }
}
