//! Webhooks: what was accepted is posted, signed, in order, again until it is taken, and on from there after a kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, WAIT_MAX};

/// What a receiver got in one call.
struct Got {
    signature: String,
    delivery: String,
    body: Vec<u8>,
}

impl Got {
    fn items(&self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).expect("JSON");
        let events = body["events"].as_array().expect("a list").iter();
        events
            .map(|event| event["item_id"].as_str().expect("an item").to_owned())
            .collect()
    }
}

/// A receiver that gives these answers, then 204 for ever.
fn receiver(answers: Vec<u16>) -> (SocketAddr, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, got) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut length, mut signature, mut delivery) = (0, String::new(), String::new());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().expect("a number"),
                    "x-swipeline-signature" => signature = value.to_owned(),
                    "x-swipeline-delivery" => delivery = value.to_owned(),
                    _ => {}
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            let status = answers.next().unwrap_or(204);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            if sender
                .send(Got {
                    signature,
                    delivery,
                    body,
                })
                .is_err()
            {
                return;
            }
        }
    });
    (address, got)
}

async fn next(got: Receiver<Got>) -> (Got, Receiver<Got>) {
    tokio::task::spawn_blocking(move || (got.recv_timeout(WAIT_MAX).expect("a call"), got))
        .await
        .expect("it ends")
}

async fn like(server: &Server, item: &str) {
    let events = json!([
        {"event_id": format!("l-{item}"), "user_id": "u", "item_id": item, "type": "like"},
        {"event_id": format!("v-{item}"), "user_id": "u", "item_id": item, "type": "view"},
    ]);
    let reply = server.send(Method::POST, "/v1/events", &events).await;
    assert_eq!(reply["accepted"], 2, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_signed_and_retried_and_go_on_after_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let (address, got) = receiver(vec![503]);
    let webhooks = json!([{"url": format!("http://{address}/hook"), "kinds": ["like"], "secret": "Jefe"}]).to_string();
    let settings = [("WEBHOOKS", webhooks.as_str())];
    let mut server = Server::start_in(dir.path(), &settings).await;
    let items: Vec<Value> = ["a", "b", "c"].iter().map(|id| json!({"id": id})).collect();
    server.send(Method::POST, "/v1/items", &json!(items)).await;
    like(&server, "a").await;
    let (first, got) = next(got).await;
    assert_eq!(first.items(), ["a"], "only what was asked for");
    assert!(first.signature.starts_with("sha256=") && first.signature.len() == 7 + 64);
    let (again, got) = next(got).await;
    assert_eq!(
        (again.items(), &again.delivery, &again.signature),
        (vec!["a".to_owned()], &first.delivery, &first.signature)
    );
    server.kill().await;
    let server = Server::start_in(dir.path(), &settings).await;
    like(&server, "b").await;
    // The kill may have come before the cursor was written: then the last delivery comes once more, and never is one lost.
    let mut got = got;
    loop {
        let (call, rest) = next(got).await;
        got = rest;
        if call.items().contains(&"b".to_owned()) {
            break;
        }
        assert_eq!(call.items(), ["a"]);
    }
    like(&server, "c").await;
    let (last, _got) = next(got).await;
    assert_eq!(last.items(), ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refuses_for_good_is_passed_over() {
    let (address, got) = receiver(vec![400; 2]);
    let webhooks = json!([{"url": format!("http://{address}")}]).to_string();
    let server = Server::start_with(&[("WEBHOOKS", webhooks.as_str())]).await;
    server.send(Method::POST, "/v1/items", &json!([{"id": "a"}])).await;
    like(&server, "a").await;
    let (first, got) = next(got).await;
    assert_eq!(first.items(), ["a", "a"], "all kinds");
    assert_eq!(first.signature, "", "nothing to sign with");
    let (_, got) = next(got).await;
    let (third, _got) = next(got).await;
    assert_eq!(third.delivery, first.delivery);
}

#[test]
fn impossible_webhooks_are_errors_that_name_them() {
    for (webhooks, named) in [
        (r#"[{"url": "https://x/"}]"#, "webhooks[0].url"),
        (r#"[{"url": "http://x/", "kinds": ["love"]}]"#, "webhooks[0].kinds"),
        (r#"[{"url": "http://x/", "colour": 1}]"#, "colour"),
        ("nonsense", "webhooks"),
    ] {
        let output = crate::harness::swipeline()
            .args(["config", "check"])
            .env("SWIPELINE__WEBHOOKS", webhooks)
            .output()
            .expect("the binary runs");
        let said = crate::harness::stderr_of(&output);
        assert!(!output.status.success() && said.contains(named), "{webhooks}: {said}");
    }
}
