//! The catalogue page by page: items by words, names and order; names with their numbers; what is counted of an item.

use std::hash::{Hash, Hasher};

use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::{BrowseQuery, Engine, ItemOrder, NameKind};
use swipeline_models::time::DAY_MS;
use swipeline_models::wire::{CategoriesReply, ItemDto, ItemStatsReply, ItemsPageDto, NameCountDto, TagsReply};

use super::cursor;
use super::endpoint::Endpoint;
use super::items::{item_id, no_such_item};
use super::problem::{Problem, ProblemDto};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;

/// The longest text that is searched for, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// The window of an item's statistics when none is asked for.
const STATS_WINDOW_MS_DEFAULT: i64 = DAY_MS;
/// The orders of a list of items.
const ORDERS: [(&str, ItemOrder); 3] = [
    ("created", ItemOrder::Created),
    ("popular", ItemOrder::Popular),
    ("relevance", ItemOrder::Relevance),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/items/{id}/stats", get_item_stats),
        Endpoint::get("/v1/categories", get_categories),
        Endpoint::get("/v1/tags", get_tags),
    ]
}

/// Search and list items
///
/// With `q` the items that have its words in their title, description, tags or categories: those that have all of them, or
/// some where none has all. Page by page: `cursor` of an answer asks for the next, with the same parameters.
#[utoipa::path(get, path = "/v1/items", tag = "items",
    params(
        ("q" = Option<String>, Query, description = "Words", example = "sourdough"),
        ("category" = Option<Vec<String>>, Query, description = "Of one of these categories only; may be given several times"),
        ("tag" = Option<Vec<String>>, Query, description = "With one of these tags only; may be given several times"),
        ("author" = Option<Vec<String>>, Query, description = "By one of these authors only; may be given several times"),
        ("sort" = Option<String>, Query, description = "`created` (the newest first; default), `popular`, or `relevance` (with `q`, the default then)"),
        ("n" = Option<u32>, Query, description = "How many, 1 to 500; 10 when left out", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "From the page before"),
        ("hidden" = Option<bool>, Query, description = "Hidden items too, and those that may not be shown now; for back ends"),
    ),
    responses(
        (status = 200, description = "A page of items", body = ItemsPageDto),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_items(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let text = query.text("q").map(str::to_owned);
    if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
        let detail = format!("must be at most {TEXT_BYTES_MAX} bytes");
        return Err(Problem::rule("q", "text_too_long", detail));
    }
    let order = match (query.text("sort"), &text) {
        (None, Some(_)) => ItemOrder::Relevance,
        (None, None) => ItemOrder::Created,
        (Some(_), _) => query.choice("sort", &ORDERS)?,
    };
    if order == ItemOrder::Relevance && text.is_none() {
        return Err(Problem::rule("sort", "does_not_fit", "relevance needs q"));
    }
    let hidden = query.flag("hidden")?;
    if hidden {
        state.require_service(&request)?;
    }
    let filter = query.items_wanted()?;
    let mut list = xxhash_rust::xxh3::Xxh3::new();
    (&text, order, &filter.categories, &filter.tags, &filter.authors, hidden).hash(&mut list);
    let list = list.finish();
    let browse = BrowseQuery {
        text,
        filter,
        order,
        n: query.n()?,
        after: query.text("cursor").map(|text| cursor::read(list, text)).transpose()?,
        hidden,
    };
    let page = beside(state.engine()?, move |engine| engine.browse(&browse)).await?;
    reply(
        &request,
        &ItemsPageDto {
            items: page.items.iter().map(|item| ItemDto::card(item)).collect(),
            cursor: page.next.map(|place| cursor::write(list, place)),
        },
    )
}

/// What is counted of an item
///
/// In the window that is asked for, and in the windows `5m`, `1h`, `24h`, `7d` and `all` (its whole life).
#[utoipa::path(get, path = "/v1/items/{id}/stats", tag = "items",
    params(
        ("id" = String, Path, description = "Item id", example = "v1"),
        ("window" = Option<String>, Query, description = "Any length up to `7d`, such as `30m` or `3h`; `24h` when left out. Counted in steps of 1 minute (up to 5 minutes), 5 minutes (up to 1 hour), 1 hour (up to a day) or 6 hours", example = "3h"),
    ),
    responses(
        (status = 200, description = "Counts and rates", body = ItemStatsReply),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_item_stats(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = item_id(&path)?;
    let window_ms = Query::of(&request)?
        .length_ms("window")?
        .unwrap_or(STATS_WINDOW_MS_DEFAULT);
    let stats = state.engine()?.item_stats(id.as_str(), window_ms).await?;
    reply(&request, &stats.ok_or_else(|| no_such_item(id.as_str()))?)
}

/// Categories with how many live items they have
#[utoipa::path(get, path = "/v1/categories", tag = "lists",
    responses((status = 200, description = "The most frequent first", body = CategoriesReply)))]
pub(crate) async fn get_categories(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let categories = names(&state, NameKind::Categories).await?;
    reply(&request, &CategoriesReply { categories })
}

/// Tags with how many live items they have
#[utoipa::path(get, path = "/v1/tags", tag = "lists",
    responses((status = 200, description = "The most frequent first", body = TagsReply)))]
pub(crate) async fn get_tags(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let tags = names(&state, NameKind::Tags).await?;
    reply(&request, &TagsReply { tags })
}

async fn names(state: &AppState, kind: NameKind) -> Result<Vec<NameCountDto>, Problem> {
    let names = beside(state.engine()?, move |engine| engine.names(kind)).await?;
    let names = names.into_iter().map(|(name, items)| NameCountDto { name, items });
    Ok(names.collect())
}

/// Walks over the catalogue on a thread where nobody waits for it but the caller.
async fn beside<T: Send + 'static>(
    engine: &Engine,
    walk: impl FnOnce(&Engine) -> T + Send + 'static,
) -> Result<T, Problem> {
    let engine = engine.clone();
    let walked = tokio::task::spawn_blocking(move || walk(&engine)).await;
    walked.map_err(|error| Problem::of_status(actix_web::http::StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}
