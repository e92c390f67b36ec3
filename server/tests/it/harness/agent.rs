//! An agent as the server sees it: real keys, real signatures, real frames. What it does on a host is tested with the real
//! binary elsewhere.

use chrono::{DateTime, Utc};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use voltaxe_protocol::{
    AgentFacts, AgentFrame, CommandId, CommandOrder, CommandResult, EndpointId, EnrolRequest, EnrolString,
    EnrolmentGrant, EnrolmentProof, Envelope, HelloClaims, HostFacts, IsolationObservation, IsolationOutcome,
    Keypair, LoadAverage, Memory, ObservedIsolation, PayloadType, PollKey, PublicKey, RequestParts,
    ServerFrame, SignedHeaders, Telemetry, sign_poll, sign_request,
};
use voltaxe_server::clock;

use super::{Answer, As, TestServer};

pub struct TestAgent {
    pub key: Keypair,
    pub id: EndpointId,
    pub hostname: String,
    pub server_key: PublicKey,
    pub grant: EnrolmentGrant,
    pub join_counter: i64,
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl TestAgent {
    pub async fn enrolled(server: &TestServer, hostname: &str) -> Self {
        let string = server.enrol_string(1).await;
        let (key, request) = enrol_request(&string, hostname, hostname);
        let answer =
            server.post("/agent/enroll", &As::default(), &serde_json::to_value(&request).unwrap()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let server_key = PublicKey::from_base64(answer.body["server_key"].as_str().unwrap()).unwrap();
        assert_eq!(server_key.fingerprint(), string.server_key, "the pinned key answers");
        let envelope: Envelope = serde_json::from_value(answer.body["envelope"].clone()).unwrap();
        let grant: EnrolmentGrant = envelope.open(PayloadType::EnrolmentGrant, &server_key).unwrap();
        Self {
            id: EndpointId::of_key(&key.public()),
            key,
            hostname: hostname.to_owned(),
            server_key,
            grant,
            join_counter: 0,
        }
    }

    /// The headers of a signed request.
    pub fn signed(&self, server: &TestServer, method: &str, path_and_query: &str, body: &[u8]) -> As {
        self.signed_at(server, method, path_and_query, body, clock::now())
    }

    pub fn signed_at(
        &self,
        server: &TestServer,
        method: &str,
        path_and_query: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> As {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let authority = server.address.to_string();
        let query = format!("?{query}");
        let parts = RequestParts { method, authority: &authority, path, query: &query, content_digest: "" };
        with_headers(sign_request(parts, body, self.id.clone(), &self.key, now.timestamp()))
    }

    /// With the key that the agent shares with the server, and no body.
    pub fn signed_poll(&self, server: &TestServer, method: &str, path_and_query: &str) -> As {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let authority = server.address.to_string();
        let query = format!("?{query}");
        let parts = RequestParts { method, authority: &authority, path, query: &query, content_digest: "" };
        let key = PollKey::of_agent(&self.key, &self.server_key);
        with_headers(sign_poll(parts, self.id.clone(), &key, clock::now().timestamp()))
    }

    pub async fn get(&self, server: &TestServer, path_and_query: &str) -> Answer {
        server.get(path_and_query, &self.signed(server, "GET", path_and_query, b"")).await
    }

    pub async fn post(&self, server: &TestServer, path: &str, body: &Value) -> Answer {
        let bytes = serde_json::to_vec(body).unwrap();
        let headers = self.signed(server, "POST", path, &bytes);
        server.post_raw(path, &headers, "application/json", bytes).await
    }

    pub async fn poll(&self, server: &TestServer) -> Vec<Value> {
        let answer = self.get(server, &format!("/command/poll?host={}", self.hostname)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["commands"].as_array().unwrap().clone()
    }

    /// Opens the stream and says hello; the answer is the server's first frame after that.
    pub async fn join(&mut self, server: &TestServer) -> (Socket, ServerFrame) {
        self.join_counter += 1;
        let (mut socket, nonce) = challenged(server).await;
        let claims = self.claims(nonce);
        let envelope = Envelope::seal(PayloadType::Hello, &claims, &self.key);
        say(&mut socket, &AgentFrame::Hello { envelope }).await;
        let answer = hear(&mut socket).await;
        (socket, answer)
    }

    pub fn claims(&self, nonce: String) -> HelloClaims {
        HelloClaims {
            nonce,
            endpoint_id: self.id.clone(),
            epoch: self.grant.epoch,
            join_counter: self.join_counter,
            server_key: self.server_key.fingerprint(),
            agent_version: "0.0.0-test".to_owned(),
        }
    }

    pub fn open(&self, envelope: &Envelope) -> CommandOrder {
        envelope.open(PayloadType::Command, &self.server_key).unwrap()
    }

    pub fn telemetry(&self, state: ObservedIsolation) -> Telemetry {
        let now = clock::now();
        Telemetry {
            hostname: self.hostname.clone(),
            isolated: state == ObservedIsolation::Isolated,
            observed_at: now,
            isolation: IsolationObservation {
                state,
                generation: None,
                observed_at: now,
                detail: None,
                ..Default::default()
            },
            agent: AgentFacts {
                version: "0.0.0-test".to_owned(),
                started_at: now,
                unreported_results: 0,
                direct_port: None,
            },
            host: HostFacts { os: "Testix 1".to_owned(), ..HostFacts::default() },
            load: LoadAverage::default(),
            memory: Memory { total_bytes: 1 << 30, available_bytes: 1 << 29 },
            disks: vec![],
            uptime_seconds: 60,
        }
    }
}

fn with_headers(headers: SignedHeaders) -> As {
    As::default()
        .with("content-digest", headers.content_digest)
        .with("signature-input", headers.signature_input)
        .with("signature", headers.signature)
}

/// A new key's request to enrol.
pub fn enrol_request(string: &EnrolString, hostname: &str, machine_id: &str) -> (Keypair, EnrolRequest) {
    let key = Keypair::generate();
    let proof = EnrolmentProof {
        token: string.token.clone(),
        nonce: "n".repeat(43),
        hostname: hostname.to_owned(),
        machine_id: machine_id.to_owned(),
        agent_version: "0.0.0-test".to_owned(),
        host: HostFacts { os: "Testix 1".to_owned(), ..HostFacts::default() },
    };
    let envelope = Envelope::seal(PayloadType::EnrolmentProof, &proof, &key);
    let request = EnrolRequest { public_key: key.public().to_base64(), envelope };
    (key, request)
}

/// What an agent reports after it has isolated or released its host.
pub fn outcome(id: CommandId, state: ObservedIsolation) -> CommandResult {
    let now = clock::now();
    let isolated = state == ObservedIsolation::Isolated;
    let observation = IsolationObservation {
        state,
        generation: isolated.then_some(id),
        observed_at: now,
        detail: None,
        ..Default::default()
    };
    CommandResult {
        command_id: id,
        success: true,
        message: if isolated { "Network isolated successfully" } else { "Network restored" }.to_owned(),
        data: Some(serde_json::to_value(IsolationOutcome { isolated, timestamp: now, observation }).unwrap()),
    }
}

pub async fn challenged(server: &TestServer) -> (Socket, String) {
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{}/agent/stream", server.address)).await.unwrap();
    match hear(&mut socket).await {
        ServerFrame::Challenge { nonce, .. } => (socket, nonce),
        other => panic!("expected a challenge, got {other:?}"),
    }
}

pub async fn say(socket: &mut Socket, frame: &AgentFrame) {
    socket.send(Message::Text(serde_json::to_string(frame).unwrap().into())).await.unwrap();
}

/// The next frame of ours; fails when the stream ends or nothing comes within 20 s.
pub async fn hear(socket: &mut Socket) -> ServerFrame {
    let next = async {
        loop {
            match socket.next().await.expect("the stream is open").unwrap() {
                Message::Text(text) => break serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("the server closed the stream: {frame:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), next).await.expect("a frame within 20 s")
}
