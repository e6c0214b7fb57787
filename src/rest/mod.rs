//! REST: one file per area, each with a list of its endpoints.
//!
//! Owns: how calls become engine calls and how answers and errors look. Must not recommend, store or wait for locks.

mod admin;
mod archive;
mod body;
mod browse;
mod channels;
mod cursor;
mod endpoint;
mod events;
mod experiments;
mod feed;
mod health;
mod items;
mod known;
mod lists;
mod models;
mod problem;
mod query;
mod rank;
mod reply;
mod snapshots;
mod stats;
mod users;

pub(crate) use body::Body;
pub(crate) use endpoint::Endpoint;
pub(crate) use problem::{Problem, ProblemDto, ProblemItem, ProblemKind};
pub(crate) use query::Query;
pub(crate) use reply::{Format, quality_of};

/// Whether a call to a path, by whatever method, asks for what can be asked for again, and brings nothing.
pub(crate) fn is_question(path: &str) -> bool {
    path == rank::RANK_PATH || path.ends_with("/feed")
}

/// The handlers, for the API document.
pub(crate) mod paths {
    pub(crate) use super::admin::*;
    pub(crate) use super::archive::*;
    pub(crate) use super::browse::*;
    pub(crate) use super::channels::*;
    pub(crate) use super::events::*;
    pub(crate) use super::experiments::*;
    pub(crate) use super::feed::*;
    pub(crate) use super::health::*;
    pub(crate) use super::items::*;
    pub(crate) use super::lists::*;
    pub(crate) use super::models::*;
    pub(crate) use super::rank::*;
    pub(crate) use super::snapshots::*;
    pub(crate) use super::stats::*;
    pub(crate) use super::users::*;
}

/// The API of the public listener.
pub(crate) fn public_endpoints() -> Vec<Endpoint> {
    let areas = [
        items::endpoints(),
        browse::endpoints(),
        users::endpoints(),
        feed::endpoints(),
        events::endpoints(),
        rank::endpoints(),
        lists::endpoints(),
        stats::endpoints(),
        experiments::endpoints(),
        health::endpoints(),
        health::stream_endpoints(),
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
        snapshots::endpoints(),
        health::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
