//! What clients really look like: JavaScript's numbers, Windows' texts, maps with nulls, lists in parts, times with
//! fractions.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Server, item_ids, problem};
use crate::socket::{Handshake, MSGPACK, Socket};

async fn post(server: &Server, path: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Value {
    let call = server
        .call(Method::POST, path)
        .header("content-type", media_type)
        .body(body);
    let answer = call.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn a_list_in_the_query_may_come_in_parts_and_with_spaces() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 30).await;
    let ids = async |query: &str| server.feed_ids("u", &format!("n=5&impressions=explicit{query}")).await;
    let all = ids("").await;
    let (a, b, c) = (&all[0], &all[1], &all[2]);
    for query in [
        format!("&exclude={a}&exclude={b}&exclude={c}"),
        format!("&exclude={a},%20{b},+{c}"),
        format!("&exclude={a},{b}&exclude=%20{c}%20"),
    ] {
        let left = ids(&query).await;
        assert!(left.iter().all(|id| ![a, b, c].contains(&id)), "{query}: {left:?}");
    }
    let answer = server
        .call(Method::GET, "/v1/users/u/feed?n=3&n=4")
        .send()
        .await
        .expect("an answer");
    assert_eq!(problem(answer, 422).await["errors"][0]["field"], "n");
}

#[tokio::test]
async fn a_null_is_an_absent_field_also_in_maps_and_lists() {
    let server = Server::start().await;
    let item = json!({"title": "t", "tags": ["a", null], "attributes": {"price": null, "plan": "x"}});
    let kept = server.send(Method::PUT, "/v1/items/a", &item).await;
    assert_eq!(
        (&kept["attributes"], &kept["tags"]),
        (&json!({"plan": "x"}), &json!(["a"]))
    );
    server
        .send(Method::PUT, "/v1/users/u", &json!({"attributes": {"age": null}}))
        .await;
    let event = json!([{"user_id": "u", "item_id": "a", "type": "view", "context": {"screen": null, "x": 1}}]);
    assert_eq!(server.send(Method::POST, "/v1/events", &event).await["accepted"], 1);
    // What is wrong is named by its path.
    let bad = json!({"attributes": {"price": [5]}});
    let answer = server
        .call(Method::PUT, "/v1/items/a")
        .json(&bad)
        .send()
        .await
        .expect("an answer");
    assert_eq!(problem(answer, 400).await["errors"][0]["field"], "attributes.price");
}

#[tokio::test]
async fn ids_in_paths_are_utf8() {
    let server = Server::start().await;
    for path in [
        "/v1/items/%FF",
        "/v1/items/%FE",
        "/v1/users/%C3%28/feed",
        "/v1/items/a%80",
    ] {
        let answer = server.call(Method::GET, path).send().await.expect("an answer");
        assert_eq!(problem(answer, 400).await["errors"][0]["code"], "not_utf8", "{path}");
    }
    let put = server
        .call(Method::PUT, "/v1/items/%FF")
        .json(&json!({"title": "first"}));
    problem(put.send().await.expect("an answer"), 400).await;
    let query = server
        .call(Method::GET, "/v1/users/u/feed?exclude=%FF")
        .send()
        .await
        .expect("an answer");
    problem(query, 400).await;
    let good = server
        .send(Method::PUT, "/v1/items/%C3%A9%2F%25", &json!({"title": "t"}))
        .await;
    assert_eq!(good["id"], "é/%");
}

