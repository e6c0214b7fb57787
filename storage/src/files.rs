//! Small helpers around files that every part of the crate needs. Must not know what is in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The ending of a file that is only being written.
pub(crate) const UNFINISHED_EXTENSION: &str = "tmp";

/// Makes the creation, renaming and deletion of entries of `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix can open a folder as a file; elsewhere the file system does this by itself.
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

/// Replaces the file at `path` as a whole: after a crash it has either the old or the new content. Several may do so at
/// a time: each writes a file of its own, and the last one to rename it counts.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!("{name}.{number}.{UNFINISHED_EXTENSION}"));
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // On a full disk every byte counts; what cannot be removed now goes at the next opening.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a folder and everything in it; harmless when there is none.
pub(crate) fn remove_dir_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes what a crash has left of [`write_atomically`] in `dir`: the file that it was to replace is as it was.
pub(crate) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|end| end == UNFINISHED_EXTENSION) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
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

    #[test]
    fn several_may_replace_a_file_at_a_time() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("count");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        write_atomically(path, &[writer; 64]).expect("nobody takes the file away");
                    }
                });
            }
        });
        let content = fs::read(&path).expect("file is read");
        assert!(content.len() == 64 && content.iter().all(|byte| *byte == content[0]));
        assert_eq!(fs::read_dir(dir.path()).expect("folder is listed").count(), 1);
    }

    #[test]
    fn what_a_crash_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for name in ["VERSION", "VERSION.3.tmp", "VERSION.tmp", "notes"] {
            fs::write(dir.path().join(name), b"x").expect("written");
        }
        fs::create_dir(dir.path().join("folder.tmp")).expect("made");
        remove_unfinished(dir.path()).expect("removed");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["VERSION", "folder.tmp", "notes"]);
    }
}
