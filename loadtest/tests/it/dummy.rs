//! A small server that keeps the contract of the stream: it learns a little, repeats nothing, and can be told to misbehave.
//!
//! It speaks over anything that carries bytes, so that tests can run it through memory with a paused clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use swipeline_loadtest::behaviour::{Catalogue, CatalogueConfig};
use swipeline_loadtest::client::{BoxedTransport, ConnectFuture, Connector, Transport};
use swipeline_models::event::Signal;
use swipeline_models::time::TimestampMs;
use swipeline_models::wire::{
    CauseDto, ClientFrame, ClientMessage, EventDto, FeedItemDto, FeedMode, FeedPushDto, ItemDto, MessageId,
    SUBPROTOCOL_MSGPACK, ServerMessage, SessionParamsDto,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// How it behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct DummyConfig {
    /// How many items it has.
    pub(crate) items: usize,
    /// It answers nothing from the first instant on, for the second duration.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// It shows the same item again and again.
    pub(crate) repeats: bool,
}

/// What it knows of a user.
#[derive(Debug, Default)]
struct User {
    seq: u64,
    feeds: HashMap<u64, Vec<String>>,
    seen: HashSet<String>,
    event_ids: HashSet<String>,
    liking: HashMap<String, f64>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Dummy {
    config: DummyConfig,
    started: Instant,
    items: Vec<Arc<ItemDto>>,
    by_id: HashMap<String, usize>,
    users: Mutex<HashMap<String, User>>,
    events: watch::Sender<u64>,
}

/// Items per feed.
const FEED_LEN: usize = 10;
/// Of these, chosen without regard to taste.
const EXPLORE_EVERY: usize = 5;

impl Dummy {
    pub(crate) fn new(config: DummyConfig) -> Arc<Self> {
        let catalogue = CatalogueConfig {
            items: config.items.max(1),
            dim: None,
            seed: 5,
            now: TimestampMs(1_790_000_000_000),
            days: 7,
        };
        let catalogue = Catalogue::new(catalogue).expect("possible");
        let items: Vec<Arc<ItemDto>> = (0..config.items).map(|index| Arc::new(catalogue.item(index))).collect();
        let by_id = items
            .iter()
            .enumerate()
            .map(|(place, item)| (item.id.clone(), place))
            .collect();
        Arc::new(Self {
            config,
            started: Instant::now(),
            items,
            by_id,
            users: Mutex::default(),
            events: watch::Sender::new(0),
        })
    }

