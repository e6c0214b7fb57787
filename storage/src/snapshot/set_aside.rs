//! What to do with a sled folder that does not open: removes what sled itself left unfinished, tells damage from
//! circumstances (lock, rights, space), moves damaged folders away and finds them again. Must not delete what is not
//! known to be unfinished.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{SetAside, SnapshotError};
use crate::files::sync_dir;

/// How many folders of one millisecond are told apart.
const NAMES_TRIED_MAX: u32 = 1_000;
const SET_ASIDE_INFIX: &str = ".damaged-";

/// sled's own snapshots of its page table: this and 16 hexadecimal digits.
const SLED_SNAPSHOT_PREFIX: &str = "snap.";
/// Before the name of one of them that was put away.
const PUT_AWAY_PREFIX: &str = "unread.";

/// Makes the folder ready to be opened, because sled finds a whole store corrupt over files that it does not need: what it
/// was writing when it died is removed (sled 0.34 takes every file that begins with `snap.` for a finished snapshot of its
/// page table, `snap.<lsn>.generating` too), and snapshots that fail their checksum are put away. Its log says the same.
pub(super) fn clean(path: &Path) -> io::Result<()> {
    for (file, is_finished) in sled_snapshots(path)? {
        if !is_finished {
            tracing::warn!(file = %file.display(), "removing what the snapshot store was writing when it died");
            fs::remove_file(&file)?;
        } else if !is_whole_sled_snapshot(&fs::read(&file)?) {
            tracing::warn!(file = %file.display(), "the snapshot store's page table is damaged; its log is read as a whole");
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::rename(&file, file.with_file_name(format!("{PUT_AWAY_PREFIX}{name}")))?;
        }
    }
    Ok(())
}

/// Whether sled will take it: `content · length u64 · crc32 u32 of the content`.
fn is_whole_sled_snapshot(bytes: &[u8]) -> bool {
    let Some((rest, crc)) = bytes.split_last_chunk::<4>() else {
        return false;
    };
    let Some((content, _length)) = rest.split_last_chunk::<8>() else {
        return false;
    };
    !content.is_empty() && crc32fast::hash(content) == u32::from_le_bytes(*crc)
}

/// Files that sled takes for snapshots of its page table, each with whether it is a finished one.
fn sled_snapshots(path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let is_finished = |lsn: &str| lsn.len() == 16 && lsn.bytes().all(|digit| digit.is_ascii_hexdigit());
    let named = |file: PathBuf| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        let lsn = name.strip_prefix(SLED_SNAPSHOT_PREFIX)?;
        Some((file, is_finished(lsn)))
    };
    Ok(files_of(path)?.into_iter().filter_map(named).collect())
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let files: io::Result<Vec<PathBuf>> = files.collect();
    Ok(files?.into_iter().filter(|path| path.is_file()).collect())
}

/// Whether a store was ever made in this folder.
pub(super) fn holds_store(path: &Path) -> bool {
    path.join("db").exists()
}

/// Stores that were set aside beside `path`, the newest first.
pub(super) fn set_aside_before(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}{SET_ASIDE_INFIX}", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let candidate = entry?.path();
        let number = candidate.file_name().and_then(|name| {
            let number = name.to_string_lossy().strip_prefix(&prefix)?.to_owned();
            let (ms, place) = number.split_once('-').unwrap_or((&number, "0"));
            Some((ms.parse::<i64>().ok()?, place.parse::<u32>().ok()?))
        });
        if let Some(number) = number
            && holds_store(&candidate)
        {
            found.push((number, candidate));
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, candidate)| candidate).collect())
}

/// Runs something of sled's; its panics (it has them on damaged files) become errors.
pub(super) fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, sled::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(sled::Error::ReportableBug(format!("panic in the database: {text}")))
    })
}

/// The error for a caller; circumstances stay I/O errors.
pub(super) fn into_snapshot_error(path: &Path, error: sled::Error) -> SnapshotError {
    match error {
        sled::Error::Io(source) => SnapshotError::Io {
            path: path.to_path_buf(),
            source,
        },
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => SnapshotError::Backend(error.to_string()),
    }
}

/// Whether the folder itself is at fault. A lock, missing rights or a full disk go away; moving a good store aside for
/// them would throw it away.
pub(super) fn is_damage(error: &sled::Error) -> bool {
    let sled::Error::Io(error) = error else {
        return true;
    };
    !is_lock_conflict(error)
        && matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::NotFound
                | io::ErrorKind::Other
        )
}

