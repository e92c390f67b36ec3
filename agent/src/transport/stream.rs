//! The WebSocket to the server: handshake, then frames both ways, each direction in a task of its own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use voltaxe_protocol::{AgentFrame, Envelope, HelloClaims, MAX_FRAME_BYTES, PayloadType, ServerFrame};

use super::{ServerAddress, TlsSettings};
use crate::{clock, core::StreamLoss, identity::Identity};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// After this long without anything to send, a ping goes out.
const PING_AFTER: Duration = Duration::from_secs(10);
/// A server that is silent for this long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Clocks that differ by more make signatures and expiry fail.
const CLOCK_WARNING_SECONDS: i64 = 30;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A stream past its handshake. Dropping it closes the connection.
#[derive(Debug)]
pub struct Stream {
    frames: mpsc::UnboundedSender<AgentFrame>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
pub enum StreamEvent {
    Live { stream: Stream, telemetry_interval_seconds: u32 },
    Frame(ServerFrame),
    Lost(StreamLoss),
}

impl Stream {
    /// Queues a frame; should the connection break first, a `Lost` event says so.
    pub fn send(&self, frame: AgentFrame) {
        let _ = self.frames.send(frame);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Connects and says hello. Reports exactly one `Live` or `Lost`, and after `Live` exactly one `Lost`.
pub async fn open(
    address: Arc<ServerAddress>,
    tls: TlsSettings,
    identity: Arc<Identity>,
    events: impl Fn(StreamEvent) + Clone + Send + Sync + 'static,
) {
    let opened = match connect(&address, &tls).await {
        Ok(socket) => timeout(HANDSHAKE_WITHIN, shake_hands(socket, &identity))
            .await
            .unwrap_or_else(|_| Err(StreamLoss::Unreachable("no welcome within 10 s".to_owned()))),
        Err(error) => Err(StreamLoss::Unreachable(error.to_string())),
    };
    match opened {
        Err(loss) => events(StreamEvent::Lost(loss)),
        Ok((socket, telemetry_interval_seconds)) => {
            let (sink, source) = socket.split();
            let (frames, queue) = mpsc::unbounded_channel();
            tokio::spawn(write(sink, queue));
            // The reader waits until the live event is out, so that no frame overtakes it.
            let (go, started) = tokio::sync::oneshot::channel();
            let reader = tokio::spawn({
                let events = events.clone();
                async move {
                    let _ = started.await;
                    let reason = read(source, &events).await;
                    events(StreamEvent::Lost(StreamLoss::Closed(reason)));
                }
            });
            events(StreamEvent::Live { stream: Stream { frames, reader }, telemetry_interval_seconds });
            let _ = go.send(());
        }
    }
}

async fn connect(address: &ServerAddress, tls: &TlsSettings) -> io::Result<Socket> {
    let socket = connect_any(&address.resolve().await?).await?;
    socket.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let connector = tls.client_config()?.map(Connector::Rustls);
    let url = address.url().stream("/agent/stream");
    let upgrade = client_async_tls_with_config(url, socket, Some(config), connector);
    let (socket, _) =
        timeout(CONNECT_WITHIN, upgrade).await.map_err(|_| timed_out())?.map_err(io::Error::other)?;
    Ok(socket)
}

async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the server has no address");
    for address in addresses {
        match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
            Err(_) => {
                last = io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer within 5 s"))
            }
        }
    }
    Err(last)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")
}

/// Challenge, hello, welcome. Returns how often the server wants telemetry.
async fn shake_hands(mut socket: Socket, identity: &Arc<Identity>) -> Result<(Socket, u32), StreamLoss> {
    let unreachable = |text: &str| StreamLoss::Unreachable(text.to_owned());
    let ServerFrame::Challenge { nonce, server_time } = next_frame(&mut socket).await? else {
        return Err(unreachable("the server did not begin with a challenge; is it a Voltaxe server?"));
    };
    let behind = (server_time - clock::wall()).num_seconds();
    if behind.abs() > CLOCK_WARNING_SECONDS {
        tracing::warn!(
            "this host's clock differs from the server's by {} s; requests and commands may be refused, set the clock",
            behind.abs()
        );
    }
    let counter_of = Arc::clone(identity);
    let join_counter = tokio::task::spawn_blocking(move || counter_of.next_join_counter())
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| StreamLoss::Unreachable(format!("the join counter cannot be stored: {error}")))?;
    let claims = HelloClaims {
        nonce,
        endpoint_id: identity.grant.endpoint_id.clone(),
        epoch: identity.grant.epoch,
        join_counter,
        server_key: identity.server_key.fingerprint(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let envelope = Envelope::seal(PayloadType::Hello, &claims, &identity.key);
    let hello = to_message(&AgentFrame::Hello { envelope });
    socket.send(hello).await.map_err(|error| StreamLoss::Unreachable(error.to_string()))?;
    match next_frame(&mut socket).await? {
        ServerFrame::Welcome { telemetry_interval_seconds } => Ok((socket, telemetry_interval_seconds)),
        ServerFrame::Refused { reason, detail } => Err(StreamLoss::Refused { reason, detail }),
        ServerFrame::Challenge { .. }
        | ServerFrame::Command { .. }
        | ServerFrame::Cancel { .. }
        | ServerFrame::Query { .. }
        | ServerFrame::ResultRecorded { .. }
        | ServerFrame::Unknown => Err(unreachable("the server did not answer the hello")),
    }
}

async fn next_frame(socket: &mut Socket) -> Result<ServerFrame, StreamLoss> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|error| StreamLoss::Unreachable(format!("a frame is not understood: {error}")));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) | None => {
                return Err(StreamLoss::Unreachable("the server closed during the handshake".to_owned()));
            }
            Some(Err(error)) => return Err(StreamLoss::Unreachable(error.to_string())),
        }
    }
}

/// Ends with the reason why there is nothing more to read.
async fn read(mut source: SplitStream<Socket>, events: &impl Fn(StreamEvent)) -> String {
    loop {
        match timeout(DEAD_AFTER, source.next()).await {
            Err(_) => return format!("the server was silent for {} s", DEAD_AFTER.as_secs()),
            Ok(None) => return "the server closed it".to_owned(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(Some(Ok(Message::Text(text)))) => match serde_json::from_str(&text) {
                Ok(frame) => events(StreamEvent::Frame(frame)),
                Err(error) => {
                    tracing::warn!("[COMMAND STREAM] A frame is not understood and ignored: {error}")
                }
            },
            Ok(Some(Ok(Message::Close(_)))) => return "the server closed it".to_owned(),
            // Any of these shows that the server is there.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)))) => {}
        }
    }
}

/// Ends when the stream is dropped or the connection breaks; the reader notices the latter.
async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::UnboundedReceiver<AgentFrame>) {
    loop {
        let message = match timeout(PING_AFTER, queue.recv()).await {
            Ok(Some(frame)) => to_message(&frame),
            Ok(None) => break,
            Err(_) => Message::Ping(bytes::Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let _ = timeout(Duration::from_secs(1), sink.close()).await;
}

fn to_message(frame: &AgentFrame) -> Message {
    Message::text(serde_json::to_string(frame).expect("our wire types have a JSON form"))
}
