//! With keys: viewers' tokens, keys of back ends, keys of operators.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::json;
use swipeline::auth::issue_token;
use swipeline::config::{AuthSettings, Secret};
use swipeline_models::ids::UserId;

use crate::harness::{Server, problem};
use crate::socket::{Handshake, JSON};

const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";
const SETTINGS: [(&str, &str); 3] = [
    ("AUTH__JWT_SECRET", SECRET),
    ("AUTH__API_KEYS", "key-one,key-two"),
    ("AUTH__ADMIN_KEYS", "operator"),
];

/// A token that is valid from now on for `ttl_s`; one that has expired when negative.
fn token(user: &str, ttl_s: i64) -> String {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let settings = AuthSettings {
        jwt_secret: Some(Secret::new(SECRET)),
        ..AuthSettings::default()
    };
    let issued_s = if ttl_s < 0 { now_s - 3_600 } else { now_s };
    let ttl_s = if ttl_s < 0 { 1 } else { ttl_s.unsigned_abs() };
    issue_token(&settings, &UserId::new(user).expect("an id"), issued_s, ttl_s).expect("a token")
}

async fn server() -> Server {
    let server = Server::start_with(&SETTINGS).await;
    let items: Vec<_> = (0..30).map(|number| json!({"id": format!("pets{number}")})).collect();
    let call = server
        .call(Method::POST, "/v1/items")
        .bearer_auth("key-two")
        .json(&items);
    assert_eq!(call.send().await.expect("an answer").status(), 200);
    server
}

