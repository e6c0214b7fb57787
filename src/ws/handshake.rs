//! The way to an open socket: origin, subprotocol, identity. Whatever is wrong is answered before the upgrade.

use std::time::Duration;

use actix_http::ws::handshake;
use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use actix_web::rt::net::TcpStream;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use swipeline_actors::Engine;
use swipeline_models::ids::UserId;
use swipeline_models::wire::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, check_user_id};
use tokio::sync::oneshot;

use super::codec::Protocol;
use super::connection::{Connection, Source};
use super::socket::Socket;
use crate::auth::Identity;
use crate::rest::{Problem, ProblemDto, ProblemKind, Query};
use crate::server::AppState;

/// What a subprotocol that carries a token starts with; it is never echoed.
const BEARER_PREFIX: &str = "bearer.";

/// Marks a call whose connection can leave HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upgradable;

/// A socket that may be opened, as it travels with the answer to its handshake.
pub(crate) struct Opening {
    state: web::Data<AppState>,
    engine: Engine,
    protocol: Protocol,
    source: Source,
    caller: Caller,
}

impl Opening {
    /// Serves the socket until it ends; `early` is what the client sent right behind the handshake. A socket of a known
    /// viewer moves to the thread of the viewer's session: a swipe then wakes one thread instead of two.
    pub(crate) async fn serve(self: Box<Self>, io: TcpStream, early: Vec<u8>) {
        let Caller::Known(user, _) = &self.caller else {
            return Box::pin(self.serve_here(io, early)).await;
        };
        // A connection that cannot move has just broken.
        let Ok(io) = io.into_std() else { return };
        let (ends, ended) = oneshot::channel::<()>();
        let (engine, user) = (self.engine.clone(), user.clone());
        let moved = engine.run_beside(&user, move || async move {
            if let Ok(io) = TcpStream::from_std(io) {
                self.serve_here(io, early).await;
            }
            drop(ends);
        });
        if moved {
            // Until then the socket is one of this thread's connections, which are bounded. Nobody ever sends.
            let _ = ended.await;
        }
    }

    /// Serves the socket on this thread.
    async fn serve_here(self: Box<Self>, io: TcpStream, early: Vec<u8>) {
        metrics::counter!("swipeline_sockets_opened_total", "protocol" => self.protocol.name()).increment(1);
        let write_timeout = Duration::from_millis(self.state.settings().ws.write_timeout_ms);
        let Self {
            state,
            engine,
            protocol,
            source,
            caller,
        } = *self;
        let socket = Socket::new(io, early, protocol, write_timeout).await;
        Box::pin(Connection::new(state, engine, socket, source).run(caller)).await;
    }
}

/// Who opens a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Known from the handshake; until when a token is valid, in seconds since 1970-01-01 UTC.
    Known(UserId, Option<u64>),
    /// Will say so in `hello`.
    Unknown,
}

