//! The warm tier: entries in chunks by interval of acceptance and partition, in a sled database of its own, so that
//! wiping a user's bytes off the disk (a compaction) never has to copy or block anything else.
//!
//! ```text
//! key   = interval's start in ms i64 · partition u8 · batch u64      (big-endian)
//! value = chunk
//! ```
//! Ordered by interval, so that rolling reads one stretch; then by partition, so that forgetting a user reads 1/256.
//! A batch is what one call of [`WarmTier::put`] wrote; batches grow, so sorting by batch gives back the order in which
//! entries came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{ArchiveError, ArchiveKind, chunk};
use crate::journal::Seq;
use crate::partition::Partition;
use crate::snapshot::{SledOptions, SledStore, SnapshotError, SnapshotOp, SnapshotStore, Tree};

const CURSOR_KEY: &[u8] = b"archive_cursor";
/// Before the totals of an interval: `archive_bucket/` · kind · start.
const BUCKET_PREFIX: &[u8] = b"archive_bucket/";
/// Nothing here is read twice soon.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
const KEY_BYTES: usize = 17;

/// An entry on its way into the warm tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmEntry<'a> {
    /// Its number: grows from entry to entry of its kind.
    pub seq: u64,
    /// The partition of whom it is about.
    pub partition: Partition,
    /// The start of its interval, milliseconds since 1970; not negative.
    pub bucket_ms: i64,
    /// What it is.
    pub payload: Cow<'a, [u8]>,
}

/// An interval in the warm tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its start, milliseconds since 1970.
    pub start_ms: i64,
    /// About how many entries it holds.
    pub entries: u64,
    /// About how many bytes.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Totals {
    entries: u64,
    bytes: u64,
}

/// The warm tier.
pub struct WarmTier {
    store: SledStore,
    state: Mutex<State>,
}

struct State {
    cursor: Seq,
    buckets: BTreeMap<(ArchiveKind, i64), Totals>,
    /// Whether the database may hold bytes of entries that were removed since it was last compacted.
    holds_removed: bool,
}

impl WarmTier {
    /// Opens the tier.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open(path: &Path, now_ms: i64) -> Result<Self, ArchiveError> {
        let options = SledOptions {
            cache_bytes: CACHE_BYTES,
            ..SledOptions::default()
        };
        let (store, report) = SledStore::open(path, options, now_ms)?;
        if let Some(lost) = report.set_aside {
            tracing::error!(
                ?lost,
                "the warm archive was damaged and begins anew; the journal fills it as far as it reaches"
            );
        }
        let cursor = store.get(Tree::Meta, CURSOR_KEY)?;
        let cursor = cursor
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let mut buckets = BTreeMap::new();
        store.for_each_from(Tree::Meta, BUCKET_PREFIX, &mut |key, value| {
            let Some(key) = key.strip_prefix(BUCKET_PREFIX) else {
                return ControlFlow::Break(());
            };
            if let (Some(place), Ok(totals)) = (bucket_of(key), serde_json::from_slice::<Totals>(value)) {
                buckets.insert(place, totals);
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self {
            store,
            state: Mutex::new(State {
                cursor: Seq(cursor),
                buckets,
                holds_removed: true,
            }),
        })
    }

    /// Everything in the journal up to here has been taken.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.state.lock().cursor
    }

