//! Where the stores of sled are, of which one counts: `<path>`, or while the server runs one that took its place in
//! `<path>.<number>`. Owns the folders, which of them counts across a crash, and copying one that may still be open.
//!
//! ```text
//! snapshots/            the store, after every start
//! snapshots.000001/     one beside it; counts instead of everything with a smaller number once it holds COUNTS
//! ```

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::supervised::{Beside, StoreMaker};
use super::{SledOptions, SledStore, SnapshotError, SnapshotStore, Tree};
use crate::files::{UNFINISHED_EXTENSION, remove_dir_if_there, sync_dir, write_atomically};

/// In a folder with a number: it counts.
const MARKER_FILE: &str = "COUNTS";
const NUMBER_DIGITS: usize = 6;
/// Files of sled that are not in a folder of their own, in the order in which they are copied: what says how much has to
/// be there comes before what is there.
const COUNT_FILE: &str = "flushes";
const BLOBS: &str = "blobs";

/// Makes stores of sled for a [`super::SupervisedStore`].
#[derive(Debug)]
pub struct SledPlaces {
    path: PathBuf,
    options: SledOptions,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    current: u64,
    next: u64,
}

impl SledPlaces {
    /// For the store in `path`, which was opened after [`SledPlaces::settle`].
    #[must_use]
    pub fn new(path: &Path, options: SledOptions) -> Self {
        Self {
            path: path.to_path_buf(),
            options: SledOptions {
                may_be_empty: false,
                ..options
            },
            numbers: Mutex::new(Numbers { current: 0, next: 1 }),
        }
    }

    /// Brings the store that counts to `path`, and removes those that do not. Before anything is opened.
    ///
    /// # Errors
    /// Those of the file system; to be called again then.
    pub fn settle(path: &Path) -> io::Result<()> {
        let places = numbered(path)?;
        let counts = places.iter().rev().find(|(_, place)| place.join(MARKER_FILE).exists());
        for (_, place) in places.iter().filter(|place| Some(*place) != counts) {
            fs::remove_dir_all(place)?;
        }
        if let Some((_, place)) = counts {
            remove_dir_if_there(path)?;
            fs::rename(place, path)?;
            path.parent().map_or(Ok(()), sync_dir)?;
        }
        Ok(())
    }

    fn place(&self, number: u64) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!("{name}.{number:0NUMBER_DIGITS$}"))
    }

    fn current(&self) -> PathBuf {
        let number = self.numbers.lock().current;
        self.place(number)
    }

    fn take_number(&self) -> u64 {
        let mut numbers = self.numbers.lock();
        numbers.next += 1;
        numbers.next - 1
    }

    fn open(&self, path: &Path, options: SledOptions) -> Result<SledStore, SnapshotError> {
        // Never set aside: nothing needs a name for it.
        let (store, report) = SledStore::open(path, options, 0)?;
        if report.lost_flushes > 0 {
            return Err(SnapshotError::Unreadable {
                path: path.to_path_buf(),
                reason: format!("its last {} flushes are missing", report.lost_flushes),
            });
        }
        Ok(store)
    }

    fn open_copy(&self, copy: &Path) -> Result<SledStore, SnapshotError> {
        copy_store(&self.current(), copy).map_err(|source| SnapshotError::Io {
            path: copy.to_path_buf(),
            source,
        })?;
        let store = self.open(copy, self.options)?;
        // What it was copied from may have been written meanwhile: every value is read back.
        let mut damaged = 0;
        for tree in Tree::ALL {
            damaged += store
                .for_each(tree, &mut |_, _| ControlFlow::Continue(()))?
                .damaged_total;
        }
        if damaged > 0 {
            return Err(SnapshotError::Unreadable {
                path: copy.to_path_buf(),
                reason: format!("{damaged} values of the copy are damaged"),
            });
        }
        Ok(store)
    }

    fn beside(&self, open: impl FnOnce(&Path) -> Result<SledStore, SnapshotError>) -> Result<Beside, SnapshotError> {
        let place = self.take_number();
        match open(&self.place(place)) {
            Ok(store) => Ok(Beside {
                store: Arc::new(store),
                place,
            }),
            Err(error) => {
                self.discard(place);
                Err(error)
            }
        }
    }
}

impl StoreMaker for SledPlaces {
    fn probe(&self) -> io::Result<()> {
        let path = self.current().join(format!("probe.{UNFINISHED_EXTENSION}"));
        let mut file = fs::File::create(&path)?;
        let written = file.write_all(&[0; 4_096]).and_then(|()| file.sync_all());
        fs::remove_file(&path)?;
        written
    }

    fn reopen(&self) -> Result<Arc<dyn SnapshotStore>, SnapshotError> {
        Ok(Arc::new(self.open(&self.current(), self.options)?))
    }

    fn open_beside(&self) -> Result<Beside, SnapshotError> {
        self.beside(|place| self.open_copy(place))
    }

    fn open_empty(&self) -> Result<Beside, SnapshotError> {
        let options = SledOptions {
            may_be_empty: true,
            ..self.options
        };
        self.beside(|place| self.open(place, options))
    }

