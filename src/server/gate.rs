//! Which names the server answers to, and pages of which sites may call it.
//!
//! Owns the checks of `Host`, `Origin` and `Sec-Fetch-Site`, and the answers of CORS. A browser sends whatever a page asks
//! it to: where nobody has to present a key, these headers are all that tells a page of another site from the app.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};

use super::edge::Side;
use crate::authority::{Authority, parse_authority};
use crate::config::ServerSettings;
use crate::rest::{Problem, ProblemKind};

/// How a browser says where a call comes from.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// What a page of an allowed origin may send beside simple headers.
const ALLOWED_HEADERS: &str = "authorization, content-type, content-encoding, accept, x-api-key, x-request-id";
/// Which methods it may use.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What it may read of an answer beside simple headers.
const EXPOSED_HEADERS: &str = "x-request-id, retry-after, etag";
/// For how long a browser may remember that, in seconds.
const PREFLIGHT_MAX_AGE: &str = "600";

/// Where a call comes from, as far as its headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// No page, or one that does not say so.
    NoPage,
    /// A page of the server itself, or of an origin that the settings name.
    Allowed,
    /// A page of this machine.
    Loopback,
    /// A page of another site.
    Foreign,
}

/// The rules of one server.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Hosts beside addresses and loopback names; nothing when none is given.
    hosts: Vec<Authority>,
    any_host: bool,
    /// Whether hosts are checked although a key is asked for.
    checks_always: bool,
    /// The names in the listeners' addresses.
    listens_on: [Option<Authority>; 2],
    origins: Vec<String>,
    any_origin: bool,
}

