//! Which models there are: the serving one, the one before it, and those kept by name.
//!
//! Their bytes are blobs; records of the journal and rows of the snapshots name them. Owns what is durable of a model; what
//! serves is `RankerSlot`'s.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use swipeline_models::rank::ModelInfo;
use swipeline_storage::{BlobName, SnapshotError, SnapshotOp, Tree};

use crate::api::EngineError;
use crate::clock;
use crate::records::JournalEntry;
use crate::shared::{Shared, journal_error, report_damage};

/// The row of the serving model.
const SERVING_KEY: &[u8] = b"ranker@";
/// What the keys of kept models start with.
const KEPT_PREFIX: &[u8] = b"kept@";
/// Earlier programs kept the bytes themselves under these.
const OLD_SERVING_KEY: &[u8] = b"ranker";
const OLD_KEPT_PREFIX: &[u8] = b"kept/";

/// A model as it is journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    /// Under which name it is kept; empty for the serving one.
    name: String,
    /// Its bytes; `None`: none is kept any more, the configured one serves.
    blob: Option<String>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct ModelService(Mutex<Models>);

#[derive(Default)]
struct Models {
    /// By name; the serving one under the empty name.
    named: BTreeMap<String, BlobName>,
    /// What served before, as far as that is known.
    previous: Option<Option<BlobName>>,
    /// Keys in the store that the rows do not have.
    outdated: Vec<Vec<u8>>,
    /// Counts changes; the rows of which the store has.
    changes: u64,
    stored: u64,
}

impl ModelService {
    /// Lets a model serve, durably. The old one keeps serving when that fails.
    pub(crate) fn swap(&self, shared: &Shared, bytes: &[u8]) -> Result<(), EngineError> {
        let mut models = self.0.lock();
        let ranker = &shared.world.ranker;
        ranker.try_swap(bytes, clock::now()).map_err(refused)?;
        let stored = keep_bytes(shared, bytes).and_then(|blob| record(shared, &mut models, "", Some(blob)));
        if stored.is_err() {
            // There was one before: it has just been replaced.
            let _ = ranker.rollback();
        }
        stored
    }

    /// Goes back to the model before, durably.
    pub(crate) fn roll_back(&self, shared: &Shared) -> Result<(), EngineError> {
        let mut models = self.0.lock();
        let rolled_back = shared.world.ranker.rollback();
        rolled_back.map_err(|error| EngineError::Conflict(error.to_string()))?;
        let previous = models.previous.clone().flatten();
        record(shared, &mut models, "", previous)
    }

    /// Keeps a model by name, durably.
    pub(crate) fn keep(&self, shared: &Shared, name: &str, bytes: &[u8]) -> Result<ModelInfo, EngineError> {
        let mut models = self.0.lock();
        let info = shared.world.ranker.keep(name, bytes, clock::now()).map_err(refused)?;
        let blob = keep_bytes(shared, bytes)?;
        record(shared, &mut models, name, Some(blob))?;
        Ok(info)
    }

    /// Keeps a model no longer. Returns whether there was one.
    pub(crate) fn drop_kept(&self, shared: &Shared, name: &str) -> Result<bool, EngineError> {
        let mut models = self.0.lock();
        if !shared.world.ranker.drop_kept(name) {
            return Ok(false);
        }
        record(shared, &mut models, name, None)?;
        Ok(true)
    }

