//! Bodies that drip: they hold a connection for a while, and nothing that others need.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use swipeline::auth::issue_token;
use swipeline::config::{AuthSettings, Secret};
use swipeline_models::ids::UserId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Server, WAIT_MAX, problem};

/// Connections that drip; more than all places for calls.
const DRIPS: usize = 64;
const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";

/// A call whose body has begun and does not come.
async fn drip(server: &Server, credential: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.public).await.expect("a connection");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{credential}content-length: 100000\r\n\r\n[",
        server.public
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream
}

/// The status of the answer on a connection.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    timeout(WAIT_MAX, stream.read_exact(&mut head))
        .await
        .expect("in time")
        .expect("an answer");
    String::from_utf8_lossy(&head[9..]).parse().expect("a status")
}

/// The same, if it has come.
async fn answered(stream: &TcpStream) -> Option<u16> {
    let mut head = [0; 12];
    match timeout(Duration::from_millis(10), stream.peek(&mut head)).await {
        Ok(Ok(12)) => String::from_utf8_lossy(&head[9..]).parse().ok(),
        _ => None,
    }
}

fn token(user: &str) -> String {
    let settings = AuthSettings {
        jwt_secret: Some(Secret::new(SECRET)),
        ..AuthSettings::default()
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    issue_token(&settings, &UserId::new(user).expect("an id"), now, 600).expect("a token")
}

#[tokio::test]
async fn more_bodies_than_places_refuse_nobody() {
    let server = Server::start_with(&[("SERVER__MAX_IN_FLIGHT", "8"), ("SERVER__REQUEST_TIMEOUT_MS", "20000")]).await;
    server.put_catalogue(&["pets"], 10).await;
    let mut drips = Vec::new();
    for _ in 0..DRIPS {
        drips.push(drip(&server, "").await);
    }
    for number in 0..50 {
        server.get(&format!("/v1/users/u{number}/feed?n=3")).await;
        let event = json!([{"user_id": format!("u{number}"), "item_id": "pets1", "type": "like"}]);
        assert_eq!(server.send(Method::POST, "/v1/events", &event).await["accepted"], 1);
        server.get("/livez").await;
    }
    let metrics = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    assert_eq!(metrics.status(), 200);
}

#[tokio::test]
async fn a_token_has_few_calls_at_a_time_and_others_do_not_notice() {
    let settings = [
        ("AUTH__JWT_SECRET", SECRET),
        ("AUTH__API_KEYS", "key-one"),
        ("LIMITS__USER_IN_FLIGHT", "4"),
    ];
    let server = Server::start_with(&settings).await;
    let credential = format!("authorization: Bearer {}\r\n", token("dripper"));
    let mut drips = Vec::new();
    for _ in 0..DRIPS {
        drips.push(drip(&server, &credential).await);
    }
    // All but four are told at once that they are too many.
    crate::harness::eventually("all but four are refused", async || {
        let mut waiting = Vec::new();
        for stream in std::mem::take(&mut drips) {
            match answered(&stream).await {
                Some(status) => assert_eq!(status, 429),
                None => waiting.push(stream),
            }
        }
        drips = waiting;
        (drips.len() == 4).then_some(())
    })
    .await;
    let feed = |user: &str| {
        server
            .call(Method::GET, &format!("/v1/users/{user}/feed"))
            .bearer_auth(token(user))
            .send()
    };
    problem(feed("dripper").await.expect("an answer"), 429).await;
    assert_eq!(feed("somebody").await.expect("an answer").status(), 200);
    drop(drips);
    crate::harness::eventually("the token is heard again", async || {
        (feed("dripper").await.expect("an answer").status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_makes_no_headway_is_408() {
    let server = Server::start_with(&[("SERVER__REQUEST_TIMEOUT_MS", "400")]).await;
    let began = Instant::now();
    let mut stream = drip(&server, "").await;
    // A byte now and then does not help.
    let (mut reading, mut writing) = stream.split();
    let drips = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if writing.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut head = [0; 12];
    tokio::select! {
        read = timeout(WAIT_MAX, reading.read_exact(&mut head)) => { read.expect("in time").expect("an answer"); }
        () = drips => {}
    }
    assert!(head.ends_with(b" 408"), "{}", String::from_utf8_lossy(&head));
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_whole_body_has_its_time() {
    let settings = [
        ("SERVER__REQUEST_TIMEOUT_MS", "10000"),
        ("SERVER__BODY_TIMEOUT_MS", "300"),
        ("SERVER__BODY_BYTES_PER_S_MIN", "0"),
    ];
    let server = Server::start_with(&settings).await;
    assert_eq!(status(&mut drip(&server, "").await).await, 408);
}

#[tokio::test]
async fn bodies_that_wait_may_hold_so_many_bytes_together() {
    let settings = [
        ("SERVER__BODY_BYTES_MAX", "65536"),
        ("SERVER__BODIES_BYTES_MAX", "131072"),
    ];
    let server = Server::start_with(&settings).await;
    let mut waiting: Vec<TcpStream> = Vec::new();
    for _ in 0..3 {
        let mut stream = drip(&server, "").await;
        stream.write_all(&[b' '; 60_000]).await.expect("written");
        waiting.push(stream);
    }
    // The third is too much, whichever came last; the small ones go through when it is gone.
    crate::harness::eventually("one of them is refused", async || {
        for stream in &waiting {
            if let Some(status) = answered(stream).await {
                assert_eq!(status, 503);
                return Some(());
            }
        }
        None
    })
    .await;
    drop(waiting);
    crate::harness::eventually("bodies are taken again", async || {
        let large = format!("[{}]", " ".repeat(50_000));
        let call = server
            .call(Method::POST, "/v1/items")
            .header("content-type", "application/json");
        (call.body(large).send().await.expect("an answer").status() == 200).then_some(())
    })
    .await;
}
