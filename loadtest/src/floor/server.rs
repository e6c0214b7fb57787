//! The bare echo: actix-web and actix-ws, an ack and a feed of fixed bytes for every frame.
//!
//! Must not parse anything. Runs in a child process, so that its processor time can be told apart.

use std::io::{Read, Write};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use swipeline_models::wire::{SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK};
use tokio_tungstenite::tungstenite::Message;

use super::frames::FloorFrames;

/// What every socket answers.
#[derive(Clone)]
struct Answers {
    ack: Answer,
    feed: Answer,
}

#[derive(Clone)]
enum Answer {
    Text(String),
    Binary(Bytes),
}

impl From<&Message> for Answer {
    fn from(message: &Message) -> Self {
        match message {
            Message::Text(text) => Answer::Text(text.as_str().to_owned()),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                Answer::Binary(message.clone().into_data())
            }
        }
    }
}

async fn send(session: &mut actix_ws::Session, answer: &Answer) -> Result<(), actix_ws::Closed> {
    match answer {
        Answer::Text(text) => session.text(text.clone()).await,
        Answer::Binary(bytes) => session.binary(bytes.clone()).await,
    }
}

async fn stream(
    request: HttpRequest,
    payload: web::Payload,
    answers: web::Data<Answers>,
) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) =
        actix_ws::handle_with_protocols(&request, payload, &[SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK])?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.recv().await {
            let is_data = matches!(message, actix_ws::Message::Text(_) | actix_ws::Message::Binary(_));
            if is_data
                && (send(&mut session, &answers.feed).await.is_err() || send(&mut session, &answers.ack).await.is_err())
            {
                return;
            }
            if matches!(message, actix_ws::Message::Close(_)) {
                break;
            }
        }
        // The other side may be gone already.
        let _ = session.close(None).await;
    });
    Ok(response)
}

/// Serves until standard input ends (so that no child outlives its parent); prints the port first.
///
/// # Errors
/// No port, or the server breaks.
pub fn serve(frames: &FloorFrames, workers: usize) -> std::io::Result<()> {
    let answers = web::Data::new(Answers {
        ack: Answer::from(&frames.ack),
        feed: Answer::from(&frames.feed),
    });
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(answers.clone())
                .route("/v1/stream", web::get().to(stream))
        })
        .workers(workers.max(1))
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
        let port = server.addrs().first().map_or(0, std::net::SocketAddr::port);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{port}")?;
        out.flush()?;
        drop(out);
        let server = server.run();
        let handle = server.handle();
        std::thread::spawn(move || {
            // Whatever comes is ignored; what counts is the end.
            let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
            drop(handle.stop(false));
            std::process::exit(0);
        });
        server.await
    })
}
