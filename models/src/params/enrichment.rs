//! Params of tags that are inferred from texts.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// Which items get tags from their text, and how sure that has to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichmentParams {
    /// Whether tags are inferred. Takes effect with the next upsert of an item.
    pub enabled: bool,
    /// An item with a text and fewer tags than this gets some.
    pub tags_fewer_than: u32,
    /// How sure the model has to be of a tag, 0 to 1.
    pub confidence_min: f32,
    /// The most tags that one item gets.
    pub tags_max: u32,
    /// A tag that fewer items with a text carry is not inferred.
    pub tag_items_min: u32,
}

impl Default for EnrichmentParams {
    fn default() -> Self {
        Self {
            enabled: true,
            tags_fewer_than: 2,
            confidence_min: 0.85,
            tags_max: 3,
            tag_items_min: 5,
        }
    }
}

/// Checks the section.
pub(super) fn validate(params: &EnrichmentParams, checks: &mut Checks) {
    checks.within(
        "enrichment.tags_fewer_than",
        f64::from(params.tags_fewer_than),
        0.0,
        64.0,
    );
    checks.share("enrichment.confidence_min", params.confidence_min);
    checks.within("enrichment.tags_max", f64::from(params.tags_max), 0.0, 16.0);
    checks.within("enrichment.tag_items_min", f64::from(params.tag_items_min), 1.0, 1e6);
}
