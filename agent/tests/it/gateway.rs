//! A server in a namespace, as far as an agent sees one. It verifies what agents send and remembers it.

use std::{
    collections::BTreeSet,
    net::{Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use voltaxe_protocol::{
    AgentCheck, AgentFrame, Cancellation, Command, CommandId, CommandOrder, CommandResult, EndpointId,
    EnrolString, Envelope, Epoch, HelloClaims, Keypair, NetworkIsolate, NetworkRestore, OfferedCommand,
    PayloadType, PublicKey, RefusalReason, ServerFrame, Telemetry,
};
use voltaxe_sentinel::clock;

use crate::net::{PORT, SERVER, World, enter, eventually};
use evidence::{NO_ANSWER, Shelf};
use http::Request;

pub(crate) mod evidence;
mod http;

/// 256 bits of base64url.
pub(crate) const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What happened and what to do. Tests read and write it.
pub(crate) struct State {
    pub(crate) key: Keypair,
    pub(crate) agent_key: Option<PublicKey>,
    pub(crate) epoch: Epoch,
    pub(crate) is_token_used: bool,
    /// Answers the next polls.
    pub(crate) offers: Vec<OfferedCommand>,
    pub(crate) cancellations: Vec<Envelope>,
    pub(crate) queries: Vec<CommandId>,
    pub(crate) receipts: Vec<(CommandId, i32)>,
    pub(crate) started: Vec<CommandId>,
    pub(crate) results: Vec<(CommandResult, &'static str)>,
    pub(crate) telemetry: Vec<(Telemetry, &'static str)>,
    pub(crate) rejected: Vec<String>,
    pub(crate) not_known: Vec<CommandId>,
    pub(crate) join_counters: Vec<i64>,
    pub(crate) nonces: BTreeSet<String>,
    pub(crate) polls: usize,
    /// Streams are closed before the challenge.
    pub(crate) no_stream: bool,
    pub(crate) refuse_stream: Option<RefusalReason>,
    /// Results are not acknowledged.
    pub(crate) deaf: bool,
    /// The fingerprint that enrol strings pin, if another than ours.
    pub(crate) answers_with_wrong_nonce: bool,
    /// How far commands said they are, in bytes.
    pub(crate) progress: Vec<(CommandId, u64)>,
    pub(crate) probes: usize,
    pub(crate) answers_probes: Answers,
    /// What a probe's answer says about where the server is.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) shelf: Shelf,
    to_agent: Option<mpsc::UnboundedSender<ServerFrame>>,
}

/// How the server takes probes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answers {
    Signed,
    /// By somebody else.
    Forged,
    /// A server that is older than the route.
    NotFound,
}

pub(crate) struct Gateway {
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    namespace: String,
}

impl Gateway {
    pub(crate) fn start(world: &World) -> Self {
        let state = State {
            key: Keypair::generate(),
            agent_key: None,
            epoch: Epoch(1),
            is_token_used: false,
            offers: Vec::new(),
            cancellations: Vec::new(),
            queries: Vec::new(),
            receipts: Vec::new(),
            started: Vec::new(),
            results: Vec::new(),
            telemetry: Vec::new(),
            rejected: Vec::new(),
            not_known: Vec::new(),
            join_counters: Vec::new(),
            nonces: BTreeSet::new(),
            polls: 0,
            no_stream: false,
            refuse_stream: None,
            deaf: false,
            answers_with_wrong_nonce: false,
            progress: Vec::new(),
            probes: 0,
            answers_probes: Answers::Signed,
            addresses: Vec::new(),
            shelf: Shelf::default(),
            to_agent: None,
        };
        let namespace = world.name("srv");
        let mut gateway = Self { state: Arc::new(Mutex::new(state)), stop: None, thread: None, namespace };
        gateway.up();
        gateway
    }

    /// Listens again after `down`.
    pub(crate) fn up(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (state, namespace) = (Arc::clone(&self.state), self.namespace.clone());
        let thread = std::thread::spawn(move || {
            enter(&namespace);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = tokio::net::TcpSocket::new_v6().unwrap();
                socket.set_reuseaddr(true).unwrap();
                socket.bind((Ipv6Addr::UNSPECIFIED, PORT).into()).unwrap();
                let listener = socket.listen(64).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(listener, state) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        self.stop = Some(stop);
        self.thread = Some(thread);
    }

    /// Every connection breaks, nothing listens.
    pub(crate) fn down(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.state().to_agent = None;
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn wait_for<T>(&self, what: &str, mut condition: impl FnMut(&State) -> Option<T>) -> T {
        eventually(what, || condition(&self.state()))
    }

    pub(crate) fn wait_live(&self) {
        self.wait_for("the stream is live", |state| state.to_agent.as_ref().map(|_| ()));
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state().to_agent.is_some()
    }

    /// The end of the last stream was noticed.
    pub(crate) fn wait_gone(&self) {
        self.wait_for("the stream is gone", |state| state.to_agent.is_none().then_some(()));
    }

    pub(crate) fn enrol_string(&self) -> String {
        EnrolString {
            token: TOKEN.to_owned(),
            server_key: self.state().key.public().fingerprint(),
            server_url: format!("http://{}:{PORT}", SERVER[0]),
        }
        .to_string()
    }

    pub(crate) fn order(&self, id: i64, action: Command) -> CommandOrder {
        let state = self.state();
        let endpoint = EndpointId::of_key(state.agent_key.as_ref().expect("an agent has enrolled"));
        order(endpoint, state.epoch, id, action, clock::wall())
    }

    pub(crate) fn seal(&self, order: &CommandOrder) -> Envelope {
        Envelope::seal(PayloadType::Command, order, &self.state().key)
    }

    /// Pushes an order over the live stream.
    pub(crate) fn push(&self, order: &CommandOrder) {
        let envelope = self.seal(order);
        self.send(ServerFrame::Command { attempt: 1, envelope });
    }

    pub(crate) fn send(&self, frame: ServerFrame) {
        self.state().to_agent.as_ref().expect("a stream is live").send(frame).unwrap();
    }

    /// Offers an order to the next poll.
    pub(crate) fn offer(&self, order: &CommandOrder) {
        let offer = OfferedCommand {
            id: order.id,
            command: order.action.kind().to_owned(),
            params: json!({}),
            attempt: 1,
            envelope: self.seal(order),
        };
        self.state().offers.push(offer);
    }

    pub(crate) fn seal_cancellation(&self, id: i64) -> Envelope {
        let state = self.state();
        let endpoint_id = EndpointId::of_key(state.agent_key.as_ref().expect("an agent has enrolled"));
        let cancellation = Cancellation {
            id: CommandId(id),
            endpoint_id,
            epoch: state.epoch,
            issued_at: clock::wall(),
            expires_at: clock::wall() + TimeDelta::days(7),
            cancelled_by: "bob".to_owned(),
        };
        Envelope::seal(PayloadType::Cancellation, &cancellation, &state.key)
    }

    pub(crate) fn result_of(&self, id: i64) -> CommandResult {
        self.wait_for(&format!("command {id} has a result"), |state| {
            state
                .results
                .iter()
                .map(|(result, _)| result)
                .find(|result| result.command_id == CommandId(id))
                .cloned()
        })
    }
}

impl State {
    fn has_something_to_say(&self) -> bool {
        !(self.offers.is_empty() && self.cancellations.is_empty() && self.queries.is_empty())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn isolate() -> Command {
    Command::NetworkIsolate(NetworkIsolate {
        reason: "Malware detected".to_owned(),
        ..NetworkIsolate::default()
    })
}

pub(crate) fn check() -> Command {
    Command::AgentCheck(AgentCheck {})
}

pub(crate) fn restore() -> Command {
    Command::NetworkRestore(NetworkRestore { reason: "All clear".to_owned() })
}

fn order(
    endpoint_id: EndpointId,
    epoch: Epoch,
    id: i64,
    action: Command,
    now: DateTime<Utc>,
) -> CommandOrder {
    CommandOrder {
        id: CommandId(id),
        endpoint_id,
        epoch,
        action,
        issued_at: now,
        not_before: None,
        expires_at: now + TimeDelta::days(7),
        created_by: "alice".to_owned(),
        reason: "test".to_owned(),
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::spawn(connection(stream, Arc::clone(&state)));
    }
}

async fn connection(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut start = [0; 18];
    while stream.peek(&mut start).await.ok()? < start.len() {
        tokio::task::yield_now().await;
    }
    if start == *b"GET /agent/stream " {
        return websocket(stream, state).await;
    }
    let request = Request::read(&mut stream).await?;
    // A poll is kept open until there is something to say.
    for _ in 0..request.wait_milliseconds() / 5 {
        if state.lock().unwrap().has_something_to_say() {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let (status, body) = request.answer(&mut state.lock().unwrap());
    if status == NO_ANSWER {
        return None;
    }
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(reply.as_bytes()).await.ok()
}

async fn websocket(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    if state.lock().unwrap().no_stream {
        return None;
    }
    let mut socket = tokio_tungstenite::accept_async(stream).await.ok()?;
    let nonce = TOKEN.to_owned();
    let challenge = ServerFrame::Challenge { nonce: nonce.clone(), server_time: clock::wall() };
    socket.send(text(&challenge)).await.ok()?;
    let Message::Text(hello) = socket.next().await?.ok()? else { return None };
    let AgentFrame::Hello { envelope } = serde_json::from_str(&hello).unwrap() else { panic!("no hello") };
    let refused = {
        let mut state = state.lock().unwrap();
        let key = state.agent_key.clone().expect("the agent has enrolled");
        let claims: HelloClaims = envelope.open(PayloadType::Hello, &key).expect("the hello verifies");
        assert_eq!((claims.nonce, &claims.server_key), (nonce, &state.key.public().fingerprint()));
        assert_eq!(claims.endpoint_id, EndpointId::of_key(&key));
        state.join_counters.push(claims.join_counter);
        state.refuse_stream
    };
    if let Some(reason) = refused {
        let frame = ServerFrame::Refused { reason, detail: "refused by the test".to_owned() };
        return socket.send(text(&frame)).await.ok();
    }
    socket.send(text(&ServerFrame::Welcome { telemetry_interval_seconds: 1 })).await.ok()?;
    let (to_agent, mut queue) = mpsc::unbounded_channel();
    state.lock().unwrap().to_agent = Some(to_agent.clone());
    let gone = converse(&mut socket, &mut queue, &to_agent, &state).await;
    let mut state = state.lock().unwrap();
    // Unless the agent is here again already.
    if state.to_agent.as_ref().is_some_and(|current| current.same_channel(&to_agent)) {
        state.to_agent = None;
    }
    gone
}

async fn converse(
    socket: &mut WebSocketStream<TcpStream>,
    queue: &mut mpsc::UnboundedReceiver<ServerFrame>,
    to_agent: &mpsc::UnboundedSender<ServerFrame>,
    state: &Mutex<State>,
) -> Option<()> {
    loop {
        tokio::select! {
            frame = queue.recv() => socket.send(text(&frame?)).await.ok()?,
            message = socket.next() => match message? {
                Ok(Message::Text(frame)) => take(serde_json::from_str(&frame).unwrap(), &mut state.lock().unwrap(), to_agent),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

fn take(frame: AgentFrame, state: &mut State, to_agent: &mpsc::UnboundedSender<ServerFrame>) {
    match frame {
        AgentFrame::Receipt { command_id, attempt } => state.receipts.push((command_id, attempt)),
        AgentFrame::Started { command_id } => state.started.push(command_id),
        AgentFrame::Progress { command_id, bytes, .. } => state.progress.push((command_id, bytes)),
        AgentFrame::Result(result) => {
            if !state.deaf {
                let _ = to_agent.send(ServerFrame::ResultRecorded { command_id: result.command_id });
            }
            state.results.push((result, "stream"));
        }
        AgentFrame::NotKnown { command_id } => state.not_known.push(command_id),
        AgentFrame::Rejected { reason } => state.rejected.push(reason),
        AgentFrame::Telemetry(telemetry) => state.telemetry.push((*telemetry, "stream")),
        AgentFrame::Hello { .. } | AgentFrame::Unknown => panic!("unexpected frame"),
    }
}

fn text(frame: &ServerFrame) -> Message {
    Message::text(serde_json::to_string(frame).unwrap())
}
