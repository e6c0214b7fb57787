//! What all calls share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix_web::{HttpMessage, HttpRequest};
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use swipeline_actors::Engine;
use swipeline_models::ids::UserId;

use super::client::Address;
use super::gate::Gate;
use super::places::Places;
use crate::auth::{Authenticator, Identity};
use crate::authority::Network;
use crate::config::Settings;
use crate::gorse::Door;
use crate::limits::Limits;
use crate::rest::{Problem, ProblemKind};

/// What all calls share.
pub(crate) struct AppState {
    settings: Settings,
    /// Replaced when keys are read again.
    authenticator: ArcSwap<Authenticator>,
    limits: Limits,
    gate: Gate,
    trusted_proxies: Vec<Network>,
    metrics: PrometheusHandle,
    /// Empty while the engine recovers.
    engine: OnceLock<Engine>,
    draining: AtomicBool,
    places: Places,
    sockets: AtomicUsize,
    /// The door for gorse's clients, when it is open.
    gorse: Option<Door>,
}

/// Counts a socket as long as it lives.
pub(crate) struct CountGuard<'a> {
    count: &'a AtomicUsize,
    gauge: &'static str,
}

impl<'a> CountGuard<'a> {
    fn new(count: &'a AtomicUsize, gauge: &'static str) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!(gauge).increment(1.0);
        Self { count, gauge }
    }
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!(self.gauge).decrement(1.0);
    }
}

impl AppState {
    pub(super) fn new(settings: Settings, authenticator: Authenticator, metrics: PrometheusHandle) -> Self {
        Self {
            limits: Limits::new(&settings.limits),
            gate: Gate::new(&settings.server),
            trusted_proxies: networks(&settings.server.trusted_proxies),
            places: Places::new(settings.server.max_in_flight),
            gorse: Door::of(&settings.gorse),
            settings,
            authenticator: ArcSwap::from_pointee(authenticator),
            metrics,
            engine: OnceLock::new(),
            draining: AtomicBool::new(false),
            sockets: AtomicUsize::new(0),
        }
    }

    pub(super) fn set_engine(&self, engine: Engine) {
        if self.engine.set(engine).is_err() {
            tracing::error!("a second engine was started in one server");
        }
    }

    pub(super) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn started_engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    pub(super) fn calls_in_flight(&self) -> usize {
        self.places.taken()
    }

    /// Places for calls in work.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Which names the server answers to, and pages of which sites may call it.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Proxies that are believed.
    pub(super) fn trusted_proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }

    /// Checks credentials by other keys from now on. Sockets that are open stay open.
    pub(super) fn set_authenticator(&self, authenticator: Authenticator) {
        self.authenticator.store(Arc::new(authenticator));
    }

    pub(super) fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Acquire)
    }

    /// Counts a socket as long as the guard lives.
    pub(crate) fn enter_socket(&self) -> CountGuard<'_> {
        CountGuard::new(&self.sockets, "swipeline_sockets")
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The door for gorse's clients, when it is open.
    pub(crate) fn gorse(&self) -> Option<&Door> {
        self.gorse.as_ref()
    }

    pub(crate) fn authenticator(&self) -> Arc<Authenticator> {
        self.authenticator.load_full()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn metrics(&self) -> &PrometheusHandle {
        &self.metrics
    }

    /// The engine, once it has recovered and until it stops.
    pub(crate) fn engine(&self) -> Result<&Engine, Problem> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Problem::new(ProblemKind::Unavailable, "the server is shutting down"));
        }
        self.engine
            .get()
            .ok_or_else(|| Problem::new(ProblemKind::Unavailable, "the server is still recovering"))
    }

    /// Why the server may not serve.
    pub(crate) fn not_ready(&self) -> Option<String> {
        match self.engine() {
            Err(problem) => Some(problem.to_string()),
            Ok(engine) => {
                let readiness = engine.readiness();
                (!readiness.ready).then(|| readiness.reason.unwrap_or_else(|| "the engine is not ready".to_owned()))
            }
        }
    }

    /// What does not work as it should although it serves.
    pub(crate) fn degraded(&self) -> Vec<String> {
        self.engine()
            .map(|engine| engine.readiness().degraded)
            .unwrap_or_default()
    }

    /// Where this call comes from; the edge has found out.
    pub(crate) fn address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let known = request.extensions().get::<Address>().copied();
        known.map_or_else(|| request.peer_addr().map(|address| address.ip()), |known| known.0)
    }

    /// Who makes this call; the edge has found out.
    pub(crate) fn identity(&self, request: &HttpRequest) -> Result<Identity, Problem> {
        let known = request.extensions().get::<Identity>().cloned();
        known.map_or_else(
            || self.authenticator().identify(request.headers()).map_err(Problem::from),
            Ok,
        )
    }

    /// Only back ends (or everybody, in anonymous mode).
    pub(crate) fn require_service(&self, request: &HttpRequest) -> Result<(), Problem> {
        match self.identity(request)? {
            Identity::Anonymous | Identity::Service(_) => Ok(()),
            Identity::Viewer(_) => Err(Problem::new(
                ProblemKind::Forbidden,
                "a viewer's token does not admit to this",
            )),
        }
    }

    /// Only back ends and this very user (or everybody, in anonymous mode).
    pub(crate) fn require_user(&self, request: &HttpRequest, user: &UserId) -> Result<(), Problem> {
        match self.identity(request)? {
            Identity::Viewer(viewer) if viewer.user != *user => Err(Problem::new(
                ProblemKind::Forbidden,
                "a viewer's token admits to the viewer's own data only",
            )),
            Identity::Anonymous | Identity::Service(_) | Identity::Viewer(_) => Ok(()),
        }
    }
}

fn networks(texts: &[String]) -> Vec<Network> {
    texts.iter().filter_map(|text| Network::parse(text)).collect()
}
