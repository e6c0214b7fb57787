//! The door for gorse's clients, by its routes. gorse's own clients run against it in `tests/gorse-clients.sh`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

const KEY: &str = "zhenghaoz";

async fn start() -> Server {
    Server::start_with(&settings()).await
}

fn settings() -> [(&'static str, &'static str); 4] {
    [
        ("GORSE__ENABLED", "true"),
        ("GORSE__API_KEY", KEY),
        ("GORSE__POSITIVE_FEEDBACK_TYPES", "like,star>=4"),
        ("GORSE__NEGATIVE_FEEDBACK_TYPES", "star<3"),
    ]
}

/// Calls, and gives status and body.
async fn call(server: &Server, method: Method, path: &str, body: Option<Value>) -> (StatusCode, String) {
    let mut request = server.call(method, path).header("X-API-Key", KEY);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("a body"))
}

/// A call that is answered with JSON.
async fn ask(server: &Server, method: Method, path: &str, body: Option<Value>) -> Value {
    let (status, text) = call(server, method, path, body).await;
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error} in {text}"))
}

async fn get(server: &Server, path: &str) -> Value {
    ask(server, Method::GET, path, None).await
}

/// Ten items: even ones are drama, all are films, each a day newer than the last.
async fn put_items(server: &Server) {
    let items: Vec<Value> = (1..=10)
        .map(|number| {
            let categories = if number % 2 == 0 { json!(["film", "drama"]) } else { json!(["film"]) };
            json!({"ItemId": number.to_string(), "Categories": categories, "Timestamp": format!("2020-01-{number:02}T00:00:00Z"),
                "Labels": {"genre": ["g"]}, "Comment": format!("Film {number}")})
        })
        .collect();
    assert_eq!(
        ask(server, Method::POST, "/api/items", Some(json!(items))).await,
        json!({"RowAffected": 10})
    );
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|entry| entry["Id"].as_str().or_else(|| entry.as_str()).expect("an id"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_is_closed_unless_it_is_opened_and_asks_for_its_key() {
    let closed = Server::start().await;
    let (status, _) = call(&closed, Method::GET, "/api/users", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let server = start().await;
    for path in ["/api/users", "/api/nothing"] {
        let answer = server.call(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.text().await.expect("a body"), "unauthorized");
    }
    let answer = server
        .call(Method::GET, "/api/health/ready")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert!(answer.headers().contains_key("x-request-id"));
    let health: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&health["Ready"], &health["DataStoreError"]),
        (&json!(true), &Value::Null)
    );
    let (status, text) = call(&server, Method::GET, "/api/nothing", None).await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_FOUND, "404: Page Not Found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_items_come_back_as_they_were_given() {
    let server = start().await;
    let user = json!({"UserId": "1000", "Labels": {"gender": "M", "age": 24}, "Comment": "zhenghaoz"});
    assert_eq!(
        ask(&server, Method::POST, "/api/user", Some(user.clone())).await,
        json!({"RowAffected": 1})
    );
    assert_eq!(get(&server, "/api/user/1000").await, user);
    ask(
        &server,
        Method::PATCH,
        "/api/user/1000",
        Some(json!({"Comment": "x", "Labels": null})),
    )
    .await;
    assert_eq!(get(&server, "/api/user/1000").await["Comment"], "x");
    assert_eq!(get(&server, "/api/user/1000").await["Labels"], user["Labels"]);
    let more: Vec<Value> = ["1", "10", "2"].iter().map(|id| json!({"UserId": id})).collect();
    ask(&server, Method::POST, "/api/users", Some(json!(more))).await;
    let first = get(&server, "/api/users?n=3").await;
    let listed = |page: &Value| -> Vec<String> {
        let users = page["Users"].as_array().expect("users").iter();
        users
            .map(|user| user["UserId"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(listed(&first), ["1", "10", "1000"]);
    let cursor = first["Cursor"].as_str().expect("a cursor").replace('=', "%3D");
    let second = get(&server, &format!("/api/users?n=3&cursor={cursor}")).await;
    assert_eq!((listed(&second), &second["Cursor"]), (vec!["2".to_owned()], &json!("")));
    assert_eq!(
        ask(&server, Method::DELETE, "/api/user/1000", None).await,
        json!({"RowAffected": 1})
    );
    let (status, text) = call(&server, Method::GET, "/api/user/1000", None).await;
    assert_eq!((status, text.is_empty()), (StatusCode::NOT_FOUND, false));

    let item = json!({"ItemId": "a b/c", "IsHidden": true, "Labels": {"embedding": [0.1, 0.2]}, "Categories": ["Comedy", "Animation"],
        "Timestamp": "2026-01-31T12:00:00Z", "Comment": "Minions"});
    ask(&server, Method::POST, "/api/item", Some(item.clone())).await;
    assert_eq!(get(&server, "/api/item/a%20b%2Fc").await, item);
    ask(
        &server,
        Method::PATCH,
        "/api/item/a%20b%2Fc",
        Some(json!({"IsHidden": null, "Categories": null, "Comment": "小黄人"})),
    )
    .await;
    ask(&server, Method::PUT, "/api/item/a%20b%2Fc/category/New", None).await;
    ask(&server, Method::DELETE, "/api/item/a%20b%2Fc/category/Comedy", None).await;
    let patched = get(&server, "/api/item/a%20b%2Fc").await;
    assert_eq!(
        (&patched["Comment"], &patched["IsHidden"]),
        (&json!("小黄人"), &json!(true))
    );
    assert_eq!(patched["Categories"], json!(["Animation", "New"]));
    put_items(&server).await;
    let page = get(&server, "/api/items?n=3").await;
    let names: Vec<&Value> = page["Items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["ItemId"])
        .collect();
    assert_eq!(names, ["1", "10", "2"]);
    assert_eq!(get(&server, "/api/items?q=film%207").await["Items"][0]["ItemId"], "7");
    for (method, path, body) in [
        (Method::POST, "/api/item", json!({"ItemId": ""})),
        (Method::POST, "/api/item", json!({"ItemId": "x", "Timestamp": "soon"})),
        (Method::POST, "/api/user", json!({"UserId": "x", "Labels": [1, "a"]})),
        (Method::POST, "/api/items", json!({"ItemId": "x"})),
        (
            Method::POST,
            "/api/feedback",
            json!([{"FeedbackType": "", "UserId": "u", "ItemId": "1"}]),
        ),
    ] {
        let (status, text) = call(&server, method, path, Some(body)).await;
        assert_eq!((status, text.is_empty()), (StatusCode::BAD_REQUEST, false), "{path}");
    }
    let (status, _) = call(&server, Method::GET, "/api/items?n=many", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_adds_up_is_replaced_listed_and_taken_back_and_survives_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start_in(dir.path(), &settings()).await;
    put_items(&server).await;
    let feedback = |kind: &str, item: &str, value: f64, at: &str| json!({"FeedbackType": kind, "UserId": "u", "ItemId": item, "Value": value, "Timestamp": at});
    let list = json!([
        feedback("star", "1", 5.0, "2021-01-02T00:00:00Z"),
        feedback("read", "1", 1.0, "2021-01-01T00:00:00Z"),
        feedback("read", "new", 1.0, "2021-01-01T00:00:00Z"),
    ]);
    assert_eq!(
        ask(&server, Method::POST, "/api/feedback", Some(list)).await,
        json!({"RowAffected": 3})
    );
    assert_eq!(
        get(&server, "/api/item/new").await["ItemId"],
        "new",
        "the item was made"
    );
    ask(
        &server,
        Method::POST,
        "/api/feedback",
        Some(json!([feedback("read", "1", 2.0, "2020-01-01T00:00:00Z")])),
    )
    .await;
    let one = get(&server, "/api/feedback/read/u/1").await;
    assert_eq!(
        (&one["Value"], &one["Timestamp"]),
        (&json!(3.0), &json!("2020-01-01T00:00:00Z"))
    );
    ask(
        &server,
        Method::PUT,
        "/api/feedback",
        Some(json!([feedback("read", "1", 7.0, "2022-01-01T00:00:00Z")])),
    )
    .await;
    assert_eq!(get(&server, "/api/feedback/read/u/1").await["Value"], 7.0);
    assert_eq!(get(&server, "/api/feedback/none/u/1").await, json!({}));
    server.kill().await;

    let server = Server::start_in(dir.path(), &settings()).await;
    let count = async |path: &str| get(&server, path).await.as_array().expect("a list").len();
    assert_eq!(count("/api/user/u/feedback").await, 3);
    assert_eq!(count("/api/user/u/feedback/read").await, 2);
    assert_eq!(count("/api/user/u/feedback/star%3E=4").await, 1);
    assert_eq!(count("/api/user/u/feedback/star%3C4").await, 0);
    assert_eq!(count("/api/item/1/feedback/").await, 2);
    assert_eq!(count("/api/feedback/u/1").await, 2);
    let page = get(&server, "/api/feedback?n=2").await;
    assert_eq!(page["Feedback"].as_array().expect("a list").len(), 2);
    let cursor = page["Cursor"]
        .as_str()
        .expect("a cursor")
        .replace('=', "%3D")
        .replace('+', "%2B");
    let rest = get(&server, &format!("/api/feedback?n=2&cursor={cursor}")).await;
    assert_eq!(
        (rest["Feedback"].as_array().expect("a list").len(), &rest["Cursor"]),
        (1, &json!(""))
    );
    assert_eq!(
        get(&server, "/api/feedback/read?n=9").await["Feedback"]
            .as_array()
            .expect("a list")
            .len(),
        2
    );
    assert_eq!(
        ask(&server, Method::DELETE, "/api/feedback/star/u/1", None).await,
        json!({"RowAffected": 1})
    );
    assert_eq!(
        ask(&server, Method::DELETE, "/api/feedback/u/1", None).await,
        json!({"RowAffected": 1})
    );
    assert_eq!(count("/api/user/u/feedback").await, 1);
    // Whoever is forgotten over REST is forgotten here as well.
    let answer = server
        .call(Method::DELETE, "/v1/users/u")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(count("/api/user/u/feedback").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_leave_out_what_is_known_and_keep_to_all_categories() {
    let server = start().await;
    put_items(&server).await;
    let newest = get(&server, "/api/latest?n=3").await;
    assert_eq!(ids(&newest), ["10", "9", "8"]);
    assert_eq!(newest[0]["Score"], 1_578_614_400.0);
    assert_eq!(
        ids(&get(&server, "/api/latest/?n=2&offset=1&category=film&category=drama").await),
        ["8", "6"]
    );
    // Who is only registered is given the newest items.
    ask(&server, Method::POST, "/api/user", Some(json!({"UserId": "fresh"}))).await;
    assert_eq!(get(&server, "/api/recommend/fresh?n=3").await, json!(["10", "9", "8"]));
    let liked: Vec<Value> = ["1", "2", "3"]
        .iter()
        .flat_map(|item| ["u", "w"].map(|user| json!({"FeedbackType": "like", "UserId": user, "ItemId": item})))
        .collect();
    ask(&server, Method::POST, "/api/feedback", Some(json!(liked))).await;
    ask(
        &server,
        Method::POST,
        "/api/feedback",
        Some(json!([{"FeedbackType": "like", "UserId": "w", "ItemId": "4"}])),
    )
    .await;
    let recommended = get(&server, "/api/recommend/u/?n=20").await;
    let recommended = ids(&recommended);
    assert_eq!(recommended.len(), 7, "everything else: {recommended:?}");
    assert!(
        !recommended.iter().any(|id| ["1", "2", "3"].contains(id)),
        "{recommended:?}"
    );
    let drama = get(&server, "/api/recommend/u/drama?n=20").await;
    assert!(
        ids(&drama).iter().all(|id| ["4", "6", "8", "10"].contains(id)) && ids(&drama).len() == 4,
        "{drama}"
    );
    let request = server
        .call(Method::GET, "/api/recommend/u?n=2")
        .header("X-API-Key", KEY)
        .header("X-API-Version", "2");
    let scored: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert!(
        scored[0]["Score"].is_number() && scored.as_array().expect("a list").len() == 2,
        "{scored}"
    );
    let alike = get(&server, "/api/item/1/neighbors?n=2").await;
    assert!(ids(&alike).iter().all(|id| ["2", "3"].contains(id)), "{alike}");
    let alike = get(&server, "/api/item-to-item/any/1?n=5&user-id=u").await;
    assert!(ids(&alike).iter().all(|id| !["2", "3"].contains(id)), "{alike}");
    let neighbours = get(&server, "/api/user/u/neighbors?n=3").await;
    assert_eq!(ids(&neighbours), ["w"]);
    let session = json!([{"FeedbackType": "like", "UserId": "x", "ItemId": "1"}]);
    let list = ask(&server, Method::POST, "/api/session/recommend?n=2", Some(session)).await;
    assert!(!ids(&list).is_empty() && !ids(&list).contains(&"1"), "{list}");
    let (status, _) = call(&server, Method::GET, "/api/non-personalized/unknown", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(get(&server, "/api/non-personalized/popular").await.is_array());
    // What is written back counts as read.
    let written = get(&server, "/api/recommend/u?n=1&write-back-type=read").await;
    let written = ids(&written)[0].to_owned();
    let later = get(&server, "/api/recommend/u?n=20").await;
    assert!(!ids(&later).contains(&written.as_str()), "{written} in {later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_come_and_go_as_lines() {
    let server = start().await;
    put_items(&server).await;
    ask(
        &server,
        Method::POST,
        "/api/feedback",
        Some(json!([{"FeedbackType": "like", "UserId": "u", "ItemId": "1"}])),
    )
    .await;
    let second = start().await;
    for what in ["users", "items", "feedback"] {
        let (status, lines) = call(&server, Method::GET, &format!("/api/bulk/{what}"), None).await;
        assert_eq!(status, StatusCode::OK);
        let form = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{lines}\r\n--XX--\r\n"
        );
        let posted = second
            .call(Method::POST, &format!("/api/bulk/{what}"))
            .header("X-API-Key", KEY);
        let posted = posted
            .header("content-type", "multipart/form-data; boundary=XX")
            .body(form);
        let answer = posted.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{what}");
        let (_, again) = call(&second, Method::GET, &format!("/api/bulk/{what}"), None).await;
        assert_eq!(again, lines, "{what}");
    }
}
