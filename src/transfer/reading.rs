//! How files are read: what the caller says about columns, times and constants.
//!
//! Owns [`Reading`], the meaning of a column's name under it, and the notes about what had to be decided or left out.
//! Must not know formats.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use swipeline_models::time::TimestampMs;

use super::Entity;
use super::fields::{Kind, kind_of, values_field};
use super::time::TimeRules;
use crate::gorse::rules::FeedbackRules;

/// The most different notes that are kept.
const NOTES_MAX: usize = 64;
/// What the archive's own files have beyond an event; the server gives it anew.
const ARCHIVE_COLUMNS: [&str; 2] = ["sequence", "accepted_at"];

/// How files are read. The default is the plain form of each format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// Stands in for times that are left out.
    pub(crate) now: TimestampMs,
    /// Pairs of a field of the API and the column that holds it.
    pub(crate) map: Vec<(String, String)>,
    /// Columns that mean nothing.
    pub(crate) ignore: Vec<String>,
    /// What separates the cells of CSV; a comma where nothing is said, a tab in files named `.tsv`.
    pub(crate) delimiter: Option<u8>,
    /// Whether CSV starts with its first row; columns are named `1`, `2`, ...
    pub(crate) no_header: bool,
    /// How times are read.
    pub(crate) times: TimeRules,
    /// The type of every event.
    pub(crate) kind: Option<String>,
    /// What gorse's feedback types mean.
    pub(crate) feedback: FeedbackRules,
    /// What was decided or left out on the way.
    pub(crate) notes: Notes,
}

/// What a column stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A field of the API.
    Field(&'static str, Kind),
    /// A key in `attributes` or `context`.
    Value(String),
}

impl Reading {
    /// Our own exports: numbers are milliseconds, as in the REST API.
    pub(crate) fn exact(now: TimestampMs) -> Self {
        Self {
            now,
            times: TimeRules::exact(),
            ..Self::default()
        }
    }

    /// What the column of that name stands for: nothing, one thing, or several; `None` when nobody knows it.
    pub(super) fn targets(&self, entity: Entity, column: &str) -> Option<Vec<Target>> {
        let mapped: Vec<Target> = self
            .map
            .iter()
            .filter(|(_, from)| from == column)
            .filter_map(|(field, _)| target_of(entity, field))
            .collect();
        if !mapped.is_empty() {
            return Some(mapped);
        }
        let ignored = self.no_header || self.ignore.iter().any(|name| name == column) || has_no_name(column);
        if ignored || (entity == Entity::Events && ARCHIVE_COLUMNS.contains(&column)) {
            return Some(Vec::new());
        }
        let target = target_of(entity, column)?;
        // A field that another column or a constant gives is not taken from the column of its own name.
        let is_given = self.map.iter().any(|(field, _)| field == column)
            || (entity == Entity::Events && column == "type" && self.kind.is_some());
        Some(if is_given { Vec::new() } else { vec![target] })
    }

    /// The first needed field that no column of `names` gives.
    pub(super) fn missing(&self, entity: Entity, names: &[String]) -> Option<&'static str> {
        let required: &[&str] = match entity {
            Entity::Items | Entity::Users => &["id"],
            Entity::Events => &["user_id", "item_id", "type"],
        };
        let gives = |field: &str| {
            (field == "type" && self.kind.is_some())
                || names.iter().any(|name| {
                    let targets = self.targets(entity, name).unwrap_or_default();
                    targets
                        .iter()
                        .any(|target| matches!(target, Target::Field(given, _) if *given == field))
                })
        };
        required.iter().find(|field| !gives(field)).copied()
    }

    /// The first mapped column that is not among `names`.
    pub(super) fn unmapped(&self, names: &[String]) -> Option<&(String, String)> {
        self.map.iter().find(|(_, column)| !names.contains(column))
    }
}

/// A field of the API, or `attributes.<key>` / `context.<key>`.
pub(super) fn target_of(entity: Entity, field: &str) -> Option<Target> {
    if let Some((name, kind)) = kind_of(entity, field) {
        return Some(Target::Field(name, kind));
    }
    let key = field.strip_prefix(values_field(entity))?.strip_prefix('.')?;
    (!key.is_empty()).then(|| Target::Value(key.to_owned()))
}

/// Whether the API has a field of that name for the entity.
pub(crate) fn is_field(entity: Entity, field: &str) -> bool {
    target_of(entity, field).is_some()
}

/// Index columns of pandas, which have no name or one that pandas made up.
fn has_no_name(column: &str) -> bool {
    column.trim().is_empty() || column.starts_with("Unnamed: ") || column.starts_with("__index_level_")
}

/// What was decided for a file or left out of it, counted; shared with whoever writes the summary.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<BTreeMap<String, u64>>>);

impl Notes {
    /// Counts one more of `note`.
    pub(crate) fn count(&self, note: &str) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = notes.get_mut(note) {
            *count += 1;
        } else if notes.len() < NOTES_MAX {
            notes.insert(note.to_owned(), 1);
        }
    }

    /// All of them with their counts.
    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().map(|(note, count)| (note.clone(), *count)).collect()
    }
}
