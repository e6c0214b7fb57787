//! Rates: who calls too often is told when to come again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, problem};
use crate::socket::{Handshake, Socket};

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
    server.serve("/v1/users/somebody-else/feed").await;
    server.get("/v1/latest").await;
    for _ in 0..20 {
        // Sockets of one user count as well; the handshake is refused before the upgrade.
        server
            .call(Method::POST, "/v1/users/v/feed")
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

/// Sends pings until one is refused; returns the error.
async fn until_told(socket: &mut Socket) -> Value {
    for number in 0..200 {
        socket.send(&json!({"type": "ping", "id": number})).await;
        let answer = socket.until_matching(|message| message["id"] == number).await;
        if answer["type"] == "error" {
            return answer;
        }
    }
    panic!("200 messages were let through");
}

#[tokio::test]
async fn messages_on_sockets_keep_to_the_rates_as_calls_do() {
    for (name, scope) in [("LIMITS__IP_PER_S", "ip"), ("LIMITS__GLOBAL_PER_S", "global")] {
        let server = Server::start_with(&[(name, "5")]).await;
        let mut socket = Socket::of(&server, "u").await;
        let error = until_told(&mut socket).await;
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("rate_limited"), &json!(true))
        );
        assert!(
            error["retry_after_ms"]
                .as_u64()
                .is_some_and(|wait| (1..=1_000).contains(&wait)),
            "{error}"
        );
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains(scope)),
            "{error}"
        );
        // The bucket is shared with calls.
        problem(until_refused(&server, "/v1/latest", None).await, 429).await;
        // Too fast is not wrong: the socket stays open and is heard again.
        crate::harness::eventually("it is heard again", async || {
            socket.send(&json!({"type": "ping", "id": "again"})).await;
            let answer = socket.until_matching(|message| message["id"] == "again").await;
            (answer["type"] == "pong").then_some(())
        })
        .await;
    }
    let server = Server::start_with(&[("LIMITS__KEY_PER_S", "5"), ("AUTH__API_KEYS", "one,two")]).await;
    let open = async |key: &str| {
        let handshake = Handshake::new(&server, "user_id=u").header("x-api-key", key);
        let mut socket = handshake.open().await.0;
        socket.until("feed").await;
        socket
    };
    let mut socket = open("one").await;
    let mut other = open("two").await;
    assert_eq!(until_told(&mut socket).await["code"], "rate_limited");
    other.send(&json!({"type": "ping", "id": "p"})).await;
    assert_eq!(
        other.until_matching(|message| message["id"] == "p").await["type"],
        "pong"
    );
}

#[tokio::test]
async fn the_budget_of_a_session_holds_for_all_its_sockets() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let budget = json!({"feed": {"messages_per_second": 1.0, "messages_burst": 4.0}});
    let call = server.admin_call(Method::PATCH, "/v1/admin/params").json(&budget);
    assert_eq!(call.send().await.expect("an answer").status(), 200);
    let mut sockets = [Socket::of(&server, "u").await, Socket::of(&server, "u").await];
    let mut accepted = 0;
    for number in 0..6 {
        let socket = &mut sockets[number % 2];
        let item = format!("pets{number}");
        socket
            .send(&json!({"type": "event", "id": number, "event": "view", "item_id": item}))
            .await;
        let answer = socket.until_matching(|message| message["id"] == number).await;
        if answer["type"] == "ack" {
            accepted += 1;
            continue;
        }
        assert_eq!(
            (&answer["code"], &answer["retryable"]),
            (&json!("rate_limited"), &json!(true))
        );
        assert!(
            answer["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0),
            "{answer}"
        );
    }
    assert!((4..6).contains(&accepted), "{accepted} of 6");
    // What was refused is not counted, what was acknowledged is.
    assert_eq!(server.get("/v1/users/u").await["counts"]["view"], accepted);
}