    /// How many events it has taken, to wait for.
    pub(crate) fn events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Listens on a free port of this machine and gives the address of its stream.
    pub(crate) async fn listen(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let dummy = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&dummy), Box::new(stream)));
            }
        });
        format!("ws://{address}/v1/stream")
    }

    fn feed(&self, user: &mut User, mode: FeedMode, cause: CauseDto, id: Option<MessageId>, n: usize) -> ServerMessage {
        user.seq += 1;
        let liking = |item: &Arc<ItemDto>| {
            item.categories
                .iter()
                .flatten()
                .filter_map(|name| user.liking.get(name))
                .sum::<f64>()
        };
        let unseen: Vec<&Arc<ItemDto>> = self.items.iter().filter(|item| !user.seen.contains(&item.id)).collect();
        let mut chosen: Vec<(f64, &Arc<ItemDto>)> = unseen.iter().map(|item| (liking(item), *item)).collect();
        chosen.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut list: Vec<&Arc<ItemDto>> = Vec::new();
        // Every fifth item is one that nobody asked for, from a place that moves on with every feed.
        let mut explored = unseen
            .iter()
            .skip((user.seq as usize * 37) % unseen.len().max(1))
            .copied();
        let mut sorted = chosen.iter().map(|(_, item)| *item);
        while list.len() < n {
            let from = if list.len() % EXPLORE_EVERY == EXPLORE_EVERY - 1 {
                explored.next()
            } else {
                None
            };
            let Some(item) = from.or_else(|| sorted.next()) else {
                break;
            };
            if !list.iter().any(|known| known.id == item.id) {
                list.push(item);
            }
        }
        if self.config.repeats
            && let Some(first) = self.items.first()
        {
            list.retain(|item| item.id != first.id);
            list.insert(0, first);
        }
        user.feeds
            .insert(user.seq, list.iter().map(|item| item.id.clone()).collect());
        let items = list
            .iter()
            .enumerate()
            .map(|(place, item)| feed_item(place, item))
            .collect();
        ServerMessage::Feed(FeedPushDto {
            seq: user.seq,
            id,
            request_id: format!("r{}", user.seq),
            mode,
            cause,
            items,
            variant: None,
            degraded: None,
            took_us: 1,
        })
    }

    fn take_events(&self, user: &mut User, events: &[EventDto], id: Option<MessageId>) -> Vec<ServerMessage> {
        let (mut accepted, mut duplicates) = (0, 0);
        let mut answers = Vec::new();
        let mut strong = None;
        for event in events {
            if !user
                .event_ids
                .insert(event.event_id.clone().expect("the tester names its events"))
            {
                duplicates += 1;
                continue;
            }
            accepted += 1;
            let signal = Signal::from_name(&event.kind).expect("a known signal");
            user.seen.insert(event.item_id.clone());
            let place = self.by_id.get(&event.item_id).expect("an item of this server");
            let change = f64::from(i8::from(signal == Signal::Like)) - 0.3 * f64::from(u8::from(signal.is_negative()));
            for name in self.items[*place].categories.iter().flatten() {
                // Half of what was known is forgotten after about 14 events on a category.
                let liking = user.liking.entry(name.clone()).or_default();
                *liking = 0.95 * *liking + change;
            }
            if signal.is_strong() {
                strong = Some(event);
            }
        }
        if let Some(event) = strong {
            let cause = CauseDto {
                kind: event.kind.clone().into(),
                item_id: Some(event.item_id.clone()),
                event_id: event.event_id.clone(),
            };
            answers.push(self.feed(user, FeedMode::ReplaceTail, cause, None, FEED_LEN));
        }
        answers.push(ServerMessage::Ack {
            id,
            accepted,
            duplicates,
            rejected: vec![],
            durable: true,
        });
        self.events.send_modify(|count| *count += accepted as u64);
        answers
    }

    fn answer(&self, user_id: &str, frame: ClientFrame) -> Vec<ServerMessage> {
        let id = frame.id.clone();
        let mut users = self.users.lock();
        let user = users.entry(user_id.to_owned()).or_default();
        match frame.into_message().expect("the tester sends valid messages") {
            ClientMessage::Events(events) => {
                let events: Vec<EventDto> = events
                    .into_iter()
                    .map(|event| event.expect("a readable event"))
                    .collect();
                self.take_events(user, &events, id)
            }
            ClientMessage::Feed(ask) => {
                let cause = CauseDto {
                    kind: "request".into(),
                    item_id: None,
                    event_id: None,
                };
                vec![self.feed(user, FeedMode::Append, cause, id, ask.n.unwrap_or(FEED_LEN))]
            }
            ClientMessage::Seen { seq, upto, .. } => {
                let feed = user.feeds.get(&seq).expect("a feed that was sent");
                let shown = upto.map_or(feed.len(), |upto| upto as usize + 1);
                user.seen.extend(feed.iter().take(shown).cloned());
                vec![]
            }
            ClientMessage::Hello(_) | ClientMessage::Auth { .. } => vec![],
            ClientMessage::Ping | ClientMessage::Pong | ClientMessage::Bye => vec![],
        }
    }

    fn greeting(&self, user_id: &str) -> Vec<ServerMessage> {
        let mut users = self.users.lock();
        let recovered = users.contains_key(user_id);
        let user = users.entry(user_id.to_owned()).or_default();
        let welcome = ServerMessage::Welcome {
            session: format!("s-{user_id}"),
            user_id: user_id.to_owned(),
            epoch: 1,
            seq: user.seq,
            recovered,
            ping_ms: 25_000,
            server_time: 0,
            params: SessionParamsDto {
                n: FEED_LEN,
                low_water: 0,
                params_version: 1,
            },
        };
        let cause = CauseDto {
            kind: "hello".into(),
            item_id: None,
            event_id: None,
        };
        vec![welcome, self.feed(user, FeedMode::ReplaceTail, cause, None, FEED_LEN)]
    }

    async fn stall(&self) {
        if let Some((after, length)) = self.config.stall {
            let (from, until) = (self.started + after, self.started + after + length);
            if (from..until).contains(&Instant::now()) {
                sleep_until(until).await;
            }
        }
    }
}

