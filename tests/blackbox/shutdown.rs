//! A polite end: sockets are told to reconnect, calls are answered, the exit code is 0.

use serde_json::json;

use crate::harness::Server;
use crate::socket::Socket;

#[tokio::test]
async fn on_sigterm_sockets_are_told_to_reconnect() {
    let mut server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let mut sockets = Vec::new();
    for number in 0..20 {
        sockets.push(Socket::of(&server, &format!("u{}", number / 2)).await);
    }
    sockets[0]
        .send(&json!({"type": "event", "id": "last", "event": "like", "item_id": "pets1"}))
        .await;
    sockets[0].until("ack").await;
    server.signal("TERM");
    for socket in &mut sockets {
        let (code, messages) = socket.until_closed().await;
        assert_eq!(code, Some(4001));
        let drain = messages.iter().find(|message| message["type"] == "drain");
        assert!(
            drain.is_some_and(|drain| drain["reconnect_after_ms"].is_u64()),
            "{messages:?}"
        );
    }
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.errors());
}

#[tokio::test]
async fn sigint_stops_an_idle_server() {
    let mut server = Server::start().await;
    server.signal("INT");
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.errors());
}

#[tokio::test]
async fn calls_in_work_are_answered_before_the_end() {
    let mut server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let events: Vec<_> = (0..5_000)
        .map(|number| json!({"user_id": format!("u{number}"), "item_id": "pets1", "type": "like", "event_id": format!("e{number}")}))
        .collect();
    let call = server.call(reqwest::Method::POST, "/v1/events").json(&events).send();
    let answer = tokio::spawn(call);
    server.signal("TERM");
    // Either it came in before the end and was answered, or it was refused; it is never cut off after it was taken.
    if let Ok(answer) = answer.await.expect("a task") {
        assert!([200, 503].contains(&answer.status().as_u16()), "{}", answer.status());
    }
    assert_eq!(server.wait().await.code(), Some(0), "{}", server.errors());
}
