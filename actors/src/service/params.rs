//! The `params` document in force, its history, and the way back.
//!
//! A change is a record of the journal before it is in force; the snapshots hold a row per version.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use swipeline_models::experiment::Plan;
use swipeline_models::params::{Params, merge_patch, parse};
use swipeline_models::wire::FieldError;
use swipeline_storage::{JournalError, SnapshotError, SnapshotOp, Tree};

use super::params_diff::changes_between;
use crate::api::{EngineError, ParamsChange, ParamsDocument, ParamsEdit};
use crate::clock;
use crate::records::JournalEntry;
use crate::shared::{Shared, journal_error};

/// How many versions can be gone back to.
pub(crate) const PARAMS_HISTORY_MAX: usize = 100;
/// The key under which earlier programs kept all versions in one row.
const HISTORY_KEY: &[u8] = b"history";
/// Before the number of a version in the key of its row.
const VERSION_KEY: u8 = b'v';
/// How many documents of scenes are kept ready.
const SCENE_DOCUMENTS_MAX: usize = 128;

/// A document, a scene, and the document as it holds there.
type SceneDocument = (Arc<Params>, String, Arc<Params>);

/// Versions of the document, the newest last.
pub(crate) struct ParamsService {
    current: ArcSwap<ParamsDocument>,
    history: Mutex<VecDeque<Arc<ParamsDocument>>>,
    /// Who is in which variant by the document in force.
    plan: ArcSwap<Plan>,
    /// Documents as they hold in scenes, with the document and the scene that each was made from.
    scenes: Mutex<Vec<SceneDocument>>,
    /// Keys in the store; the last checkpoint that was written through knows.
    stored: Mutex<FxHashSet<Vec<u8>>>,
}

/// A version as it is journaled and stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ParamsRecord {
    version: u64,
    changed_at: i64,
    changed_by: String,
    document: String,
    #[serde(default)]
    rolled_back_to: Option<u64>,
    /// JSON, as the document is: values of any kind.
    #[serde(default)]
    changes: String,
    #[serde(default)]
    changes_left_out: u32,
}

impl Default for ParamsService {
    fn default() -> Self {
        let first = Arc::new(ParamsDocument {
            version: 1,
            changed_at: 0,
            changed_by: "default".to_owned(),
            rolled_back_to: None,
            changes: Vec::new(),
            changes_left_out: 0,
            params: Arc::new(Params::default()),
        });
        Self {
            plan: ArcSwap::from_pointee(Plan::of_version(first.params.clone(), first.version)),
            scenes: Mutex::default(),
            current: ArcSwap::from(first.clone()),
            history: Mutex::new(VecDeque::from([first])),
            stored: Mutex::default(),
        }
    }
}

impl ParamsService {
    /// The document in force.
    pub(crate) fn current(&self) -> Arc<ParamsDocument> {
        self.current.load_full()
    }

    /// Who is in which variant of which experiment.
    pub(crate) fn plan(&self) -> Guard<Arc<Plan>> {
        self.plan.load()
    }

    /// A document as it holds in a scene; itself where the scene changes nothing of it.
    pub(crate) fn in_scene(&self, params: &Arc<Params>, scene: &str) -> Arc<Params> {
        let mut made = self.scenes.lock();
        let known = made
            .iter()
            .find(|(base, name, _)| Arc::ptr_eq(base, params) && name == scene);
        if let Some((_, _, inside)) = known {
            return inside.clone();
        }
        let inside = match params.in_scene(scene) {
            Ok(Some(inside)) => Arc::new(inside),
            Ok(None) | Err(_) => return params.clone(),
        };
        if made.len() >= SCENE_DOCUMENTS_MAX {
            made.clear();
        }
        made.push((params.clone(), scene.to_owned(), inside.clone()));
        inside
    }

    /// All versions that can be gone back to, the newest first.
    pub(crate) fn history(&self) -> Vec<Arc<ParamsDocument>> {
        self.history.lock().iter().rev().cloned().collect()
    }

