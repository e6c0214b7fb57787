//! The WebSocket as an app uses it.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::{Server, item_ids};
use crate::socket::{Handshake, JSON, MSGPACK, Socket};

#[tokio::test]
async fn welcome_and_a_first_feed_come_without_being_asked() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 30).await;
    for (offer, expected) in [(None, None), (Some(JSON), Some(JSON)), (Some(MSGPACK), Some(MSGPACK))] {
        let mut handshake = Handshake::new(&server, "user_id=u1");
        if let Some(offer) = offer {
            handshake = handshake.offer(offer);
        }
        let (mut socket, chosen) = handshake.open().await;
        assert_eq!(chosen.as_deref(), expected);
        let welcome = socket.next().await;
        assert_eq!(welcome["type"], "welcome");
        assert_eq!(welcome["user_id"], "u1");
        for field in [
            "session",
            "epoch",
            "seq",
            "recovered",
            "ping_ms",
            "server_time",
            "params",
        ] {
            assert!(!welcome[field].is_null(), "{field} is missing in {welcome}");
        }
        let feed = socket.next().await;
        assert_eq!(
            (&feed["type"], &feed["cause"]["kind"]),
            (&json!("feed"), &json!("hello"))
        );
        assert_eq!(feed["items"].as_array().map(Vec::len), Some(10));
        for field in ["seq", "request_id", "mode", "took_us"] {
            assert!(!feed[field].is_null(), "{field} is missing in {feed}");
        }
    }
}

#[tokio::test]
async fn every_strong_signal_is_answered_by_a_feed_that_names_it_and_then_by_an_ack() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 100).await;
    let mut socket = Socket::of(&server, "u").await;
    let strong = [
        "like", "unlike", "skip", "share", "comment", "favorite", "follow", "complete", "dislike", "report",
    ];
    for (number, kind) in strong.iter().enumerate() {
        let (item, event_id) = (format!("pets{number}"), format!("e{number}"));
        socket
            .send(&json!({"type": "event", "id": number, "event": kind, "item_id": item, "event_id": event_id}))
            .await;
        let (mut feed, mut ack) = (None, None);
        while feed.is_none() || ack.is_none() {
            let message = socket.next().await;
            if message["type"] == "ack" && message["id"] == number {
                ack = Some(message);
            } else if message["type"] == "feed" && message["cause"]["event_id"] == event_id.as_str() {
                feed = Some(message);
            } else {
                assert_ne!(message["type"], "error", "{message}");
            }
        }
        let (feed, ack) = (feed.expect("a feed"), ack.expect("an ack"));
        assert_eq!(
            feed["cause"],
            json!({"kind": kind, "item_id": item, "event_id": event_id})
        );
        assert_eq!(feed["mode"], "replace_tail");
        assert!(!item_ids(&feed).contains(&item), "{item} came again after {kind}");
        assert_eq!((&ack["accepted"], &ack["duplicates"]), (&json!(1), &json!(0)));
        assert_eq!((&ack["rejected"], &ack["durable"]), (&json!([]), &json!(true)));
    }
}

#[tokio::test]
async fn what_was_seen_does_not_come_again_on_any_way() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut socket = Socket::of(&server, "u").await;
    let first = socket.ask("first", 10).await;
    let (ids, seq) = (item_ids(&first), first["seq"].clone());
    socket.send(&json!({"type": "seen", "seq": seq, "upto": 4})).await;
    let half: HashSet<String> = ids[..5].iter().cloned().collect();
    let next = item_ids(&socket.ask("after-half", 30).await);
    assert!(
        next.iter().all(|id| !half.contains(id)),
        "{next:?} repeats one of {half:?}"
    );
    socket.send(&json!({"type": "seen", "seq": seq})).await;
    let all: HashSet<String> = ids.into_iter().collect();
    let next = item_ids(&socket.ask("after-all", 30).await);
    assert!(
        next.iter().all(|id| !all.contains(id)),
        "{next:?} repeats one of {all:?}"
    );
    let over_rest = server.feed_ids("u", "n=60").await;
    assert!(
        over_rest.iter().all(|id| !all.contains(id)),
        "{over_rest:?} repeats one of {all:?}"
    );
    let counts = &server.get("/v1/users/u").await["counts"];
    assert!(
        counts["impression"].as_u64().is_some_and(|count| count >= 10),
        "{counts}"
    );
}

