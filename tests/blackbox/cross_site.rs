//! What pages of other sites can make a browser send, and what they can not.

use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::harness::{Server, problem, run, stderr_of, swipeline};
use crate::socket::Handshake;

async fn answer(call: RequestBuilder) -> Response {
    call.send().await.expect("an answer")
}

fn from_evil(call: RequestBuilder) -> RequestBuilder {
    call.header("origin", "https://evil.example")
        .header("sec-fetch-site", "cross-site")
}

const LIKE: &str = r#"[{"user_id":"victim","item_id":"pets1","type":"like"}]"#;

#[tokio::test]
async fn a_page_of_another_site_can_do_nothing_without_keys() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 10).await;
    for media_type in ["application/json", "text/plain", ""] {
        let mut call = from_evil(server.call(Method::POST, "/v1/events")).body(LIKE);
        if !media_type.is_empty() {
            call = call.header("content-type", media_type);
        }
        problem(answer(call).await, 403).await;
    }
    problem(
        answer(from_evil(server.call(Method::GET, "/v1/users/victim/feed"))).await,
        403,
    )
    .await;
    // An <img> names no origin.
    let image = server
        .call(Method::GET, "/v1/users/victim/feed")
        .header("sec-fetch-site", "cross-site");
    problem(answer(image).await, 403).await;
    for path in ["/v1/admin/checkpoint", "/v1/admin/params/rollback"] {
        problem(answer(from_evil(server.admin_call(Method::POST, path))).await, 403).await;
        let local = server
            .admin_call(Method::POST, path)
            .header("origin", "http://localhost:3000");
        problem(answer(local).await, 403).await;
    }
    problem(
        answer(from_evil(server.admin_call(Method::GET, "/v1/admin/params"))).await,
        403,
    )
    .await;
    // Nothing of it counted.
    assert_eq!(answer(server.call(Method::GET, "/v1/users/victim")).await.status(), 404);
    // The server's own pages and those of this machine may call.
    let own = format!("http://{}", server.public);
    for origin in [own.as_str(), "http://localhost:3000"] {
        let call = server.call(Method::GET, "/v1/latest").header("origin", origin);
        assert_eq!(answer(call).await.status(), 200, "{origin}");
    }
    let own = server
        .call(Method::GET, "/v1/latest")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(answer(own).await.status(), 200);
    // A link of another site to the pages is a link.
    let link = server.call(Method::GET, "/docs").header("sec-fetch-site", "cross-site");
    assert_eq!(answer(link).await.status(), 200);
}

