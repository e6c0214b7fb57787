//! Bad frames: every kind has its error or its close code, and neither the server nor other sockets suffer.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::Server;
use crate::socket::{Handshake, JSON, MSGPACK, Socket};

/// Sends one frame and expects an error message; the socket stays open.
async fn error_of(socket: &mut Socket, frame: Message) -> Value {
    socket.send_raw(frame).await;
    let error = socket.until("error").await;
    assert!(
        error["message"].is_string() && error["retryable"].is_boolean(),
        "{error}"
    );
    socket.send(&json!({"type": "ping", "id": "still there"})).await;
    assert_eq!(socket.until("pong").await["id"], "still there");
    error
}

#[tokio::test]
async fn a_bad_message_is_an_error_and_the_socket_lives_on() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 20).await;
    let mut socket = Socket::of(&server, "u").await;
    let deep = format!(
        "{{\"type\":\"event\",\"context\":{}1{}}}",
        "{\"a\":".repeat(10_000),
        "}".repeat(10_000)
    );
    for (text, code) in [
        ("nonsense", "malformed"),
        ("{\"type\":", "malformed"),
        ("5", "malformed"),
        ("{\"type\": 5}", "malformed"),
        (deep.as_str(), "malformed"),
        ("{}", "missing"),
        ("{\"type\":\"dance\"}", "unknown_type"),
        ("{\"type\":\"seen\"}", "missing"),
        ("{\"type\":\"seen\",\"seq\":-1}", "out_of_range"),
        ("{\"type\":\"feed\",\"n\":0}", "out_of_range"),
        ("{\"type\":\"feed\",\"n\":501}", "out_of_range"),
        ("{\"type\":\"feed\",\"exclude\":[\"\"]}", "id_empty"),
        ("{\"type\":\"event\"}", "missing"),
        ("{\"type\":\"event\",\"event\":\"like\"}", "missing"),
        ("{\"type\":\"auth\",\"token\":\"x\"}", "auth_not_configured"),
    ] {
        assert_eq!(error_of(&mut socket, Message::text(text)).await["code"], code, "{text}");
    }
    let with_id = error_of(
        &mut socket,
        Message::text("{\"type\":\"feed\",\"id\":\"f\",\"n\":\"many\"}"),
    )
    .await;
    assert_eq!(with_id["id"], "f");
    let many = Value::Array(vec![json!({"type": "ping"}); 300]);
    assert_eq!(
        error_of(&mut socket, Message::text(many.to_string())).await["code"],
        "too_many"
    );
    let foreign =
        json!({"type": "event", "id": "x", "events": [{"user_id": "other", "item_id": "pets1", "type": "like"}]});
    socket.send(&foreign).await;
    let ack = socket.until_matching(|message| message["id"] == "x").await;
    assert_eq!(
        (&ack["accepted"], &ack["rejected"][0]["code"]),
        (&json!(0), &json!("wrong_user")),
        "{ack}"
    );
}

#[tokio::test]
async fn a_frame_of_the_wrong_kind_is_an_error_on_both_protocols() {
    let server = Server::start().await;
    let (mut packed, _) = Handshake::new(&server, "user_id=u").offer(MSGPACK).open().await;
    assert_eq!(
        error_of(&mut packed, Message::text("{\"type\":\"ping\"}")).await["code"],
        "wrong_frame_type"
    );
    let bombs = [
        vec![0xc1],
        vec![0x91; 60_000],
        vec![0xdd, 255, 255, 255, 255],
        vec![0xdf, 255, 255, 255, 255],
    ];
    for bytes in bombs {
        assert_eq!(error_of(&mut packed, Message::binary(bytes)).await["code"], "malformed");
    }
    let (mut json, _) = Handshake::new(&server, "user_id=u").offer(JSON).open().await;
    assert_eq!(
        error_of(&mut json, Message::binary(vec![0x80])).await["code"],
        "wrong_frame_type"
    );
}

#[tokio::test]
async fn a_bad_event_is_rejected_alone_in_both_protocols() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 5).await;
    let long = "x".repeat(257);
    let bad = [
        (json!({"item_id": "pets1", "type": "adore"}), "unknown_type"),
        (json!({"item_id": "no such item", "type": "like"}), "unknown_item"),
        (json!({"item_id": long, "type": "like"}), "id_too_long"),
        (json!({"item_id": "a\u{1}b", "type": "like"}), "id_control_character"),
        (json!({"item_id": "", "type": "like"}), "id_empty"),
        (
            json!({"item_id": "pets1", "type": "like", "event_id": long}),
            "id_too_long",
        ),
        (
            json!({"item_id": "pets1", "type": "view", "watch_ms": -1}),
            "out_of_range",
        ),
        (
            json!({"item_id": "pets1", "type": "like", "at": -1}),
            "time_out_of_range",
        ),
    ];
    for protocol in [JSON, MSGPACK] {
        let (mut socket, _) = Handshake::new(&server, "user_id=u").offer(protocol).open().await;
        let mut events: Vec<Value> = bad.iter().map(|(event, _)| event.clone()).collect();
        events.push(json!({"item_id": "pets2", "type": "like", "event_id": protocol}));
        socket
            .send(&json!({"type": "event", "id": "mixed", "events": events}))
            .await;
        let ack = socket
            .until_matching(|message| message["type"] == "ack" && message["id"] == "mixed")
            .await;
        let rejected = ack["rejected"].as_array().expect("a list");
        let found: Vec<_> = rejected
            .iter()
            .map(|one| (one["index"].as_u64(), one["code"].as_str()))
            .collect();
        let expected: Vec<_> = (0..)
            .zip(&bad)
            .map(|(index, (_, code))| (Some(index), Some(*code)))
            .collect();
        assert_eq!(found, expected, "{ack}");
        assert_eq!(ack["accepted"], 1);
    }
}