#[tokio::test]
async fn nothing_is_shown_twice_in_a_long_session() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars"], 200).await;
    let mut socket = Socket::of(&server, "u").await;
    let mut shown = HashSet::new();
    let mut feed = socket.ask("start", 10).await;
    for number in 0..150 {
        let Some(item) = item_ids(&feed).first().cloned() else {
            panic!("the feed ran dry after {number}")
        };
        assert!(shown.insert(item.clone()), "{item} was shown twice");
        let kind = if item.starts_with("pets") { "like" } else { "skip" };
        feed = socket.signal(kind, &item, &format!("e{number}")).await;
    }
    let profile = server.get("/v1/users/u").await;
    let counted = profile["counts"]["like"].as_u64().unwrap_or(0) + profile["counts"]["skip"].as_u64().unwrap_or(0);
    assert_eq!(counted, 150, "{profile}");
}

#[tokio::test]
async fn both_sockets_of_a_user_get_the_push() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut one = Socket::of(&server, "u").await;
    let (mut other, _) = Handshake::new(&server, "user_id=u").offer(MSGPACK).open().await;
    other.until("feed").await;
    let mut stranger = Socket::of(&server, "somebody-else").await;
    let pushed = one.signal("like", "pets1", "e1").await;
    let same = other
        .until_matching(|message| message["cause"]["event_id"] == "e1")
        .await;
    assert_eq!(item_ids(&pushed), item_ids(&same));
    stranger.send(&json!({"type": "ping", "id": "p"})).await;
    let next = stranger.until_matching(|message| message["type"] != "ping").await;
    assert_eq!(next["type"], "pong", "another user's push came: {next}");
}

#[tokio::test]
async fn an_event_over_rest_reaches_the_socket() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut socket = Socket::of(&server, "u").await;
    let event = json!([{"user_id": "u", "item_id": "pets5", "type": "like", "event_id": "by-rest"}]);
    server.send(reqwest::Method::POST, "/v1/events", &event).await;
    let feed = socket
        .until_matching(|message| message["cause"]["event_id"] == "by-rest")
        .await;
    assert_eq!(feed["cause"]["item_id"], "pets5");
}

