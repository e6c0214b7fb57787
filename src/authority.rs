//! Hosts and networks as texts: `feed.example:8080`, `[::1]`, `10.0.0.0/8`.
//!
//! Owns how they are read, strictly: what a browser would read in another way is nothing at all. Must not know what is
//! allowed.

use std::net::{IpAddr, Ipv6Addr};

/// The longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// A host with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// In small letters, without brackets and without the dot at its end.
    pub(crate) host: String,
    /// The port, if one is named.
    pub(crate) port: Option<u16>,
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for anything else.
pub(crate) fn parse_authority(text: &str) -> Option<Authority> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            inside.parse::<Ipv6Addr>().ok()?;
            (inside, behind)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, behind) = text.split_at(end);
            let host = host.strip_suffix('.').unwrap_or(host);
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_part) {
                return None;
            }
            (host, behind)
        }
    };
    let port = match port {
        "" => None,
        port => Some(
            port.strip_prefix(':')
                .filter(|digits| is_number(digits))?
                .parse()
                .ok()?,
        ),
    };
    Some(Authority {
        host: host.to_ascii_lowercase(),
        port,
    })
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Authority {
    /// Whether the host is this machine, by name or by address.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// The host's address, when it is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Addresses with the same beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    first: u128,
    bits: u32,
    is_v4: bool,
}

impl Network {
    /// Reads an address, or an address and the number of bits that count.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (value, width) = number(address);
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width)?,
            None => width,
        };
        Some(Self {
            first: cut(value, bits, width),
            bits,
            is_v4: address.is_ipv4(),
        })
    }

    /// Whether an address is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (value, width) = number(address);
        address.is_ipv4() == self.is_v4 && cut(value, self.bits, width) == self.first
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

/// The first `bits` of a number of `width` bits.
fn cut(value: u128, bits: u32, width: u32) -> u128 {
    value.checked_shr(width - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_strictly() {
        let read = |text: &str| parse_authority(text).map(|read| (read.host, read.port));
        assert_eq!(read("Feed.Example:8080"), Some(("feed.example".to_owned(), Some(8080))));
        assert_eq!(read("localhost."), Some(("localhost".to_owned(), None)));
        assert_eq!(read("[::1]:80"), Some(("::1".to_owned(), Some(80))));
        for bad in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:+1",
            "a:99999",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]evil.example",
            "[evil.example]",
            "localhost:80@evil.example",
            "a/b",
            "a b",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn loopback_has_names_and_addresses() {
        let is = |text: &str| parse_authority(text).is_some_and(|read| read.is_loopback());
        assert!(is("localhost:3000") && is("127.0.0.9") && is("[::1]") && is("app.localhost"));
        assert!(!is("127.0.0.1.evil.example") && !is("localhost.evil.example") && !is("10.0.0.1"));
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, address: &str| {
            let network = Network::parse(network).expect("a network");
            network.contains(address.parse().expect("an address"))
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "10.0.0.7") && !holds("10.0.0.7", "10.0.0.8"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("fd00::/8", "fd12::1") && holds("10.0.0.0/8", "::ffff:10.1.1.1"));
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "feed.example", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