    /// Takes entries durably, and with them the place in the journal up to which nothing is missing. Called again with
    /// the same `batch` after a crash it overwrites what it wrote. Entries come in the order of their numbers; `batch`
    /// grows from call to call.
    ///
    /// # Errors
    /// When the database cannot be written; what was taken is taken again by the next call then.
    pub fn put(
        &self,
        kind: ArchiveKind,
        batch: u64,
        entries: &[WarmEntry<'_>],
        cursor: Option<Seq>,
    ) -> Result<(), ArchiveError> {
        let mut sizes: BTreeMap<(i64, u8), usize> = BTreeMap::new();
        for entry in entries {
            *sizes.entry(place_of(entry)).or_default() += chunk::entry_bytes(&entry.payload);
        }
        let mut chunks: BTreeMap<(i64, u8), Vec<u8>> = sizes
            .into_iter()
            .map(|(place, bytes)| (place, Vec::with_capacity(bytes)))
            .collect();
        let mut added: BTreeMap<i64, Totals> = BTreeMap::new();
        for entry in entries {
            chunk::push(chunks.entry(place_of(entry)).or_default(), entry.seq, &entry.payload);
            let totals = added.entry(entry.bucket_ms).or_default();
            totals.entries += 1;
            totals.bytes += entry.payload.len() as u64;
        }
        let mut state = self.state.lock();
        let mut ops = Vec::with_capacity(chunks.len() + added.len());
        for (start_ms, more) in added {
            let totals = state.buckets.entry((kind, start_ms)).or_default();
            totals.entries += more.entries;
            totals.bytes += more.bytes;
            // First the sign that the interval exists, then what is in it.
            ops.push(totals_row(kind, start_ms, *totals)?);
        }
        ops.extend(
            chunks
                .into_iter()
                .map(|((start_ms, partition), value)| SnapshotOp::Put {
                    tree: kind.tree(),
                    key: key(start_ms, partition, batch),
                    value,
                }),
        );
        if !ops.is_empty() {
            self.store.apply(ops)?;
            self.store.flush()?;
        }
        if let Some(cursor) = cursor {
            let key = CURSOR_KEY.to_vec();
            self.store.apply(vec![SnapshotOp::Put {
                tree: Tree::Meta,
                key,
                value: cursor.0.to_be_bytes().to_vec(),
            }])?;
            self.store.flush()?;
            state.cursor = cursor;
        }
        Ok(())
    }

    /// The intervals that hold something, oldest first.
    #[must_use]
    pub fn buckets(&self, kind: ArchiveKind) -> Vec<Bucket> {
        let state = self.state.lock();
        let of_kind = state.buckets.range((kind, i64::MIN)..=(kind, i64::MAX));
        of_kind
            .map(|((_, start_ms), totals)| Bucket {
                start_ms: *start_ms,
                entries: totals.entries,
                bytes: totals.bytes,
            })
            .collect()
    }

    /// The batches of an interval, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn batches(&self, kind: ArchiveKind, start_ms: i64) -> Result<Vec<u64>, ArchiveError> {
        let mut batches = std::collections::BTreeSet::new();
        self.for_each_chunk(kind, start_ms, None, &mut |key, _| {
            batches.insert(batch_of(key));
        })?;
        Ok(batches.into_iter().collect())
    }

