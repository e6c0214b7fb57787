//! Bodies: their size, their media type, and how they become documents.
//!
//! A list is read as a whole first; only when that fails element by element, so that one bad element is one rejection.

use std::fmt;
use std::marker::PhantomData;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use swipeline_models::wire::Rejection;
use tokio::time::{Instant as TimerInstant, timeout_at};

use super::problem::{Problem, ProblemKind};
use super::reply::{is_msgpack, media_type};
use crate::msgpack;
use crate::object::Object;
use crate::server::{BodyLimits, Encoding, FromAllowedPage, HeldBytes, body_has_come};
use crate::unreadable;

/// What is to blame when no field of a body is.
const WHOLE: &str = "body";
/// What is to blame when no field of an element is.
const ELEMENT: &str = "element";
/// A body over the limit is read and thrown away up to so many times the limit, so that the caller hears the answer
/// instead of a broken connection.
const DISCARD_FACTOR_MAX: usize = 4;
/// The deepest nesting of JSON; the same as the JSON library's own bound.
const JSON_DEPTH_MAX: usize = 128;
/// So much is reserved for a body before its first byte has come.
const RESERVE_BYTES_MAX: usize = 64 * 1024;
/// So many elements of a list are reserved before the first has been read.
const RESERVE_ELEMENTS_MAX: usize = 1_024;

/// What Windows writes before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyFormat {
    Json,
    MessagePack,
    /// One JSON document a line.
    Lines,
    Unknown,
}

/// A body within the limit.
pub(crate) struct Body {
    bytes: Bytes,
    format: BodyFormat,
    media_type: Option<String>,
    /// What the body holds of the bytes that all bodies may have.
    _held: Option<HeldBytes>,
}

/// The elements of a list that could be read, and those that could not.
#[derive(Debug)]
pub(crate) struct List<T> {
    /// Each with its place in the list, from 0.
    pub(crate) elements: Vec<(usize, T)>,
    /// What could not be read.
    pub(crate) rejected: Vec<Rejection>,
}

impl<T> List<Object<T>> {
    fn opened(self) -> List<T> {
        let elements = self
            .elements
            .into_iter()
            .map(|(index, Object(element))| (index, element))
            .collect();
        List {
            elements,
            rejected: self.rejected,
        }
    }
}

