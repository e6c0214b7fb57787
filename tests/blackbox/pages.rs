//! Pages, headers and the description of the API.

use reqwest::Method;
use serde_json::Value;

use crate::harness::Server;

#[tokio::test]
async fn pages_come_with_a_strict_policy_and_load_from_here_only() {
    let server = Server::start().await;
    let docs = server.call(Method::GET, "/docs").send().await.expect("an answer");
    assert_eq!(docs.status(), 200);
    let policy = docs.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(docs.headers()["x-content-type-options"], "nosniff");
    assert!(
        docs.headers()["content-type"]
            .to_str()
            .expect("text")
            .starts_with("text/html")
    );
    let page = docs.text().await.expect("text");
    for part in page
        .split(['"', '\''])
        .filter(|part| part.starts_with("/assets/") || *part == "/favicon.ico")
    {
        let asset = server.call(Method::GET, part).send().await.expect("an answer");
        assert_eq!(asset.status(), 200, "{part}");
    }
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http"),
        "the page loads from elsewhere"
    );
    let icon = server
        .call(Method::GET, "/favicon.ico")
        .send()
        .await
        .expect("an answer");
    assert_eq!(icon.headers()["content-type"], "image/svg+xml");
    let tag = icon.headers()["etag"].clone();
    let again = server
        .call(Method::GET, "/favicon.ico")
        .header("if-none-match", tag)
        .send()
        .await
        .expect("an answer");
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn the_description_is_openapi_31_and_every_get_in_it_answers() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await;
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"));
    let paths = document["paths"].as_object().expect("paths");
    for path in [
        "/v1/items/{id}",
        "/v1/items",
        "/v1/users/{id}",
        "/v1/events",
        "/v1/users/{id}/feed",
        "/v1/rank",
        "/v1/items/{id}/similar",
        "/v1/popular",
        "/v1/latest",
        "/v1/stats",
        "/v1/stream",
        "/livez",
        "/readyz",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    for (path, methods) in paths {
        if methods.get("get").is_none() {
            continue;
        }
        let answer = server
            .call(Method::GET, &path.replace("{id}", "x"))
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        let described = &methods["get"]["responses"];
        assert!(
            described.get(status.to_string()).is_some(),
            "{path} answered {status}, described: {described}"
        );
    }
    let admin = server
        .admin_call(Method::GET, "/openapi.json")
        .send()
        .await
        .expect("an answer");
    let admin: Value = admin.json().await.expect("JSON");
    assert!(admin["paths"].get("/v1/admin/params").is_some());
}

#[tokio::test]
async fn the_root_names_the_documentation_and_head_works() {
    let server = Server::start().await;
    assert_eq!(server.get("/").await["docs"], "/docs");
    let head = server.call(Method::HEAD, "/livez").send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(head.text().await.expect("a body"), "");
    let problem = server.call(Method::GET, "/nothing").send().await.expect("an answer");
    assert_eq!(problem.headers()["x-content-type-options"], "nosniff");
    assert_eq!(problem.headers()["cache-control"], "no-store");
}