fn feed_item(place: usize, item: &Arc<ItemDto>) -> FeedItemDto {
    FeedItemDto {
        item_id: item.id.clone(),
        score: 1.0,
        position: u32::try_from(place).expect("short"),
        channels: vec!["dummy".into()],
        reason: "because".into(),
        explore: false,
        propensity: None,
        item: Some(Arc::clone(item)),
        media_url: None,
        explain: None,
    }
}

/// One socket, from the upgrade to its end.
async fn serve(dummy: Arc<Dummy>, stream: BoxedTransport) {
    let mut user_id = String::new();
    let mut packed = false;
    #[expect(clippy::result_large_err, reason = "the shape is tungstenite's")]
    let upgrade = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        user_id = query.split("user_id=").nth(1).unwrap_or_default().to_owned();
        let offered = request.headers().get("sec-websocket-protocol").cloned();
        let offered = offered.unwrap_or_else(|| HeaderValue::from_static(""));
        packed = offered == SUBPROTOCOL_MSGPACK;
        response.headers_mut().insert("sec-websocket-protocol", offered);
        Ok(response)
    };
    // Whoever is not a WebSocket client is of no interest.
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, upgrade).await else {
        return;
    };
    if write(&mut socket, packed, dummy.greeting(&user_id)).await.is_none() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let frames = read(&message);
        if frames.iter().any(|frame| frame.kind == "event") {
            dummy.stall().await;
        }
        for frame in frames {
            let answers = dummy.answer(&user_id, frame);
            if write(&mut socket, packed, answers).await.is_none() {
                return;
            }
        }
    }
}

fn read(message: &Message) -> Vec<ClientFrame> {
    match message {
        Message::Text(text) if text.starts_with('[') => serde_json::from_str(text).expect("JSON"),
        Message::Text(text) => vec![serde_json::from_str(text).expect("JSON")],
        Message::Binary(bytes) if matches!(bytes[0], 0x90..=0x9f) => rmp_serde::from_slice(bytes).expect("MessagePack"),
        Message::Binary(bytes) => vec![rmp_serde::from_slice(bytes).expect("MessagePack")],
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => vec![],
    }
}

async fn write(socket: &mut WebSocketStream<BoxedTransport>, packed: bool, messages: Vec<ServerMessage>) -> Option<()> {
    for message in messages {
        let message = if packed {
            Message::binary(rmp_serde::to_vec_named(&message).expect("MessagePack"))
        } else {
            Message::text(serde_json::to_string(&message).expect("JSON"))
        };
        socket.send(message).await.ok()?;
    }
    Some(())
}

/// Connects to a server through memory.
pub(crate) struct MemoryConnector {
    pub(crate) dummy: Arc<Dummy>,
}

impl Connector for MemoryConnector {
    fn connect(&self) -> ConnectFuture<'_> {
        Box::pin(async move {
            let (client, server) = tokio::io::duplex(64 * 1024);
            tokio::spawn(serve(Arc::clone(&self.dummy), Box::new(server) as Box<dyn Transport>));
            Ok(Box::new(client) as BoxedTransport)
        })
    }
}
