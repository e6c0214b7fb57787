//! What training reads from the data directory of a stopped server.
//!
//! Owns the way to the served log and to the journal's outcomes, each in the order in which it happened. Joins nothing.

use std::path::Path;

use swipeline_models::event::Signal;
use swipeline_storage::{ReadItem, Seq, Storage, StorageError, StorageOptions, read_ring_log};

use super::record::ServedSlateRecord;
use crate::clock;
use crate::records::{JournalEntry, RecordError};

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The data directory cannot be used: another process has it, it is damaged, it is somebody else's.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Journal(String),
    /// The served log cannot be read.
    #[error("the served log cannot be read: {0}")]
    Served(#[from] std::io::Error),
}

/// Something that happened to an item that a viewer may have been served.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its place in the journal.
    pub sequence: u64,
    /// Who.
    pub user: String,
    /// The hash of the item's id.
    pub item_hash: u64,
    /// When, in milliseconds since 1970-01-01 UTC, by the clock of whoever reported it.
    pub at: i64,
    /// What; `None` when the server itself noted that the item was shown.
    pub signal: Option<Signal>,
    /// How long the item was watched, where it was said.
    pub watch_ms: Option<u32>,
    /// In which feed, where it was said.
    pub request: Option<String>,
}

/// The history of a stopped server.
pub struct ServedHistory {
    storage: Storage,
}

impl ServedHistory {
    /// Locks and opens an existing data directory.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, HistoryError> {
        let options = StorageOptions {
            now_ms: clock::now().0,
            ..StorageOptions::default()
        };
        let storage = Storage::open(data_dir, &options)?;
        Ok(Self { storage })
    }

    /// Calls `each` for every slate of the served log, oldest first. Returns how much could not be read: records of
    /// another version, and damaged ends of segments (one after a crash is usual).
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn for_each_slate(&self, each: &mut dyn FnMut(ServedSlateRecord)) -> Result<u64, HistoryError> {
        let Some(dir) = &self.storage.dir else { return Ok(0) };
        let mut unreadable = 0;
        let damaged = read_ring_log(&dir.served(), &mut |payload| match ServedSlateRecord::decode(payload) {
            Some(slate) => each(slate),
            None => unreadable += 1,
        })?;
        Ok(unreadable + damaged)
    }

    /// Calls `each` for everything that the journal still says about viewers and items, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn for_each_outcome(&self, each: &mut dyn FnMut(Outcome)) -> Result<(), HistoryError> {
        let reader = self.storage.journal.read_from(Seq::FIRST);
        for read in reader.map_err(|error| HistoryError::Journal(error.to_string()))? {
            let ReadItem::Record(record) = read else { continue };
            let sequence = record.seq.0;
            match JournalEntry::read(&record) {
                Ok(JournalEntry::Events { user, events, .. }) => {
                    let known = events.iter().filter_map(|event| event.event(&user));
                    known.for_each(|event| {
                        each(Outcome {
                            sequence,
                            user: user.as_str().to_owned(),
                            item_hash: event.item.hash64(),
                            at: event.at.0,
                            signal: Some(event.signal),
                            watch_ms: event.watch_ms,
                            request: event.request_id,
                        });
                    });
                }
                Ok(JournalEntry::Shown { user, at, items, .. }) => {
                    for (_, item_hash) in items {
                        each(Outcome {
                            sequence,
                            user: user.as_str().to_owned(),
                            item_hash,
                            at: at.0,
                            signal: None,
                            watch_ms: None,
                            request: None,
                        });
                    }
                }
                Ok(
                    JournalEntry::Served(_)
                    | JournalEntry::User(_)
                    | JournalEntry::Items(_)
                    | JournalEntry::ItemDeleted { .. }
                    | JournalEntry::Params(_)
                    | JournalEntry::Model(_)
                    | JournalEntry::Forgotten { .. },
                )
                | Err(RecordError::Unknown { .. } | RecordError::Malformed { .. }) => {}
            }
        }
        Ok(())
    }
}
