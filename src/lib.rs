//! The edges of Swipeline: command line, configuration, REST, WebSocket, authentication, limits, telemetry, pages.
//!
//! The composition root: the only place that knows frames, status codes and files of configuration. What to recommend is
//! decided in `swipeline-models`, who owns which state in `swipeline-actors`.

mod assets;
mod asyncapi;
pub mod auth;
mod authority;
mod bus;
pub mod cli;
pub mod config;
mod demo;
mod eval;
mod gorse;
mod limits;
mod msgpack;
mod object;
mod openapi;
mod rest;
mod selfcheck;
pub mod server;
pub mod telemetry;
mod train;
mod transfer;
mod unknown;
mod unreadable;
mod ws;
