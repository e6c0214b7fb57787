//! What all calls share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::{HttpMessage, HttpRequest};
use metrics_exporter_prometheus::PrometheusHandle;
use swipeline_actors::Engine;
use swipeline_models::ids::UserId;

use crate::auth::{Authenticator, Identity};
use crate::config::Settings;
use crate::limits::Limits;
use crate::rest::{Problem, ProblemKind};

/// What all calls share.
pub(crate) struct AppState {
    settings: Settings,
    authenticator: Authenticator,
    limits: Limits,
    metrics: PrometheusHandle,
    /// Empty while the engine recovers.
    engine: OnceLock<Engine>,
    draining: AtomicBool,
    calls: AtomicUsize,
    sockets: AtomicUsize,
}

/// Counts a call or a socket as long as it lives.
pub(crate) struct CountGuard<'a> {
    count: &'a AtomicUsize,
    gauge: &'static str,
}

impl<'a> CountGuard<'a> {
    fn new(count: &'a AtomicUsize, gauge: &'static str) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!(gauge).increment(1.0);
        (Self { count, gauge }, before)
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
            settings,
            authenticator,
            metrics,
            engine: OnceLock::new(),
            draining: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
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
        self.calls.load(Ordering::Acquire)
    }

    pub(super) fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Acquire)
    }

    /// Counts a REST call, or refuses it when too many are in work. A quarter of the places is kept for calls that bring
    /// something: events are still taken when feeds are refused.
    pub(super) fn enter_call(&self, brings_something: bool) -> Result<CountGuard<'_>, Problem> {
        let (guard, before) = CountGuard::new(&self.calls, "swipeline_http_in_flight");
        let places = self.settings.server.max_in_flight;
        let places = if brings_something { places } else { places - places / 4 };
        if before >= places {
            metrics::counter!("swipeline_rate_limited_total", "scope" => "in_flight").increment(1);
            return Err(Problem::new(ProblemKind::Unavailable, "too many calls are in work"));
        }
        Ok(guard)
    }

    /// Counts a socket as long as the guard lives.
    pub(crate) fn enter_socket(&self) -> CountGuard<'_> {
        CountGuard::new(&self.sockets, "swipeline_sockets").0
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
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

    /// Who makes this call; the edge has found out.
    pub(crate) fn identity(&self, request: &HttpRequest) -> Result<Identity, Problem> {
        let known = request.extensions().get::<Identity>().cloned();
        known.map_or_else(
            || self.authenticator.identify(request.headers()).map_err(Problem::from),
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
