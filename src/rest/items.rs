//! `/v1/items`: the catalogue.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use swipeline_actors::Engine;
use swipeline_models::ids::ItemId;
use swipeline_models::wire::{ItemDetailDto, ItemDto, ItemsReply, Rejection};

use super::body::Body;
use super::endpoint::Endpoint;
use super::known;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::query::Query;
use super::reply::reply;
use crate::server::{AppState, now};

/// The most items in one call.
pub(crate) const ITEMS_PER_CALL_MAX: usize = 50_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/items", upsert_items).on(Method::GET, super::browse::list_items),
        Endpoint::get("/v1/items/{id}", get_item)
            .on(Method::PUT, put_item)
            .on(Method::PATCH, patch_item)
            .on(Method::DELETE, delete_item),
    ]
}

/// Checks an item id of a path.
pub(super) fn item_id(text: &str) -> Result<ItemId, Problem> {
    ItemId::new(text).map_err(|error| Problem::rule("id", "invalid_id", error.to_string()))
}

/// An item that is put again without saying how old it is is as old as it was.
fn keep_age(engine: &Engine, dto: &mut ItemDto) {
    if dto.created_at.is_none() {
        dto.created_at = engine.item(&dto.id).map(|known| known.created_at.0);
    }
}

pub(super) fn no_such_item(id: &str) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("there is no item {id:?}"))
}

/// Upsert many items
///
/// A bad item is rejected with its index and does not take the others along. Durable and recallable when answered.
#[utoipa::path(post, path = "/v1/items", tag = "items",
    request_body(content(
        (Vec<ItemDto> = "application/json"), (Vec<ItemDto> = "application/msgpack"), (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, description = "What was taken and what was not", body = ItemsReply),
        (status = 400, description = "Not a list", body = ProblemDto, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Too many", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn upsert_items(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let list = known::list(&request, || body.read_list::<ItemDto>(ITEMS_PER_CALL_MAX))?;
    drop(body);
    let (mut rejected, now) = (list.rejected, now());
    let mut places = Vec::with_capacity(list.elements.len());
    let mut items = Vec::with_capacity(list.elements.len());
    let engine = state.engine()?;
    for (index, mut dto) in list.elements {
        keep_age(engine, &mut dto);
        match dto.into_item(now) {
            Ok(item) => {
                places.push(index);
                items.push(item);
            }
            Err(error) => rejected.push(Rejection::from_field(index, &error)),
        }
    }
    let results = if items.is_empty() {
        Vec::new()
    } else {
        engine.upsert_items(items).await?
    };
    let mut upserted = 0;
    for (index, result) in places.into_iter().zip(results) {
        match result {
            Ok(()) => upserted += 1,
            Err(error) => rejected.push(Rejection::from_field(index, &error)),
        }
    }
    rejected.sort_by_key(|rejection| rejection.index);
    reply(&request, &ItemsReply { upserted, rejected })
}

/// Upsert an item
///
/// The id of the path counts; an id in the body may be left out and must not differ.
#[utoipa::path(put, path = "/v1/items/{id}", tag = "items", params(("id" = String, Path, description = "Item id")),
    request_body(content((ItemDto = "application/json"), (ItemDto = "application/msgpack"))),
    responses(
        (status = 200, description = "The item as it is kept", body = ItemDto),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_item(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = item_id(&path)?;
    let mut dto = known::document(&request, || body.read::<ItemDto>())?;
    if dto.id.is_empty() {
        id.as_str().clone_into(&mut dto.id);
    }
    check_same_id(&dto.id, id.as_str())?;
    let engine = state.engine()?;
    keep_age(engine, &mut dto);
    let item = dto.into_item(now()).map_err(|error| Problem::rules(vec![error]))?;
    let kept = ItemDto::from(&item);
    for result in engine.upsert_items(vec![item]).await? {
        result.map_err(|error| Problem::rules(vec![error]))?;
    }
    reply(&request, &kept)
}

/// Change some fields of an item
///
/// A merge patch (RFC 7396): what is not named stays, `null` takes a field away, a list is replaced as a whole.
#[utoipa::path(patch, path = "/v1/items/{id}", tag = "items", params(("id" = String, Path, description = "Item id", example = "v1")),
    request_body(content((ItemDto = "application/merge-patch+json"), (ItemDto = "application/json"))),
    responses(
        (status = 200, description = "The item as it is kept", body = ItemDto),
        (status = 400, description = "Malformed", body = ProblemDto, content_type = "application/problem+json"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 415, description = "Unknown media type", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A rule is broken", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn patch_item(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = item_id(&path)?;
    let patch = known::patch(&body.read_any_json()?)?;
    let read = |document: serde_json::Value| {
        let dto: ItemDto = known::patched(&request, document)?;
        check_same_id(&dto.id, id.as_str())?;
        Ok::<ItemDto, Problem>(dto)
    };
    let kept = state.engine()?.patch_item(&id, &patch, read).await?;
    let kept = kept.ok_or_else(|| no_such_item(id.as_str()))?;
    reply(&request, &ItemDto::from(kept.as_ref()))
}

/// The id in a body must be that of the path.
pub(super) fn check_same_id(given: &str, id: &str) -> Result<(), Problem> {
    if given == id {
        return Ok(());
    }
    let detail = format!("differs from the id {id:?} of the path");
    Err(Problem::rule("id", "differs", detail))
}

/// One item
#[utoipa::path(get, path = "/v1/items/{id}", tag = "items",
    params(
        ("id" = String, Path, description = "Item id"),
        ("explain" = Option<bool>, Query, description = "Whether to say how far it has come while it is new"),
    ),
    responses(
        (status = 200, description = "The item as it was given, and the tags that were inferred from its text", body = ItemDetailDto),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_item(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = item_id(&path)?;
    let explains = Query::of(&request)?.flag("explain")?;
    let engine = state.engine()?;
    let item = engine.item(id.as_str()).ok_or_else(|| no_such_item(id.as_str()))?;
    let mut dto = ItemDto::from(item.as_ref());
    dto.inferred_tags = Some(engine.inferred_tags(id.as_str())).filter(|tags| !tags.is_empty());
    let detail = ItemDetailDto {
        item: dto,
        exploration: explains.then(|| engine.exploration(id.as_str())).flatten(),
    };
    reply(&request, &detail)
}

/// Delete an item
///
/// It is never recommended again, from the next feed on.
#[utoipa::path(delete, path = "/v1/items/{id}", tag = "items", params(("id" = String, Path, description = "Item id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_item(
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let id = item_id(&path)?;
    if !state.engine()?.delete_item(&id).await? {
        return Err(no_such_item(id.as_str()));
    }
    Ok(HttpResponse::NoContent().finish())
}