    /// Takes up the versions that were stored. A version that this program cannot read any more is reported and left
    /// out; the newest readable one comes into force.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn restore(&self, shared: &Shared) -> Result<(), SnapshotError> {
        let mut records: BTreeMap<u64, ParamsRecord> = BTreeMap::new();
        let mut stored = self.stored.lock();
        shared.storage.snapshots.for_each(Tree::Params, &mut |key, value| {
            let read = if key == HISTORY_KEY {
                crate::records::decode_bytes::<Vec<ParamsRecord>>(value)
            } else {
                crate::records::decode_bytes::<ParamsRecord>(value).map(|record| vec![record])
            };
            match read {
                Ok(read) => records.extend(read.into_iter().map(|record| (record.version, record))),
                Err(error) => crate::shared::report_damage("params", &error),
            }
            stored.insert(key.to_vec());
            ControlFlow::Continue(())
        })?;
        drop(stored);
        for record in records.into_values() {
            self.take_up(shared, record);
        }
        Ok(())
    }

    /// Puts a version of the journal into force, unless it is known.
    pub(crate) fn replay(&self, shared: &Shared, record: ParamsRecord) {
        if record.version > self.current().version {
            self.take_up(shared, record);
        }
    }

    fn take_up(&self, shared: &Shared, record: ParamsRecord) {
        match read(record) {
            Ok(document) => {
                let mut history = self.history.lock();
                // The built-in version 1 stands first unless there is a stored one.
                history.retain(|known| known.version != document.version);
                self.put_into_force(shared, &mut history, Arc::new(document));
            }
            Err(error) => crate::shared::report_damage("params", &error),
        }
    }

    fn put_into_force(
        &self,
        shared: &Shared,
        history: &mut VecDeque<Arc<ParamsDocument>>,
        document: Arc<ParamsDocument>,
    ) {
        history.push_back(document.clone());
        while history.len() > PARAMS_HISTORY_MAX {
            history.pop_front();
        }
        let plan = Plan::of_version(document.params.clone(), document.version);
        self.plan.store(Arc::new(plan));
        shared.world.set_params(document.params.clone());
        self.current.store(document);
    }

    /// The plan of a version that can be gone back to.
    pub(crate) fn plan_of(&self, version: u64) -> Option<Plan> {
        let history = self.history.lock();
        let document = history.iter().find(|document| document.version == version)?;
        Some(Plan::of_version(document.params.clone(), version))
    }

    /// What the store lacks, as rows, and the keys that it holds when they are written.
    pub(crate) fn unstored(&self) -> (Vec<SnapshotOp>, FxHashSet<Vec<u8>>) {
        let history = self.history.lock();
        let stored = self.stored.lock();
        // Nobody has changed the built-in one.
        let documents = history.iter().filter(|document| document.changed_at > 0);
        let keyed: Vec<(Vec<u8>, &Arc<ParamsDocument>)> = documents
            .map(|document| (version_key(document.version), document))
            .collect();
        let keys: FxHashSet<Vec<u8>> = keyed.iter().map(|(key, _)| key.clone()).collect();
        let tree = Tree::Params;
        let gone = stored
            .difference(&keys)
            .map(|key| SnapshotOp::Delete { tree, key: key.clone() });
        let new = keyed.iter().filter(|(key, _)| !stored.contains(key));
        let put = new.map(|(key, document)| SnapshotOp::Put {
            tree,
            key: key.clone(),
            value: crate::records::encode_named(&record_of(document)),
        });
        (gone.chain(put).collect(), keys)
    }

    /// The rows of [`unstored`](Self::unstored) are in the store.
    pub(crate) fn are_stored(&self, keys: FxHashSet<Vec<u8>>) {
        *self.stored.lock() = keys;
    }

    /// Puts a new version into force, durably.
    pub(crate) fn put(
        &self,
        shared: &Shared,
        document: Value,
        edit: &ParamsEdit,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        let params = parse(document).map_err(EngineError::InvalidMany)?;
        let mut history = self.begin(edit)?;
        self.install(shared, &mut history, Arc::new(params), edit, None)
    }

    /// What the document would be, whole or as a merge patch over the one in force; changes nothing.
    pub(crate) fn preview(
        &self,
        shared: &Shared,
        document: Value,
        is_patch: bool,
        edit: &ParamsEdit,
    ) -> Result<ParamsDocument, EngineError> {
        drop(self.begin(edit)?);
        let current = self.current();
        let document = if is_patch {
            let unreadable = |error: serde_json::Error| EngineError::Unavailable(error.to_string());
            let mut whole = serde_json::to_value(&*current.params).map_err(unreadable)?;
            merge_patch(&mut whole, &document);
            whole
        } else {
            document
        };
        let params = parse(document).map_err(EngineError::InvalidMany)?;
        refuse_unknown_models(shared, &params)?;
        let (changes, changes_left_out) = changes_between(&current.params, &params);
        Ok(ParamsDocument {
            version: current.version,
            changed_at: clock::now().0,
            changed_by: edit.by.clone(),
            rolled_back_to: None,
            changes,
            changes_left_out,
            params: Arc::new(params),
        })
    }

    /// Changes some keys of the document in force (RFC 7396). Changes follow each other: none is lost when two come at a
    /// time.
    pub(crate) fn patch(
        &self,
        shared: &Shared,
        patch: &Value,
        edit: &ParamsEdit,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        let mut history = self.begin(edit)?;
        let mut document = serde_json::to_value(&*self.current().params)
            .map_err(|error| EngineError::Unavailable(error.to_string()))?;
        merge_patch(&mut document, patch);
        let params = parse(document).map_err(EngineError::InvalidMany)?;
        self.install(shared, &mut history, Arc::new(params), edit, None)
    }

    /// Makes an earlier version the newest again.
    pub(crate) fn roll_back(
        &self,
        shared: &Shared,
        version: u64,
        edit: &ParamsEdit,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        let mut history = self.begin(edit)?;
        let earlier = history.iter().find(|document| document.version == version).cloned();
        let earlier = earlier.ok_or_else(|| EngineError::NotFound(format!("version {version} of the params")))?;
        self.install(shared, &mut history, earlier.params.clone(), edit, Some(version))
    }

    /// Nobody else changes anything while the history is held.
    fn begin(&self, edit: &ParamsEdit) -> Result<MutexGuard<'_, VecDeque<Arc<ParamsDocument>>>, EngineError> {
        let history = self.history.lock();
        let current = history.back().map_or(0, |newest| newest.version);
        match edit.expected {
            Some(expected) if expected != current => Err(EngineError::Outdated { expected, current }),
            Some(_) | None => Ok(history),
        }
    }

    fn install(
        &self,
        shared: &Shared,
        history: &mut VecDeque<Arc<ParamsDocument>>,
        params: Arc<Params>,
        edit: &ParamsEdit,
        rolled_back_to: Option<u64>,
    ) -> Result<Arc<ParamsDocument>, EngineError> {
        refuse_unknown_models(shared, &params)?;
        let version = history.back().map_or(1, |newest| newest.version + 1);
        let (changes, changes_left_out) = history
            .back()
            .map_or((Vec::new(), 0), |newest| changes_between(&newest.params, &params));
        let document = Arc::new(ParamsDocument {
            version,
            changed_at: clock::now().0,
            changed_by: edit.by.clone(),
            rolled_back_to,
            changes,
            changes_left_out,
            params,
        });
        {
            let _entered = shared.gate.enter();
            let entry = JournalEntry::Params(Box::new(record_of(&document)));
            entry.append(&*shared.storage.journal).map_err(|error| {
                if let JournalError::TooLarge(bytes) = error {
                    too_large(bytes)
                } else {
                    journal_error(&error)
                }
            })?;
            self.put_into_force(shared, history, document.clone());
        }
        let flushed = shared.storage.journal.flush();
        flushed.map_err(|error| journal_error(&error))?;
        let keys: Vec<&str> = document.changes.iter().map(|change| change.key.as_str()).collect();
        tracing::info!(version, changed_by = edit.by, ?keys, "params changed");
        Ok(document)
    }
}

