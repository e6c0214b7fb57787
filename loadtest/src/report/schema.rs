//! The shape of `report.json` as a JSON Schema, for other tools.
//!
//! Owns making it from the types, so that the two cannot differ.

use schemars::{Schema, schema_for};

use super::{Report, SCHEMA};

/// The schema.
#[must_use]
pub fn report_schema() -> Schema {
    let mut schema = schema_for!(Report);
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}

/// The schema as a file.
#[must_use]
pub fn schema_text() -> String {
    // A schema is plain JSON: writing it cannot fail.
    let text = serde_json::to_string_pretty(&report_schema()).unwrap_or_default();
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::sample;
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_file_in_the_documentation_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadtest-report.schema.json");
        let committed = std::fs::read_to_string(file).expect("the file is there");
        assert!(
            committed == schema_text(),
            "docs/loadtest-report.schema.json is old: write it again with `swipeline-loadtest schema`"
        );
    }

    #[test]
    fn a_report_has_exactly_the_fields_of_the_schema() {
        let schema = serde_json::to_value(report_schema()).expect("JSON");
        let report = serde_json::to_value(sample(&[5; 20], &[])).expect("JSON");
        let names = |value: &Value| -> Vec<String> {
            let mut names: Vec<String> = value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&report), names(&schema["properties"]));
        assert_eq!(
            names(&report["settings"]),
            names(&schema["$defs"]["Settings"]["properties"])
        );
        assert_eq!(
            names(&report["server"]),
            names(&schema["$defs"]["ServerUsage"]["properties"])
        );
        assert_eq!(schema["title"], SCHEMA);
    }
}
