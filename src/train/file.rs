//! Files of samples: one JSON object per line, one line per item that a viewer was shown.
//!
//! Owns the line's fields and what is wrong with a bad one. Described in `docs/training.md`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swipeline_models::features::schema::{FEATURE_COUNT, Feature, schema_fingerprint};
use swipeline_models::rank::{OBJECTIVE_COUNT, Objective, ObjectiveRow};
use swipeline_models::time::TimestampMs;
use swipeline_models::train::Sample;
use xxhash_rust::xxh3::xxh3_64;

use crate::transfer::{BytesRead, InputFile, Lines};

/// So many samples are held at the most: about 1 GiB.
pub(crate) const SAMPLES_MAX: usize = 4_000_000;

/// What came of an item; a field that is left out is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeLine {
    /// 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) like: Option<f32>,
    /// 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) complete: Option<f32>,
    /// 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f32>,
    /// 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skip: Option<f32>,
    /// The watched share of the item, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) watch: Option<f32>,
}

/// One line. Only `at`, `request_id`, `schema`, `features` and `outcome` are needed to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SampleLine {
    /// When it was served, in milliseconds since 1970-01-01 UTC.
    pub(crate) at: i64,
    /// Items of one slate have the same.
    pub(crate) request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    /// Fingerprint of the model that ranked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Fingerprint of the feature schema, 16 hexadecimal digits.
    pub(crate) schema: String,
    /// The feature row as it was served.
    pub(crate) features: Vec<f32>,
    #[serde(default)]
    pub(crate) pre_rank: f32,
    #[serde(default)]
    pub(crate) collaborative: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<f32>,
    /// What the model that served it predicted: like, complete, share, skip, watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<ObjectiveRow>,
    /// With which probability chance drew it; left out for an item that its score placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) propensity: Option<f32>,
    pub(crate) outcome: OutcomeLine,
}

/// Why a file of samples cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be opened or read.
    #[error("{}: {detail}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// A line is no sample.
    #[error("{}, line {line}: {detail}", .path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        detail: String,
    },
    /// More samples than are held.
    #[error("more than {SAMPLES_MAX} samples; train from the newest part")]
    TooMany,
}

/// Reads samples, in the order of the files; gzip is seen by itself. Also says whether every line told what had been
/// predicted.
///
/// # Errors
/// The first bad line: training from half a file would look like success.
pub(crate) fn read_samples(paths: &[PathBuf]) -> Result<(Vec<Sample>, bool), FileError> {
    let (mut samples, mut all_predicted) = (Vec::new(), true);
    for path in paths {
        let input = if path.as_os_str() == "-" {
            InputFile::Stdin
        } else {
            InputFile::Path(path.clone())
        };
        let unreadable = |detail: String| FileError::Unreadable {
            path: path.clone(),
            detail,
        };
        let opened = input.open(&BytesRead::default());
        let mut lines = Lines::new(opened.map_err(|error| unreadable(error.to_string()))?);
        while let Some(number) = lines.advance_past_blank() {
            let line = number.map_err(|fault| unreadable(format!("{fault:?}")))?;
            let parsed: SampleLine =
                serde_json::from_slice(lines.bytes()).map_err(|error| bad_line(path, line, &error.to_string()))?;
            all_predicted &= parsed.predicted.is_some();
            samples.push(parsed.into_sample().map_err(|detail| bad_line(path, line, &detail))?);
            if samples.len() > SAMPLES_MAX {
                return Err(FileError::TooMany);
            }
        }
    }
    Ok((samples, all_predicted))
}

fn bad_line(path: &Path, line: u64, detail: &str) -> FileError {
    // The parser sees one line only: its "line 1" would contradict the file's number.
    let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
    FileError::BadLine {
        path: path.to_owned(),
        line,
        detail,
    }
}

impl SampleLine {
    /// The sample, or what is wrong with the line.
    pub(crate) fn into_sample(self) -> Result<Sample, String> {
        let expected = format!("{:016x}", schema_fingerprint());
        if self.schema != expected {
            return Err(format!(
                "feature schema {} is not this program's ({expected}); such rows mean something else",
                self.schema
            ));
        }
        let count = self.features.len();
        let features: [f32; FEATURE_COUNT] = self
            .features
            .try_into()
            .map_err(|_| format!("{count} features, the schema has {FEATURE_COUNT}"))?;
        if let Some(feature) = Feature::ALL
            .into_iter()
            .find(|feature| !features[feature.index()].is_finite())
        {
            return Err(format!("feature {} is not a number", feature.name()));
        }
        let OutcomeLine {
            like,
            complete,
            share,
            skip,
            watch,
        } = self.outcome;
        let mut labels = [None; OBJECTIVE_COUNT];
        for (objective, label) in Objective::ALL.into_iter().zip([like, complete, share, skip, watch]) {
            let is_flag = objective != Objective::Watch;
            let fits = |value: f32| (0.0..=1.0).contains(&value) && (!is_flag || value == 0.0 || value == 1.0);
            if label.is_some_and(|value| !fits(value)) {
                let wanted = if is_flag { "0 or 1" } else { "between 0 and 1" };
                return Err(format!("outcome.{} must be {wanted}", objective.name()));
            }
            labels[objective.index()] = label;
        }
        if self
            .propensity
            .is_some_and(|propensity| !(propensity > 0.0 && propensity <= 1.0))
        {
            return Err("propensity must be above 0 and at most 1".to_owned());
        }
        Ok(Sample {
            at: TimestampMs(self.at),
            request: xxh3_64(self.request_id.as_bytes()),
            features,
            pre_rank: self.pre_rank,
            collaborative: self.collaborative,
            predicted: self.predicted.unwrap_or_default(),
            propensity: self.propensity,
            labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line() -> serde_json::Value {
        json!({"at": 1_700_000_000_000_i64, "request_id": "r", "schema": format!("{:016x}", schema_fingerprint()),
            "features": vec![0.25; FEATURE_COUNT], "outcome": {"like": 1, "skip": 0, "watch": 0.75}})
    }

    fn sample(line: &serde_json::Value) -> Result<Sample, String> {
        serde_json::from_value::<SampleLine>(line.clone())
            .map_err(|error| error.to_string())?
            .into_sample()
    }

    #[test]
    fn the_least_a_line_needs() {
        let found = sample(&line()).expect("a sample");
        assert_eq!(found.labels, [Some(1.0), None, None, Some(0.0), Some(0.75)]);
        assert_eq!((found.propensity, found.features[31]), (None, 0.25));
    }

    #[test]
    fn a_bad_line_is_named_with_its_reason() {
        let changed = |key: &str, value: serde_json::Value| {
            let mut line = line();
            line[key] = value;
            sample(&line).expect_err("refused")
        };
        assert!(changed("schema", json!("0000000000000000")).contains("schema"));
        assert!(changed("features", json!([1, 2])).contains("2 features"));
        assert!(changed("outcome", json!({"like": 0.5})).contains("outcome.like must be 0 or 1"));
        assert!(changed("outcome", json!({"watch": 1.5})).contains("outcome.watch"));
        assert!(changed("outcome", json!({"dance": 1})).contains("dance"));
        assert!(changed("propensity", json!(0)).contains("propensity"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples.ndjson");
        std::fs::write(&path, format!("{}\n\n{{\"at\": 1}}\n", line())).expect("written");
        let error = read_samples(&[path]).expect_err("refused").to_string();
        assert!(
            error.contains("samples.ndjson, line 3: missing field `request_id`"),
            "{error}"
        );
    }
}