#[tokio::test]
async fn numbers_of_javascript_are_numbers() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let events = json!([
        {"user_id": "u", "item_id": "pets1", "type": "view", "watch_ms": 1234.5, "at": 1.7e12, "position": 2.0},
        {"user_id": "u", "item_id": "pets2", "type": "view", "position": 2.5}]);
    let reply = server.send(Method::POST, "/v1/events", &events).await;
    assert_eq!(reply["accepted"], 1, "{reply}");
    let detail = reply["rejected"][0]["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("position: "), "{detail}");
    // MessagePack as JavaScript libraries write it: every large number is a float.
    let (mut socket, _) = Handshake::new(&server, "user_id=v").offer(MSGPACK).open().await;
    socket.until("feed").await;
    let like = json!({"type": "event", "id": 7.0, "event": "like", "item_id": "pets3", "at": 1_790_000_000_000.0, "watch_ms": 99.9});
    socket.send(&like).await;
    let ack = socket.until("ack").await;
    assert_eq!((&ack["id"], &ack["accepted"]), (&json!(7), &json!(1)));
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_a_body() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let line = |item: &str| format!("{{\"user_id\":\"u\",\"item_id\":\"{item}\",\"type\":\"view\"}}");
    let lines = format!("\u{feff}{}\r\n{}\r\n", line("pets1"), line("pets2"));
    let list = format!("\u{feff}[{}]", line("pets3"));
    assert_eq!(
        post(&server, "/v1/events", "application/x-ndjson", lines).await["accepted"],
        2
    );
    assert_eq!(
        post(&server, "/v1/events", "application/json", list).await["accepted"],
        1
    );
}

#[tokio::test]
async fn one_bad_event_does_not_take_a_message_along() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    let message = json!({"type": "event", "id": "m", "events": [
        {"type": "like", "item_id": "pets1"},
        {"type": "view", "item_id": "pets2", "watch_ms": "long"},
        {"type": "like"},
        {"type": "nonsense", "item_id": "pets2"},
        {"type": "like", "item_id": "pets3"}]});
    let packed = Handshake::new(&server, "user_id=v").offer(MSGPACK).open().await.0;
    for (mut socket, user) in [(Socket::of(&server, "u").await, "u"), (packed, "v")] {
        socket.send(&message).await;
        let ack = socket.until("ack").await;
        assert_eq!((&ack["id"], &ack["accepted"]), (&json!("m"), &json!(2)), "{ack}");
        let rejected = ack["rejected"].as_array().expect("a list");
        let indexes: Vec<_> = rejected.iter().map(|rejection| rejection["index"].clone()).collect();
        assert_eq!(indexes, [1, 2, 3]);
        assert!(
            rejected[0]["detail"]
                .as_str()
                .is_some_and(|detail| detail.starts_with("watch_ms")),
            "{ack}"
        );
        assert_eq!(server.get(&format!("/v1/users/{user}")).await["counts"]["like"], 2);
    }
    let mut socket = Socket::of(&server, "w").await;
    socket
        .send_raw(Message::text("{\"type\":\"event\",\"id\":5,\"events\":7}"))
        .await;
    let error = socket.until("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!(5), &json!("malformed")));
    assert!(
        error["message"].as_str().is_some_and(|text| text.starts_with("events")),
        "{error}"
    );
}

#[tokio::test]
async fn a_put_replaces_the_follows_that_it_names_and_keeps_what_it_does_not_know() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let put = async |body: Value| server.send(Method::PUT, "/v1/users/f", &body).await["follows"].clone();
    assert_eq!(
        put(json!({"follows": ["pets-author1", "pets-author2"]})).await,
        json!(["pets-author1", "pets-author2"])
    );
    assert_eq!(put(json!({"follows": ["pets-author2"]})).await, json!(["pets-author2"]));
    assert_eq!(server.get("/v1/users/f").await["follows"], json!(["pets-author2"]));
    let follow = json!([{"user_id": "f", "item_id": "pets3", "type": "follow"}]);
    server.send(Method::POST, "/v1/events", &follow).await;
    let mut kept = put(json!({"region": "se"})).await;
    let kept = kept.as_array_mut().expect("a list");
    kept.sort_by_key(|name| name.to_string());
    assert_eq!(*kept, [json!("pets-author2"), json!("pets-author3")]);
    assert_eq!(put(json!({"follows": []})).await, json!([]));
    assert!(server.get("/v1/users/f").await.get("follows").is_none());
}

