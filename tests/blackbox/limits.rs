//! Rates: who calls too often is told when to come again.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, problem};
use crate::socket::Handshake;

/// Calls until a call is refused; returns that answer.
async fn until_refused(server: &Server, path: &str, key: Option<&str>) -> reqwest::Response {
    for _ in 0..200 {
        let mut call = server.call(Method::GET, path);
        if let Some(key) = key {
            call = call.bearer_auth(key);
        }
        let answer = call.send().await.expect("an answer");
        if answer.status() != 200 {
            return answer;
        }
    }
    panic!("200 calls were let through");
}

#[tokio::test]
async fn one_user_one_address_one_key_and_everybody_have_their_rate() {
    let server = Server::start_with(&[("LIMITS__USER_PER_S", "3")]).await;
    problem(until_refused(&server, "/v1/users/u/feed", None).await, 429).await;
    server.get("/v1/users/somebody-else/feed").await;
    server.get("/v1/latest").await;
    for _ in 0..20 {
        // Sockets of one user count as well; the handshake is refused before the upgrade.
        server
            .call(Method::GET, "/v1/users/v/feed")
            .send()
            .await
            .expect("an answer");
    }
    assert_eq!(Handshake::new(&server, "user_id=v").refused().await.0, 429);
    for name in ["LIMITS__IP_PER_S", "LIMITS__GLOBAL_PER_S"] {
        let server = Server::start_with(&[(name, "3")]).await;
        problem(until_refused(&server, "/v1/latest", None).await, 429).await;
        assert_eq!(server.get("/livez").await["status"], "ok");
    }
    let server = Server::start_with(&[("LIMITS__KEY_PER_S", "3"), ("AUTH__API_KEYS", "one,two")]).await;
    problem(until_refused(&server, "/v1/latest", Some("one")).await, 429).await;
    let other = server
        .call(Method::GET, "/v1/latest")
        .bearer_auth("two")
        .send()
        .await
        .expect("an answer");
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn too_many_calls_at_once_are_503() {
    let server = Server::start_with(&[("SERVER__MAX_IN_FLIGHT", "1")]).await;
    // One call that never sends its whole body holds the only place. Where one of the calls below was there first, it is
    // refused itself, and comes again.
    let stuck = async {
        loop {
            let body = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            let call = server.call(Method::POST, "/v1/items");
            let answer = call.body(reqwest::Body::wrap_stream(body)).send().await;
            let answer = answer.expect("an answer");
            if answer.status() != 503 {
                return answer;
            }
        }
    };
    let refused = async {
        loop {
            let answer = server.call(Method::GET, "/v1/latest").send().await.expect("an answer");
            if answer.status() != 200 {
                return answer;
            }
        }
    };
    let refused = tokio::select! {
        answer = refused => answer,
        answer = stuck => panic!("a call without a body was answered: {}", answer.status()),
    };
    problem(refused, 503).await;
    assert_eq!(server.get("/livez").await["status"], "ok");
    crate::harness::eventually("the place is free again", async || {
        let answer = server.call(Method::GET, "/v1/latest").send().await.expect("an answer");
        (answer.status() == 200).then_some(())
    })
    .await;
    let reply = server.send(Method::POST, "/v1/items", &json!([])).await;
    assert_eq!(reply["upserted"], 0);
}
