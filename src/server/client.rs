//! Whose call it is: the address behind trusted proxies, and the name of the call.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::authority::Network;

/// The header with a call's name, taken from the client and given back.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name of a call that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// What proxies say about who called them.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The most proxies that are looked behind.
const PROXIES_MAX: usize = 16;

/// The address that a call comes from: that of the connection, or what trusted proxies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) Option<IpAddr>);

impl Address {
    /// Behind each trusted proxy stands whoever it names last; the first one that is not trusted is the caller.
    pub(super) fn of(connection: Option<IpAddr>, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let Some(mut caller) = connection else {
            return Self(None);
        };
        if !is_trusted(caller) {
            return Self(Some(caller));
        }
        let values: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).collect();
        let named = values.iter().rev().filter_map(|value| value.to_str().ok());
        for name in named.flat_map(|value| value.rsplit(',')).take(PROXIES_MAX) {
            // What a trusted proxy did not write well is not to be believed.
            let Some(address) = address_in(name.trim()) else { break };
            caller = address;
            if !is_trusted(caller) {
                break;
            }
        }
        Self(Some(caller))
    }
}

/// An address, with or without a port.
fn address_in(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| crate::authority::parse_authority(text)?.ip())
        .map(|address: IpAddr| address.to_canonical())
}

/// The name of a call: the client's when it is sane, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/+=@-".contains(&byte);
    let given = headers.get(X_REQUEST_ID).filter(|given| {
        let bytes = given.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().copied().all(is_part)
    });
    given.cloned().unwrap_or_else(|| {
        let mut buffer = Uuid::encode_buffer();
        let name: &str = Uuid::now_v7().as_simple().encode_lower(&mut buffer);
        HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("unnamed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(connection: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static(X_FORWARDED_FOR),
                HeaderValue::from_static(value),
            );
        }
        let trusted: Vec<Network> = trusted.iter().filter_map(|network| Network::parse(network)).collect();
        let address = Address::of(connection.parse().ok(), &headers, &trusted);
        address.0.map_or_else(String::new, |address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(caller("9.9.9.9", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(caller("9.9.9.9", &["1.1.1.1"], &["10.0.0.0/8"]), "9.9.9.9");
        assert_eq!(caller("10.0.0.1", &["6.6.6.6, 1.1.1.1"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(caller("10.0.0.1", &["1.1.1.1, 10.2.2.2"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(
            caller("10.0.0.1", &["6.6.6.6", "1.1.1.1:443"], &["10.0.0.0/8"]),
            "1.1.1.1"
        );
        assert_eq!(caller("10.0.0.1", &["1.1.1.1, nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(caller("10.0.0.1", &["::ffff:1.1.1.1"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(caller("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(caller("", &["1.1.1.1"], &["10.0.0.0/8"]), "");
    }

    #[test]
    fn a_sane_name_is_kept_and_another_replaced() {
        let name = |given: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(X_REQUEST_ID, HeaderValue::from_static(given));
            }
            request_id(&headers).to_str().expect("a text").to_owned()
        };
        assert_eq!(name(Some("0f-abc.1")), "0f-abc.1");
        for bad in [None, Some(""), Some("a b"), Some("\"x\""), Some("a\tb")] {
            assert_eq!(name(bad).len(), 32, "{bad:?}");
        }
        assert_ne!(name(None), name(None));
    }
}
