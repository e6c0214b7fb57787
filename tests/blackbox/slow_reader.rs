//! A client that does not read: its feeds collapse, it is closed in the end, and nobody else notices.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Server, eventually};
use crate::socket::{Handshake, JSON, Socket};

#[tokio::test]
async fn a_reader_that_stops_is_closed_and_costs_nobody_else_anything() {
    let server = Server::start_with(&[("WS__WRITE_TIMEOUT_MS", "300")]).await;
    server.put_catalogue(&["pets", "food"], 600).await;
    let mut sleeper = Handshake::new(&server, "user_id=u").offer(JSON).open_narrow(&server).await;
    sleeper.send(&json!({"type": "hello", "n": 200})).await;
    let mut busy = Socket::of(&server, "u").await;
    // Feeds of 200 items fill the buffers between server and sleeper, which reads nothing from here on.
    let mut number = 0;
    eventually("the reader is closed", async || {
        number += 1;
        busy.signal("like", &format!("pets{number}"), &format!("e{number}"))
            .await;
        let metrics = server
            .admin_call(reqwest::Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        let metrics = metrics.text().await.expect("text");
        metrics
            .contains("swipeline_sockets_closed_total{code=\"4008\"} 1")
            .then_some(())
    })
    .await;
    assert!(number < 600, "the catalogue ended before the buffers were full");
    let feed = busy.ask("after", 5).await;
    assert_eq!(feed["items"].as_array().map(Vec::len), Some(5));
    // Whatever was in the buffers may still be read; then the connection ends.
    let (code, messages) = sleeper.until_closed().await;
    assert!(matches!(code, Some(4008) | None), "{code:?}");
    assert!(
        messages.len() < number,
        "{} messages were kept for a reader that does not read",
        messages.len()
    );
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let server = Server::start_with(&[("WS__PING_MS", "100")]).await;
    // Reading is what answers pings in this client; a client that is not polled answers nothing.
    let (mut silent, _) = Handshake::new(&server, "user_id=u").open().await;
    eventually("the silent socket is closed", async || {
        let metrics = server
            .admin_call(reqwest::Method::GET, "/metrics")
            .send()
            .await
            .expect("an answer");
        metrics
            .text()
            .await
            .expect("text")
            .contains("swipeline_sockets_closed_total{code=\"4000\"} 1")
            .then_some(())
    })
    .await;
    assert!(matches!(silent.until_closed().await.0, Some(4000) | None));
    assert!(!silent.try_send_raw(Message::text("{}")).await);
}