#[tokio::test]
async fn numbers_that_are_not_finite_are_refused_on_a_socket() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 5).await;
    let (mut packed, _) = Handshake::new(&server, "user_id=u").offer(MSGPACK).open().await;
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        #[derive(serde::Serialize)]
        struct Like {
            r#type: &'static str,
            event: &'static str,
            item_id: &'static str,
            context: std::collections::BTreeMap<&'static str, f64>,
        }
        let like = Like {
            r#type: "event",
            event: "like",
            item_id: "pets1",
            context: [("speed", number)].into(),
        };
        packed
            .send_raw(Message::binary(rmp_serde::to_vec_named(&like).expect("MessagePack")))
            .await;
        let ack = packed.until("ack").await;
        assert_eq!(
            (&ack["accepted"], &ack["rejected"][0]["code"]),
            (&json!(0), &json!("not_finite")),
            "{ack}"
        );
    }
}

#[tokio::test]
async fn bad_messages_without_end_close_the_socket_for_good() {
    let server = Server::start_with(&[("WS__ERRORS_MAX", "5")]).await;
    let mut socket = Socket::of(&server, "u").await;
    for _ in 0..5 {
        socket.send_raw(Message::text("nonsense")).await;
    }
    let (code, messages) = socket.until_closed().await;
    assert_eq!(code, Some(4500));
    assert_eq!(messages.iter().filter(|message| message["type"] == "error").count(), 5);
    Socket::of(&server, "u").await;
}

#[tokio::test]
async fn a_frame_over_64_kib_closes_with_1009() {
    let server = Server::start().await;
    let filler = |bytes: usize| format!("{{\"type\":\"ping\",\"id\":\"{}\"}}", "x".repeat(bytes - 24));
    let mut socket = Socket::of(&server, "u").await;
    socket.send_raw(Message::text(filler(65_536))).await;
    socket.until("pong").await;
    socket.send_raw(Message::text(filler(65_600))).await;
    assert_eq!(socket.until_closed().await.0, Some(1009));
    // A far larger frame is not read to its end: the close frame may get lost with the connection, the server may not.
    let mut socket = Socket::of(&server, "u").await;
    socket.try_send_raw(Message::text(filler(8 * 1024 * 1024))).await;
    assert!(matches!(socket.until_closed().await.0, Some(1009) | None));
    Socket::of(&server, "u").await;
}

#[tokio::test]
async fn fragments_are_joined_within_the_same_bound() {
    let server = Server::start().await;
    let mut socket = Socket::of(&server, "u").await;
    let part =
        |bytes: &[u8], code: Data, last: bool| Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(code), last));
    socket.send_raw(part(b"{\"type\":\"pi", Data::Text, false)).await;
    socket
        .send_raw(part(b"ng\",\"id\":\"joined\"}", Data::Continue, true))
        .await;
    assert_eq!(socket.until("pong").await["id"], "joined");
    let chunk = vec![b' '; 30_000];
    socket.send_raw(part(&chunk, Data::Text, false)).await;
    socket.send_raw(part(&chunk, Data::Continue, false)).await;
    socket.send_raw(part(&chunk, Data::Continue, true)).await;
    assert_eq!(socket.until_closed().await.0, Some(1009));
}

#[tokio::test]
async fn text_that_is_not_utf8_and_broken_frames_close_the_socket() {
    let server = Server::start().await;
    let mut socket = Socket::of(&server, "u").await;
    let bad = Frame::message(vec![0xff, 0xfe, b'{'], OpCode::Data(Data::Text), true);
    socket.send_raw(Message::Frame(bad)).await;
    assert_eq!(socket.until_closed().await.0, Some(1007));
    let mut socket = Socket::of(&server, "u").await;
    let reserved = Frame::message(b"x".to_vec(), OpCode::Data(Data::Reserved(5)), true);
    socket.send_raw(Message::Frame(reserved)).await;
    assert_eq!(socket.until_closed().await.0, Some(1002));
    Socket::of(&server, "u").await;
}

#[tokio::test]
async fn a_flood_from_one_socket_is_told_to_slow_down_and_others_are_served() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 50).await;
    let mut flooder = Socket::of(&server, "flooder").await;
    let mut victim = Socket::of(&server, "victim").await;
    let batch: Vec<Value> = (0..200)
        .map(
            |number| json!({"type": "event", "id": number, "event": "view", "item_id": format!("pets{}", number % 50)}),
        )
        .collect();
    let batch = Value::Array(batch);
    let mut answers = 0;
    for _ in 0..50 {
        flooder.send(&batch).await;
    }
    let mut limited = None;
    while answers < 10_000 {
        let message = flooder.next().await;
        match message["type"].as_str() {
            Some("ack") => answers += 1,
            Some("error") => {
                answers += 1;
                limited = Some(message);
            }
            _ => {}
        }
    }
    let limited = limited.expect("10 000 messages at once are too many");
    assert_eq!(
        (&limited["code"], &limited["retryable"]),
        (&json!("rate_limited"), &json!(true)),
        "{limited}"
    );
    assert!(
        limited["retry_after_ms"].as_u64().is_some_and(|after| after > 0),
        "{limited}"
    );
    victim.signal("like", "pets1", "e1").await;
}
