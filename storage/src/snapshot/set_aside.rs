//! What to do with a sled folder that does not open: tells damage from circumstances (lock, rights, space) and moves
//! damaged folders away. Must not delete anything.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{SetAside, SnapshotError};
use crate::files::sync_dir;

/// How many folders of one millisecond are told apart.
const NAMES_TRIED_MAX: u32 = 1_000;

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
        0 => path.with_file_name(format!("{name}.damaged-{now_ms}")),
        _ => path.with_file_name(format!("{name}.damaged-{now_ms}-{number}")),
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
