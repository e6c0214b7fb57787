//! Clients that do not read or do not answer: they cost a bounded amount, are closed in the end, and nobody else notices.

use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Server, eventually};
use crate::socket::{Handshake, Socket};

/// Items per feed: feeds so large that some dozens of them fill every buffer between the server and a client.
const FEED_ITEMS: usize = 500;
/// Feeds that wait in the outbox of a socket before they collapse into the newest.
const FEEDS_WAITING_MAX: u64 = 8;

/// The sum of a counter or gauge over those of its lines that contain `label`; 0 when there is none.
async fn metric(server: &Server, name: &str, label: &str) -> u64 {
    let answer = server.admin_call(Method::GET, "/metrics").send().await;
    let text = answer.expect("an answer").text().await.expect("text");
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.contains(label)).then(|| value.parse::<u64>().expect("a whole number"))
    };
    text.lines().filter_map(value).sum()
}

async fn feeds_written(server: &Server) -> u64 {
    metric(server, "swipeline_socket_messages_out_total", "type=\"feed\"").await
}

async fn feeds_collapsed(server: &Server) -> u64 {
    metric(server, "swipeline_feeds_collapsed_total", "").await
}

/// Two sockets of one user: one that reads nothing from its first feed on, and one whose signals fill the first.
async fn sleeper_and_busy(server: &Server) -> (Socket, Busy) {
    server.put_catalogue(&["pets", "food"], 500).await;
    let sleeper = Socket::of(server, "u").await;
    let mut socket = Socket::of(server, "u").await;
    socket.send(&json!({"type": "hello", "n": FEED_ITEMS})).await;
    (sleeper, Busy { socket, signals: 0 })
}

/// A socket that likes one item after the other.
struct Busy {
    socket: Socket,
    signals: usize,
}

impl Busy {
    /// Likes the next item and waits for the feed that answers it; returns the event's id.
    async fn like(&mut self) -> String {
        self.signals += 1;
        let event_id = format!("e{}", self.signals);
        let item = format!("pets{}", self.signals % 400);
        let feed = self.socket.signal("like", &item, &event_id).await;
        assert_eq!(feed["items"].as_array().map(Vec::len), Some(FEED_ITEMS));
        event_id
    }
}

#[tokio::test]
async fn feeds_for_a_reader_that_sleeps_collapse_into_the_newest() {
    // No write ever takes too long here: what bounds the memory must be the outbox alone.
    let server = Server::start_with(&[("WS__WRITE_TIMEOUT_MS", "3600000"), ("WS__PING_MS", "3600000")]).await;
    let (mut sleeper, mut busy) = sleeper_and_busy(&server).await;
    eventually("nothing more fits between the server and the sleeper", async || {
        busy.like().await;
        (feeds_collapsed(&server).await >= 2 * FEEDS_WAITING_MAX).then_some(())
    })
    .await;
    // From here on every push reaches the busy socket, and what would be the sleeper's takes the place of what waits.
    let (written, collapsed) = (feeds_written(&server).await, feeds_collapsed(&server).await);
    let mut newest = String::new();
    let pushes = 3 * FEEDS_WAITING_MAX;
    for _ in 0..pushes {
        newest = busy.like().await;
    }
    assert_eq!(
        feeds_written(&server).await - written,
        pushes,
        "something was kept for the sleeper"
    );
    assert_eq!(feeds_collapsed(&server).await - collapsed, pushes, "the outbox grows");
    // The sleeper wakes up: it is sent what was on its way and the newest feed, none of those between, and goes on.
    let mut read = 0;
    sleeper
        .until_matching(|message| {
            read += usize::from(message["type"] == "feed");
            message["cause"]["event_id"] == newest.as_str()
        })
        .await;
    assert!(
        read < busy.signals,
        "{read} feeds were kept for {} signals",
        busy.signals
    );
    sleeper.ask("awake", 5).await;
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_and_others_are_served_meanwhile() {
    let server = Server::start_with(&[("WS__WRITE_TIMEOUT_MS", "500")]).await;
    let (mut sleeper, mut busy) = sleeper_and_busy(&server).await;
    eventually("the sleeper's socket has ended", async || {
        busy.like().await;
        let slow = metric(&server, "swipeline_sockets_closed_total", "code=\"4008\"").await;
        // When the system gives up first, the connection is just gone.
        let gone = metric(&server, "swipeline_sockets_closed_total", "code=\"1006\"").await;
        (slow + gone == 1).then_some(())
    })
    .await;
    busy.like().await;
    let (code, messages) = sleeper.until_closed().await;
    assert!(matches!(code, Some(4008) | None), "{code:?}");
    assert!(messages.len() < busy.signals, "{} messages were kept", messages.len());
    eventually("only the busy socket is left", async || {
        (metric(&server, "swipeline_sockets", "").await == 1).then_some(())
    })
    .await;
    busy.like().await;
    // The user comes back and is served as if nothing had been.
    Socket::of(&server, "u").await.signal("skip", "food1", "back").await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let server = Server::start_with(&[("WS__PING_MS", "100")]).await;
    // Reading is what answers pings in this client; a client that is not polled answers nothing.
    let (mut silent, _) = Handshake::new(&server, "user_id=u").open().await;
    eventually("the silent socket is closed", async || {
        (metric(&server, "swipeline_sockets_closed_total", "code=\"4000\"").await == 1).then_some(())
    })
    .await;
    assert!(matches!(silent.until_closed().await.0, Some(4000) | None));
    assert!(!silent.try_send_raw(Message::text("{}")).await);
}
