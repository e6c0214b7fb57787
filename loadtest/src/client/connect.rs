//! Opening a socket: TCP, upgrade, subprotocol.
//!
//! Owns the handshake and its errors. The transport is a trait so that a whole run can be driven through memory in
//! tests. Must not know what is said afterwards.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::codec::Proto;
use super::endpoint::Endpoint;

/// How long TCP and upgrade may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message that a server may send.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Per socket; small because there are many sockets.
const BUFFER_BYTES: usize = 8 * 1024;

/// A stream of bytes in both directions.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Bytes to and from the server.
pub type BoxedTransport = Box<dyn Transport>;

/// A future of a connector.
pub type ConnectFuture<'a> = Pin<Box<dyn Future<Output = io::Result<BoxedTransport>> + Send + 'a>>;

/// Where bytes come from: TCP in real life, memory in tests.
pub trait Connector: Send + Sync {
    /// Opens a stream to the server.
    fn connect(&self) -> ConnectFuture<'_>;
}

/// Opens TCP connections.
#[derive(Debug)]
pub struct TcpConnector {
    endpoint: Endpoint,
    /// Source addresses, in turn; the system chooses when there are none.
    sources: Vec<IpAddr>,
    next_source: AtomicUsize,
}

impl TcpConnector {
    /// Opens connections to this address.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            sources: Vec::new(),
            next_source: AtomicUsize::new(0),
        }
    }

    /// The same from these source addresses in turn: each has about 28 000 ports of its own.
    #[must_use]
    pub fn from_sources(self, sources: Vec<IpAddr>) -> Self {
        Self { sources, ..self }
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let target = (self.endpoint.host.as_str(), self.endpoint.port);
        if self.sources.is_empty() {
            return TcpStream::connect(target).await;
        }
        let source = self.sources[self.next_source.fetch_add(1, Ordering::Relaxed) % self.sources.len()];
        let mut targets = tokio::net::lookup_host(target).await?;
        let target = targets
            .find(|target| target.is_ipv4() == source.is_ipv4())
            .ok_or_else(|| {
                io::Error::other(format!("{} has no address of the kind of {source}", self.endpoint.host))
            })?;
        let socket = if source.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(source, 0))?;
        socket.connect(target).await
    }
}

impl Connector for TcpConnector {
    fn connect(&self) -> ConnectFuture<'_> {
        Box::pin(async move {
            let stream = self.open().await?;
            // Swipes are small and must not wait for each other.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxedTransport)
        })
    }
}

/// A socket after its upgrade.
pub(crate) struct OpenSocket {
    /// The socket.
    pub(crate) stream: WebSocketStream<BoxedTransport>,
    /// From the first byte of TCP to the end of the upgrade.
    pub(crate) took: Duration,
    /// The end of the upgrade.
    pub(crate) upgraded_at: Instant,
}

impl fmt::Debug for OpenSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenSocket")
            .field("took", &self.took)
            .finish_non_exhaustive()
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody listens, or the network is in the way.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// Somebody listens but does not agree to the upgrade.
    #[error("the upgrade to a WebSocket failed: {0}")]
    Handshake(String),
    /// It says that it cannot serve now (503).
    #[error("the server is not ready (503)")]
    Unavailable,
    /// It took too long.
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
}

impl OpenError {
    /// A short, stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            OpenError::Connect(_) => "connect",
            OpenError::Handshake(_) => "handshake",
            OpenError::Unavailable => "unavailable",
            OpenError::Timeout => "connect_timeout",
        }
    }

    /// Whether a server that is being restarted answers like this.
    pub(crate) fn is_restart(&self) -> bool {
        matches!(self, OpenError::Connect(_) | OpenError::Unavailable)
    }
}

#[allow(clippy::wildcard_enum_match_arm)] // everything else is said in its own words
fn refusal(error: SocketError) -> OpenError {
    match error {
        SocketError::Http(reply) if reply.status() == StatusCode::SERVICE_UNAVAILABLE => OpenError::Unavailable,
        SocketError::Io(error) => OpenError::Connect(error),
        SocketError::Protocol(ProtocolError::HandshakeIncomplete) => {
            OpenError::Connect(io::ErrorKind::ConnectionReset.into())
        }
        other => OpenError::Handshake(other.to_string()),
    }
}

/// Opens a viewer's socket.
pub(crate) async fn open(
    connector: &Arc<dyn Connector>,
    endpoint: &Endpoint,
    proto: Proto,
    user_id: &str,
) -> Result<OpenSocket, OpenError> {
    let started = Instant::now();
    let handshake = async {
        let transport = connector.connect().await?;
        let mut request = endpoint
            .stream_url(user_id)
            .into_client_request()
            .map_err(|error| OpenError::Handshake(error.to_string()))?;
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(proto.subprotocol()));
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (stream, _response) = client_async_with_config(request, transport, Some(config))
            .await
            .map_err(refusal)?;
        Ok::<_, OpenError>(stream)
    };
    let stream = timeout(CONNECT_TIMEOUT, Box::pin(handshake))
        .await
        .map_err(|_| OpenError::Timeout)??;
    let upgraded_at = Instant::now();
    Ok(OpenSocket {
        stream,
        took: upgraded_at - started,
        upgraded_at,
    })
}
