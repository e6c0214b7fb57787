//! Who owns a partition, with an epoch as the fence: whoever took over later has the higher one, and what an earlier
//! owner still sends can be refused. Owns the trait and its embedded form, in which this process owns everything.
//! The epoch also tells a reconnecting socket whether it still talks to the same run of the server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::data_dir::DataDir;
use crate::files::write_atomically;
use crate::partition::Partition;

/// The right to be the only writer of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Of which partition.
    pub partition: Partition,
    /// Grows with every change of the owner.
    pub epoch: u64,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// In this process, under this lease.
    Here(Lease),
    /// At another node of this name.
    Elsewhere(String),
}

/// Which node owns which partition.
pub trait Ownership: Send + Sync {
    /// The epoch of this run of the process: higher than that of any run before it on the same data.
    fn epoch(&self) -> u64;

    /// Who owns the partition now.
    fn owner(&self, partition: Partition) -> Owner;

    /// The lease of a partition that this process owns.
    fn lease(&self, partition: Partition) -> Option<Lease> {
        match self.owner(partition) {
            Owner::Here(lease) => Some(lease),
            Owner::Elsewhere(_) => None,
        }
    }

    /// Whether the lease still stands: the fence to check before a write on behalf of its holder.
    fn is_current(&self, lease: &Lease) -> bool {
        self.lease(lease.partition)
            .is_some_and(|current| current.epoch == lease.epoch)
    }
}

/// Why the epoch could not be raised.
#[derive(Debug, thiserror::Error)]
#[error("epoch file {path}: {source}")]
pub struct OwnershipError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// This process owns all partitions: the lock of the data directory stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOwnership {
    epoch: u64,
}

impl EmbeddedOwnership {
    /// Raises the epoch of the directory by one, durably. When the file is damaged the epoch goes on from `now_ms`
    /// (milliseconds since 1970), which is above any count of openings.
    ///
    /// # Errors
    /// When the epoch cannot be read or written.
    pub fn open(dir: &DataDir, now_ms: i64) -> Result<Self, OwnershipError> {
        let path = dir.epoch_file();
        let raised = next_epoch(&path, now_ms).and_then(|epoch| {
            write_atomically(&path, render(epoch).as_bytes())?;
            Ok(Self { epoch })
        });
        raised.map_err(|source| OwnershipError { path, source })
    }

    /// Notes the epoch of a run elsewhere, so that the next opening of `dir` comes after it.
    pub(crate) fn inherit(dir: &DataDir, epoch: u64) -> Result<(), OwnershipError> {
        let path = dir.epoch_file();
        write_atomically(&path, render(epoch).as_bytes()).map_err(|source| OwnershipError { path, source })
    }

    /// Without a directory: the first and only run.
    pub fn in_memory() -> Self {
        Self::at_epoch(1)
    }

    /// Without a directory, for whoever counts the runs.
    pub fn at_epoch(epoch: u64) -> Self {
        Self { epoch }
    }
}

impl Ownership for EmbeddedOwnership {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn owner(&self, partition: Partition) -> Owner {
        Owner::Here(Lease {
            partition,
            epoch: self.epoch,
        })
    }
}

fn next_epoch(path: &Path, now_ms: i64) -> io::Result<u64> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(1),
        Err(error) => return Err(error),
    };
    if let Some(epoch) = parse(&content) {
        return Ok(epoch.saturating_add(1));
    }
    tracing::error!(path = %path.display(), "the epoch file is damaged; going on from the time of day");
    Ok(u64::try_from(now_ms).unwrap_or(0).max(1))
}

/// The number and its checksum.
fn render(epoch: u64) -> String {
    format!("{epoch} {:08x}\n", crc32fast::hash(&epoch.to_le_bytes()))
}

fn parse(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok()?;
    let epoch = text.split_once(' ')?.0.parse().ok()?;
    (render(epoch) == text).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDirOptions;

    /// What holds for every implementation.
    fn check_contract(ownership: &dyn Ownership) {
        assert!(ownership.epoch() > 0);
        for partition in Partition::all() {
            let lease = ownership.lease(partition).expect("this process owns everything");
            assert_eq!(
                lease,
                Lease {
                    partition,
                    epoch: ownership.epoch()
                }
            );
            assert_eq!(ownership.owner(partition), Owner::Here(lease));
            assert!(ownership.is_current(&lease));
            assert!(
                !ownership.is_current(&Lease {
                    epoch: lease.epoch - 1,
                    ..lease
                }),
                "an earlier holder is fenced off"
            );
        }
    }

    #[test]
    fn the_epoch_grows_by_one_at_every_opening() {
        check_contract(&EmbeddedOwnership::in_memory());
        let dir = tempfile::tempdir().expect("temporary folder");
        for expected in 1..=4 {
            let data_dir = DataDir::open(dir.path(), &DataDirOptions::default()).expect("it opens");
            let ownership = EmbeddedOwnership::open(&data_dir, 0).expect("the epoch is raised");
            assert_eq!(ownership.epoch(), expected);
            check_contract(&ownership);
        }
    }

    #[test]
    fn a_damaged_epoch_never_goes_back() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(dir.path(), &DataDirOptions::default()).expect("it opens");
        for content in [
            "",
            "3",
            "3 00000000\n",
            "\u{0}\u{0}",
            "99999999999999999999999 00000000\n",
        ] {
            fs::write(data_dir.epoch_file(), content).expect("written");
            let ownership = EmbeddedOwnership::open(&data_dir, 1_750_000_000_000).expect("the epoch is raised");
            assert_eq!(ownership.epoch(), 1_750_000_000_000, "{content:?}");
        }
        let next = EmbeddedOwnership::open(&data_dir, 0).expect("the epoch is raised");
        assert_eq!(next.epoch(), 1_750_000_000_001);
    }
}
