//! REST: one file per area, each with a list of its endpoints.
//!
//! Owns: how calls become engine calls and how answers and errors look. Must not recommend, store or wait for locks.

mod admin;
mod archive;
mod body;
mod channels;
mod endpoint;
mod events;
mod experiments;
mod feed;
mod health;
mod items;
mod lists;
mod models;
mod problem;
mod query;
mod rank;
mod reply;
mod stats;
mod users;

pub(crate) use body::Body;
pub(crate) use endpoint::Endpoint;
pub(crate) use problem::{Problem, ProblemDto, ProblemItem, ProblemKind};
pub(crate) use query::Query;
pub(crate) use rank::RANK_PATH;
pub(crate) use reply::{Format, quality_of};

/// The handlers, for the API document.
pub(crate) mod paths {
    pub(crate) use super::admin::*;
    pub(crate) use super::archive::*;
    pub(crate) use super::channels::*;
    pub(crate) use super::events::*;
    pub(crate) use super::experiments::*;
    pub(crate) use super::feed::*;
    pub(crate) use super::health::*;
    pub(crate) use super::items::*;
    pub(crate) use super::lists::*;
    pub(crate) use super::models::*;
    pub(crate) use super::rank::*;
    pub(crate) use super::stats::*;
    pub(crate) use super::users::*;
}

/// The API of the public listener.
pub(crate) fn public_endpoints() -> Vec<Endpoint> {
    let areas = [
        items::endpoints(),
        users::endpoints(),
        feed::endpoints(),
        events::endpoints(),
        rank::endpoints(),
        lists::endpoints(),
        stats::endpoints(),
        experiments::endpoints(),
        health::endpoints(),
    ];
    areas.into_iter().flatten().collect()
}

/// The API of the admin listener.
pub(crate) fn admin_endpoints() -> Vec<Endpoint> {
    [
        admin::endpoints(),
        archive::endpoints(),
        channels::endpoints(),
        models::endpoints(),
        health::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
