//! The least that agents can live with: it enrols, offers again and again until it has a result, and checks every signature.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, Method, StatusCode, Uri},
    routing::{get, post},
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use voltaxe_load::{agent::SimAgent, clock, fleet::Fleet, target::Target};
use voltaxe_protocol::{
    AgentCheck, AgentFrame, Command, CommandId, CommandOrder, CommandReceipt, CommandResult, EndpointId,
    EnrolRequest, EnrolResponse, EnrolString, EnrolmentGrant, EnrolmentProof, Envelope, Epoch, HelloClaims,
    Keypair, OfferedCommand, PayloadType, PollKey, PollResponse, PublicKey, RequestParts, RequestSignature,
    ServerFrame, SignatureAlgorithm, Telemetry, verify_poll, verify_request,
};

const OFFER_AGAIN_AFTER: Duration = Duration::from_millis(60);

#[derive(Clone)]
pub struct Gateway {
    pub target: Target,
    inner: Arc<Inner>,
}

struct Inner {
    key: Keypair,
    state: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    agents: HashMap<EndpointId, PublicKey>,
    orders: BTreeMap<CommandId, Ordered>,
    changed_results: u32,
    direct_port: Option<u16>,
}

struct Ordered {
    endpoint: EndpointId,
    envelope: Envelope,
    /// Not offered by the gateway itself.
    hidden: bool,
    attempt: i32,
    result: Option<CommandResult>,
}

impl Gateway {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let gateway =
            Self { target, inner: Arc::new(Inner { key: Keypair::generate(), state: Mutex::default() }) };
        let router = Router::new()
            .route("/agent/enroll", post(enroll))
            .route("/agent/stream", get(stream))
            .route("/command/poll", get(poll))
            .route("/command/receipt", post(receipt))
            .route("/command/result", post(result))
            .route("/telemetry", post(telemetry))
            .with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        gateway
    }

    pub fn enrol_string(&self) -> EnrolString {
        EnrolString {
            token: "t".repeat(43),
            server_key: self.inner.key.public().fingerprint(),
            server_url: self.target.to_string(),
        }
    }

    /// Orders so many agent checks of every agent.
    pub fn order(&self, fleet: &Fleet, each: usize) {
        for agent in fleet.agents() {
            for _ in 0..each {
                self.new_order(agent, false);
            }
        }
    }

    /// One that the gateway does not offer by itself.
    pub fn hidden_order(&self, agent: &SimAgent) -> (CommandId, Envelope) {
        self.new_order(agent, true)
    }

    pub async fn all_reported(&self, count: usize, within: Duration) {
        let reported = || self.lock().orders.values().filter(|order| order.result.is_some()).count();
        until(within, || (reported() >= count).then_some(())).await;
        assert_eq!(reported(), count);
    }

    pub async fn direct_port(&self, within: Duration) -> u16 {
        until(within, || self.lock().direct_port).await
    }

    pub fn forget_results(&self) {
        self.lock().orders.values_mut().for_each(|order| order.result = None);
    }

    /// How often a command was reported again with another content.
    pub fn changed_results(&self) -> u32 {
        self.lock().changed_results
    }

    fn new_order(&self, agent: &SimAgent, hidden: bool) -> (CommandId, Envelope) {
        let mut known = self.lock();
        let id = CommandId(i64::try_from(known.orders.len()).unwrap() + 1);
        let now = clock::now();
        let order = CommandOrder {
            id,
            endpoint_id: agent.identity.id.clone(),
            epoch: Epoch(1),
            action: Command::AgentCheck(AgentCheck {}),
            issued_at: now,
            not_before: None,
            expires_at: now + TimeDelta::days(1),
            created_by: "test".to_owned(),
            reason: "test".to_owned(),
        };
        let envelope = Envelope::seal(PayloadType::Command, &order, &self.inner.key);
        let endpoint = order.endpoint_id;
        let ordered = Ordered { endpoint, envelope: envelope.clone(), hidden, attempt: 0, result: None };
        known.orders.insert(id, ordered);
        (id, envelope)
    }

    fn due(&self, endpoint: &EndpointId) -> Vec<(CommandId, i32, Envelope)> {
        let mut known = self.lock();
        let due = known
            .orders
            .iter_mut()
            .filter(|(_, order)| &order.endpoint == endpoint && !order.hidden && order.result.is_none());
        due.map(|(id, order)| {
            order.attempt += 1;
            (*id, order.attempt, order.envelope.clone())
        })
        .collect()
    }

    fn report(&self, endpoint: &EndpointId, result: CommandResult) {
        let mut known = self.lock();
        let order = known.orders.get_mut(&result.command_id).expect("the command was ordered");
        assert_eq!(&order.endpoint, endpoint, "an agent reports its own commands");
        match &order.result {
            Some(first) if *first != result => known.changed_results += 1,
            Some(_) => {}
            None => order.result = Some(result),
        }
    }

    fn note(&self, telemetry: &Telemetry) {
        if telemetry.agent.direct_port.is_some() {
            self.lock().direct_port = telemetry.agent.direct_port;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.inner.state.lock().unwrap()
    }

    fn signed(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> EndpointId {
        let text = |name: &str| headers[name].to_str().unwrap();
        let signature = RequestSignature::parse_input(text("signature-input")).unwrap();
        let query = format!("?{}", uri.query().unwrap_or_default());
        let parts = RequestParts {
            method: method.as_str(),
            authority: text("host"),
            path: uri.path(),
            query: &query,
            content_digest: text("content-digest"),
        };
        let key = self.lock().agents[&signature.keyid].clone();
        let (header, now) = (text("signature"), clock::now().timestamp());
        match signature.alg {
            SignatureAlgorithm::Ed25519 => verify_request(&parts, body, &signature, header, &key, now),
            SignatureAlgorithm::HmacSha256 => {
                assert_eq!(uri.path(), "/command/poll");
                let key = PollKey::of_server(&self.inner.key, &key);
                verify_poll(&parts, body, &signature, header, &key, now)
            }
        }
        .unwrap();
        signature.keyid
    }
}

async fn enroll(
    State(gateway): State<Gateway>,
    Json(request): Json<EnrolRequest>,
) -> (StatusCode, Json<EnrolResponse>) {
    let key = PublicKey::from_base64(&request.public_key).unwrap();
    let proof: EnrolmentProof = request.envelope.open(PayloadType::EnrolmentProof, &key).unwrap();
    let endpoint_id = EndpointId::of_key(&key);
    gateway.lock().agents.insert(endpoint_id.clone(), key);
    let grant = EnrolmentGrant {
        endpoint_id,
        epoch: Epoch(1),
        hostname: proof.hostname,
        nonce: proof.nonce,
        issued_at: clock::now(),
        awaiting_approval: false,
    };
    let envelope = Envelope::seal(PayloadType::EnrolmentGrant, &grant, &gateway.inner.key);
    let server_key = gateway.inner.key.public().to_base64();
    (StatusCode::CREATED, Json(EnrolResponse { server_key, envelope }))
}

async fn stream(State(gateway): State<Gateway>, upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async move |socket| {
        // `None`: the agent has left, as it may at any time.
        let _ = serve(&gateway, socket).await;
    })
}

