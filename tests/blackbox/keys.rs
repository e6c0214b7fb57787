//! Keys while the server runs: read again on SIGHUP, guessed in vain.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;

use crate::harness::{Server, eventually, problem};
use crate::socket::{Handshake, JSON};

#[tokio::test]
async fn sighup_reads_the_keys_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let keys = dir.path().join("keys");
    let write = |text: &str| std::fs::write(&keys, text).expect("a file");
    write("key-one\n");
    let path = keys.to_str().expect("UTF-8");
    let server = Server::start_with(&[("AUTH__API_KEYS_FILE", path)]).await;
    let status = async |key: &str| {
        let call = server.call(Method::GET, "/v1/latest").bearer_auth(key);
        call.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!((status("key-one").await, status("key-two").await), (200, 401));
    write("key-two\n");
    server.signal("HUP");
    eventually("the new key is taken", async || {
        (status("key-two").await == 200).then_some(())
    })
    .await;
    assert_eq!(status("key-one").await, 401);
    // Whatever is wrong with the file: the server goes on with the keys that it has.
    std::fs::remove_file(&keys).expect("a file");
    server.signal("HUP");
    eventually("it says so", async || {
        server.errors().contains("auth.api_keys_file").then_some(())
    })
    .await;
    assert_eq!(status("key-two").await, 200);
    for _ in 0..20 {
        server.signal("HUP");
    }
    server.get("/livez").await;
}

#[tokio::test]
async fn who_guesses_admin_keys_is_heard_seldom() {
    let server = Server::start_with(&[("AUTH__ADMIN_KEYS", "operator")]).await;
    let status = async |key: &str| {
        let call = server.admin_call(Method::GET, "/v1/admin/params").bearer_auth(key);
        call.send().await.expect("an answer")
    };
    assert_eq!(status("operator").await.status(), 200);
    let mut refused = 0;
    for number in 0..30 {
        let answer = status(&format!("guess-{number}")).await;
        if answer.status() == 401 {
            refused += 1;
            continue;
        }
        problem(answer, 429).await;
    }
    assert!((10..15).contains(&refused), "{refused} of 30 guesses were heard");
    // The right key among guesses is not told from them; health and metrics are answered all the while.
    assert_eq!(status("operator").await.status(), 429);
    for path in ["/livez", "/readyz", "/metrics"] {
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
    eventually("the operator is heard again", async || {
        (status("operator").await.status() == 200).then_some(())
    })
    .await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn signed(critical: Option<&str>, claims: &str) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = critical.map(|name| vec![name.to_owned()]);
    let claims: serde_json::Value = serde_json::from_str(claims).expect("JSON");
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("a token")
}

#[tokio::test]
async fn tokens_as_other_issuers_write_them() {
    let server = Server::start_with(&[("AUTH__JWT_SECRET", SECRET)]).await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let status = async |critical: Option<&str>, claims: String| {
        let call = server
            .call(Method::GET, "/v1/users/ann/feed?n=1")
            .bearer_auth(signed(critical, &claims));
        call.send().await.expect("an answer").status().as_u16()
    };
    let valid = format!(r#"{{"sub":"ann","exp":{}.25,"iat":{now}.75}}"#, now + 600);
    assert_eq!(status(None, valid.clone()).await, 200);
    assert_eq!(
        status(None, format!(r#"{{"sub":"ann","exp":{}.25}}"#, now - 600)).await,
        401
    );
    assert_eq!(status(Some("exotic"), valid.clone()).await, 401);
    assert_eq!(status(Some("b64"), valid.clone()).await, 401);
    // A browser must fail when it is answered with a subprotocol that it did not offer.
    let token = signed(None, &valid);
    let only_token = Handshake::new(&server, "")
        .offer(&format!("bearer.{token}"))
        .refused()
        .await;
    assert_eq!(only_token.0, 400);
    assert!(
        only_token.1["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(JSON)),
        "{}",
        only_token.1
    );
    let (mut socket, chosen) = Handshake::new(&server, "")
        .offer(&format!("bearer.{token}, {JSON}"))
        .open()
        .await;
    assert_eq!(chosen.as_deref(), Some(JSON));
    assert_eq!(socket.until("welcome").await["user_id"], "ann");
}