impl Gate {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        Self {
            hosts: settings.hosts.iter().filter_map(|host| parse_authority(host)).collect(),
            any_host: settings.hosts.iter().any(|host| host == "*"),
            checks_always: !settings.hosts.is_empty(),
            listens_on: [&settings.listen, &settings.admin_listen].map(|address| parse_authority(address)),
            origins: settings.allowed_origins.clone(),
            any_origin: settings.allowed_origins.iter().any(|origin| origin == "*"),
        }
    }

    /// Whether the server is called by a name of its own. A page can make a browser call this machine by the name of the
    /// page's site ("DNS rebinding"); no page can do so by an address or a loopback name. `is_open` where no key is asked
    /// for.
    pub(super) fn check_host(&self, headers: &HeaderMap, is_open: bool) -> Result<(), Problem> {
        if self.any_host || !(is_open || self.checks_always) {
            return Ok(());
        }
        match headers.get_all(HOST).find(|host| !self.is_own(host)) {
            None => Ok(()),
            Some(host) => {
                let host: String = host.to_str().unwrap_or("not readable").chars().take(100).collect();
                let detail = format!("the server is not called {host:?}; server.hosts names what it is called");
                Err(Problem::new(
                    ProblemKind::Other(StatusCode::MISDIRECTED_REQUEST),
                    detail,
                ))
            }
        }
    }

    fn is_own(&self, host: &HeaderValue) -> bool {
        let Some(called) = host.to_str().ok().and_then(parse_authority) else {
            return false;
        };
        let is_called =
            |own: &Authority| own.host == called.host && own.port.is_none_or(|port| Some(port) == called.port);
        called.is_loopback()
            || called.ip().is_some()
            || self.hosts.iter().any(is_called)
            || self.listens_on.iter().flatten().any(|own| own.host == called.host)
    }

    /// Where a call comes from.
    pub(super) fn site(&self, headers: &HeaderMap) -> Site {
        if let Some(origin) = headers.get(ORIGIN) {
            return origin
                .to_str()
                .map_or(Site::Foreign, |origin| self.site_of(origin, headers));
        }
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"cross-site") if !self.any_origin => Site::Foreign,
            Some(_) | None => Site::NoPage,
        }
    }

    fn site_of(&self, origin: &str, headers: &HeaderMap) -> Site {
        if self.allows(origin) {
            return Site::Allowed;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return Site::Foreign;
        };
        let port_default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Site::Foreign,
        };
        let Some(page) = parse_authority(authority) else {
            return Site::Foreign;
        };
        let own = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .and_then(parse_authority);
        let port = |authority: &Authority| authority.port.unwrap_or(port_default);
        if own.is_some_and(|own| own.host == page.host && port(&own) == port(&page)) {
            return Site::Allowed;
        }
        if page.is_loopback() {
            Site::Loopback
        } else {
            Site::Foreign
        }
    }

    /// Whether the settings name an origin.
    fn allows(&self, origin: &str) -> bool {
        self.any_origin || self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }

    /// Whether a page of that site may open a socket; `more` are the origins that may beside those of the gate.
    pub(crate) fn check_socket(&self, headers: &HeaderMap, more: &[String]) -> Result<(), Problem> {
        let is_named = || {
            let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
            more.iter()
                .any(|known| known == "*" || origin.is_some_and(|origin| known.eq_ignore_ascii_case(origin)))
        };
        // Browsers name the origin of every handshake.
        if !headers.contains_key(ORIGIN) || self.site(headers) != Site::Foreign || is_named() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::Forbidden,
            "this origin may not open a stream; server.allowed_origins names those that may",
        ))
    }

    /// The answer to a browser that asks whether a page may send a call; `None` when it does not ask.
    pub(super) fn preflight(&self, headers: &HeaderMap) -> Option<Result<HttpResponse, Problem>> {
        headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = headers.get(ORIGIN)?;
        if !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
            return Some(Err(refused()));
        }
        let mut answer = HttpResponse::NoContent();
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE));
        Some(Ok(answer.finish()))
    }

    /// Lets a page of an allowed origin read an answer.
    pub(super) fn share(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if !self.any_origin && self.origins.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.allows(origin))) else {
            return;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Whether a page of that site may call where nobody has to present a key.
pub(super) fn check_site(site: Site, side: Side) -> Result<(), Problem> {
    match (site, side) {
        (Site::NoPage | Site::Allowed, _) | (Site::Loopback, Side::Public) => Ok(()),
        (Site::Loopback, Side::Admin) | (Site::Foreign, _) => Err(refused()),
    }
}

fn refused() -> Problem {
    Problem::new(
        ProblemKind::Forbidden,
        "a page of another site may not call this; server.allowed_origins names the origins that may",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hosts: &[&str], origins: &[&str]) -> Gate {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Gate::new(&ServerSettings {
            listen: "feed.internal:8080".to_owned(),
            hosts: owned(hosts),
            allowed_origins: owned(origins),
            ..ServerSettings::default()
        })
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                actix_web::http::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    fn is_called(gate: &Gate, host: &'static str, is_open: bool) -> bool {
        gate.check_host(&headers(&[("host", host)]), is_open).is_ok()
    }

    #[test]
    fn an_open_server_answers_to_addresses_loopback_and_its_own_names() {
        let gate = gate(&[], &[]);
        for own in [
            "127.0.0.1:8080",
            "localhost",
            "[::1]:1",
            "10.1.2.3",
            "feed.internal:8080",
            "feed.internal",
        ] {
            assert!(is_called(&gate, own, true), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "a b",
            "localhost@evil",
        ] {
            assert!(!is_called(&gate, foreign, true), "{foreign}");
            assert!(is_called(&gate, foreign, false), "a key is asked for: {foreign}");
        }
        assert!(
            gate.check_host(&HeaderMap::new(), true).is_ok(),
            "what sends no host is no browser"
        );
        let twice = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert!(gate.check_host(&twice, true).is_err());
    }

    #[test]
    fn hosts_that_are_named_are_checked_always() {
        let named = gate(&["feed.example", "other.example:8443"], &[]);
        for is_open in [true, false] {
            assert!(is_called(&named, "Feed.Example:99", is_open));
            assert!(is_called(&named, "other.example:8443", is_open));
            assert!(!is_called(&named, "other.example:1", is_open));
            assert!(!is_called(&named, "evil.example", is_open));
        }
        assert!(is_called(&gate(&["*"], &[]), "anything.example", true));
    }

    #[test]
    fn pages_of_other_sites_are_told_from_the_own_ones() {
        let gate = gate(&[], &["https://app.example", "capacitor://localhost"]);
        let site = |origin| gate.site(&headers(&[("host", "feed.example:8080"), ("origin", origin)]));
        for (origin, expected) in [
            ("http://feed.example:8080", Site::Allowed),
            ("https://app.example", Site::Allowed),
            ("capacitor://localhost", Site::Allowed),
            ("http://localhost:3000", Site::Loopback),
            ("http://[::1]:3000", Site::Loopback),
            ("http://feed.example", Site::Foreign),
            ("https://app.example.evil", Site::Foreign),
            ("https://localhost.evil.example", Site::Foreign),
            ("http://127.0.0.1.evil.example", Site::Foreign),
            ("http://[::1]evil.example", Site::Foreign),
            ("http://localhost:80@evil.example", Site::Foreign),
            ("file://", Site::Foreign),
            ("null", Site::Foreign),
            ("", Site::Foreign),
        ] {
            assert_eq!(site(origin), expected, "{origin}");
        }
        let fetch = |value| gate.site(&headers(&[("host", "feed.example:8080"), ("sec-fetch-site", value)]));
        assert_eq!(fetch("cross-site"), Site::Foreign);
        for own in ["same-origin", "same-site", "none"] {
            assert_eq!(fetch(own), Site::NoPage);
        }
        assert_eq!(gate.site(&HeaderMap::new()), Site::NoPage);
    }

    #[test]
    fn the_default_port_of_a_scheme_may_be_left_out() {
        let gate = gate(&[], &[]);
        let site = |host, origin| gate.site(&headers(&[("host", host), ("origin", origin)]));
        assert_eq!(site("feed.example", "https://feed.example"), Site::Allowed);
        assert_eq!(site("feed.example:443", "https://feed.example"), Site::Allowed);
        assert_eq!(site("feed.example:80", "https://feed.example"), Site::Foreign);
    }

    #[test]
    fn operators_pages_are_their_own_only() {
        assert!(check_site(Site::Loopback, Side::Public).is_ok());
        assert!(check_site(Site::Loopback, Side::Admin).is_err());
        assert!(check_site(Site::Allowed, Side::Admin).is_ok());
        assert!(check_site(Site::Foreign, Side::Public).is_err());
    }

    #[test]
    fn sockets_open_for_more_origins() {
        let gate = gate(&[], &[]);
        let evil = headers(&[("host", "feed.example"), ("origin", "https://evil.example")]);
        assert!(gate.check_socket(&evil, &[]).is_err());
        assert!(gate.check_socket(&evil, &["https://evil.example".to_owned()]).is_ok());
        assert!(gate.check_socket(&evil, &["*".to_owned()]).is_ok());
        assert!(gate.check_socket(&headers(&[("host", "feed.example")]), &[]).is_ok());
    }

    #[test]
    fn answers_are_shared_with_allowed_origins_only() {
        let gate = gate(&[], &["https://app.example"]);
        let shared = |origin: &'static str| {
            let mut answer = HeaderMap::new();
            gate.share(Some(&HeaderValue::from_static(origin)), &mut answer);
            assert!(answer.contains_key(VARY));
            answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
        };
        assert_eq!(
            shared("https://app.example"),
            Some(HeaderValue::from_static("https://app.example"))
        );
        assert_eq!(shared("http://localhost:3000"), None);
        let ask = |origin| {
            gate.preflight(&headers(&[
                ("origin", origin),
                ("access-control-request-method", "PUT"),
            ]))
        };
        assert!(ask("https://app.example").is_some_and(|answer| answer.is_ok()));
        assert!(ask("https://evil.example").is_some_and(|answer| answer.is_err()));
        assert!(gate.preflight(&headers(&[("origin", "https://app.example")])).is_none());
    }
}
