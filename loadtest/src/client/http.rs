//! HTTP/1.1 over one kept connection, as little of it as REST calls need.
//!
//! Owns writing a request and reading its answer. Lean on purpose: the tester shares its processors with the server.
//! Must not know what is asked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::codec::Proto;
use super::connect::BoxedTransport;

/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest body of an answer.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The answer is not HTTP as it is spoken here.
    #[error("{0}")]
    Malformed(&'static str),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Head and body.
    pub(super) bytes: usize,
}

/// A kept connection.
pub(super) struct HttpLine {
    transport: BoxedTransport,
    host: String,
    accept: &'static str,
    read: Vec<u8>,
}

impl HttpLine {
    /// Speaks over this connection to this host, and wants answers in this form.
    pub(super) fn new(transport: BoxedTransport, host: String, proto: Proto) -> Self {
        let accept = match proto {
            Proto::Json => "application/json",
            Proto::Msgpack => "application/msgpack",
        };
        Self {
            transport,
            host,
            accept,
            read: Vec::with_capacity(READ_BYTES),
        }
    }

    /// Calls and waits for the answer; gives it and the bytes that were sent. Bodies are JSON.
    ///
    /// # Errors
    /// The connection broke or the answer cannot be read; then the connection is of no use any more.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<(HttpReply, usize), HttpError> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: {}\r\n",
            self.host, self.accept
        );
        if let Some(body) = body {
            request.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body.unwrap_or_default());
        self.transport.write_all(&request).await?;
        self.transport.flush().await?;
        Ok((self.reply().await?, request.len()))
    }

    async fn reply(&mut self) -> Result<HttpReply, HttpError> {
        let head_len = loop {
            if let Some(place) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break place + 4;
            }
            if self.read.len() > HEAD_BYTES_MAX {
                return Err(HttpError::Malformed("the head of the answer is too long"));
            }
            self.fill().await?;
        };
        let head = std::str::from_utf8(&self.read[..head_len])
            .map_err(|_| HttpError::Malformed("the head of the answer is not text"))?;
        let (status, body_len) = parse_head(head)?;
        let bytes = head_len + body_len;
        while self.read.len() < bytes {
            self.fill().await?;
        }
        let body = self.read[head_len..bytes].to_vec();
        self.read.drain(..bytes);
        Ok(HttpReply { status, body, bytes })
    }

    async fn fill(&mut self) -> Result<(), HttpError> {
        self.read.reserve(READ_BYTES);
        if self.transport.read_buf(&mut self.read).await? == 0 {
            return Err(HttpError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

/// Status and length of the body.
fn parse_head(head: &str) -> Result<(u16, usize), HttpError> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1.1 "))
        .and_then(|line| line.get(9..12)?.parse::<u16>().ok())
        .ok_or(HttpError::Malformed("the answer is not HTTP/1.1"))?;
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(HttpError::Malformed("the answer comes in chunks"));
        }
    }
    match length {
        Some(length) if length <= BODY_BYTES_MAX => Ok((status, length)),
        Some(_) => Err(HttpError::Malformed("the answer is too long")),
        None if matches!(status, 204 | 304) => Ok((status, 0)),
        None => Err(HttpError::Malformed("the answer does not say its length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_that_come_in_pieces_and_together_are_told_apart() {
        let (client, mut server) = tokio::io::duplex(64);
        let mut line = HttpLine::new(Box::new(client), "h".to_owned(), Proto::Json);
        let answers = tokio::spawn(async move {
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n[1]") {
                server.read_buf(&mut heard).await.expect("is read");
            }
            for piece in [
                "HTTP/1.1 200 OK\r\nContent-Le",
                "ngth: 5\r\n\r\nhel",
                "loHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 N",
                "ot Found\r\ncontent-length: 0\r\n\r\n",
            ] {
                server.write_all(piece.as_bytes()).await.expect("is written");
            }
            String::from_utf8(heard).expect("text")
        });
        let (reply, _) = line.call("POST", "/x", Some(b"[1]")).await.expect("answered");
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"hello".as_slice()));
        assert_eq!(line.reply().await.expect("answered").status, 204);
        assert_eq!(line.reply().await.expect("answered").status, 404);
        assert!(answers.await.expect("no panic").contains("content-length: 3\r\n"));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for head in [
            "SSH-2.0",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse_head(head).is_err(), "{head}");
        }
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", usize::MAX);
        assert!(parse_head(&long).is_err());
    }
}
