//! Watches over the disk of the data directory: that there is room for what has to be written, and that the directory is
//! still the one that was opened. Owns when the journal refuses new records for it; must not delete anything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::data_dir::DataDir;
use crate::journal::EmbeddedJournal;

/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that looks. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    shared: Arc<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    state: Mutex<State>,
    stopped: Condvar,
    /// Held while it is looked: whoever ends the watch gets the directory's lock back.
    looking: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    trouble: Option<String>,
}

impl DiskWatch {
    /// Looks once, and from then on until it is dropped. With less than `free_bytes_min` bytes free the journal refuses new
    /// records; 0 asks for none.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(dir: &Arc<DataDir>, journal: &Arc<EmbeddedJournal>, free_bytes_min: u64) -> io::Result<Self> {
        let shared = Arc::new(Watched::default());
        look(&shared, dir, journal, free_bytes_min);
        let watch = Self {
            shared: Arc::clone(&shared),
        };
        // Weak: neither the directory's lock nor the journal may live on for it.
        let (dir, journal) = (Arc::downgrade(dir), Arc::downgrade(journal));
        std::thread::Builder::new()
            .name("disk-watch".to_owned())
            .spawn(move || {
                loop {
                    let mut state = shared.state.lock();
                    if !state.is_stopped {
                        shared.stopped.wait_for(&mut state, LOOK_INTERVAL);
                    }
                    if state.is_stopped {
                        return;
                    }
                    drop(state);
                    let _looking = shared.looking.lock();
                    if shared.state.lock().is_stopped {
                        return;
                    }
                    let (Some(dir), Some(journal)) = (dir.upgrade(), journal.upgrade()) else {
                        return;
                    };
                    look(&shared, &dir, &journal, free_bytes_min);
                }
            })?;
        Ok(watch)
    }

    /// Why writes are refused although the journal works, if they are.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.state.lock().trouble.clone()
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self.shared.state.lock().is_stopped = true;
        self.shared.stopped.notify_all();
        // A disk that does not answer is not waited for.
        drop(self.shared.looking.try_lock_for(LOOK_INTERVAL));
    }
}

fn look(shared: &Watched, dir: &DataDir, journal: &EmbeddedJournal, free_bytes_min: u64) {
    let misplaced = dir.is_in_place().err().map(|what| {
        let path = dir.path().display();
        format!("the data directory {path} is not where it was: {what}")
    });
    journal.set_misplaced(misplaced.as_deref());
    let refusal = refusal(free_bytes(dir.path()).ok(), free_bytes_min);
    journal.refuse(refusal.as_deref());
    let trouble = misplaced.or(refusal);
    let mut state = shared.state.lock();
    if state.trouble.is_none() != trouble.is_none() {
        match &trouble {
            Some(trouble) => tracing::error!(trouble, "nothing that has to be kept is taken; feeds go on"),
            None => tracing::warn!("what has to be kept is taken again"),
        }
    }
    state.trouble = trouble;
}

/// Why nothing new may be written; `None` also where the free space is not known.
fn refusal(free_bytes: Option<u64>, free_bytes_min: u64) -> Option<String> {
    let free_bytes = free_bytes.filter(|free| *free < free_bytes_min)?;
    Some(format!(
        "only {free_bytes} bytes are free on the disk, less than data.free_bytes_min = {free_bytes_min}"
    ))
}

/// Bytes that this process may still write.
#[cfg(unix)]
fn free_bytes(path: &std::path::Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_path: &std::path::Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDirOptions;
    use crate::journal::{Journal, JournalError, JournalOptions, NewRecord};
    use crate::partition::Partition;

    fn append(journal: &EmbeddedJournal) -> Result<(), JournalError> {
        let record = NewRecord {
            kind: 1,
            version: 1,
            partition: Partition(1),
            payload: b"x",
        };
        journal.append(record).map(drop)
    }

    #[test]
    fn a_directory_that_is_gone_and_a_disk_without_room_take_nothing() {
        let outer = tempfile::tempdir().expect("temporary folder");
        let path = outer.path().join("data");
        let dir = Arc::new(DataDir::open(&path, &DataDirOptions::default()).expect("opened"));
        let (journal, _) = EmbeddedJournal::open(&dir.journal(), JournalOptions::default()).expect("opened");
        let shared = Watched::default();
        look(&shared, &dir, &journal, 1);
        assert_eq!(shared.state.lock().trouble, None);
        append(&journal).expect("there is room");
        look(&shared, &dir, &journal, u64::MAX);
        let trouble = shared.state.lock().trouble.clone().expect("no disk is that large");
        assert!(trouble.contains("data.free_bytes_min"), "{trouble}");
        assert!(matches!(append(&journal), Err(JournalError::Failed(_))));
        journal.flush().expect("what was taken before is committed");
        look(&shared, &dir, &journal, 0);
        append(&journal).expect("there is room again");
        let moved = outer.path().join("moved");
        std::fs::rename(&path, &moved).expect("moved");
        std::fs::create_dir(&path).expect("another one of the name");
        look(&shared, &dir, &journal, 0);
        assert!(append(&journal).is_err() && shared.state.lock().trouble.is_some());
        std::fs::remove_dir(&path).expect("removed");
        std::fs::rename(&moved, &path).expect("back");
        look(&shared, &dir, &journal, 0);
        append(&journal).expect("it is where it was");
    }

    #[test]
    fn unknown_space_is_no_reason_to_refuse() {
        assert_eq!(refusal(None, 10), None);
        assert_eq!(refusal(Some(10), 10), None);
        assert!(refusal(Some(9), 10).is_some());
    }
}
