//! The frames of one swipe: what goes in, what comes out.
//!
//! Owns a realistic sample, made with the real wire types.

use std::sync::Arc;

use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{
    CauseDto, ClientFrame, EventDto, FeedItemDto, FeedMode, FeedPushDto, ItemDto, MessageId, ServerMessage,
};
use tokio_tungstenite::tungstenite::Message;

use crate::behaviour::{Catalogue, CatalogueConfig, CatalogueError};
use crate::client::{CodecError, Proto, encode};

/// The frames of one swipe.
#[derive(Debug, Clone)]
pub struct FloorFrames {
    /// From the client: `seen` and two events.
    pub swipe: Message,
    /// To the client: the fresh feed.
    pub feed: Message,
    /// To the client: the ack.
    pub ack: Message,
}

/// Frames with a feed of so many items.
///
/// # Errors
/// A message cannot be written.
pub fn floor_frames(proto: Proto, feed_items: usize) -> Result<FloorFrames, CodecError> {
    let malformed = |detail: String| CodecError::Malformed { proto, detail };
    let config = CatalogueConfig {
        items: feed_items.max(1),
        dim: None,
        seed: 1,
        now: TimestampMs(1_790_000_000_000),
        days: 7,
    };
    let catalogue = Catalogue::new(config).map_err(|error: CatalogueError| malformed(error.to_string()))?;
    let feed = ServerMessage::Feed(FeedPushDto {
        seq: 17,
        id: None,
        request_id: "0190f7d2-5a3c-7c1e-9d2b-3f4a5b6c7d8e".to_owned(),
        mode: FeedMode::ReplaceTail,
        cause: CauseDto {
            kind: "like".into(),
            item_id: Some("v12345".to_owned()),
            event_id: Some("0123456789abcdef-lt-1790000000-17".to_owned()),
        },
        items: (0..feed_items)
            .map(|index| feed_item(index, catalogue.item(index)))
            .collect(),
        variant: None,
        degraded: None,
        took_us: 180,
    });
    let ack = ServerMessage::Ack {
        id: Some(MessageId::Number(21)),
        accepted: 2,
        duplicates: 0,
        rejected: vec![],
        durable: true,
    };
    let event = |kind: &str| EventDto {
        event_id: Some("0123456789abcdef-lt-1790000000-17".to_owned()),
        item_id: "v12345".to_owned(),
        kind: kind.to_owned(),
        watch_ms: Some(8_123),
        position: Some(3),
        request_id: Some("0190f7d2-5a3c-7c1e-9d2b-3f4a5b6c7d8e".to_owned()),
        ..EventDto::default()
    };
    let swipe = [
        ClientFrame {
            kind: "seen".to_owned(),
            seq: Some(16),
            upto: Some(4),
            ..ClientFrame::default()
        },
        ClientFrame {
            kind: "event".to_owned(),
            id: Some(MessageId::Number(21)),
            events: Some(vec![event("view"), event("like")]),
            ..ClientFrame::default()
        },
    ];
    let server_message = |message: &ServerMessage| match proto {
        Proto::Json => serde_json::to_string(message)
            .map(Message::text)
            .map_err(|error| malformed(error.to_string())),
        Proto::Msgpack => rmp_serde::to_vec_named(message)
            .map(Message::binary)
            .map_err(|error| malformed(error.to_string())),
    };
    Ok(FloorFrames {
        swipe: encode(proto, &swipe)?,
        feed: server_message(&feed)?,
        ack: server_message(&ack)?,
    })
}

fn feed_item(index: usize, item: ItemDto) -> FeedItemDto {
    FeedItemDto {
        item_id: item.id.clone(),
        score: 0.8125 - index as f32 / 64.0,
        position: u32::try_from(index).unwrap_or(u32::MAX),
        channels: vec!["embedding".into(), "session_knn".into()],
        reason: "close to what you liked".into(),
        explore: false,
        propensity: None,
        item: Some(Arc::new(item)),
        media_url: None,
        explain: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::decode;

    #[test]
    fn the_frames_are_what_a_client_would_read() {
        for proto in [Proto::Json, Proto::Msgpack] {
            let frames = floor_frames(proto, 10).expect("written");
            let feed = decode(proto, &frames.feed).expect("read").remove(0);
            assert_eq!(
                (feed.kind.as_str(), feed.items.map(|items| items.len())),
                ("feed", Some(10))
            );
            assert_eq!(decode(proto, &frames.ack).expect("read")[0].kind, "ack");
            assert!(frames.feed.len() > 2_000 && frames.swipe.len() > 300);
        }
    }
}
