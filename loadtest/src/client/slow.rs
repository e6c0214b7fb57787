//! A viewer on a bad line: it asks and asks and does not read.
//!
//! Owns that behaviour and what the server does about it. Its latencies are not measured: the question is whether the
//! others notice, and whether the server's memory grows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use swipeline_models::wire::{ClientFrame, MessageId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::codec::encode;
use super::connect::open;
use super::line::{End, end_of};
use super::record::Counter;
use super::shared::{Control, Shared};
use super::speak::send;

/// How long such a viewer does not read.
const DEAF_FOR: Duration = Duration::from_secs(10);
/// How often it asks meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// For how many items at once.
const ASK_N: i64 = 100;
/// How long it reads afterwards.
const READ_FOR: Duration = Duration::from_secs(2);

/// Lives until everybody has to stop. Closes by the server are counted by code and are no errors.
pub async fn run_slow_reader(shared: Arc<Shared>, user_id: String, mut control: watch::Receiver<Control>) {
    while !control.borrow().stopping {
        let config = &shared.config;
        match open(&shared.connector, &config.endpoint, config.proto, &user_id).await {
            Err(error) => shared.recorder.error(error.code()),
            Ok(socket) => {
                shared.recorder.add(Counter::Connects, 1);
                let mut stream = socket.stream;
                let mut end = ask_without_reading(&shared, &mut stream, &mut control).await;
                let deadline = Instant::now() + READ_FOR;
                while end.is_none() {
                    let Ok(message) = timeout_at(deadline, stream.next()).await else {
                        break;
                    };
                    end = end_of(message).err();
                }
                if let Some(End::Closed(code)) = end {
                    shared.recorder.close(code);
                }
            }
        }
        if sleep_or_stop(&mut control, Instant::now() + ASK_EVERY).await {
            return;
        }
    }
}

/// Asks until it is time to read, the server closes, or everybody has to stop.
async fn ask_without_reading(
    shared: &Shared,
    stream: &mut tokio_tungstenite::WebSocketStream<super::connect::BoxedTransport>,
    control: &mut watch::Receiver<Control>,
) -> Option<End> {
    let until = Instant::now() + DEAF_FOR;
    let mut number = 0;
    while Instant::now() < until {
        number += 1;
        let ask = ClientFrame {
            kind: "feed".to_owned(),
            id: Some(MessageId::Number(number)),
            n: Some(ASK_N),
            ..ClientFrame::default()
        };
        let Ok(message) = encode(shared.config.proto, &[ask]) else {
            return Some(End::Broken("encode"));
        };
        shared.recorder.add(Counter::BytesOut, message.len() as u64);
        // A server that stops reading is a fair answer; it is not one of the measured viewers.
        if let Err(end) = send(stream, message, ASK_EVERY).await {
            return (end != End::Broken("timeout_write")).then_some(end);
        }
        if sleep_or_stop(control, Instant::now() + ASK_EVERY).await {
            return None;
        }
    }
    None
}

/// Sleeps; gives whether everybody has to stop.
async fn sleep_or_stop(control: &mut watch::Receiver<Control>, until: Instant) -> bool {
    loop {
        if control.borrow().stopping {
            return true;
        }
        tokio::select! {
            changed = control.changed() => if changed.is_err() { return true },
            () = sleep_until(until) => return false,
        }
    }
}
