//! Bad input over REST: every kind has its status and a clear problem document, and the server lives on.

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::{Server, problem};

async fn post(server: &Server, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let call = server.call(Method::POST, path).header("accept", "application/json");
    call.header("content-type", content_type)
        .body(body)
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_400() {
    let server = Server::start().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_object = format!("{}1{}", "{\"attributes\":".repeat(100_000), "}".repeat(100_000));
    for body in [
        "",
        "{",
        "[{\"id\":",
        "nonsense",
        "{\"id\":\"a\"}",
        "[1e999999]x",
        deep.as_str(),
        deep_object.as_str(),
    ] {
        problem(
            post(&server, "/v1/items", "application/json", body.to_owned()).await,
            400,
        )
        .await;
        problem(
            post(&server, "/v1/events", "application/json", body.to_owned()).await,
            400,
        )
        .await;
    }
    let put = |body: &str| {
        let call = server
            .call(Method::PUT, "/v1/items/a")
            .header("content-type", "application/json");
        call.body(body.to_owned()).send()
    };
    for body in [
        "",
        "[]",
        "{\"title\": 5}",
        "{\"tags\": \"x\"}",
        "{\"embedding\": [1e39]}",
        "{\"embedding\": [null]}",
    ] {
        problem(put(body).await.expect("an answer"), 400).await;
    }
    for bytes in [
        vec![],
        vec![0x91; 300_000],
        vec![0xdd, 255, 255, 255, 255],
        vec![0xdb, 255, 255, 255, 255],
        vec![0xc1],
    ] {
        problem(
            post(&server, "/v1/items", "application/msgpack", bytes.clone()).await,
            400,
        )
        .await;
        problem(post(&server, "/v1/events", "application/msgpack", bytes).await, 400).await;
    }
    assert_eq!(server.get("/livez").await["status"], "ok");
}

#[derive(Serialize)]
struct Embedded {
    id: &'static str,
    embedding: Vec<f64>,
}

#[tokio::test]
async fn numbers_that_are_not_finite_are_refused() {
    let server = Server::start().await;
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let one = rmp_serde::to_vec_named(&Embedded {
            id: "a",
            embedding: vec![1.0, bad],
        })
        .expect("MessagePack");
        let call = server
            .call(Method::PUT, "/v1/items/a")
            .header("content-type", "application/msgpack")
            .body(one);
        let answer = call
            .header("accept", "application/json")
            .send()
            .await
            .expect("an answer");
        let refused = problem(answer, 400).await;
        assert_eq!(refused["errors"][0]["field"], "embedding[1]");
        let good = Embedded {
            id: "good",
            embedding: vec![1.0, 0.5],
        };
        let list = [
            Embedded {
                id: "a",
                embedding: vec![bad, 1.0],
            },
            good,
        ];
        let list = rmp_serde::to_vec_named(&list).expect("MessagePack");
        let answer = post(&server, "/v1/items", "application/msgpack", list).await;
        let reply: Value = answer.json().await.expect("JSON");
        assert_eq!(reply["upserted"], 1);
        assert_eq!(reply["rejected"][0]["code"], "not_finite");
    }
}

