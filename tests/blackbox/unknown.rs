//! What nobody reads is named, or told when the caller is lenient.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, problem};

#[tokio::test]
async fn unknown_parameters_are_refused_by_name() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 3).await;
    for (method, path, field, meant) in [
        (
            Method::GET,
            "/v1/users/u/feed?categories=pets",
            "categories",
            Some("category"),
        ),
        (Method::POST, "/v1/users/u/feed?after=x", "after", None),
        (Method::GET, "/v1/popular?windw=1h", "windw", Some("window")),
        (Method::GET, "/v1/items/pets1?whatever=1", "whatever", None),
        (Method::GET, "/v1/stats?groupby=channel", "groupby", Some("group_by")),
    ] {
        let answer = server.call(method, path).send().await.expect("an answer");
        let refused = problem(answer, 400).await;
        let error = &refused["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!("unknown_parameter")),
            "{refused}"
        );
        let detail = error["detail"].as_str().expect("a text");
        assert_eq!(detail.contains("did you mean"), meant.is_some(), "{detail}");
        assert!(meant.is_none_or(|meant| detail.contains(meant)), "{detail}");
    }
    let admin = server
        .admin_call(Method::GET, "/v1/admin/params?x=1")
        .send()
        .await
        .expect("an answer");
    problem(admin, 400).await;
    // Whoever asks for health adds what keeps caches away.
    assert_eq!(
        server
            .call(Method::GET, "/livez?t=1")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    let lenient = server.get("/v1/users/u/feed?n=2&no_such_parameter=1&lenient=1").await;
    assert_eq!(lenient["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(lenient["warnings"][0]["field"], "no_such_parameter");
    assert!(
        server
            .get("/v1/users/u/feed?n=2&lenient=1")
            .await
            .get("warnings")
            .is_none()
    );
}

#[tokio::test]
async fn unknown_fields_are_refused_by_name_and_nothing_of_a_list_is_taken() {
    let server = Server::start().await;
    for (method, path, body, field) in [
        (
            Method::PUT,
            "/v1/items/a",
            json!({"title": "A", "embeding": [1.0]}),
            "embeding",
        ),
        (Method::PUT, "/v1/users/a", json!({"folows": []}), "folows"),
        (Method::POST, "/v1/users/a/feed", json!({"count": 5}), "count"),
        (
            Method::POST,
            "/v1/rank",
            json!({"user_id": "a", "item_ids": ["x"], "limit": 5}),
            "limit",
        ),
    ] {
        let answer = server.call(method, path).json(&body).send().await.expect("an answer");
        let refused = problem(answer, 400).await;
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        assert_eq!(refused["errors"][0]["code"], "unknown_field", "{refused}");
    }
    let items = json!([{"id": "a"}, {"id": "b", "embeding": [1.0], "colour": "red"}]);
    let answer = server
        .call(Method::POST, "/v1/items")
        .json(&items)
        .send()
        .await
        .expect("an answer");
    let refused = problem(answer, 400).await;
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(2), "{refused}");
    assert_eq!(
        (&refused["errors"][0]["index"], &refused["errors"][0]["field"]),
        (&json!(1), &json!("colour")),
        "in the order of the body, which has its keys sorted"
    );
    problem(
        server.call(Method::GET, "/v1/items/a").send().await.expect("an answer"),
        404,
    )
    .await;

    let reply = server.send(Method::POST, "/v1/items?lenient=1", &items).await;
    assert_eq!(
        (&reply["upserted"], reply["warnings"].as_array().map(Vec::len)),
        (&json!(2), Some(2))
    );
    let packed = rmp_serde::to_vec_named(&json!({"title": "A", "embeding": 1})).expect("MessagePack");
    let call = server
        .call(Method::PUT, "/v1/items/c")
        .header("content-type", "application/msgpack");
    let answer = call
        .header("accept", "application/json")
        .body(packed)
        .send()
        .await
        .expect("an answer");
    problem(answer, 400).await;
    let events = json!([{"user_id": "u", "item_id": "a", "type": "like", "context": {"anything": 1}}]);
    assert_eq!(server.send(Method::POST, "/v1/events", &events).await["accepted"], 1);
}