#[tokio::test]
async fn an_item_that_is_put_again_is_as_old_as_it_was() {
    let server = Server::start().await;
    let then = 1_600_000_000_000_i64;
    server
        .send(
            Method::POST,
            "/v1/items",
            &json!([{"id": "a", "created_at": then}, {"id": "b", "created_at": then}]),
        )
        .await;
    let put = server
        .send(Method::PUT, "/v1/items/a", &json!({"title": "corrected"}))
        .await;
    assert_eq!(put["created_at"], then);
    server
        .send(
            Method::POST,
            "/v1/items",
            &json!([{"id": "b", "title": "corrected"}, {"id": "new"}]),
        )
        .await;
    assert_eq!(server.get("/v1/items/b").await["created_at"], then);
    assert_eq!(item_ids(&server.get("/v1/latest?n=3").await)[0], "new");
    let moved = server
        .send(Method::PUT, "/v1/items/a", &json!({"created_at": then + 1}))
        .await;
    assert_eq!(moved["created_at"], then + 1);
}

#[tokio::test]
async fn encoded_bodies_are_taken_and_answers_encoded() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 200).await;
    let events = json!([{"user_id": "u", "item_id": "pets1", "type": "like"}]).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(events.as_bytes()).expect("encoded");
    let encoded = [
        ("gzip", gzip.finish().expect("encoded")),
        ("zstd", zstd::bulk::compress(events.as_bytes(), 3).expect("encoded")),
    ];
    for (encoding, body) in encoded {
        let call = server
            .call(Method::POST, "/v1/events")
            .header("content-type", "application/json");
        let answer = call
            .header("content-encoding", encoding)
            .body(body)
            .send()
            .await
            .expect("an answer");
        let reply: Value = answer.json().await.expect("JSON");
        assert_eq!(reply["accepted"], 1, "{encoding}");
        let call = server
            .call(Method::GET, "/v1/latest?n=200")
            .header("accept-encoding", encoding);
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.headers()["content-encoding"], encoding);
        let bytes = answer.bytes().await.expect("a body");
        let plain = match encoding {
            "gzip" => {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).expect("gzip");
                plain
            }
            _ => zstd::stream::decode_all(&bytes[..]).expect("zstd"),
        };
        let document: Value = serde_json::from_slice(&plain).expect("JSON");
        assert_eq!(item_ids(&document).len(), 200);
        assert!(bytes.len() * 2 < plain.len());
    }
    let small = server
        .call(Method::GET, "/livez")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .expect("an answer");
    assert!(!small.headers().contains_key("content-encoding"));
    let bomb = zstd::bulk::compress(&vec![b' '; 100_000_000], 3).expect("encoded");
    assert!(bomb.len() < 100_000);
    let call = server
        .call(Method::POST, "/v1/events")
        .header("content-type", "application/json");
    problem(
        call.header("content-encoding", "zstd")
            .body(bomb)
            .send()
            .await
            .expect("an answer"),
        413,
    )
    .await;
}

#[tokio::test]
async fn every_reply_has_the_name_of_its_call() {
    let server = Server::start().await;
    let named = |path: &str, name: &str| server.call(Method::GET, path).header("x-request-id", name).send();
    for path in ["/v1/latest", "/livez", "/nothing", "/v1/latest?n=0", "/docs"] {
        let answer = named(path, "trace-1.2:3").await.expect("an answer");
        assert_eq!(answer.headers()["x-request-id"], "trace-1.2:3", "{path}");
        let answer = server.call(Method::GET, path).send().await.expect("an answer");
        assert!(answer.headers()["x-request-id"].len() >= 16, "{path}");
    }
    let answer = named("/v1/latest", "not sane").await.expect("an answer");
    assert_ne!(answer.headers()["x-request-id"], "not sane");
    let admin = server
        .admin_call(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    assert!(admin.headers().contains_key("x-request-id"));
}