#[tokio::test]
async fn without_a_credential_only_health_and_documentation_answer() {
    let server = server().await;
    for path in ["/v1/items/pets1", "/v1/users/u/feed", "/v1/popular", "/v1/stats"] {
        let answer = server.call(Method::GET, path).send().await.expect("an answer");
        assert!(answer.headers().contains_key("www-authenticate"));
        problem(answer, 401).await;
    }
    for credential in ["key-three", "not.a.token", &token("u", -1)] {
        let call = server.call(Method::GET, "/v1/users/u/feed").bearer_auth(credential);
        problem(call.send().await.expect("an answer"), 401).await;
    }
    for path in ["/livez", "/readyz", "/openapi.json"] {
        server.get(path).await;
    }
    let keyed = server
        .call(Method::GET, "/v1/items/pets1")
        .header("x-api-key", "key-one");
    assert_eq!(keyed.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_viewer_may_do_what_concerns_the_viewer() {
    let server = server().await;
    let call = |method: Method, path: &str| server.call(method, path).bearer_auth(token("u", 60));
    assert_eq!(
        call(Method::GET, "/v1/users/u/feed")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    assert_eq!(
        call(Method::GET, "/v1/latest")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    for (method, path) in [
        (Method::GET, "/v1/users/other/feed"),
        (Method::GET, "/v1/users/other"),
        (Method::DELETE, "/v1/users/u"),
        (Method::DELETE, "/v1/items/pets1"),
        (Method::GET, "/v1/stats"),
    ] {
        problem(call(method, path).send().await.expect("an answer"), 403).await;
    }
    problem(
        call(Method::PUT, "/v1/items/x")
            .json(&json!({}))
            .send()
            .await
            .expect("an answer"),
        403,
    )
    .await;
    let rank = json!({"user_id": "other", "item_ids": ["pets1"]});
    problem(
        call(Method::POST, "/v1/rank")
            .json(&rank)
            .send()
            .await
            .expect("an answer"),
        403,
    )
    .await;
    let events =
        json!([{"item_id": "pets1", "type": "like"}, {"user_id": "other", "item_id": "pets1", "type": "like"}]);
    let answer = call(Method::POST, "/v1/events")
        .json(&events)
        .send()
        .await
        .expect("an answer");
    let reply: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&reply["accepted"], &reply["rejected"][0]["index"]),
        (&json!(1), &json!(1)),
        "{reply}"
    );
    assert_eq!(reply["rejected"][0]["code"], "wrong_user");
}

#[tokio::test]
async fn a_socket_opens_with_a_token_in_a_header_a_subprotocol_or_hello() {
    let server = server().await;
    let bearer = format!("Bearer {}", token("u", 60));
    let (mut socket, _) = Handshake::new(&server, "")
        .header("authorization", &bearer)
        .open()
        .await;
    assert_eq!(socket.until("welcome").await["user_id"], "u");
    let offer = format!("bearer.{}, {JSON}", token("v", 60));
    let (mut socket, chosen) = Handshake::new(&server, "").offer(&offer).open().await;
    assert_eq!(chosen.as_deref(), Some(JSON));
    assert_eq!(socket.until("welcome").await["user_id"], "v");
    let (mut socket, _) = Handshake::new(&server, "").open().await;
    socket.send(&json!({"type": "feed", "id": "early"})).await;
    assert_eq!(socket.until("error").await["code"], "hello_expected");
    socket
        .send(&json!({"type": "hello", "token": token("w", 60), "n": 3}))
        .await;
    assert_eq!(socket.until("welcome").await["user_id"], "w");
    assert_eq!(socket.until("feed").await["items"].as_array().map(Vec::len), Some(3));
    let key = Handshake::new(&server, "user_id=x").header("authorization", "Bearer key-one");
    assert_eq!(key.open().await.0.until("welcome").await["user_id"], "x");
}

#[tokio::test]
async fn a_socket_without_a_good_token_is_refused_or_closed_for_good() {
    let server = server().await;
    let expired = format!("Bearer {}", token("u", -1));
    assert_eq!(
        Handshake::new(&server, "")
            .header("authorization", &expired)
            .refused()
            .await
            .0,
        401
    );
    assert_eq!(
        Handshake::new(&server, "")
            .offer(&format!("bearer.x.y.z, {JSON}"))
            .refused()
            .await
            .0,
        401
    );
    let other = format!("Bearer {}", token("u", 60));
    assert_eq!(
        Handshake::new(&server, "user_id=v")
            .header("authorization", &other)
            .refused()
            .await
            .0,
        403
    );
    assert_eq!(
        Handshake::new(&server, "")
            .header("authorization", "Bearer key-one")
            .refused()
            .await
            .0,
        400
    );
    let (mut socket, _) = Handshake::new(&server, "").open().await;
    socket
        .send(&json!({"type": "hello", "id": 1, "token": token("u", -1)}))
        .await;
    let (code, messages) = socket.until_closed().await;
    assert_eq!(
        (code, &messages[0]["code"], &messages[0]["id"]),
        (Some(4503), &json!("token_expired"), &json!(1))
    );
    let (mut socket, _) = Handshake::new(&server, "").open().await;
    socket.send(&json!({"type": "hello", "token": "nonsense"})).await;
    assert_eq!(socket.until_closed().await.0, Some(4502));
}

#[tokio::test]
async fn a_socket_that_never_says_hello_is_closed_for_good() {
    let server = Server::start_with(&[("AUTH__JWT_SECRET", SECRET), ("WS__HELLO_TIMEOUT_MS", "200")]).await;
    let (mut silent, _) = Handshake::new(&server, "user_id=u").open().await;
    let (code, messages) = silent.until_closed().await;
    assert_eq!((code, &messages[0]["code"]), (Some(4501), &json!("hello_timeout")));
}

#[tokio::test]
async fn a_token_is_renewed_in_time_or_the_socket_ends() {
    let server = server().await;
    let open = async || {
        let bearer = format!("Bearer {}", token("u", 2));
        let (mut socket, _) = Handshake::new(&server, "")
            .header("authorization", &bearer)
            .open()
            .await;
        socket.until("feed").await;
        socket
    };
    let mut expiring = open().await;
    let mut renewed = open().await;
    renewed
        .send(&json!({"type": "auth", "id": "a", "token": token("u", 60)}))
        .await;
    assert_eq!(renewed.until("ack").await["id"], "a");
    let (code, messages) = expiring.until_closed().await;
    assert_eq!(code, Some(4503));
    assert_eq!(
        messages.last().map(|last| last["code"].clone()),
        Some(json!("token_expired"))
    );
    renewed.send(&json!({"type": "ping", "id": "alive"})).await;
    assert_eq!(renewed.until("pong").await["id"], "alive");
    renewed
        .send(&json!({"type": "auth", "token": token("somebody-else", 60)}))
        .await;
    assert_eq!(renewed.until_closed().await.0, Some(4502));
}

#[tokio::test]
async fn operators_need_their_key_and_metrics_do_not() {
    let server = server().await;
    let params = || server.admin_call(Method::GET, "/v1/admin/params");
    problem(params().send().await.expect("an answer"), 401).await;
    problem(params().bearer_auth("key-one").send().await.expect("an answer"), 401).await;
    assert_eq!(
        params()
            .bearer_auth("operator")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(
            server
                .admin_call(Method::GET, path)
                .send()
                .await
                .expect("an answer")
                .status(),
            200
        );
    }
}
