//! The server: two listeners around one engine.
//!
//! Owns: in which order things start and stop. Binds before recovery, so that `/livez` answers while the engine still
//! reads its journal. Must not know what a call means (that is `rest` and `ws`).

mod client;
mod edge;
mod encoding;
mod files;
mod gate;
mod listener;
mod places;
mod state;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use actix_web::rt;
use actix_web::web;
use swipeline_actors::{Engine, EngineConfig, EngineError};
use swipeline_models::time::TimestampMs;
use tokio::task::JoinHandle;

pub(crate) use edge::{BodyLimits, FromAllowedPage, body_has_come};
pub(crate) use encoding::Encoding;
pub(crate) use places::Bytes as HeldBytes;
pub(crate) use state::AppState;

use crate::auth::Authenticator;
use crate::bus::start_webhooks;
use crate::config::{AuthSettings, Durability, Settings};
use crate::telemetry;

/// How often metrics and rate buckets are tidied up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often a shutdown looks whether the last call has been answered.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What stands at `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// A word on where the API is described.
    Api,
    /// The swipe page.
    Demo,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on; the text names it and says why.
    #[error("{0}")]
    Listen(String),
    /// A key of the configuration cannot be used.
    #[error("{0}")]
    Key(String),
    /// Everybody on the network could use the server.
    #[error(
        "{key}: {address} can be reached from other machines and no key is asked for. {keys}, listen on a loopback \
         address, or say that this is meant by --insecure-open (server.insecure_open = true)"
    )]
    Open {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// How to ask for a key.
        keys: &'static str,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine's start broke off.
    #[error("the engine's start broke off: {0}")]
    Broken(String),
    /// The HTTP library refused.
    #[error("the server cannot run: {0}")]
    Io(#[from] std::io::Error),
}

/// A server that listens; the engine may still be recovering.
pub struct RunningServer {
    /// The public address, with the real port.
    pub public: SocketAddr,
    /// The admin address, with the real port.
    pub admin: SocketAddr,
    state: Arc<AppState>,
    handles: [ServerHandle; 2],
    starting: Option<JoinHandle<Result<Engine, EngineError>>>,
    upkeep: JoinHandle<()>,
}

/// How long the last checkpoint of a shutdown may take beyond `server.shutdown_timeout_ms`.
const LAST_CHECKPOINT_MAX: Duration = Duration::from_secs(15);

/// The time now.
pub(crate) fn now() -> TimestampMs {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// How the settings start an engine.
#[must_use]
pub fn engine_config(settings: &Settings) -> EngineConfig {
    EngineConfig {
        data_dir: Some(settings.data.dir.clone()),
        fsync: settings.data.durability == Durability::Fsync,
        arbiters: settings.sessions.arbiters,
        session_idle_ms: i64::try_from(settings.sessions.idle_ms).unwrap_or(i64::MAX),
        sessions_max: settings.sessions.max,
        sessions_bytes_max: settings.sessions.bytes_max,
        session_ttl_ms: i64::try_from(settings.sessions.stranger_ttl_ms).unwrap_or(i64::MAX),
        checkpoint_interval_ms: settings.data.checkpoint_interval_ms,
        journal_keep_bytes: settings.data.journal_keep_bytes,
        served_log_percent: settings.data.served_log_percent,
        served_log_bytes_max: settings.data.served_log_bytes_max,
        free_bytes_min: settings.data.free_bytes_min,
        accept_loss: settings.data.accept_loss,
        embedding_dim: (settings.index.dimension > 0).then_some(settings.index.dimension),
        exact_items_max: settings.index.exact_items_max,
        model: settings.model.path.clone(),
        ping_ms: settings.ws.ping_ms,
    }
}

/// Binds both listeners, answers `/livez`, and starts the engine beside. Must be called inside an actix system.
///
/// # Errors
/// When an address cannot be listened on or a key cannot be used. What goes wrong in the engine comes from
/// [`RunningServer::ready`].
pub fn start(settings: Settings, pages: Pages) -> Result<RunningServer, StartError> {
    let authenticator = Authenticator::new(&settings.auth).map_err(StartError::Key)?;
    let public = listener::bind(&settings.server.listen)?;
    let admin = listener::bind(&settings.server.admin_listen)?;
    let addresses = (public.local_addr()?, admin.local_addr()?);
    check_open(&authenticator, addresses, settings.server.insecure_open)?;
    let state = web::Data::new(AppState::new(settings, authenticator, telemetry::metrics()));
    let servers = [
        listener::serve_public(public, state.clone(), pages)?,
        listener::serve_admin(admin, state.clone())?,
    ];
    let handles = servers.map(|server| {
        let handle = server.handle();
        rt::spawn(server);
        handle
    });
    let state = state.into_inner();
    let starting = rt::spawn(start_engine(Arc::clone(&state)));
    let upkeep = rt::spawn(keep_up(Arc::clone(&state)));
    Ok(RunningServer {
        public: addresses.0,
        admin: addresses.1,
        state,
        handles,
        starting: Some(starting),
        upkeep,
    })
}

/// Without keys only this machine may come in, unless that is meant.
fn check_open(
    authenticator: &Authenticator,
    (public, admin): (SocketAddr, SocketAddr),
    insecure_open: bool,
) -> Result<(), StartError> {
    let listeners = [
        (
            "server.listen",
            public,
            authenticator.is_anonymous(),
            "Set auth.jwt_secret_file or auth.api_keys_file",
        ),
        (
            "server.admin_listen",
            admin,
            authenticator.trusts_operators(),
            "Set auth.admin_keys_file",
        ),
    ];
    for (key, address, is_open, keys) in listeners {
        if !is_open || address.ip().to_canonical().is_loopback() {
            continue;
        }
        if !insecure_open {
            return Err(StartError::Open { key, address, keys });
        }
        tracing::warn!(%address, key, "everybody who reaches this address may use it: no key is asked for");
    }
    Ok(())
}

async fn start_engine(state: Arc<AppState>) -> Result<Engine, EngineError> {
    let began = Instant::now();
    let engine = Engine::start(engine_config(state.settings())).await?;
    if let Some(door) = state.gorse() {
        let data = &state.settings().data;
        door.open(&data.dir, data.durability == Durability::Fsync)
            .map_err(|error| EngineError::DataDir(error.to_string()))?;
    }
    start_webhooks(&engine, &state.settings().webhooks, &state.settings().data.dir);
    state.set_engine(engine.clone());
    tracing::info!(
        took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "the engine has started"
    );
    Ok(engine)
}

async fn keep_up(state: Arc<AppState>) {
    let mut ticks = rt::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        state.metrics().run_upkeep();
        state.limits().forget_idle();
    }
}

impl RunningServer {
    /// Asks for other keys from now on. Sockets that are open stay open.
    ///
    /// # Errors
    /// When a key cannot be used, or the server would be open to other machines. The old keys hold then.
    pub fn use_keys(&self, keys: &AuthSettings) -> Result<(), StartError> {
        let authenticator = Authenticator::new(keys).map_err(StartError::Key)?;
        let insecure_open = self.state.settings().server.insecure_open;
        check_open(&authenticator, (self.public, self.admin), insecure_open)?;
        self.state.set_authenticator(authenticator);
        Ok(())
    }

    /// Waits until the engine has recovered.
    ///
    /// # Errors
    /// Why it did not start (data dir in use, of a newer version, read-only, ...).
    pub async fn ready(&mut self) -> Result<Engine, StartError> {
        if let Some(starting) = self.starting.take() {
            return Ok(starting
                .await
                .map_err(|error| StartError::Broken(error.to_string()))??);
        }
        self.state
            .engine()
            .cloned()
            .map_err(|problem| StartError::Broken(problem.to_string()))
    }

    /// How long a shutdown takes at most, the last checkpoint included.
    #[must_use]
    pub fn stops_within(&self) -> Duration {
        Duration::from_millis(self.state.settings().server.shutdown_timeout_ms) + LAST_CHECKPOINT_MAX
    }

    /// Stops: no new work, calls in work are answered, sockets are told to reconnect elsewhere, a last checkpoint.
    ///
    /// # Errors
    /// When the last checkpoint could not be written; acknowledged events are in the journal all the same.
    pub async fn stop(self) -> Result<(), EngineError> {
        self.state.start_draining();
        let timeout = Duration::from_millis(self.state.settings().server.shutdown_timeout_ms);
        let deadline = Instant::now() + timeout;
        while self.state.calls_in_flight() > 0 && Instant::now() < deadline {
            rt::time::sleep(DRAIN_POLL_INTERVAL).await;
        }
        let stopped = match self.state.started_engine() {
            Some(engine) => engine.close().await,
            None => Ok(()),
        };
        while self.state.sockets() > 0 && Instant::now() < deadline {
            rt::time::sleep(DRAIN_POLL_INTERVAL).await;
        }
        for handle in &self.handles {
            handle.stop(true).await;
        }
        if let Some(engine) = self.state.started_engine() {
            engine.stop_threads();
        }
        self.upkeep.abort();
        stopped
    }
}
