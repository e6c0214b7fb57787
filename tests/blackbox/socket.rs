//! A WebSocket client for tests.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::{Server, WAIT_MAX};

/// The subprotocol of text frames.
pub(crate) const JSON: &str = "swipeline.v1.json";
/// The subprotocol of binary frames.
pub(crate) const MSGPACK: &str = "swipeline.v1.msgpack";

/// A handshake under construction.
pub(crate) struct Handshake {
    request: Request,
    packed: bool,
}

impl Handshake {
    /// A handshake with a query such as `user_id=u1`.
    pub(crate) fn new(server: &Server, query: &str) -> Self {
        let url = format!("ws://{}/v1/stream?{query}", server.public);
        Self {
            request: url.into_client_request().expect("a URL"),
            packed: false,
        }
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request
            .headers_mut()
            .insert(name, value.parse().expect("a header"));
        self
    }

    /// The same with offered subprotocols, split by commas.
    pub(crate) fn offer(mut self, subprotocols: &str) -> Self {
        self.packed = subprotocols.contains(MSGPACK);
        self.header("sec-websocket-protocol", subprotocols)
    }

    /// Opens the socket; returns it and the chosen subprotocol.
    pub(crate) async fn open(self) -> (Socket, Option<String>) {
        let (stream, response) = connect_async(self.request).await.expect("a socket");
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen.map(|value| value.to_str().expect("text").to_owned());
        (
            Socket {
                stream,
                packed: self.packed,
                waiting: VecDeque::new(),
            },
            chosen,
        )
    }

    /// Expects the handshake to be refused; returns the status and the problem document.
    pub(crate) async fn refused(self) -> (u16, Value) {
        match connect_async(self.request).await {
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                (
                    response.status().as_u16(),
                    serde_json::from_slice(&body).unwrap_or(Value::Null),
                )
            }
            other => panic!("the handshake was not refused: {other:?}"),
        }
    }
}

/// An open socket.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    packed: bool,
    waiting: VecDeque<Value>,
}

impl Socket {
    /// An anonymous JSON socket, after its `welcome` and first feed.
    pub(crate) async fn of(server: &Server, user: &str) -> Self {
        let mut socket = Self::unread(server, user).await;
        socket.until("welcome").await;
        socket.until("feed").await;
        socket
    }

    /// An anonymous JSON socket, with all that it is sent still to come.
    pub(crate) async fn unread(server: &Server, user: &str) -> Self {
        let handshake = Handshake::new(server, &format!("user_id={user}"));
        handshake.offer(JSON).open().await.0
    }

    /// Sends a message, or a list of messages, in the socket's own protocol.
    pub(crate) async fn send(&mut self, message: &Value) {
        let frame = if self.packed {
            Message::binary(rmp_serde::to_vec_named(message).expect("MessagePack"))
        } else {
            Message::text(message.to_string())
        };
        self.send_raw(frame).await;
    }

    /// Sends a frame as it is.
    pub(crate) async fn send_raw(&mut self, frame: Message) {
        timeout(WAIT_MAX, self.stream.send(frame))
            .await
            .expect("in time")
            .expect("an open socket");
    }

    /// Sends a frame without caring whether the socket is still open.
    pub(crate) async fn try_send_raw(&mut self, frame: Message) -> bool {
        matches!(timeout(WAIT_MAX, self.stream.send(frame)).await, Ok(Ok(())))
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        match self.next_or_close().await {
            Ok(message) => message,
            Err(code) => panic!("the socket was closed with {code:?}"),
        }
    }

    /// The next message, or the close code (`None` when the connection just ended).
    pub(crate) async fn next_or_close(&mut self) -> Result<Value, Option<u16>> {
        timeout(WAIT_MAX, self.read()).await.expect("a message in time")
    }

    async fn read(&mut self) -> Result<Value, Option<u16>> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            let document: Value = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Binary(bytes))) => rmp_serde::from_slice(&bytes).expect("MessagePack"),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Err(None),
            };
            if let Value::Array(messages) = document {
                self.waiting.extend(messages);
            } else {
                self.waiting.push_back(document);
            }
        }
    }

    /// The next message of a type; others are skipped.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        self.until_matching(|message| message["type"] == kind).await
    }

    /// The next message that matches; others are skipped.
    pub(crate) async fn until_matching(&mut self, mut matches: impl FnMut(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let message = self.next().await;
                if matches(&message) {
                    return message;
                }
            }
        };
        timeout(WAIT_MAX, search).await.expect("the message in time")
    }

    /// Reads until the socket is closed; returns the close code and what came before.
    pub(crate) async fn until_closed(&mut self) -> (Option<u16>, Vec<Value>) {
        let mut messages = Vec::new();
        loop {
            match self.next_or_close().await {
                Ok(message) => messages.push(message),
                Err(code) => return (code, messages),
            }
        }
    }

    /// Reports one event inline and returns the feed that answers it.
    pub(crate) async fn signal(&mut self, kind: &str, item: &str, event_id: &str) -> Value {
        self.send(&json!({"type": "event", "event": kind, "item_id": item, "event_id": event_id}))
            .await;
        self.until_matching(|message| message["type"] == "feed" && message["cause"]["event_id"] == event_id)
            .await
    }

    /// Asks for a feed and returns it; proves that everything sent before has been handled.
    pub(crate) async fn ask(&mut self, id: &str, n: usize) -> Value {
        self.send(&json!({"type": "feed", "id": id, "n": n})).await;
        self.until_matching(|message| message["type"] == "feed" && message["id"] == id)
            .await
    }
}
