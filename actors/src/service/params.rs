//! The `params` document in force, its history, and the way back.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use swipeline_models::experiment::Plan;
use swipeline_models::params::{Params, merge_patch, parse};
use swipeline_models::wire::FieldError;
use swipeline_storage::{SnapshotOp, Tree};

use super::params_diff::changes_between;
use crate::api::{EngineError, ParamsChange, ParamsDocument, ParamsEdit};
use crate::clock;
use crate::shared::Shared;

/// How many versions can be gone back to.
pub(crate) const PARAMS_HISTORY_MAX: usize = 100;
const KEY: &[u8] = b"history";

/// Versions of the document, the newest last.
pub(crate) struct ParamsService {
    current: ArcSwap<ParamsDocument>,
    history: Mutex<VecDeque<Arc<ParamsDocument>>>,
    /// Who is in which variant by the document in force.
    plan: ArcSwap<Plan>,
}

/// A version as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
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
            plan: ArcSwap::from_pointee(Plan::new(first.params.clone())),
            current: ArcSwap::from(first.clone()),
            history: Mutex::new(VecDeque::from([first])),
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

    /// All versions that can be gone back to, the newest first.
    pub(crate) fn history(&self) -> Vec<Arc<ParamsDocument>> {
        self.history.lock().iter().rev().cloned().collect()
    }

    /// Takes up the versions that were stored. A version that this program cannot read any more is reported and left
    /// out; the newest readable one comes into force.
    pub(crate) fn restore(&self, shared: &Shared) {
        let stored = match shared.storage.snapshots.get(Tree::Params, KEY) {
            Ok(Some(bytes)) => crate::records::decode_bytes::<Vec<Stored>>(&bytes).map_err(|error| error.to_string()),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return crate::shared::report_damage("params", &error),
        };
        let mut history = self.history.lock();
        for version in stored {
            match read(version) {
                Ok(document) => history.push_back(Arc::new(document)),
                Err(error) => crate::shared::report_damage("params", &error),
            }
        }
        if let Some(newest) = history.back() {
            shared.world.set_params(newest.params.clone());
            self.plan.store(Arc::new(Plan::new(newest.params.clone())));
            self.current.store(newest.clone());
        }
        // The built-in version 1 stands first unless the stored history has its own.
        if history.iter().filter(|document| document.version == 1).count() > 1 {
            history.pop_front();
        }
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
            params: params.clone(),
        });
        history.push_back(document.clone());
        while history.len() > PARAMS_HISTORY_MAX {
            history.pop_front();
        }
        let stored: Vec<Stored> = history.iter().map(|document| store(document)).collect();
        let row = SnapshotOp::Put {
            tree: Tree::Params,
            key: KEY.to_vec(),
            value: crate::records::encode(&stored),
        };
        let written = shared
            .storage
            .snapshots
            .apply(vec![row])
            .and_then(|()| shared.storage.snapshots.flush());
        if let Err(error) = written {
            history.pop_back();
            return Err(EngineError::Unavailable(format!(
                "the params could not be stored: {error}"
            )));
        }
        self.plan.store(Arc::new(Plan::new(params.clone())));
        shared.world.set_params(params);
        self.current.store(document.clone());
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

fn store(document: &ParamsDocument) -> Stored {
    Stored {
        version: document.version,
        changed_at: document.changed_at,
        changed_by: document.changed_by.clone(),
        document: serde_json::to_string(&*document.params).unwrap_or_default(),
        rolled_back_to: document.rolled_back_to,
        changes: serde_json::to_string(&document.changes).unwrap_or_default(),
        changes_left_out: document.changes_left_out,
    }
}

fn read(stored: Stored) -> Result<ParamsDocument, String> {
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