/// Every model that the document names must be kept.
fn refuse_unknown_models(shared: &Shared, params: &Params) -> Result<(), EngineError> {
    let named = models_of(params);
    if named.is_empty() {
        return Ok(());
    }
    let kept = shared.world.ranker.kept();
    let unknown = named.into_iter().filter(|(_, model)| !kept.contains_key(model));
    let errors: Vec<FieldError> = unknown
        .map(|(field, model)| FieldError::new(field, "unknown_model", format!("no model is kept as {model:?}")))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(EngineError::InvalidMany(errors))
    }
}

/// The kept models that a document names, with the field that does.
pub(crate) fn models_of(params: &Params) -> Vec<(String, String)> {
    let mut named = vec![("rank.model".to_owned(), params.rank.model.clone())];
    for (number, experiment) in params.experiments.iter().enumerate() {
        for (place, variant) in experiment.variants.iter().enumerate() {
            let path = format!("experiments[{number}].variants[{place}]");
            let patched = variant.patch();
            let model = patched
                .pointer("/rank/model")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let field = if variant.model.is_empty() {
                "params.rank.model"
            } else {
                "model"
            };
            named.push((format!("{path}.{field}"), model.to_owned()));
        }
    }
    named.retain(|(_, model)| !model.is_empty());
    named
}

fn version_key(version: u64) -> Vec<u8> {
    let mut key = vec![VERSION_KEY];
    key.extend(version.to_be_bytes());
    key
}

fn too_large(bytes: usize) -> EngineError {
    let limit = "a version of the params takes at most 16 MiB";
    EngineError::InvalidMany(vec![FieldError::new(
        "params",
        "too_large",
        format!("{bytes} bytes: {limit}"),
    )])
}

fn record_of(document: &ParamsDocument) -> ParamsRecord {
    ParamsRecord {
        version: document.version,
        changed_at: document.changed_at,
        changed_by: document.changed_by.clone(),
        document: serde_json::to_string(&*document.params).unwrap_or_default(),
        rolled_back_to: document.rolled_back_to,
        changes: serde_json::to_string(&document.changes).unwrap_or_default(),
        changes_left_out: document.changes_left_out,
    }
}

fn read(stored: ParamsRecord) -> Result<ParamsDocument, String> {
    let document: Value = serde_json::from_str(&stored.document).map_err(|error| error.to_string())?;
    let params = parse(document).map_err(|errors| {
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        format!(
            "version {} is not valid any more: {}",
            stored.version,
            fields.join(", ")
        )
    })?;
    Ok(ParamsDocument {
        version: stored.version,
        changed_at: stored.changed_at,
        changed_by: stored.changed_by,
        rolled_back_to: stored.rolled_back_to,
        // Versions of before changes were written down have none.
        changes: serde_json::from_str::<Vec<ParamsChange>>(&stored.changes).unwrap_or_default(),
        changes_left_out: stored.changes_left_out,
        params: Arc::new(params),
    })
}
