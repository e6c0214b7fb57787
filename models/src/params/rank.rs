//! Params of which ranking model scores.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The longest name of a kept model.
const MODEL_NAME_BYTES_MAX: usize = 64;

/// Which ranking model scores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RankParams {
    /// A model that is kept by this name; the serving one when empty.
    pub model: String,
}

/// Whether a model may be kept by this name: 1 to 64 letters, digits, `_`, `-` or `.`.
#[must_use]
pub fn is_model_name(name: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= MODEL_NAME_BYTES_MAX && name.bytes().all(is_letter)
}

/// Checks the section.
pub(super) fn validate(params: &RankParams, checks: &mut Checks) {
    checks.rule(
        params.model.is_empty() || is_model_name(&params.model),
        "rank.model",
        "must be empty or 1 to 64 letters, digits, `_`, `-` or `.`",
    );
}