/// sled 0.34 hides the reason in the text.
pub(super) fn is_lock_conflict(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Renames `path` to `<name>.damaged-<unix ms>` beside it.
pub(super) fn set_aside(path: &Path, reason: String, now_ms: i64) -> Result<SetAside, SnapshotError> {
    let at_path = |source| SnapshotError::Io {
        path: path.to_path_buf(),
        source,
    };
    let target = free_name(path, now_ms).ok_or_else(|| {
        at_path(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "no free name to set it aside",
        ))
    })?;
    fs::rename(path, &target).map_err(at_path)?;
    path.parent().map_or(Ok(()), sync_dir).map_err(at_path)?;
    tracing::error!(
        reason,
        moved_to = %target.display(),
        "the snapshot store is damaged: it was set aside and a new one is filled from the journal"
    );
    Ok(SetAside { path: target, reason })
}

fn free_name(path: &Path, now_ms: i64) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let candidate = |number| match number {
        0 => path.with_file_name(format!("{name}{SET_ASIDE_INFIX}{now_ms}")),
        _ => path.with_file_name(format!("{name}{SET_ASIDE_INFIX}{now_ms}-{number}")),
    };
    (0..NAMES_TRIED_MAX)
        .map(candidate)
        .find(|candidate| !candidate.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circumstances_are_not_damage() {
        let locked = io::Error::other("could not acquire lock on \"db\": WouldBlock");
        assert!(!is_damage(&sled::Error::Io(locked)));
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull,
            io::ErrorKind::ReadOnlyFilesystem,
        ] {
            assert!(!is_damage(&sled::Error::Io(kind.into())), "{kind:?}");
        }
        assert!(is_damage(&sled::Error::Io(io::ErrorKind::UnexpectedEof.into())));
        assert!(is_damage(&sled::Error::Corruption { at: None, bt: () }));
        assert!(is_damage(
            &guarded::<()>(|| panic!("index out of range")).expect_err("a panic is an error")
        ));
    }

    #[test]
    fn only_what_sled_did_not_finish_is_removed_and_damaged_page_tables_are_put_away() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut whole = b"content".to_vec();
        whole.extend_from_slice(&7_u64.to_le_bytes());
        whole.extend_from_slice(&crc32fast::hash(b"content").to_le_bytes());
        let files: [(&str, &[u8]); 7] = [
            ("snap.00000000000000FF", &whole),
            ("snap.00000000000000FE", b"torn"),
            ("snap.0000000000000100.generating", b""),
            ("snap.0000000000000100.in___motion", b""),
            ("db", b""),
            ("snapshot of somebody", b""),
            ("flushes", b"3"),
        ];
        for (name, content) in files {
            fs::write(dir.path().join(name), content).expect("written");
        }
        clean(dir.path()).expect("cleaned");
        let mut left: Vec<String> = files_of(dir.path())
            .expect("listed")
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        left.sort();
        let expected = [
            "db",
            "flushes",
            "snap.00000000000000FF",
            "snapshot of somebody",
            "unread.snap.00000000000000FE",
        ];
        assert_eq!(left, expected);
        clean(&dir.path().join("none")).expect("what is not there is clean");
    }

    #[test]
    fn those_set_aside_are_found_again_the_newest_first() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for name in [
            "store.damaged-9",
            "store.damaged-10",
            "store.damaged-10-1",
            "store.damaged-x",
            "other",
        ] {
            fs::create_dir(dir.path().join(name)).expect("made");
            fs::write(dir.path().join(name).join("db"), b"").expect("written");
        }
        fs::create_dir(dir.path().join("store.damaged-11")).expect("an empty one");
        let found = set_aside_before(&dir.path().join("store")).expect("listed");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["store.damaged-10-1", "store.damaged-10", "store.damaged-9"]);
    }

    #[test]
    fn setting_aside_twice_in_one_millisecond_keeps_both() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("snapshots");
        let mut names = Vec::new();
        for _ in 0..2 {
            fs::create_dir(&path).expect("the folder is made");
            names.push(set_aside(&path, "test".to_owned(), 77).expect("it is moved").path);
        }
        assert!(names[0].ends_with("snapshots.damaged-77") && names[1].ends_with("snapshots.damaged-77-1"));
        assert!(names.iter().all(|name| name.is_dir()) && !path.exists());
    }
}