#[tokio::test]
async fn a_server_without_keys_is_called_by_its_own_names_only() {
    let server = Server::start_with(&[("SERVER__HOSTS", "feed.example")]).await;
    for (call, path) in [
        (server.call(Method::GET, "/v1/latest"), "/v1/latest"),
        (server.call(Method::GET, "/docs"), "/docs"),
        (server.admin_call(Method::GET, "/v1/admin/params"), "/v1/admin/params"),
        (server.admin_call(Method::GET, "/metrics"), "/metrics"),
    ] {
        let refused = problem(answer(call.header("host", "evil.example:80")).await, 421).await;
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains("server.hosts"), "{path}: {detail}");
    }
    for host in ["feed.example", "feed.example:8080", "localhost", "127.0.0.1:1", "[::1]"] {
        let call = server.call(Method::GET, "/v1/latest").header("host", host);
        assert_eq!(answer(call).await.status(), 200, "{host}");
    }
    for path in ["/livez", "/readyz"] {
        let call = server.call(Method::GET, path).header("host", "evil.example");
        assert_eq!(answer(call).await.status(), 200, "{path}");
    }
    let refused = Handshake::new(&server, "user_id=u")
        .header("host", "evil.example")
        .refused()
        .await;
    assert_eq!(refused.0, 421);
    // With keys no page can do anything without one.
    let keyed = Server::start_with(&[("AUTH__API_KEYS", "key-one"), ("AUTH__ADMIN_KEYS", "operator")]).await;
    let call = keyed
        .call(Method::GET, "/v1/latest")
        .header("host", "app.example")
        .bearer_auth("key-one");
    assert_eq!(answer(call).await.status(), 200);
    let call = from_evil(keyed.call(Method::GET, "/v1/latest")).bearer_auth("key-one");
    let shared = answer(call).await;
    assert!(!shared.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_read() {
    const APP: &str = "https://app.example";
    let server = Server::start_with(&[("SERVER__ALLOWED_ORIGINS", APP)]).await;
    server.put_catalogue(&["pets"], 5).await;
    let preflight = |origin: &str| {
        let call = server.call(Method::OPTIONS, "/v1/events").header("origin", origin);
        let call = call.header("access-control-request-method", "POST");
        answer(call.header("access-control-request-headers", "content-type"))
    };
    let allowed = preflight(APP).await;
    assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
    let headers = allowed.headers();
    assert_eq!(headers["access-control-allow-origin"], APP);
    for (name, part) in [
        ("access-control-allow-methods", "PATCH"),
        ("access-control-allow-headers", "content-type"),
    ] {
        assert!(headers[name].to_str().expect("text").contains(part), "{name}");
    }
    problem(preflight("https://evil.example").await, 403).await;
    let call = server.call(Method::GET, "/v1/latest").header("origin", APP);
    let read = answer(call).await;
    assert_eq!(
        (read.status(), read.headers()["access-control-allow-origin"].clone()),
        (StatusCode::OK, APP.parse().expect("a header"))
    );
    let vary: Vec<_> = read
        .headers()
        .get_all("vary")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert!(vary.contains(&"origin"), "{vary:?}");
    // An error can be read as well.
    let bad = answer(server.call(Method::GET, "/v1/latest?n=0").header("origin", APP)).await;
    assert_eq!(
        (bad.status().as_u16(), &bad.headers()["access-control-allow-origin"]),
        (422, &APP.parse().expect("a header"))
    );
    // sendBeacon knows no other media type.
    let beacon = |origin: &str, body: &'static str| {
        let call = server
            .call(Method::POST, "/v1/events")
            .header("content-type", "text/plain;charset=UTF-8");
        answer(call.header("origin", origin).body(body))
    };
    for body in [LIKE, r#"{"user_id":"victim","item_id":"pets2","type":"like"}"#] {
        let taken: serde_json::Value = beacon(APP, body).await.json().await.expect("JSON");
        assert_eq!(taken["accepted"], 1, "{taken}");
    }
    problem(beacon("http://localhost:3000", LIKE).await, 415).await;
    problem(beacon("https://evil.example", LIKE).await, 403).await;
    // Sockets open for the same origins.
    let (mut socket, _) = Handshake::new(&server, "user_id=u").header("origin", APP).open().await;
    assert_eq!(socket.until("welcome").await["user_id"], "u");
}

#[tokio::test]
async fn a_public_address_without_keys_has_to_be_meant() {
    let serve = |args: &[&str], keys: &[(&str, &str)]| {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut command = swipeline();
        command
            .args(["serve", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(args);
        command.envs(keys.iter().copied());
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line or the end");
        if line.is_empty() {
            return Err(stderr_of(&child.wait_with_output().expect("its end")));
        }
        child.kill().expect("a process");
        child.wait().expect("its end");
        Ok(line)
    };
    let all = ["--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"];
    let refused = serve(&all, &[]).expect_err("open to everybody");
    for word in [
        "server.listen",
        "--insecure-open",
        "server.insecure_open",
        "auth.api_keys_file",
    ] {
        assert!(refused.contains(word), "{word} is missing in {refused}");
    }
    serve(&[&all[..], &["--insecure-open"]].concat(), &[]).expect("it was meant");
    serve(&all, &[("SWIPELINE__SERVER__INSECURE_OPEN", "true")]).expect("it was meant");
    serve(&all, &[("SWIPELINE__AUTH__API_KEYS", "key-one")]).expect("it has a key");
    let admin = ["--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"];
    let refused = serve(&admin, &[("SWIPELINE__AUTH__API_KEYS", "key-one")]).expect_err("open to everybody");
    assert!(
        refused.contains("server.admin_listen") && refused.contains("auth.admin_keys_file"),
        "{refused}"
    );
    assert_eq!(run(&["serve", "--help"]).status.code(), Some(0));
}
