//! One kept-alive HTTP/1.1 connection, driven by hand: one write a request, one read an answer.

use std::{io, net::IpAddr};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::target::Target;

const LARGEST_HEAD_BYTES: usize = 16 * 1024;
const LARGEST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Opens a TCP connection that sends at once; `source` is the address it comes from.
pub async fn dial(target: &Target, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let stream = match source {
        None => TcpStream::connect(target.address()).await?,
        Some(source) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind((source, 0).into())?;
            socket.connect(target.address()).await?
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request's bytes, ready to be sent any number of times.
#[must_use]
pub fn request(
    method: &str,
    path_and_query: &str,
    target: &Target,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes =
        format!("{method} {path_and_query} HTTP/1.1\r\nhost: {}\r\n", target.authority()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if method != "GET" {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection is of no further use.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the server closed the connection before it answered")]
    Closed,
    #[error("the answer is not HTTP/1.1 as this client knows it: {0}")]
    Malformed(&'static str),
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The value of the first `set-cookie`.
    pub cookie: Option<String>,
    pub body: Bytes,
}

impl Answer {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(500).collect()
    }
}

pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub async fn open(target: &Target, source: Option<IpAddr>) -> io::Result<Self> {
        Ok(Self::over(dial(target, source).await?))
    }

    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(2 * 1024) }
    }

    /// Sends a request and reads its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer, HttpError> {
        self.stream.write_all(request).await?;
        let head = self.read_head().await?;
        let body = match head.body {
            Framing::Length(length) => self.read_length(length).await?,
            Framing::Chunked => self.read_chunks().await?,
        };
        Ok(Answer { status: head.status, cookie: head.cookie, body })
    }

    /// Sends a request whose answer goes on for ever; for its pieces as they come, if the status is 200.
    pub async fn follow(mut self, request: &[u8]) -> Result<Follow, HttpError> {
        self.stream.write_all(request).await?;
        let head = self.read_head().await?;
        match (head.status, head.body) {
            (200, Framing::Chunked) => Ok(Follow { connection: self }),
            (200, Framing::Length(_)) => Err(HttpError::Malformed("a stream of events has no length")),
            _ => Err(HttpError::Malformed("the status is not 200")),
        }
    }

    async fn read_head(&mut self) -> Result<Head, HttpError> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(head);
            }
            if self.buffer.len() > LARGEST_HEAD_BYTES {
                return Err(HttpError::Malformed("the head is too long"));
            }
            self.read_more().await?;
        }
    }

    async fn read_length(&mut self, length: usize) -> Result<Bytes, HttpError> {
        if length > LARGEST_BODY_BYTES {
            return Err(HttpError::Malformed("the body is too long"));
        }
        while self.buffer.len() < length {
            self.read_more().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_chunks(&mut self) -> Result<Bytes, HttpError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.read_chunk().await? {
            if body.len() + chunk.len() > LARGEST_BODY_BYTES {
                return Err(HttpError::Malformed("the body is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// `None` after the last one.
    async fn read_chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let length = loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((head, length))) => {
                    self.buffer.advance(head);
                    break usize::try_from(length)
                        .map_err(|_| HttpError::Malformed("a chunk is too long"))?;
                }
                Ok(httparse::Status::Partial) => self.read_more().await?,
                Err(_) => return Err(HttpError::Malformed("a chunk has no valid length")),
            }
        };
        let chunk = self.read_length(length).await?;
        self.read_length(b"\r\n".len()).await?;
        Ok((length > 0).then_some(chunk))
    }

    async fn read_more(&mut self) -> Result<(), HttpError> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(HttpError::Closed),
            _ => Ok(()),
        }
    }
}

/// An answer that goes on.
pub struct Follow {
    connection: Connection,
}

impl Follow {
    /// The next piece; `None` when the server ends the answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.connection.read_chunk().await
    }
}

struct Head {
    status: u16,
    cookie: Option<String>,
    body: Framing,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(HttpError::Malformed("the head cannot be read")),
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, cookie: None, body: Framing::Length(0) };
    let mut framed = matches!(status, 204 | 304);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.parse().ok());
            head.body = Framing::Length(length.ok_or(HttpError::Malformed("content-length is no number"))?);
            framed = true;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = Framing::Chunked;
            framed = true;
        } else if header.name.eq_ignore_ascii_case("set-cookie") && head.cookie.is_none() {
            head.cookie = std::str::from_utf8(header.value).ok().map(str::to_owned);
        }
    }
    if !framed {
        return Err(HttpError::Malformed("the answer says nothing of its length"));
    }
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every connection with `answer`, a byte at a time.
    async fn answering(answer: &'static str) -> Connection {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target: Target = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in answer.bytes() {
                stream.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await
        });
        Connection::open(&target, None).await.unwrap()
    }

    #[tokio::test]
    async fn answers_are_read_however_they_arrive() {
        let mut connection = answering(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nset-cookie: a=b\r\n\r\nhello\
             HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
             HTTP/1.1 204 No Content\r\n\r\n",
        )
        .await;
        let first = connection.exchange(b"x").await.unwrap();
        assert_eq!(
            (first.status, &first.body[..], first.cookie.as_deref()),
            (200, &b"hello"[..], Some("a=b"))
        );
        let second = connection.exchange(b"x").await.unwrap();
        assert_eq!((second.status, &second.body[..]), (202, &b"abcde"[..]));
        assert_eq!(connection.exchange(b"x").await.unwrap().status, 204);
    }

    #[tokio::test]
    async fn an_answer_without_a_length_is_refused() {
        let mut connection = answering("HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(matches!(connection.exchange(b"x").await, Err(HttpError::Malformed(_))));
    }
}