    /// The entries of some batches of an interval: batch by batch, each in the order of its numbers.
    ///
    /// # Errors
    /// When the database cannot be read; damaged chunks are reported and left out.
    pub fn entries(
        &self,
        kind: ArchiveKind,
        start_ms: i64,
        batches: &[u64],
    ) -> Result<Vec<(u64, Vec<u8>)>, ArchiveError> {
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        for batch in batches {
            let batch_start = found.len();
            for partition in Partition::all() {
                let value = match self.store.get(kind.tree(), &key(start_ms, partition.0, *batch)) {
                    Ok(value) => value,
                    Err(error @ SnapshotError::Damaged { .. }) => {
                        tracing::error!(%error, "a damaged part of the warm archive is skipped");
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let chunk = value.unwrap_or_default();
                found.extend(chunk::entries(&chunk).map(|(seq, payload)| (seq, payload.to_vec())));
            }
            found[batch_start..].sort_by_key(|(seq, _)| *seq);
        }
        Ok(found)
    }

    /// Removes the batches of an interval up to `batch`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove(&self, kind: ArchiveKind, start_ms: i64, batch: u64) -> Result<(), ArchiveError> {
        let mut ops = Vec::new();
        let (mut left, mut is_empty) = (Totals::default(), true);
        self.for_each_chunk(kind, start_ms, None, &mut |key, value| {
            if batch_of(key) <= batch {
                ops.push(SnapshotOp::Delete {
                    tree: kind.tree(),
                    key: key.to_vec(),
                });
            } else {
                is_empty = false;
                for (_, payload) in chunk::entries(value) {
                    left.entries += 1;
                    left.bytes += payload.len() as u64;
                }
            }
        })?;
        let mut state = self.state.lock();
        state.holds_removed |= !ops.is_empty();
        if is_empty {
            state.buckets.remove(&(kind, start_ms));
            ops.push(SnapshotOp::Delete {
                tree: Tree::Meta,
                key: totals_key(kind, start_ms),
            });
        } else {
            state.buckets.insert((kind, start_ms), left);
            ops.push(totals_row(kind, start_ms, left)?);
        }
        self.store.apply(ops)?;
        Ok(self.store.flush()?)
    }

    /// Removes the entries of a partition that match, and returns how many those were. Their bytes stay on the disk
    /// until [`WarmTier::wipe`].
    ///
    /// # Errors
    /// When the database cannot be read or written; call again then.
    pub fn erase(
        &self,
        kind: ArchiveKind,
        partition: Partition,
        matches: &mut dyn FnMut(u64, &[u8]) -> bool,
    ) -> Result<u64, ArchiveError> {
        let mut erased = 0;
        let mut ops = Vec::new();
        for bucket in self.buckets(kind) {
            self.for_each_chunk(kind, bucket.start_ms, Some(partition), &mut |key, value| {
                let mut kept = Vec::new();
                let mut gone = 0;
                for (seq, payload) in chunk::entries(value) {
                    if matches(seq, payload) {
                        gone += 1;
                    } else {
                        chunk::push(&mut kept, seq, payload);
                    }
                }
                if gone > 0 {
                    erased += gone;
                    let (tree, key) = (kind.tree(), key.to_vec());
                    ops.push(if kept.is_empty() {
                        SnapshotOp::Delete { tree, key }
                    } else {
                        SnapshotOp::Put { tree, key, value: kept }
                    });
                }
            })?;
        }
        if erased > 0 {
            self.state.lock().holds_removed = true;
            self.store.apply(ops)?;
            self.store.flush()?;
        }
        Ok(erased)
    }

    /// Makes sure that no removed entry is left on the disk, however it got removed.
    ///
    /// # Errors
    /// When the database cannot be rewritten; call again then.
    pub fn wipe(&self) -> Result<(), ArchiveError> {
        if !self.state.lock().holds_removed {
            return Ok(());
        }
        self.store.compact()?;
        self.state.lock().holds_removed = false;
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn flush(&self) -> Result<(), ArchiveError> {
        Ok(self.store.flush()?)
    }

    pub(super) fn store(&self) -> &dyn SnapshotStore {
        &self.store
    }

    fn for_each_chunk(
        &self,
        kind: ArchiveKind,
        start_ms: i64,
        partition: Option<Partition>,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), ArchiveError> {
        let mut from = start_ms.to_be_bytes().to_vec();
        from.extend(partition.map(|partition| partition.0));
        self.store.for_each_from(kind.tree(), &from, &mut |key, value| {
            if !key.starts_with(&from) || key.len() != KEY_BYTES {
                return ControlFlow::Break(());
            }
            each(key, value);
            ControlFlow::Continue(())
        })?;
        Ok(())
    }
}

/// Which chunk of its batch an entry belongs to.
fn place_of(entry: &WarmEntry<'_>) -> (i64, u8) {
    (entry.bucket_ms, entry.partition.0)
}

fn key(start_ms: i64, partition: u8, batch: u64) -> Vec<u8> {
    let mut key = start_ms.to_be_bytes().to_vec();
    key.push(partition);
    key.extend_from_slice(&batch.to_be_bytes());
    key
}

fn batch_of(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn totals_key(kind: ArchiveKind, start_ms: i64) -> Vec<u8> {
    let mut key = BUCKET_PREFIX.to_vec();
    key.push(kind as u8);
    key.extend_from_slice(&start_ms.to_be_bytes());
    key
}

fn bucket_of(key: &[u8]) -> Option<(ArchiveKind, i64)> {
    let (kind, start_ms) = key.split_first()?;
    let kind = ArchiveKind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
    Some((kind, i64::from_be_bytes(start_ms.try_into().ok()?)))
}

fn totals_row(kind: ArchiveKind, start_ms: i64, totals: Totals) -> Result<SnapshotOp, ArchiveError> {
    let value = serde_json::to_vec(&totals).map_err(|error| SnapshotError::Backend(error.to_string()))?;
    Ok(SnapshotOp::Put {
        tree: Tree::Meta,
        key: totals_key(kind, start_ms),
        value,
    })
}