#[tokio::test]
async fn rules_that_are_broken_are_422_and_name_the_field() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 3).await;
    let (long, control) = ("x".repeat(257), "a%01b");
    for path in [format!("/v1/items/{long}"), format!("/v1/items/{control}")] {
        let refused = problem(
            server
                .call(Method::PUT, &path)
                .json(&json!({}))
                .send()
                .await
                .expect("an answer"),
            422,
        )
        .await;
        assert_eq!(refused["errors"][0]["field"], "id");
    }
    for (body, field) in [
        (json!({"id": "other"}), "id"),
        (json!({"tags": [long]}), "tags[0]"),
        (json!({"categories": vec!["c"; 17]}), "categories"),
        (json!({"duration_ms": -1}), "duration_ms"),
        (json!({"created_at": -1}), "created_at"),
        (json!({"embedding": []}), "embedding"),
        (json!({"embedding": [0.0, 0.0]}), "embedding"),
        (json!({"title": "t".repeat(5_000)}), "title"),
        (json!({"attributes": {"a\u{1}": 1}}), "attributes.a\u{1}"),
    ] {
        let answer = server
            .call(Method::PUT, "/v1/items/v")
            .json(&body)
            .send()
            .await
            .expect("an answer");
        let refused = problem(answer, 422).await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    for (body, field) in [
        (json!({"user_id": "", "item_ids": ["pets1"]}), "user_id"),
        (json!({"user_id": "u", "item_ids": []}), "item_ids"),
        (json!({"user_id": "u", "item_ids": ["pets1", ""]}), "item_ids[1]"),
        (json!({"user_id": "u", "item_ids": ["pets1"], "n": 0}), "n"),
        (json!({"user_id": "u", "item_ids": ["pets1"], "n": 501}), "n"),
    ] {
        let refused = problem(
            server
                .call(Method::POST, "/v1/rank")
                .json(&body)
                .send()
                .await
                .expect("an answer"),
            422,
        )
        .await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
}

#[tokio::test]
async fn an_embedding_of_another_dimension_is_refused() {
    let server = Server::start().await;
    server
        .send(Method::PUT, "/v1/items/a", &json!({"embedding": [1.0, 0.0, 0.5]}))
        .await;
    let call = server
        .call(Method::PUT, "/v1/items/b")
        .json(&json!({"embedding": [1.0, 0.0]}));
    let refused = problem(call.send().await.expect("an answer"), 422).await;
    assert_eq!(refused["errors"][0]["field"], "embedding");
    let list = json!([{"id": "c", "embedding": [1.0]}, {"id": "d", "embedding": [0.0, 1.0, 0.0]}]);
    let reply = server.send(Method::POST, "/v1/items", &list).await;
    assert_eq!(
        (&reply["upserted"], &reply["rejected"][0]["index"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn parameters_of_the_query_are_checked() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 3).await;
    for (path, field) in [
        ("/v1/users/u/feed?n=0", "n"),
        ("/v1/users/u/feed?n=501", "n"),
        ("/v1/users/u/feed?n=x", "n"),
        ("/v1/users/u/feed?n=-1", "n"),
        ("/v1/users/u/feed?explain=perhaps", "explain"),
        ("/v1/users/u/feed?impressions=sometimes", "impressions"),
        ("/v1/users/u/feed?region=a%00", "region"),
        ("/v1/items/pets1/similar?n=0", "n"),
        ("/v1/popular?window=8d", "window"),
        ("/v1/popular?n=501", "n"),
        ("/v1/latest?n=0", "n"),
        ("/v1/stats?window=2y", "window"),
        ("/v1/stats?group_by=mood", "group_by"),
        ("/v1/stats?window=30d&interval=1h", "interval"),
    ] {
        let refused = problem(server.call(Method::GET, path).send().await.expect("an answer"), 422).await;
        assert_eq!(refused["errors"][0]["field"], field, "{path}: {refused}");
    }
}

#[tokio::test]
async fn paths_methods_media_types_and_sizes_have_their_status() {
    let server = Server::start().await;
    for path in [
        "/nothing",
        "/v1",
        "/v1/items/",
        "/v2/items",
        "/assets/none.js",
        "/assets/../Cargo.toml",
    ] {
        problem(server.call(Method::GET, path).send().await.expect("an answer"), 404).await;
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/events", "POST"),
        (Method::DELETE, "/v1/items", "POST"),
        (Method::POST, "/v1/items/a", "PUT"),
        (Method::POST, "/v1/users/a", "DELETE"),
        (Method::POST, "/livez", "GET"),
    ] {
        let answer = server.call(method, path).send().await.expect("an answer");
        let allow = answer.headers()["allow"].to_str().expect("text").to_owned();
        assert!(allow.contains(allowed), "{path}: {allow}");
        problem(answer, 405).await;
    }
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        problem(post(&server, "/v1/items", content_type, "[]").await, 415).await;
        problem(post(&server, "/v1/rank", content_type, "{}").await, 415).await;
    }
    problem(post(&server, "/v1/rank", "application/x-ndjson", "{}").await, 415).await;
    let encoded = server
        .call(Method::POST, "/v1/items")
        .header("content-encoding", "br")
        .body("[]");
    problem(encoded.send().await.expect("an answer"), 415).await;
    // A page of another site could send this without being asked by the browser whether it may.
    let without = server.call(Method::POST, "/v1/items").body("[]");
    problem(without.send().await.expect("an answer"), 415).await;
    let large = format!("[{{\"id\":\"a\",\"title\":\"{}\"}}]", "x".repeat(9 * 1024 * 1024));
    problem(post(&server, "/v1/items", "application/json", large.clone()).await, 413).await;
    problem(post(&server, "/v1/events", "application/msgpack", large).await, 413).await;
}

#[tokio::test]
async fn too_many_elements_are_refused_as_a_whole() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 1).await;
    let event = json!({"user_id": "u", "item_id": "pets0", "type": "view"});
    let many = Value::Array(vec![event.clone(); 10_001]);
    problem(
        server
            .call(Method::POST, "/v1/events")
            .json(&many)
            .send()
            .await
            .expect("an answer"),
        422,
    )
    .await;
    let numbers = format!("[{}1]", "1,".repeat(4_000_000));
    problem(
        post(&server, "/v1/events", "application/json", numbers.clone()).await,
        422,
    )
    .await;
    problem(post(&server, "/v1/items", "application/json", numbers).await, 422).await;
    let lines = "{\"id\":\"a\"}\n".repeat(50_001);
    problem(post(&server, "/v1/items", "application/x-ndjson", lines).await, 422).await;
    problem(
        server.call(Method::GET, "/v1/users/u").send().await.expect("an answer"),
        404,
    )
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_harms_nobody() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    for head in [
        "POST /v1/items HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n[{",
        "POST /v1/items HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n[",
        "POST /v1/items HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -5\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
    ] {
        let mut stream = tokio::net::TcpStream::connect(&server.public)
            .await
            .expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("written");
        drop(stream);
        assert_eq!(server.get("/livez").await["status"], "ok");
    }
}
