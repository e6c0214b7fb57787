//! `GET /v1/experiments`: what experiments say.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use swipeline_models::wire::ExperimentDto;

use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::reply::reply;
use crate::server::AppState;

/// What all experiments say.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ExperimentsReply {
    /// In the order of the params.
    experiments: Vec<ExperimentDto>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/experiments", get_experiments),
        Endpoint::get("/v1/experiments/{name}", get_experiment),
    ]
}

/// What all experiments say
#[utoipa::path(get, path = "/v1/experiments", tag = "operations",
    responses((status = 200, description = "The experiments of the params", body = ExperimentsReply)))]
pub(crate) async fn get_experiments(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let experiments = state.engine()?.experiments();
    reply(&request, &ExperimentsReply { experiments })
}

/// What an experiment says
///
/// Per variant the viewers, what they did and six metrics with intervals; against the control with the p-value of one look
/// and the test that may be looked at at any time; and whether the viewers fit the weights.
#[utoipa::path(get, path = "/v1/experiments/{name}", tag = "operations",
    params(("name" = String, Path, description = "The experiment's name")),
    responses(
        (status = 200, description = "What it says so far", body = ExperimentDto),
        (status = 404, description = "The params hold no such experiment", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_experiment(
    request: HttpRequest,
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.require_service(&request)?;
    let experiment = state.engine()?.experiment(&name);
    let unknown = || {
        Problem::new(
            ProblemKind::NotFound,
            format!("there is no experiment {:?}", name.as_str()),
        )
    };
    reply(&request, &experiment.ok_or_else(unknown)?)
}