impl Body {
    /// The bytes as they came, whatever the media type says.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether nothing came.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The document.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        match self.format {
            BodyFormat::Json => serde_json::from_slice::<Object<T>>(&self.bytes)
                .map_err(|_| Problem::unreadable(unreadable::json::<T>(&self.bytes, WHOLE)))
                .map(|read| read.0),
            BodyFormat::MessagePack => msgpack::from_slice::<Object<T>>(&self.bytes)
                .map_err(|_| Problem::unreadable(unreadable::msgpack::<T>(&self.bytes, WHOLE)))
                .map(|read| read.0),
            BodyFormat::Lines | BodyFormat::Unknown => Err(self.unsupported("application/json, application/msgpack")),
        }
    }

    /// Any JSON document. MessagePack is not taken: it could say numbers that JSON has no word for.
    pub(crate) fn read_any_json(&self) -> Result<serde_json::Value, Problem> {
        match self.format {
            BodyFormat::Json => serde_json::from_slice(&self.bytes).map_err(json_problem),
            BodyFormat::MessagePack | BodyFormat::Lines | BodyFormat::Unknown => {
                Err(self.unsupported("application/json, application/merge-patch+json"))
            }
        }
    }

    /// The list, of at most `count_max` elements.
    pub(crate) fn read_list<T: DeserializeOwned>(&self, count_max: usize) -> Result<List<T>, Problem> {
        match self.format {
            BodyFormat::Json => match serde_json::from_slice::<Counted<Object<T>>>(&self.bytes) {
                Ok(list) => list.within(count_max).map(List::opened),
                Err(_) => self.json_elements(count_max),
            },
            BodyFormat::MessagePack => match msgpack::from_slice::<Counted<Object<T>>>(&self.bytes) {
                Ok(list) => list.within(count_max).map(List::opened),
                Err(_) => self.msgpack_elements(count_max),
            },
            BodyFormat::Lines => self.lines(count_max),
            BodyFormat::Unknown => Err(self.unsupported("application/json, application/x-ndjson, application/msgpack")),
        }
    }

    fn json_elements<T: DeserializeOwned>(&self, count_max: usize) -> Result<List<T>, Problem> {
        let raw = serde_json::from_slice::<Counted<Box<RawValue>>>(&self.bytes).map_err(json_problem)?;
        if nesting(&self.bytes) > JSON_DEPTH_MAX {
            return Err(Problem::malformed(format!(
                "the body is nested more than {JSON_DEPTH_MAX} deep"
            )));
        }
        let mut list = List {
            elements: Vec::new(),
            rejected: Vec::new(),
        };
        crate::unknown::again();
        for (index, element) in raw.within(count_max)?.elements {
            match serde_json::from_str::<Object<T>>(element.get()) {
                Ok(Object(element)) => list.elements.push((index, element)),
                Err(_) => {
                    let error = unreadable::json::<T>(element.get().as_bytes(), ELEMENT);
                    list.rejected.push(Rejection::from_field(index, &error));
                }
            }
        }
        Ok(list)
    }

    fn msgpack_elements<T: DeserializeOwned>(&self, count_max: usize) -> Result<List<T>, Problem> {
        let parts = msgpack::array_elements(&self.bytes, count_max).map_err(msgpack_problem)?;
        let Some(parts) = parts else {
            return Err(too_many(count_max));
        };
        let mut list = List {
            elements: Vec::new(),
            rejected: Vec::new(),
        };
        crate::unknown::again();
        for (index, part) in parts.into_iter().enumerate() {
            match msgpack::from_slice::<Object<T>>(part) {
                Ok(Object(element)) => list.elements.push((index, element)),
                Err(_) => {
                    let error = unreadable::msgpack::<T>(part, ELEMENT);
                    list.rejected.push(Rejection::from_field(index, &error));
                }
            }
        }
        Ok(list)
    }

    fn lines<T: DeserializeOwned>(&self, count_max: usize) -> Result<List<T>, Problem> {
        let mut list = List {
            elements: Vec::new(),
            rejected: Vec::new(),
        };
        let lines = self.bytes.split(|byte| *byte == b'\n').enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            if list.elements.len() + list.rejected.len() >= count_max {
                return Err(too_many(count_max));
            }
            match serde_json::from_slice::<Object<T>>(line) {
                Ok(Object(element)) => list.elements.push((index, element)),
                Err(_) => {
                    let mut error = unreadable::json::<T>(line, ELEMENT);
                    error.field = format!("line {}: {}", index + 1, error.field);
                    list.rejected.push(Rejection::from_field(index, &error));
                }
            }
        }
        Ok(list)
    }

    fn unsupported(&self, known: &str) -> Problem {
        let given = self.media_type.as_deref().unwrap_or("none");
        Problem::new(
            ProblemKind::UnsupportedMediaType,
            format!("the media type {given:?} is not one of {known}"),
        )
    }
}

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let limits = request.app_data::<BodyLimits>().cloned().unwrap_or_default();
        let length = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let media_type = media_type(request.headers());
        let encoding = Encoding::of_body(request.headers());
        let is_from_allowed_page = request.extensions().contains::<FromAllowedPage>();
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let encoding = encoding?;
            let mut held = limits.budget.none();
            let mut bytes = collect(payload, length.unwrap_or(0), &limits, &mut held).await?;
            body_has_come(&request)?;
            if let Some(encoding) = encoding {
                bytes = encoding.decode(&bytes, limits.bytes_max)?;
                held.give_back();
                hold(&mut held, bytes.len())?;
            }
            let format = BodyFormat::of(media_type.as_deref(), &bytes, is_from_allowed_page);
            if format != BodyFormat::MessagePack && bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.advance(BYTE_ORDER_MARK.len());
            }
            Ok(Self {
                bytes,
                format,
                media_type,
                _held: Some(held),
            })
        })
    }
}

impl BodyFormat {
    /// What the media type says. A page of another site can send a body without one, or as `text/plain`, and the browser
    /// asks nobody: the first is not taken, the second from pages of allowed origins only (`sendBeacon` knows no other).
    fn of(media_type: Option<&str>, bytes: &[u8], is_from_allowed_page: bool) -> Self {
        match media_type {
            None if bytes.is_empty() => BodyFormat::Json,
            Some("text/plain") if is_from_allowed_page => {
                if bytes.trim_ascii_start().first() == Some(&b'[') {
                    BodyFormat::Json
                } else {
                    BodyFormat::Lines
                }
            }
            Some("application/json" | "text/json") => BodyFormat::Json,
            Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => BodyFormat::Lines,
            Some(other) if is_msgpack(other) => BodyFormat::MessagePack,
            Some(other) if other.ends_with("+json") => BodyFormat::Json,
            None | Some(_) => BodyFormat::Unknown,
        }
    }
}

/// When a body that does not come is given up.
struct Pace {
    /// It has to be whole by then.
    ends_at: TimerInstant,
    /// So many bytes more have to come by then.
    part_ends_at: TimerInstant,
    missing: u64,
}

impl Pace {
    fn new(limits: &BodyLimits, now: TimerInstant) -> Self {
        Self {
            ends_at: now + limits.total_timeout,
            part_ends_at: now + limits.pace_interval,
            missing: limits.pace_bytes,
        }
    }

