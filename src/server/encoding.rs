//! Encoded bodies: answers that are made smaller for who wants it, and what callers have made smaller.
//!
//! Owns gzip and zstd, both ways. What is decoded is bounded by the size of what comes out, so that a few bytes cannot
//! become gigabytes.

use std::io::{Read, Write};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::rest::{Problem, ProblemKind};

/// Smaller answers are sent as they are: an encoding would gain less than it costs.
const ENCODED_BYTES_MIN: usize = 1_024;
/// How hard to try: a feed is read once, and time counts.
const ZSTD_LEVEL: i32 = 1;
/// The largest window of a body that is decoded, as a power of two: 8 MiB, what RFC 9659 asks for.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// So much is reserved for a decoded body before its first byte.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// An encoding that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }

    /// The encoding of a body; `None` when it has none.
    ///
    /// # Errors
    /// One that is not known, or more than one.
    pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut encodings = headers
            .get_all(CONTENT_ENCODING)
            .flat_map(|value| value.to_str().unwrap_or("not readable").split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity");
        let Some(name) = encodings.next() else { return Ok(None) };
        let known = Self::named(&name).filter(|_| encodings.next().is_none());
        known.map(Some).ok_or_else(|| {
            Problem::new(
                ProblemKind::UnsupportedMediaType,
                "a body is encoded by gzip, by zstd or not at all",
            )
        })
    }

    /// The encoding of an answer: what the caller likes best, zstd where it likes both the same.
    fn wanted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
        let mut best: Option<(f32, Self)> = None;
        for (name, quality) in accepted.flat_map(|value| value.split(',')).map(crate::rest::quality_of) {
            let Some(encoding) = Self::named(&name) else { continue };
            let is_better =
                best.is_none_or(|(highest, _)| quality > highest || (quality == highest && encoding == Encoding::Zstd));
            if quality > 0.0 && is_better {
                best = Some((quality, encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }

    fn encode(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Encoding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }

    /// What an encoded body says, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// It is larger, or is not encoded so.
    pub(crate) fn decode(self, bytes: &[u8], bytes_max: usize) -> Result<Bytes, Problem> {
        let decoded = match self {
            Encoding::Gzip => read_within(MultiGzDecoder::new(bytes), bytes_max),
            Encoding::Zstd => zstd::stream::read::Decoder::with_buffer(bytes).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                read_within(decoder, bytes_max)
            }),
        };
        match decoded {
            Ok(Some(decoded)) => Ok(decoded.into()),
            Ok(None) => Err(Problem::new(
                ProblemKind::TooLarge,
                format!("a body may have at most {bytes_max} bytes, also when it is decoded"),
            )),
            Err(error) => Err(Problem::malformed(format!("body: is not {}: {error}", self.name()))),
        }
    }
}

/// Everything, or nothing when there are more than `bytes_max` bytes.
fn read_within(reader: impl Read, bytes_max: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut decoded = Vec::with_capacity(bytes_max.min(RESERVE_BYTES_MAX));
    let over = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(over).read_to_end(&mut decoded)?;
    Ok((decoded.len() <= bytes_max).then_some(decoded))
}

/// The answer as its caller wants it: encoded when that was asked for and pays.
pub(super) fn encoded(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if !may_be_encoded(&response) {
        return response;
    }
    let wanted = Encoding::wanted(response.request().headers());
    let mut name = None;
    let mut response = response.map_body(|_, body| match body.try_into_bytes() {
        Ok(plain) => match wanted.map(|encoding| (encoding, encoding.encode(&plain))) {
            Some((encoding, Ok(encoded))) if encoded.len() < plain.len() => {
                name = Some(encoding.name());
                BoxBody::new(encoded)
            }
            Some(_) | None => BoxBody::new(plain),
        },
        Err(body) => body,
    });
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(name) = name {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

fn may_be_encoded(response: &ServiceResponse<BoxBody>) -> bool {
    use actix_web::body::BodySize;
    let is_large = matches!(response.response().body().size(),
        BodySize::Sized(bytes) if bytes >= ENCODED_BYTES_MIN as u64);
    let headers = response.headers();
    // Pictures and models are as small as they get.
    let is_text = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            kind.starts_with("text/")
                || kind.contains("json")
                || kind.contains("msgpack")
                || kind.contains("javascript")
        });
    is_large
        && is_text
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(HeaderName::from_static("content-range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use proptest::prelude::*;

    fn wanted(accepted: &'static str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        Encoding::wanted(&headers)
    }

    #[test]
    fn the_caller_says_which_encoding() {
        assert_eq!(wanted("gzip, deflate, br, zstd"), Some(Encoding::Zstd));
        assert_eq!(wanted("gzip, deflate"), Some(Encoding::Gzip));
        assert_eq!(wanted("zstd;q=0.5, gzip"), Some(Encoding::Gzip));
        assert_eq!(wanted("gzip;q=0"), None);
        assert_eq!(wanted("*"), None);
        assert_eq!(wanted("identity"), None);
    }

    #[test]
    fn a_body_has_one_known_encoding_or_none() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
            Encoding::of_body(&headers).map_err(|problem| problem.status_code().as_u16())
        };
        assert_eq!(of("identity"), Ok(None));
        assert_eq!(of("GZIP"), Ok(Some(Encoding::Gzip)));
        assert_eq!(of("br"), Err(415));
        assert_eq!(of("gzip, gzip"), Err(415));
        assert_eq!(Encoding::of_body(&HeaderMap::new()).ok(), Some(None));
    }

    #[test]
    fn a_bomb_is_too_large_and_not_decoded_to_its_end() {
        let zeros = vec![0; 50_000_000];
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let bomb = encoding.encode(&zeros).expect("encoded");
            assert!(bomb.len() < 500_000, "{encoding:?}");
            let problem = encoding.decode(&bomb, 1_000_000).expect_err("too large");
            assert_eq!(problem.status_code().as_u16(), 413);
            assert_eq!(
                encoding
                    .decode(b"nonsense", 100)
                    .expect_err("bad")
                    .status_code()
                    .as_u16(),
                400
            );
            let cut = &bomb[..bomb.len() / 2];
            assert_eq!(
                encoding
                    .decode(cut, 100_000_000)
                    .expect_err("bad")
                    .status_code()
                    .as_u16(),
                400
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
            for encoding in [Encoding::Gzip, Encoding::Zstd] {
                let encoded = encoding.encode(&bytes).expect("encoded");
                prop_assert_eq!(encoding.decode(&encoded, bytes.len()).expect("decoded"), bytes.clone());
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Encoding::Gzip.decode(&bytes, 1_000);
            let _ = Encoding::Zstd.decode(&bytes, 1_000);
        }
    }
}