/// Open the stream
///
/// A WebSocket with the subprotocol `swipeline.v1.json` (text frames; the default) or `swipeline.v1.msgpack` (binary
/// frames). Client messages are `ClientFrame`, server messages are `ServerMessage`; a frame is one message or a list of
/// messages. Every like, skip or other strong signal is answered by a fresh `feed` at once.
#[utoipa::path(get, path = "/v1/stream", tag = "stream",
    params(("user_id" = Option<String>, Query, description = "The viewer, when no key is configured")),
    responses(
        (status = 101, description = "The stream is open"),
        (status = 400, description = "Not a handshake, no user, or no known subprotocol", body = ProblemDto, content_type = "application/problem+json"),
        (status = 401, description = "The token was refused", body = ProblemDto, content_type = "application/problem+json"),
        (status = 403, description = "The origin may not open a stream", body = ProblemDto, content_type = "application/problem+json"),
        (status = 503, description = "Not now", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn open_stream(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state
        .gate()
        .check_socket(request.headers(), &state.settings().ws.allowed_origins)?;
    let offered = offered_subprotocols(request.headers());
    let protocol = choose_protocol(&offered)?;
    let (caller, key) = find_caller(&request, &state, &offered)?;
    let source = Source {
        ip: state.address(&request),
        key,
    };
    if let Caller::Known(user, _) = &caller {
        state.limits().check_user(user.as_str())?;
    }
    let engine = state.engine()?.clone();
    let mut accepted = handshake(request.head()).map_err(|error| {
        let status = actix_http::Response::from(error).status();
        Problem::of_status(status, error.to_string())
    })?;
    if !request.extensions().contains::<Upgradable>() {
        return Err(Problem::malformed("a handshake has no body and no transfer encoding"));
    }
    if !offered.is_empty() {
        accepted.insert_header((SEC_WEBSOCKET_PROTOCOL, protocol.name()));
    }
    let mut response = HttpResponse::from(accepted.finish()).map_into_boxed_body();
    response.extensions_mut().insert(Box::new(Opening {
        state,
        engine,
        protocol,
        source,
        caller,
    }));
    Ok(response)
}

fn offered_subprotocols(headers: &HeaderMap) -> Vec<&str> {
    let values = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The first known subprotocol; JSON when none is offered. A client must break off when it is answered with one that it did
/// not offer, or, if it is a browser, with none of those that it did (RFC 6455, section 4.1): a token alone is no offer.
fn choose_protocol(offered: &[&str]) -> Result<Protocol, Problem> {
    if offered.is_empty() {
        return Ok(Protocol::Json);
    }
    offered.iter().find_map(|name| Protocol::named(name)).ok_or_else(|| {
        let only_token = offered.iter().all(|name| name.starts_with(BEARER_PREFIX));
        let beside = if only_token { " beside the token" } else { "" };
        let detail = format!("must name {SUBPROTOCOL_JSON} or {SUBPROTOCOL_MSGPACK}{beside}");
        Problem::rule_malformed("sec-websocket-protocol", "unknown_subprotocol", &detail)
    })
}

/// Who opens the socket, and the place of the API key if it is a back end.
fn find_caller(request: &HttpRequest, state: &AppState, offered: &[&str]) -> Result<(Caller, Option<usize>), Problem> {
    let query = Query::of(request)?;
    let authenticator = state.authenticator();
    if authenticator.is_anonymous() {
        return Ok((Caller::Known(queried_user(&query)?, None), None));
    }
    let carried = offered.iter().find_map(|name| name.strip_prefix(BEARER_PREFIX));
    let identity = match (authenticator.identify(request.headers()), carried) {
        (Err(crate::auth::AuthError::Missing), Some(credential)) => authenticator.identify_credential(credential)?,
        (Err(crate::auth::AuthError::Missing), None) if authenticator.takes_tokens() => {
            return Ok((Caller::Unknown, None));
        }
        (identity, _) => identity?,
    };
    match identity {
        Identity::Viewer(viewer) => {
            if query.text("user_id").is_some_and(|named| named != viewer.user.as_str()) {
                return Err(Problem::new(
                    ProblemKind::Forbidden,
                    "user_id is not the user of the token",
                ));
            }
            Ok((Caller::Known(viewer.user, Some(viewer.expires_at_s)), None))
        }
        Identity::Service(place) => {
            state.limits().check_key(place)?;
            Ok((Caller::Known(queried_user(&query)?, None), Some(place)))
        }
        Identity::Anonymous => Ok((Caller::Known(queried_user(&query)?, None), None)),
    }
}

fn queried_user(query: &Query) -> Result<UserId, Problem> {
    let Some(text) = query.text("user_id") else {
        return Err(Problem::malformed("user_id: the query must name the viewer"));
    };
    check_user_id(text).map_err(|error| Problem::malformed(format!("{}: {}", error.field, error.detail)))?;
    UserId::new(text).map_err(|error| Problem::malformed(format!("user_id: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subprotocol_is_chosen_or_the_handshake_fails() {
        assert_eq!(choose_protocol(&[]).expect("default"), Protocol::Json);
        let only_token = choose_protocol(&["bearer.abc"]).expect_err("nothing that can be answered");
        assert!(only_token.to_string().contains("beside the token"), "{only_token}");
        let both = ["bearer.abc", SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON];
        assert_eq!(choose_protocol(&both).expect("known"), Protocol::MessagePack);
        assert!(choose_protocol(&["graphql-ws"]).is_err());
    }
}
