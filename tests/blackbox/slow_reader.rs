//! A client that does not answer: it is closed in the end, and nobody else notices.

use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Server, eventually};
use crate::socket::Handshake;

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
