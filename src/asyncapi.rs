//! The description of the WebSocket: AsyncAPI 3.0, made from the wire types of the API document.
//!
//! Owns which message has which fields. The fields themselves, their types and their words are those of the wire types.

use serde_json::{Map, Value, json};

use crate::openapi::schemas;
use crate::ws::STREAM_PATH;

/// What clients send: the type, what it is for, the fields it takes, and those it must have.
const CLIENT: [(&str, &str, &[&str], &[&str]); 8] = [
    (
        "hello",
        "Wishes for the session; may be said again at any time to change them",
        &[
            "id",
            "token",
            "n",
            "low_water",
            "scene",
            "region",
            "device",
            "network",
            "variant",
            "resume",
        ],
        &[],
    ),
    (
        "event",
        "What the viewer did: a list of events, or the fields of one with its type as `event`",
        &[
            "id",
            "events",
            "event",
            "event_id",
            "user_id",
            "item_id",
            "at",
            "watch_ms",
            "position",
            "request_id",
            "context",
        ],
        &[],
    ),
    ("feed", "More, please", &["id", "n", "exclude"], &[]),
    (
        "seen",
        "Up to where the viewer was shown a feed: counts as exposed, and as an impression",
        &["id", "seq", "epoch", "upto"],
        &["seq"],
    ),
    ("auth", "A fresh token of the same user", &["id", "token"], &["token"]),
    ("ping", "Are you there?", &["id"], &[]),
    ("pong", "I am here", &["id"], &[]),
    ("bye", "The client is about to close", &["id"], &[]),
];
/// What the server sends.
const SERVER: [(&str, &str); 8] = [
    ("welcome", "The session is open: the first message"),
    (
        "feed",
        "A fresh feed: the first follows the welcome, every strong signal is answered by one",
    ),
    ("ack", "The events of one message are durable"),
    ("error", "Something was wrong with a message"),
    ("params", "The session's settings have changed"),
    ("drain", "The server is going away; reconnect soon"),
    ("ping", "Are you there?"),
    ("pong", "I am here"),
];

/// The document.
pub(crate) fn document() -> Value {
    let schemas = schemas();
    let client = CLIENT.map(|(kind, text, fields, required)| {
        let payload = client_payload(&schemas, kind, fields, required);
        (format!("client_{kind}"), message(kind, text, payload))
    });
    let server = SERVER.map(|(kind, text)| {
        let payload = server_payload(&schemas, kind);
        (format!("server_{kind}"), message(kind, text, payload))
    });
    let names = |messages: &[(String, Value)], place: &str| {
        let reference = |(name, _): &(String, Value)| json!({"$ref": format!("#/{place}/{name}")});
        messages.iter().map(reference).collect::<Vec<Value>>()
    };
    let in_channel = "channels/stream/messages";
    let (sent, received) = (names(&server, in_channel), names(&client, in_channel));
    let all: Vec<(String, Value)> = client.into_iter().chain(server).collect();
    let of_channel = all.iter().map(|(name, _)| {
        let reference = json!({"$ref": format!("#/components/messages/{name}")});
        (name.clone(), reference)
    });
    let of_channel: Map<String, Value> = of_channel.collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Swipeline stream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A frame is one message or a list of at most 256; client frames have at most 64 KiB. Subprotocol \
                            `swipeline.v1.json`: text frames; `swipeline.v1.msgpack`: binary frames with the same names.",
        },
        "defaultContentType": "application/json",
        "servers": {"this": {"host": "127.0.0.1:8080", "protocol": "ws", "description": "Where the public listener is"}},
        "channels": {"stream": {
            "address": STREAM_PATH,
            "description": "One socket of a viewer; all sockets of a viewer share one session",
            "messages": of_channel,
            "bindings": {"ws": {"method": "GET", "query": {
                "type": "object",
                "properties": {"user_id": {"type": "string", "description": "The viewer, when no key is configured"}},
            }}},
        }},
        "operations": {
            "receive": {"action": "receive", "channel": {"$ref": "#/channels/stream"}, "messages": received,
                        "summary": "What clients send and the server receives"},
            "send": {"action": "send", "channel": {"$ref": "#/channels/stream"}, "messages": sent,
                     "summary": "What the server sends"},
        },
        "components": {"messages": all.into_iter().collect::<Map<String, Value>>(), "schemas": schemas},
    })
}

fn message(kind: &str, text: &str, payload: Value) -> Value {
    json!({"name": kind, "title": kind, "summary": text, "payload": payload})
}

/// The fields of a client's message, out of those that any frame may have.
fn client_payload(schemas: &Value, kind: &str, fields: &[&str], required: &[&str]) -> Value {
    let known = &schemas["ClientFrame"]["properties"];
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({"type": "string", "const": kind}));
    for field in fields.iter().filter(|field| known.get(**field).is_some()) {
        properties.insert((*field).to_owned(), known[*field].clone());
    }
    let required: Vec<&str> = std::iter::once("type").chain(required.iter().copied()).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// The variant of that type.
fn server_payload(schemas: &Value, kind: &str) -> Value {
    let variants = schemas["ServerMessage"]["oneOf"].as_array();
    let mut variants = variants.into_iter().flatten();
    let tag = [format!("\"enum\":[\"{kind}\"]"), format!("\"const\":\"{kind}\"")];
    let of_kind = variants.find(|variant| {
        let text = variant.to_string();
        tag.iter().any(|tag| text.contains(tag))
    });
    of_kind.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_payload_with_its_type_and_every_reference_leads_somewhere() {
        let document = document();
        let messages = document["components"]["messages"].as_object().expect("messages");
        assert_eq!(messages.len(), CLIENT.len() + SERVER.len());
        for (name, message) in messages {
            let payload = message["payload"].to_string();
            let kind = message["name"].as_str().expect("a name");
            assert!(payload.contains(&format!("\"{kind}\"")), "{name}: {payload}");
        }
        let welcome = messages["server_welcome"]["payload"].to_string();
        assert!(
            welcome.contains("ping_ms") && welcome.contains("server_time"),
            "{welcome}"
        );
        for field in ["events", "item_id", "watch_ms"] {
            assert!(
                messages["client_event"]["payload"]["properties"].get(field).is_some(),
                "{field}"
            );
        }
        let text = document.to_string();
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("\"$ref\":\"#") {
            let (pointer, after) = after.split_once('"').expect("the end of a reference");
            assert!(document.pointer(pointer).is_some(), "{pointer} is missing");
            rest = after;
        }
    }
}
