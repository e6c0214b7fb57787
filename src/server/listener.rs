//! The two listeners: which address, which endpoints, which bounds.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_http::HttpService;
use actix_service::map_config;
use actix_web::dev::{AppConfig, Server, ServiceFactory, fn_factory};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, HttpServer, web};
use socket2::{Domain, SockRef, Socket, Type};

use super::edge::{BodyLimits, Side, edge};
use super::files::connections_max;
use super::places::Budget;
use super::state::AppState;
use super::upgrade::UpgradeService;
use super::{Pages, StartError};
use crate::config::ServerSettings;
use crate::openapi::Document;
use crate::rest::{Endpoint, Problem, ProblemKind};
use crate::{assets, gorse, rest, ws};

/// Connections that wait to be accepted; enough for a crowd that reconnects at once.
const BACKLOG: i32 = 4_096;
/// The most bytes of a body on the admin listener: a ranking model.
const ADMIN_BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most bytes of all bodies on the admin listener at a time.
const ADMIN_BODIES_BYTES_MAX: usize = 2 * ADMIN_BODY_BYTES_MAX;
/// The most connections of the admin listener at a time: they fit in the descriptors that are kept for it.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long a body on the admin listener may take.
const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long the last answers may take to reach their callers after everything else has stopped, in seconds.
const SHUTDOWN_TIMEOUT_S: u64 = 1;
/// How long a peer may take to close its side of a finished connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long bytes may wait for a peer that does not take them before the system drops the connection, as a multiple of
/// the write timeout. The connection task gives up first and tries to say so for one write timeout more; this ends what it
/// left in the system's buffer.
const SEND_TIMEOUT_FACTOR: u32 = 3;

/// Listens on an address.
pub(super) fn bind(address: &str) -> Result<TcpListener, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Listen(format!("cannot listen on {address}: {error}"));
    let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(|error| failed(&error))?.collect();
    let mut last_error = std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
    for candidate in resolved {
        match listen(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => last_error = error,
        }
    }
    if last_error.kind() == std::io::ErrorKind::AddrInUse {
        return Err(failed(&"the port is in use by another process"));
    }
    Err(failed(&last_error))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn body_limits(server: &ServerSettings, bytes_max: usize, bodies_bytes_max: usize) -> BodyLimits {
    BodyLimits {
        bytes_max,
        total_timeout: Duration::from_millis(server.body_timeout_ms),
        pace_interval: Duration::from_millis(server.request_timeout_ms),
        pace_bytes: server.body_bytes_per_s_min.saturating_mul(server.request_timeout_ms) / 1_000,
        budget: Budget::new(bodies_bytes_max),
    }
}

/// REST, WebSocket, documentation.
pub(super) fn serve_public(
    listener: TcpListener,
    state: web::Data<AppState>,
    pages: Pages,
) -> Result<Server, StartError> {
    let server = &state.settings().server;
    let (workers, connections) = (server.workers, connections_max(server.max_connections));
    let timeouts = [server.request_timeout_ms, server.keep_alive_ms].map(Duration::from_millis);
    let write_timeout = Duration::from_millis(state.settings().ws.write_timeout_ms);
    let send_timeout = write_timeout * SEND_TIMEOUT_FACTOR;
    let limits = body_limits(server, server.body_bytes_max, server.bodies_bytes_max);
    let is_gorse_served = state.gorse().is_some();
    let document = web::Data::new(Document::public());
    let app = move || {
        App::new()
            .wrap(from_fn(edge))
            .app_data(state.clone())
            .app_data(document.clone())
            .app_data(Side::Public)
            .app_data(limits.clone())
            .configure(|config| {
                let endpoints = rest::public_endpoints().into_iter().chain(assets::endpoints(pages));
                endpoints
                    .chain(ws::endpoints())
                    .for_each(|endpoint| endpoint.register(config));
                if is_gorse_served {
                    gorse::configure(config);
                }
            })
            .default_service(web::to(unknown_path))
    };
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections.div_ceil(workers))
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        .disable_signals();
    // The HTTP library's own server knows no way out of HTTP, so this is the same by hand, with one.
    let stopping = builder.graceful_shutdown_signal();
    let connection = move || {
        let stopping = stopping.clone();
        let upgradable = map_config(app(), |_| AppConfig::default());
        let upgrade = move || {
            let app = upgradable.new_service(());
            async move { Ok::<_, ()>(UpgradeService::new(app.await?, write_timeout)) }
        };
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(timeouts[0])
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .keep_alive(timeouts[1])
            .on_connect_ext(move |stream: &TcpStream, _| tune(stream, send_timeout))
            .upgrade(fn_factory(upgrade))
            .h1(map_config(app(), |_| AppConfig::default()))
            .tcp()
    };
    Ok(builder.listen("public", listener, connection)?.run())
}

/// Metrics, parameters, model.
pub(super) fn serve_admin(listener: TcpListener, state: web::Data<AppState>) -> Result<Server, StartError> {
    let document = web::Data::new(Document::admin());
    let server = &state.settings().server;
    let limits = BodyLimits {
        // A large model takes longer than what apps send.
        total_timeout: ADMIN_BODY_TIMEOUT,
        ..body_limits(server, ADMIN_BODY_BYTES_MAX, ADMIN_BODIES_BYTES_MAX)
    };
    let factory = move || {
        App::new()
            .wrap(from_fn(edge))
            .app_data(state.clone())
            .app_data(document.clone())
            .app_data(Side::Admin)
            .app_data(limits.clone())
            .configure(|config| {
                rest::admin_endpoints()
                    .into_iter()
                    .for_each(|endpoint: Endpoint| endpoint.register(config));
            })
            .default_service(web::to(unknown_path))
    };
    Ok(HttpServer::new(factory)
        .workers(1)
        .max_connections(ADMIN_CONNECTIONS_MAX)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        .disable_signals()
        .listen(listener)?
        .run())
}

async fn unknown_path() -> Result<HttpResponse, Problem> {
    Err(Problem::new(ProblemKind::NotFound, "there is nothing at this path"))
}

/// No waiting for full packets, and an end to peers that take nothing.
fn tune(stream: &TcpStream, send_timeout: Duration) {
    let socket = SockRef::from(stream);
    // Both only make a connection better; one without them still works.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_user_timeout(Some(send_timeout)) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT was refused");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = send_timeout;
}