    fn deadline(&self) -> TimerInstant {
        self.ends_at.min(self.part_ends_at)
    }

    fn took(&mut self, bytes: usize, limits: &BodyLimits, now: TimerInstant) {
        self.missing = self.missing.saturating_sub(bytes as u64);
        if self.missing == 0 {
            self.part_ends_at = now + limits.pace_interval;
            self.missing = limits.pace_bytes;
        }
    }
}

async fn collect(
    mut payload: dev::Payload,
    length: usize,
    limits: &BodyLimits,
    held: &mut HeldBytes,
) -> Result<Bytes, Problem> {
    let limit = limits.bytes_max;
    let mut body = BytesMut::with_capacity(length.min(limit).min(RESERVE_BYTES_MAX));
    let mut received = 0_usize;
    let discard_max = limit.saturating_mul(DISCARD_FACTOR_MAX);
    let mut pace = Pace::new(limits, TimerInstant::now());
    loop {
        let part = timeout_at(pace.deadline(), payload.next()).await;
        let part =
            part.map_err(|_| Problem::of_status(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly".to_owned()))?;
        let Some(chunk) = part else { break };
        let chunk = chunk.map_err(|error| Problem::malformed(format!("the body broke off: {error}")))?;
        pace.took(chunk.len(), limits, TimerInstant::now());
        received += chunk.len();
        if received <= limit {
            hold(held, chunk.len())?;
            body.extend_from_slice(&chunk);
        } else {
            body = BytesMut::new();
            held.give_back();
        }
        if received > discard_max {
            break;
        }
    }
    if received > limit {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            format!("a body may have at most {limit} bytes"),
        ));
    }
    Ok(body.freeze())
}

fn hold(held: &mut HeldBytes, bytes: usize) -> Result<(), Problem> {
    if held.take(bytes) {
        return Ok(());
    }
    metrics::counter!("swipeline_rate_limited_total", "scope" => "bodies").increment(1);
    Err(Problem::new(
        ProblemKind::Unavailable,
        "too many bodies are on their way",
    ))
}

/// A list of which the first elements are kept and all are counted.
struct Counted<T> {
    elements: Vec<T>,
    total: usize,
}

/// The most elements of a list that are ever held; every limit of a call is below it.
const ELEMENTS_HELD_MAX: usize = 50_000;

impl<T> Counted<T> {
    fn within(self, count_max: usize) -> Result<List<T>, Problem> {
        if self.total > count_max {
            return Err(too_many(count_max));
        }
        Ok(List {
            elements: self.elements.into_iter().enumerate().collect(),
            rejected: Vec::new(),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountingVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for CountingVisitor<T> {
            type Value = Counted<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Counted<T>, A::Error> {
                let mut elements = Vec::with_capacity(list.size_hint().unwrap_or(0).min(RESERVE_ELEMENTS_MAX));
                while elements.len() < ELEMENTS_HELD_MAX {
                    match list.next_element()? {
                        Some(element) => elements.push(element),
                        None => {
                            return Ok(Counted {
                                total: elements.len(),
                                elements,
                            });
                        }
                    }
                }
                let mut total = elements.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    total += 1;
                }
                Ok(Counted { elements, total })
            }
        }

        deserializer.deserialize_seq(CountingVisitor(PhantomData))
    }
}

fn too_many(count_max: usize) -> Problem {
    Problem::rule(
        "body",
        "too_many",
        format!("a call may have at most {count_max} elements"),
    )
}

/// How deeply lists and objects are nested in a text that is JSON.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn json_problem(error: serde_json::Error) -> Problem {
    Problem::malformed(format!("the body is not the expected JSON: {error}"))
}

