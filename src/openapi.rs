//! The description of the API: OpenAPI 3.1, made from the handlers and the wire types.

use std::collections::HashMap;

use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::{rest, ws};

/// The API of the public listener.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Swipeline",
        description = "Real-time recommender for feeds in which people swipe. Times are milliseconds since 1970-01-01 \
                       UTC. Every call also speaks MessagePack with the same field names (`application/msgpack`)."
    ),
    paths(
        rest::paths::upsert_items, rest::paths::put_item, rest::paths::get_item, rest::paths::delete_item,
        rest::paths::patch_item, rest::paths::list_items, rest::paths::get_item_stats,
        rest::paths::get_categories, rest::paths::get_tags,
        rest::paths::put_users, rest::paths::put_user, rest::paths::get_user, rest::paths::delete_user,
        rest::paths::patch_user, rest::paths::list_users, rest::paths::get_history,
        rest::paths::get_feed, rest::paths::post_feed, rest::paths::rank_items, rest::paths::post_events,
        rest::paths::get_similar, rest::paths::get_popular, rest::paths::get_latest,
        rest::paths::get_stats, rest::paths::get_experiments, rest::paths::get_experiment, rest::paths::livez, rest::paths::readyz, rest::paths::openapi,
        rest::paths::asyncapi,
        ws::open_stream,
    ),
    components(schemas(
        rest::ProblemDto, rest::ProblemItem,
        swipeline_models::wire::ClientFrame, swipeline_models::wire::ServerMessage,
    )),
    tags(
        (name = "items", description = "The catalogue."),
        (name = "users", description = "Viewers and their learned profile."),
        (name = "events", description = "What viewers did."),
        (name = "feeds", description = "Feeds and ranking."),
        (name = "stream", description = "The WebSocket."),
        (name = "lists", description = "Lists that are the same for everybody."),
        (name = "operations", description = "Health, effect and description."),
    ),
    security((), ("bearer" = []))
)]
struct PublicApi;

/// The API of the admin listener.
#[derive(OpenApi)]
#[openapi(
    info(title = "Swipeline admin", description = "For operators: metrics, parameters, ranking model."),
    paths(
        rest::paths::get_metrics, rest::paths::get_params, rest::paths::put_params, rest::paths::patch_params,
        rest::paths::get_params_history, rest::paths::roll_back_params,
        rest::paths::get_channels, rest::paths::post_breaker,
        rest::paths::get_model, rest::paths::put_model, rest::paths::roll_back_model, rest::paths::get_learner,
        rest::paths::post_checkpoint, rest::paths::get_archive, rest::paths::roll_archive,
        rest::paths::get_models, rest::paths::keep_model, rest::paths::drop_model,
        rest::paths::get_degradation, rest::paths::get_params_schema,
        rest::paths::create_snapshot, rest::paths::list_snapshots, rest::paths::download_snapshot,
        rest::paths::delete_snapshot, rest::paths::export,
        rest::paths::livez, rest::paths::readyz, rest::paths::openapi,
    ),
    components(schemas(rest::ProblemDto, rest::ProblemItem)),
    tags((name = "admin", description = "What operators do."), (name = "operations", description = "Health.")),
    security((), ("bearer" = []))
)]
struct AdminApi;

/// What may become of any call under `/v1/`.
const ALL_ANSWERS: [(&str, &str); 5] = [
    ("400", "Malformed, or a parameter or field that is not known"),
    ("401", "No credential, or a bad one"),
    ("403", "A credential that does not admit to this"),
    ("429", "Too many calls; `Retry-After` says when"),
    ("503", "Not now; `Retry-After` says when"),
];