#[tokio::test]
async fn a_list_of_events_and_a_list_of_messages() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let (mut socket, _) = Handshake::new(&server, "user_id=u").offer(MSGPACK).open().await;
    let events = json!([{"item_id": "pets1", "type": "view", "watch_ms": 900}, {"item_id": "none", "type": "like"},
                        {"item_id": "pets2", "type": "adore"}, {"item_id": "pets3", "type": "like", "event_id": "a"},
                        {"item_id": "pets3", "type": "like", "event_id": "a"}]);
    let messages = json!([{"type": "event", "id": "batch", "events": events}, {"type": "ping", "id": 7},
                          {"type": "feed", "id": "more", "n": 3}]);
    socket.send(&messages).await;
    let (mut ack, mut pong, mut feed) = (None, None, None);
    while ack.is_none() || pong.is_none() || feed.is_none() {
        let message = socket.next().await;
        match (message["type"].as_str(), &message["id"]) {
            (Some("ack"), id) if id == "batch" => ack = Some(message),
            (Some("pong"), id) if id == 7 => pong = Some(message),
            (Some("feed"), id) if id == "more" => feed = Some(message),
            _ => assert_ne!(message["type"], "error", "{message}"),
        }
    }
    let ack = ack.expect("an ack");
    assert_eq!((&ack["accepted"], &ack["duplicates"]), (&json!(2), &json!(1)), "{ack}");
    let rejected = ack["rejected"].as_array().expect("a list");
    assert_eq!(
        rejected.iter().map(|one| one["index"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    assert_eq!(feed.expect("a feed")["items"].as_array().map(Vec::len), Some(3));
    assert!(pong.expect("a pong")["server_time"].is_i64());
}

#[tokio::test]
async fn hello_sets_the_wishes_and_resumes() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut socket = Socket::of(&server, "u").await;
    socket
        .send(&json!({"type": "hello", "n": 4, "low_water": 2, "scene": "home", "region": "de"}))
        .await;
    socket.signal("like", "pets1", "e1").await;
    let feed = socket.signal("like", "pets2", "e2").await;
    assert_eq!(feed["items"].as_array().map(Vec::len), Some(4));
    drop(socket);
    let (mut again, _) = Handshake::new(&server, "user_id=u").open().await;
    let welcome = again.until("welcome").await;
    assert!(
        welcome["seq"].as_u64() >= feed["seq"].as_u64(),
        "{welcome} is older than {feed}"
    );
    let resume = json!({"session": welcome["session"], "epoch": welcome["epoch"], "seq": feed["seq"]});
    again.send(&json!({"type": "hello", "id": "h", "resume": resume})).await;
    let feed = again.signal("skip", "pets3", "e3").await;
    assert!(
        item_ids(&feed)
            .iter()
            .all(|id| !["pets1", "pets2", "pets3"].contains(&id.as_str())),
        "{feed}"
    );
}

#[tokio::test]
async fn likes_of_one_kind_raise_its_share_and_skips_lower_it() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food", "cars", "music"], 120).await;
    let share = |feed: &Value| item_ids(feed).iter().filter(|id| id.starts_with("pets")).count();
    let mut socket = Socket::of(&server, "u").await;
    socket.send(&json!({"type": "hello", "n": 40})).await;
    let before = share(&socket.ask("before", 40).await);
    let mut liked = Value::Null;
    for number in 0..3 {
        liked = socket
            .signal("like", &format!("pets{number}"), &format!("like{number}"))
            .await;
    }
    assert!(share(&liked) > before, "before {before}, after likes {}", share(&liked));
    let mut skipped = Value::Null;
    for number in 10..20 {
        skipped = socket
            .signal("skip", &format!("pets{number}"), &format!("skip{number}"))
            .await;
    }
    assert!(
        share(&skipped) < share(&liked),
        "after likes {}, after skips {}",
        share(&liked),
        share(&skipped)
    );
}

#[tokio::test]
async fn bye_closes_politely_and_pings_are_answered() {
    use tokio_tungstenite::tungstenite::Message;
    let server = Server::start().await;
    let mut socket = Socket::of(&server, "u").await;
    socket.send_raw(Message::Ping(b"are you there"[..].into())).await;
    socket.send(&json!({"type": "ping", "id": "p"})).await;
    assert_eq!(socket.until("pong").await["id"], "p");
    socket.send(&json!({"type": "bye"})).await;
    assert_eq!(socket.until_closed().await.0, Some(1000));
}

#[tokio::test]
async fn the_handshake_refuses_what_it_cannot_serve() {
    let server = Server::start().await;
    let open = |query: &str| Handshake::new(&server, query);
    for query in ["", "user_id=", "user_id=a%01", &format!("user_id={}", "x".repeat(257))] {
        let (status, problem) = open(query).refused().await;
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{query}");
        assert!(
            problem["detail"].as_str().expect("text").contains("user_id"),
            "{problem}"
        );
    }
    assert_eq!(open("user_id=u").offer("graphql-ws").refused().await.0, 400);
    assert_eq!(
        open("user_id=u")
            .header("origin", "https://evil.example")
            .refused()
            .await
            .0,
        403
    );
    let (_, chosen) = open("user_id=u")
        .offer(&format!("graphql-ws, {MSGPACK}, {JSON}"))
        .open()
        .await;
    assert_eq!(chosen.as_deref(), Some(MSGPACK));
    open("user_id=u")
        .header("origin", &format!("http://{}", server.public))
        .open()
        .await;
    let plain = server
        .call(reqwest::Method::GET, "/v1/stream?user_id=u")
        .send()
        .await
        .expect("an answer");
    crate::harness::problem(plain, 400).await;
}