fn msgpack_problem(error: msgpack::ReadError) -> Problem {
    Problem::malformed(format!("the body is not the expected MessagePack: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use serde_json::json;
    use swipeline_models::wire::EventDto;

    fn body(bytes: impl Into<Vec<u8>>, format: BodyFormat) -> Body {
        Body {
            bytes: Bytes::from(bytes.into()),
            format,
            media_type: None,
            _held: None,
        }
    }

    fn places(list: &List<EventDto>) -> (Vec<usize>, Vec<usize>) {
        let good = list.elements.iter().map(|(index, _)| *index).collect();
        (good, list.rejected.iter().map(|rejection| rejection.index).collect())
    }

    #[test]
    fn one_bad_element_does_not_take_the_others_along() {
        let events = json!([{"item_id": "a", "type": "like"}, {"item_id": 5, "type": "like"}, 7,
                            {"item_id": "b", "type": "skip"}]);
        let json = body(events.to_string(), BodyFormat::Json)
            .read_list::<EventDto>(10)
            .expect("a list");
        assert_eq!(places(&json), (vec![0, 3], vec![1, 2]));
        let packed = rmp_serde::to_vec_named(&events).expect("MessagePack");
        let packed = body(packed, BodyFormat::MessagePack)
            .read_list::<EventDto>(10)
            .expect("a list");
        assert_eq!(places(&packed), (vec![0, 3], vec![1, 2]));
        let lines = "{\"item_id\":\"a\",\"type\":\"like\"}\r\n\nnonsense\n{\"item_id\":\"b\",\"type\":\"skip\"}\n";
        let lines = body(lines, BodyFormat::Lines)
            .read_list::<EventDto>(10)
            .expect("a list");
        assert_eq!(places(&lines), (vec![0, 3], vec![2]));
        assert!(lines.rejected[0].detail.contains("line 3"), "{:?}", lines.rejected);
    }

    #[test]
    fn a_body_without_a_media_type_and_plain_text_of_strangers_are_not_taken() {
        let of = |media_type, bytes: &str, allowed| BodyFormat::of(media_type, bytes.as_bytes(), allowed);
        assert_eq!(of(None, "{}", true), BodyFormat::Unknown);
        assert_eq!(of(None, "", false), BodyFormat::Json);
        assert_eq!(of(Some("text/plain"), "[]", false), BodyFormat::Unknown);
        assert_eq!(of(Some("text/plain"), " [1]", true), BodyFormat::Json);
        assert_eq!(of(Some("text/plain"), "{}", true), BodyFormat::Lines);
        assert_eq!(
            of(Some("application/x-www-form-urlencoded"), "a=b", true),
            BodyFormat::Unknown
        );
        assert_eq!(of(Some("application/merge-patch+json"), "{}", false), BodyFormat::Json);
    }

    fn limits(pace_bytes: u64) -> BodyLimits {
        BodyLimits {
            pace_interval: std::time::Duration::from_secs(10),
            total_timeout: std::time::Duration::from_secs(60),
            pace_bytes,
            ..BodyLimits::default()
        }
    }

    #[test]
    fn a_body_that_makes_no_headway_is_given_up() {
        let limits = limits(1_000);
        let began = TimerInstant::now();
        let at = |seconds: u64| began + std::time::Duration::from_secs(seconds);
        let mut pace = Pace::new(&limits, began);
        // A byte a second does not help.
        for second in 1..10 {
            pace.took(1, &limits, at(second));
        }
        assert_eq!(pace.deadline(), at(10));
        // Enough bytes do, until the whole has taken too long.
        for second in [9, 18, 27, 36, 45, 54] {
            assert!(pace.deadline() >= at(second));
            pace.took(1_000, &limits, at(second));
        }
        assert_eq!(pace.deadline(), at(60));
    }

    #[test]
    fn nesting_counts_brackets_outside_of_texts() {
        for (json, expected) in [
            ("5", 0),
            ("[]", 1),
            ("[{\"a\":[1]},{}]", 3),
            (r#"["[[[", "\"[[", "\\"]"#, 1),
        ] {
            assert_eq!(nesting(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_list_at_all_is_malformed() {
        let status = |bytes: Vec<u8>, format| {
            let result = body(bytes, format).read_list::<EventDto>(10);
            result.expect_err("bad").status_code().as_u16()
        };
        assert_eq!(status(b"[{\"item_id\":".to_vec(), BodyFormat::Json), 400);
        assert_eq!(status(b"{}".to_vec(), BodyFormat::Json), 400);
        assert_eq!(status(Vec::new(), BodyFormat::Json), 400);
        assert_eq!(status(Vec::new(), BodyFormat::MessagePack), 400);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(status(deep.into_bytes(), BodyFormat::Json), 400);
        assert_eq!(status(vec![0x91; 100_000], BodyFormat::MessagePack), 400);
        assert_eq!(status(vec![0xdd, 0xff, 0xff, 0xff, 0xff], BodyFormat::MessagePack), 400);
        assert_eq!(status(vec![0xdb, 0xff, 0xff, 0xff, 0xff], BodyFormat::MessagePack), 400);
    }

    #[test]
    fn too_many_elements_break_a_rule() {
        let many = json!(vec![json!({"item_id": "a", "type": "like"}); 11]);
        let problem = body(many.to_string(), BodyFormat::Json)
            .read_list::<EventDto>(10)
            .expect_err("too many");
        assert_eq!(problem.status_code().as_u16(), 422);
        let numbers = body(json!(vec![1; 11]).to_string(), BodyFormat::Json).read_list::<EventDto>(10);
        assert_eq!(numbers.expect_err("too many").status_code().as_u16(), 422);
        let packed = rmp_serde::to_vec(&vec![1; 11]).expect("MessagePack");
        let problem = body(packed, BodyFormat::MessagePack)
            .read_list::<EventDto>(10)
            .expect_err("too many");
        assert_eq!(problem.status_code().as_u16(), 422);
    }
}
