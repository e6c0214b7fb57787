//! `GET /v1/stats`: what happened is there at once, by anything that can be grouped by, and stays.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Server, item_ids};
use crate::socket::Socket;

async fn events(server: &Server, events: Value) {
    let reply = server.send(Method::POST, "/v1/events", &events).await;
    assert_eq!(reply["accepted"], events.as_array().map_or(0, Vec::len), "{reply}");
}

/// The impressions and likes of every group.
fn groups(stats: &Value, by: &str) -> Vec<(String, u64, u64)> {
    let groups = stats["groups"].as_array().expect("groups").iter();
    groups
        .map(|group| {
            let count = |name: &str| group["total"][name].as_u64().expect("a count");
            (
                group["keys"][by].as_str().expect("a name").to_owned(),
                count("impressions"),
                count("likes"),
            )
        })
        .collect()
}

#[tokio::test]
async fn an_event_counts_at_once_for_channel_category_and_position() {
    let server = Server::start().await;
    server.put_catalogue(&["pets", "food"], 40).await;
    let feed = server.serve("/v1/users/ann/feed?n=10").await;
    let ids = item_ids(&feed);
    let second = &feed["items"][1];
    events(
        &server,
        json!([{"user_id": "ann", "item_id": ids[1], "type": "view", "watch_ms": 4_000},
               {"user_id": "ann", "item_id": ids[1], "type": "like"},
               {"user_id": "ann", "item_id": ids[1], "type": "share"},
               {"user_id": "ann", "item_id": ids[7], "type": "skip"}]),
    )
    .await;
    let stats = server.get("/v1/stats?window=1m&group_by=position").await;
    let total = &stats["total"];
    let counts = [
        "impressions",
        "views",
        "likes",
        "skips",
        "shares",
        "sessions",
        "watch_time_ms",
    ];
    assert_eq!(
        counts.map(|name| total[name].as_u64().expect("a count")),
        [10, 1, 1, 1, 1, 1, 4_000],
        "{total}"
    );
    // One of ten items was taken up, however many signals say so.
    assert_eq!(
        (&total["ctr"], &total["watch_time_per_session_ms"]),
        (&json!(0.1), &json!(4_000.0))
    );
    let mut positions = groups(&stats, "position");
    positions.sort();
    let of = |name: &str, impressions, likes| (name.to_owned(), impressions, likes);
    assert_eq!(
        positions,
        [
            of("0", 1, 0),
            of("1", 1, 1),
            of("2", 1, 0),
            of("3-4", 2, 0),
            of("5-9", 5, 0)
        ]
    );
    for channel in second["channels"].as_array().expect("channels") {
        let channel = channel.as_str().expect("a name");
        assert!(stats["channels"][channel]["likes"] == 1, "{channel}: {stats}");
        let of_channel = server.get(&format!("/v1/stats?channel={channel}")).await;
        assert_eq!(of_channel["total"]["likes"], 1);
    }
    let category = second["item"]["categories"][0].as_str().expect("a category");
    let by_category = server.get("/v1/stats?window=30d&group_by=category").await;
    let found = groups(&by_category, "category");
    assert_eq!(found.iter().map(|(_, impressions, _)| impressions).sum::<u64>(), 10);
    assert!(
        found.iter().any(|(name, _, likes)| name == category && *likes == 1),
        "{found:?}"
    );
    let none = server.get("/v1/stats?category=nothing&variant=no:such").await;
    assert_eq!(
        (&none["total"]["impressions"], none.get("experiment")),
        (&json!(0), None)
    );
}

#[tokio::test]
async fn a_socket_counts_like_rest_and_series_add_up() {
    let server = Server::start().await;
    server.put_catalogue(&["pets"], 60).await;
    let mut socket = Socket::unread(&server, "bob").await;
    let feed = socket.until("feed").await;
    let first = item_ids(&feed)[0].clone();
    socket
        .send(&json!({"type": "seen", "id": 1, "seq": feed["seq"], "upto": 4}))
        .await;
    socket.until("ack").await;
    socket.signal("like", &first, "e1").await;
    socket.until("ack").await;
    for (window, interval) in [("5m", "5s"), ("1h", "1m"), ("24h", "1h"), ("7d", "1d"), ("30d", "1d")] {
        let stats = server
            .get(&format!(
                "/v1/stats?window={window}&interval={interval}&group_by=variant"
            ))
            .await;
        assert_eq!(
            (&stats["total"]["impressions"], &stats["total"]["likes"]),
            (&json!(5), &json!(1)),
            "{window}"
        );
        let sum = |series: &Value, name: &str| -> u64 {
            let points = series.as_array().expect("a series").iter();
            points.map(|point| point[name].as_u64().expect("a count")).sum()
        };
        assert_eq!(
            (sum(&stats["series"], "impressions"), sum(&stats["series"], "likes")),
            (5, 1),
            "{window}"
        );
        assert_eq!(sum(&stats["groups"][0]["series"], "impressions"), 5);
        assert_eq!(stats["groups"][0]["keys"]["variant"], "default");
        assert_eq!(stats["variants"]["default"]["likes"], 1);
    }
}

#[tokio::test]
async fn counts_survive_a_crash_with_and_without_a_checkpoint() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "3600000")]).await;
    server.put_catalogue(&["pets", "food"], 60).await;
    let question = "/v1/stats?window=24h&group_by=channel,category,position&interval=1h";
    for round in 0..3 {
        let ids = item_ids(&server.serve(&format!("/v1/users/u{round}/feed?n=8")).await);
        let liked = json!([{"user_id": format!("u{round}"), "item_id": ids[2], "type": "like", "watch_ms": 500},
                           {"user_id": "quiet", "item_id": ids[3], "type": "complete", "position": 30}]);
        events(&server, liked).await;
        if round == 1 {
            let saved = server
                .admin_call(Method::POST, "/v1/admin/checkpoint")
                .send()
                .await
                .expect("an answer");
            assert_eq!(saved.status(), 200);
        }
        let before = server.get(question).await;
        assert_eq!(before["total"]["likes"], round + 1);
        server.kill().await;
        server = Server::start_in(dir.path(), &[("DATA__CHECKPOINT_INTERVAL_MS", "3600000")]).await;
        let after = server.get(question).await;
        assert_eq!(
            (&after["total"], &after["groups"]),
            (&before["total"], &before["groups"]),
            "round {round}"
        );
    }
}
