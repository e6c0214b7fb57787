//! What `POST /v1/users/{id}/feed` asks.

use serde::{Deserialize, Serialize};

/// One name, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "a name or a list of names")]
pub enum NamesDto {
    /// One.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

impl From<NamesDto> for Vec<String> {
    fn from(names: NamesDto) -> Self {
        match names {
            NamesDto::One(name) => vec![name],
            NamesDto::Many(names) => names,
        }
    }
}

/// What `POST /v1/users/{id}/feed` asks. The same may stand in the query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
#[schema(example = json!({"n": 10, "scene": "home", "region": "de", "device": "phone", "category": ["cooking", "travel"]}))]
pub struct FeedRequestDto {
    /// How many items, 1 to 500; 10 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<i64>,
    /// Where in the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scene: Option<String>,
    /// Where the viewer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// By which kind of network, such as `wifi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Items to leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Items of one of these categories only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<NamesDto>,
    /// Items with one of these tags only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<NamesDto>,
    /// Items by one of these authors only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<NamesDto>,
    /// Items by authors that the viewer follows only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following: Option<bool>,
    /// Whether to say how every item came to be here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<bool>,
    /// Serve as in these variants, `experiment:variant`, joined by commas (where the params allow it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `served` (default): what is served counts as shown. `explicit`: the client reports `impression` events itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impressions: Option<String>,
}