async fn serve(gateway: &Gateway, mut socket: WebSocket) -> Option<()> {
    let nonce = "c".repeat(43);
    say(&mut socket, &ServerFrame::Challenge { nonce: nonce.clone(), server_time: clock::now() }).await?;
    let AgentFrame::Hello { envelope } = hear(&mut socket).await? else { panic!("a hello comes first") };
    let endpoint = gateway.check_hello(&envelope, &nonce);
    say(&mut socket, &ServerFrame::Welcome { telemetry_interval_seconds: 1 }).await?;
    let mut offers = tokio::time::interval(OFFER_AGAIN_AFTER);
    loop {
        tokio::select! {
            _ = offers.tick() => {
                for (_, attempt, envelope) in gateway.due(&endpoint) {
                    say(&mut socket, &ServerFrame::Command { attempt, envelope }).await?;
                }
            }
            frame = hear(&mut socket) => match frame? {
                AgentFrame::Result(result) => {
                    let command_id = result.command_id;
                    gateway.report(&endpoint, result);
                    say(&mut socket, &ServerFrame::ResultRecorded { command_id }).await?;
                }
                AgentFrame::Telemetry(telemetry) => gateway.note(&telemetry),
                AgentFrame::Rejected { reason } => panic!("an offer was thrown away: {reason}"),
                _ => {}
            },
        }
    }
}

impl Gateway {
    fn check_hello(&self, envelope: &Envelope, nonce: &str) -> EndpointId {
        let agents = self.lock().agents.clone();
        let claims = agents.values().find_map(|key| {
            let claims: HelloClaims = envelope.open(PayloadType::Hello, key).ok()?;
            assert_eq!(claims.endpoint_id, EndpointId::of_key(key));
            Some(claims)
        });
        let claims = claims.expect("a hello verifies with the key of an enrolled agent");
        assert_eq!((claims.nonce.as_str(), claims.epoch), (nonce, Epoch(1)));
        claims.endpoint_id
    }
}

async fn poll(
    State(gateway): State<Gateway>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Json<PollResponse> {
    let endpoint = gateway.signed(&method, &uri, &headers, b"");
    let offers = gateway.due(&endpoint).into_iter().map(|(id, attempt, envelope)| OfferedCommand {
        id,
        command: "agent_check".to_owned(),
        params: json!({}),
        attempt,
        envelope,
    });
    Json(PollResponse { commands: offers.collect(), ..PollResponse::default() })
}

async fn receipt(
    State(gateway): State<Gateway>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    gateway.signed(&method, &uri, &headers, &body);
    let receipt: CommandReceipt = serde_json::from_slice(&body).unwrap();
    assert!(receipt.attempt > 0);
    Json(json!({ "status": "recorded" }))
}

async fn result(
    State(gateway): State<Gateway>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let endpoint = gateway.signed(&method, &uri, &headers, &body);
    gateway.report(&endpoint, serde_json::from_slice(&body).unwrap());
    Json(json!({ "status": "recorded", "command": {} }))
}

async fn telemetry(
    State(gateway): State<Gateway>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    gateway.signed(&method, &uri, &headers, &body);
    gateway.note(&serde_json::from_slice(&body).unwrap());
    Json(json!({ "status": "recorded" }))
}

async fn say(socket: &mut WebSocket, frame: &ServerFrame) -> Option<()> {
    socket.send(Message::Text(serde_json::to_string(frame).unwrap().into())).await.ok()
}

async fn hear(socket: &mut WebSocket) -> Option<AgentFrame> {
    loop {
        if let Message::Text(text) = socket.recv().await?.ok()? {
            return Some(serde_json::from_str(&text).unwrap());
        }
    }
}

async fn until<T>(within: Duration, look: impl Fn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not happen within {within:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