    fn adopt(&self, place: u64, erase: bool) -> Result<(), SnapshotError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SnapshotError::Io { path, source }
        };
        let folder = self.place(place);
        write_atomically(&folder.join(MARKER_FILE), b"").map_err(at(&folder))?;
        // A new folder's name has to be on the disk as well.
        folder.parent().map_or(Ok(()), sync_dir).map_err(at(&folder))?;
        let mut numbers = self.numbers.lock();
        let before = std::mem::replace(&mut numbers.current, place);
        drop(numbers);
        // The one before is kept for a while, unless that is what must not be.
        let outdated = |number: u64| number < before || (erase && number == before);
        for number in (0..place).filter(|number| outdated(*number)) {
            let folder = self.place(number);
            remove_dir_if_there(&folder).map_err(at(&folder))?;
        }
        Ok(())
    }

    fn discard(&self, place: u64) {
        if self.numbers.lock().current == place {
            return;
        }
        let folder = self.place(place);
        if let Err(error) = remove_dir_if_there(&folder) {
            tracing::warn!(%error, path = %folder.display(), "a snapshot store that is not needed stays until the next start");
        }
    }
}

/// Folders with a number beside `path`, the smallest number first.
fn numbered(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let place = entry?.path();
        let number = place.file_name().and_then(|name| {
            let name = name.to_string_lossy();
            let number = name.strip_prefix(&prefix)?;
            let is_number = number.len() >= NUMBER_DIGITS && number.bytes().all(|digit| digit.is_ascii_digit());
            number.parse::<u64>().ok().filter(|_| is_number)
        });
        if let Some(number) = number
            && place.is_dir()
        {
            found.push((number, place));
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the files of a store that may be open, durably.
fn copy_store(from: &Path, to: &Path) -> io::Result<()> {
    remove_dir_if_there(to)?;
    fs::create_dir_all(to.join(BLOBS))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_none_or(|end| end != UNFINISHED_EXTENSION) {
            files.push(path);
        }
    }
    files.retain(|path| path.file_name().is_some_and(|name| name != MARKER_FILE));
    files.sort_by_key(|path| path.file_name().is_none_or(|name| name != COUNT_FILE));
    for path in &files {
        copy_file(path, to)?;
    }
    let blobs = match fs::read_dir(from.join(BLOBS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        blobs => Some(blobs?),
    };
    for entry in blobs.into_iter().flatten() {
        copy_file(&entry?.path(), &to.join(BLOBS))?;
    }
    sync_dir(&to.join(BLOBS))?;
    sync_dir(to)
}

fn copy_file(path: &Path, into: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Ok(()) };
    let mut source = match fs::File::open(path) {
        // sled has replaced it by a newer one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut target = fs::File::create(into.join(name))?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::SnapshotOp;

    fn put(store: &dyn SnapshotStore, key: u8, value: &[u8]) {
        let put = SnapshotOp::Put {
            tree: Tree::Users,
            key: vec![key],
            value: value.to_vec(),
        };
        store.apply(vec![put]).expect("applied");
    }

    fn get(store: &dyn SnapshotStore, key: u8) -> Option<Vec<u8>> {
        store.get(Tree::Users, &[key]).expect("read")
    }

    fn open(path: &Path) -> SledStore {
        SledPlaces::settle(path).expect("settled");
        SledStore::open(path, SledOptions::default(), 0).expect("it opens").0
    }

    fn folders(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_of_an_open_store_holds_what_was_applied_and_counts_once_it_is_adopted() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("snapshots");
        let store = open(&path);
        let large = vec![5; 3_000_000];
        put(&store, 1, &large);
        (2..200).for_each(|key| put(&store, key, &[key; 500]));
        let places = SledPlaces::new(&path, SledOptions::default());
        // Applied is enough: nobody has called flush.
        let copy = places.open_beside().expect("copied while it is open");
        assert_eq!(
            (get(&*copy.store, 1), get(&*copy.store, 7)),
            (Some(large.clone()), Some(vec![7; 500]))
        );
        put(&*copy.store, 201, b"in the copy");
        copy.store.flush().expect("flushed");
        drop(copy.store);
        drop(store);
        // It was not adopted: the first one counts.
        let store = open(&path);
        assert_eq!(get(&store, 201), None);
        assert_eq!(folders(dir.path()), ["snapshots"]);
        let places = SledPlaces::new(&path, SledOptions::default());
        let copy = places.open_beside().expect("copied");
        places.adopt(copy.place, false).expect("adopted");
        put(&*copy.store, 202, b"in the copy");
        put(&store, 203, b"in the one that was left behind");
        drop((copy.store, store));
        let store = open(&path);
        assert_eq!(
            (get(&store, 202), get(&store, 203)),
            (Some(b"in the copy".to_vec()), None)
        );
        assert_eq!(get(&store, 1), Some(large));
        assert_eq!(folders(dir.path()), ["snapshots"]);
    }

    #[test]
    fn the_highest_that_counts_wins_and_its_predecessors_go() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("snapshots");
        let store = open(&path);
        let places = SledPlaces::new(&path, SledOptions::default());
        let first = places.open_empty().expect("made");
        let second = places.open_empty().expect("made");
        put(&*second.store, 1, b"second");
        places.adopt(second.place, true).expect("adopted");
        assert!(!path.exists(), "what was to be erased is gone at once");
        // Late, from a thread that hung.
        let late = write_atomically(&places.place(first.place).join(MARKER_FILE), b"");
        assert!(late.is_err() || late.is_ok());
        places.discard(second.place);
        drop((store, first.store, second.store));
        let store = open(&path);
        assert_eq!(get(&store, 1), Some(b"second".to_vec()));
        assert_eq!(folders(dir.path()), ["snapshots"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_noticed() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("snapshots");
        let store = open(&path);
        let places = SledPlaces::new(&path, SledOptions::default());
        places.probe().expect("it can");
        drop(store);
        fs::remove_dir_all(&path).expect("removed");
        assert!(places.probe().is_err() && places.reopen().is_err() && places.open_beside().is_err());
    }
}