/// Adds what every operation has: where the server is, the answers of the edge, and `lenient`.
fn add_what_all_have(document: &mut Value) {
    document["servers"] = json!([{"url": "/", "description": "This server"}]);
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        if !path.starts_with("/v1/") || path == ws::STREAM_PATH {
            continue;
        }
        for operation in operations
            .as_object_mut()
            .into_iter()
            .flatten()
            .map(|(_, operation)| operation)
        {
            let lenient = json!({
                "name": "lenient", "in": "query", "required": false, "schema": {"type": "boolean"},
                "description": "Parameters and fields that are not known: told in `warnings` of the answer and not refused",
            });
            match operation["parameters"].as_array_mut() {
                Some(parameters) => parameters.push(lenient),
                None => operation["parameters"] = json!([lenient]),
            }
            let Some(responses) = operation["responses"].as_object_mut() else {
                continue;
            };
            for (status, description) in ALL_ANSWERS {
                responses.entry(status).or_insert_with(|| {
                    json!({
                        "description": description,
                        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDto"}}},
                    })
                });
            }
        }
    }
}

/// The schemas of the public API by name.
pub(crate) fn schemas() -> Value {
    let api = serde_json::to_value(PublicApi::openapi()).unwrap_or_default();
    api["components"]["schemas"].clone()
}

/// The query parameters of every operation, by method and path.
pub(crate) fn parameters() -> HashMap<(String, String), Vec<String>> {
    let mut known: HashMap<(String, String), Vec<String>> = HashMap::new();
    for api in [PublicApi::openapi(), AdminApi::openapi()] {
        let api = serde_json::to_value(&api).unwrap_or_default();
        for (path, operations) in api["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let names = parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned));
                let operation = (method.to_uppercase(), path.clone());
                known.entry(operation).or_default().extend(names);
            }
        }
    }
    known
}

/// A description, written once.
pub(crate) struct Document {
    json: String,
}

impl Document {
    /// The public API.
    pub(crate) fn public() -> Self {
        Self::of(PublicApi::openapi())
    }

    /// The admin API.
    pub(crate) fn admin() -> Self {
        Self::of(AdminApi::openapi())
    }

    /// The document as JSON.
    pub(crate) fn json(&self) -> String {
        self.json.clone()
    }

    fn of(mut api: utoipa::openapi::OpenApi) -> Self {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A viewer's JWT or a back end's API key; not needed when no key is configured.",
        ));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let mut document = serde_json::to_value(&api).unwrap_or_default();
        add_what_all_have(&mut document);
        Self {
            json: document.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rest::Endpoint;

    fn described(document: &Document) -> BTreeSet<(String, String)> {
        let value: serde_json::Value = serde_json::from_str(&document.json).expect("JSON");
        assert!(value["openapi"].as_str().expect("a version").starts_with("3.1"));
        let paths = value["paths"].as_object().expect("paths");
        let methods = |(path, methods): (&String, &serde_json::Value)| {
            let names = methods
                .as_object()
                .expect("methods")
                .keys()
                .filter(|name| *name != "parameters");
            names
                .map(|name| (path.clone(), name.to_uppercase()))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(methods).collect()
    }

    fn served(endpoints: impl IntoIterator<Item = Endpoint>) -> BTreeSet<(String, String)> {
        let methods = |endpoint: Endpoint| {
            let names: Vec<String> = endpoint.methods().iter().map(ToString::to_string).collect();
            names.into_iter().map(move |name| (endpoint.path.to_owned(), name))
        };
        endpoints.into_iter().flat_map(methods).collect()
    }

    #[test]
    fn every_endpoint_is_described_and_nothing_else() {
        let public = rest::public_endpoints().into_iter().chain(ws::endpoints());
        assert_eq!(described(&Document::public()), served(public));
        assert_eq!(described(&Document::admin()), served(rest::admin_endpoints()));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for document in [Document::public(), Document::admin()] {
            let value: serde_json::Value = serde_json::from_str(&document.json).expect("JSON");
            let mut rest = document.json.as_str();
            let mut count = 0;
            while let Some((_, after)) = rest.split_once("\"$ref\":\"#") {
                let (pointer, after) = after.split_once('"').expect("the end of a reference");
                assert!(value.pointer(pointer).is_some(), "{pointer} is missing");
                count += 1;
                rest = after;
            }
            assert!(count > 0);
        }
    }
}
