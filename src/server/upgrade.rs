//! Calls that ask for a WebSocket. The same application answers them; a connection whose answer is a
//! [`ws::Opening`](crate::ws::Opening) then leaves HTTP for good, and every other one is closed behind its answer.
//!
//! Without this, an open socket would keep the HTTP library's connection with its buffers for ever (16 KB), and every
//! frame would go through one more queue and one more task.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_codec::{Encoder, Framed};
use actix_http::body::BodySize;
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, Request, Response};
use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use actix_web::{Error, HttpMessage, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt;

use crate::ws::{Opening, Upgradable};

/// Answers calls that ask for a WebSocket.
pub(super) struct UpgradeService<S> {
    app: Rc<S>,
    /// How long the answer may take to be written.
    write_timeout: Duration,
}

impl<S> UpgradeService<S> {
    /// Answers by `app`.
    pub(super) fn new(app: S, write_timeout: Duration) -> Self {
        Self {
            app: Rc::new(app),
            write_timeout,
        }
    }
}

impl<S, B> Service<(Request, Framed<TcpStream, Codec>)> for UpgradeService<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<(), Error>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.app.poll_ready(context)
    }

    fn call(&self, (request, connection): (Request, Framed<TcpStream, Codec>)) -> Self::Future {
        request.extensions_mut().insert(Upgradable);
        // What the handshake needs would live as long as the socket if it were not in a box of its own.
        let handshake = Box::pin(answer(self.app.call(request), connection, self.write_timeout));
        Box::pin(async move {
            if let Some(opened) = handshake.await? {
                Box::pin(opened.opening.serve(opened.io, opened.early)).await;
            }
            Ok(())
        })
    }
}

/// A connection that has left HTTP.
struct Opened {
    opening: Box<Opening>,
    io: TcpStream,
    early: Vec<u8>,
}

/// Writes the answer; `None` when that was all, and the connection is closed.
async fn answer<B: MessageBody + 'static>(
    answer: impl Future<Output = Result<ServiceResponse<B>, Error>>,
    connection: Framed<TcpStream, Codec>,
    write_timeout: Duration,
) -> Result<Option<Opened>, Error> {
    let mut response = match answer.await {
        Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let opening = response.extensions_mut().remove::<Box<Opening>>();
    if opening.is_none() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let parts = connection.into_parts();
    let (mut io, mut codec) = (parts.io, parts.codec);
    let head_and_body = encoded(&mut codec, parts.write_buf, response).await?;
    if !matches!(timeout(write_timeout, io.write_all(&head_and_body)).await, Ok(Ok(()))) {
        return Ok(None);
    }
    let Some(opening) = opening else {
        let _ = timeout(write_timeout, io.shutdown()).await;
        return Ok(None);
    };
    let early = Vec::from(parts.read_buf);
    Ok(Some(Opened { opening, io, early }))
}

/// An answer as it is written.
async fn encoded(codec: &mut Codec, mut buffer: BytesMut, response: HttpResponse) -> Result<Bytes, Error> {
    let (head, body) = response.into_parts();
    let head = Response::from(head);
    let body = to_bytes(body).await?;
    let size = match body.len() {
        0 => BodySize::None,
        bytes => BodySize::Sized(bytes as u64),
    };
    codec.encode(Message::Item((head, size)), &mut buffer)?;
    if !body.is_empty() {
        codec.encode(Message::Chunk(Some(body)), &mut buffer)?;
    }
    Ok(buffer.freeze())
}
