//! Where the server is.
//!
//! Owns the reading of `ws://host:port/path` and the addresses derived from it. Must not open anything.

use std::net::IpAddr;

use tokio_tungstenite::tungstenite::http::Uri;

/// The port of a `ws://` address that names none.
const PORT_DEFAULT: u16 = 80;

/// A WebSocket address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host as it was written, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, beginning with a slash.
    pub path: String,
    /// The query without its question mark; may be empty.
    pub query: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an address at all.
    #[error("{0:?} is not an address such as ws://127.0.0.1:8080/v1/stream")]
    Malformed(String),
    /// TLS is not spoken.
    #[error("{0}:// is not spoken here, only {1}://; put a proxy that ends TLS in front")]
    Scheme(String, &'static str),
}

impl Endpoint {
    /// Reads `ws://host[:port]/path[?query]`.
    ///
    /// # Errors
    /// Not an address, or a scheme other than `ws`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        Self::parse_scheme(text, "ws")
    }

    /// Reads `http://host[:port][/path]`.
    ///
    /// # Errors
    /// Not an address, or a scheme other than `http`.
    pub fn parse_http(text: &str) -> Result<Self, EndpointError> {
        Self::parse_scheme(text, "http")
    }

    fn parse_scheme(text: &str, scheme: &'static str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let found = uri.scheme_str().ok_or_else(malformed)?;
        if found != scheme {
            return Err(EndpointError::Scheme(found.to_owned(), scheme));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(PORT_DEFAULT),
            path: if uri.path().is_empty() {
                "/".to_owned()
            } else {
                uri.path().to_owned()
            },
            query: uri.query().unwrap_or_default().to_owned(),
        })
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// `host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The address of a viewer's stream.
    #[must_use]
    pub fn stream_url(&self, user_id: &str) -> String {
        let separator = if self.query.is_empty() { "" } else { "&" };
        format!(
            "ws://{}{}?{}{separator}user_id={}",
            self.authority(),
            self.path,
            self.query,
            percent_encode(user_id)
        )
    }

    /// The same server's REST root: `http://host:port`.
    #[must_use]
    pub fn rest_root(&self) -> String {
        format!("http://{}", self.authority())
    }
}

/// Percent-encodes everything except the unreserved characters of RFC 3986.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let endpoint = Endpoint::parse("ws://127.0.0.1:8080/v1/stream").expect("an address");
        assert!(endpoint.is_loopback());
        assert_eq!(endpoint.rest_root(), "http://127.0.0.1:8080");
        assert_eq!(
            endpoint.stream_url("a b"),
            "ws://127.0.0.1:8080/v1/stream?user_id=a%20b"
        );
        let endpoint = Endpoint::parse("ws://[::1]:1/x?k=v").expect("an address");
        assert!(endpoint.is_loopback());
        assert_eq!(endpoint.stream_url("u"), "ws://[::1]:1/x?k=v&user_id=u");
        assert!(
            !Endpoint::parse("ws://example.org/v1/stream")
                .expect("an address")
                .is_loopback()
        );
    }

    #[test]
    fn what_is_no_address_is_told_apart_from_what_is_not_spoken() {
        assert_eq!(
            Endpoint::parse("8080"),
            Err(EndpointError::Malformed("8080".to_owned()))
        );
        assert_eq!(
            Endpoint::parse("wss://h/"),
            Err(EndpointError::Scheme("wss".to_owned(), "ws"))
        );
        assert_eq!(
            Endpoint::parse_http("ws://h/"),
            Err(EndpointError::Scheme("ws".to_owned(), "http"))
        );
    }
}