    /// Takes up what the snapshots say.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn restore(&self, shared: &Shared) -> Result<(), SnapshotError> {
        let mut models = self.0.lock();
        shared.storage.snapshots.for_each(Tree::Models, &mut |key, value| {
            let is_old = key == OLD_SERVING_KEY || key.starts_with(OLD_KEPT_PREFIX);
            let name = match key {
                OLD_SERVING_KEY | SERVING_KEY => Some(&b""[..]),
                key => key
                    .strip_prefix(KEPT_PREFIX)
                    .or_else(|| key.strip_prefix(OLD_KEPT_PREFIX)),
            };
            // The learner's rows stand in the same tree.
            let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) else {
                return ControlFlow::Continue(());
            };
            let blob = if is_old {
                models.outdated.push(key.to_vec());
                keep_bytes(shared, value).map_err(|error| error.to_string())
            } else {
                let text = std::str::from_utf8(value).ok().and_then(BlobName::parse);
                text.ok_or_else(|| "a row that names no model".to_owned())
            };
            match blob {
                Ok(blob) => {
                    models.named.insert(name.to_owned(), blob);
                }
                Err(error) => report_damage("model", &format!("{name:?}: {error}")),
            }
            ControlFlow::Continue(())
        })?;
        models.changes += u64::from(!models.outdated.is_empty());
        Ok(())
    }

    /// Takes up a record of the journal.
    pub(crate) fn replay(&self, record: ModelRecord) {
        self.0
            .lock()
            .note(&record.name, record.blob.as_deref().and_then(BlobName::parse));
    }

    /// Loads what is known after a start, and deletes what nobody needs any more.
    pub(crate) fn install(&self, shared: &Shared) {
        let models = self.0.lock();
        for (name, blob) in &models.named {
            let loaded = shared.storage.blobs.get(blob).map_err(|error| error.to_string());
            let installed = loaded.and_then(|bytes| {
                let ranker = &shared.world.ranker;
                let installed = if name.is_empty() {
                    ranker.try_swap(&bytes, clock::now())
                } else {
                    ranker.keep(name, &bytes, clock::now())
                };
                installed.map_err(|error| error.to_string())
            });
            if let Err(error) = installed {
                report_damage("model", &format!("{name:?}: {error}"));
            }
        }
        let needed: Vec<BlobName> = models.named.values().cloned().collect();
        if let Err(error) = shared.storage.blobs.keep_only(&needed) {
            tracing::warn!(%error, "models that nobody needs could not be deleted");
        }
    }

    /// The rows of all models when the store does not have them, and the number of the change that they hold.
    pub(crate) fn unstored(&self) -> (Vec<SnapshotOp>, u64) {
        let models = self.0.lock();
        if models.changes == models.stored {
            return (Vec::new(), models.changes);
        }
        let tree = Tree::Models;
        let delete = |key: &Vec<u8>| SnapshotOp::Delete { tree, key: key.clone() };
        let put = |(name, blob): (&String, &BlobName)| SnapshotOp::Put {
            tree,
            key: key_of(name),
            value: blob.as_str().as_bytes().to_vec(),
        };
        let rows = models.outdated.iter().map(delete).chain(models.named.iter().map(put));
        (rows.collect(), models.changes)
    }

    /// The store may lack the rows.
    pub(crate) fn mark_unstored(&self) {
        self.0.lock().changes += 1;
    }

    /// The rows up to a change are in the store.
    pub(crate) fn are_stored(&self, change: u64) {
        let mut models = self.0.lock();
        models.stored = change;
        if models.changes == change {
            models.outdated.clear();
        }
    }
}

impl Models {
    fn note(&mut self, name: &str, blob: Option<BlobName>) {
        self.changes += 1;
        let before = match blob {
            Some(blob) => {
                let key = key_of(name);
                self.outdated.retain(|outdated| *outdated != key);
                self.named.insert(name.to_owned(), blob)
            }
            None => {
                self.outdated.push(key_of(name));
                self.named.remove(name)
            }
        };
        if name.is_empty() {
            self.previous = Some(before);
        }
    }
}

fn record(shared: &Shared, models: &mut Models, name: &str, blob: Option<BlobName>) -> Result<(), EngineError> {
    let record = ModelRecord {
        name: name.to_owned(),
        blob: blob.as_ref().map(|blob| blob.as_str().to_owned()),
    };
    {
        let _entered = shared.gate.enter();
        let appended = JournalEntry::Model(record).append(&*shared.storage.journal);
        appended.map_err(|error| journal_error(&error))?;
        models.note(name, blob);
    }
    let flushed = shared.storage.journal.flush();
    flushed.map(|_| ()).map_err(|error| journal_error(&error))
}

fn keep_bytes(shared: &Shared, bytes: &[u8]) -> Result<BlobName, EngineError> {
    let kept = shared.storage.blobs.put(bytes);
    kept.map_err(|error| EngineError::Unavailable(format!("the model could not be stored: {error}")))
}

fn key_of(name: &str) -> Vec<u8> {
    if name.is_empty() {
        return SERVING_KEY.to_vec();
    }
    [KEPT_PREFIX, name.as_bytes()].concat()
}

fn refused(error: impl std::fmt::Display) -> EngineError {
    EngineError::ModelRefused(error.to_string())
}
