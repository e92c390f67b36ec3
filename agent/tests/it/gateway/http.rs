use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use voltaxe_protocol::{
    CommandReceipt, EndpointId, EnrolRequest, EnrolResponse, EnrolmentGrant, EnrolmentProof, Envelope,
    Keypair, NotKnown, PayloadType, PollKey, PollResponse, ProbeAnswer, ProbeClaims, Problem, PublicKey,
    RequestParts, RequestSignature, verify_poll, verify_request,
};
use voltaxe_sentinel::clock;

use super::{Answers, State, TOKEN};

pub(super) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut request = Self { method, target, headers, body: bytes.split_off(head_end + 4) };
        let length = request.header("content-length").map_or(0, |value| value.parse().unwrap());
        while request.body.len() < length {
            stream.read_buf(&mut request.body).await.ok()?;
        }
        Some(request)
    }

    /// How long a poll may be kept open.
    pub(super) fn wait_milliseconds(&self) -> u64 {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let wait = query.split('&').find_map(|pair| pair.strip_prefix("wait="));
        wait.map_or(0, |seconds| seconds.parse::<u64>().unwrap() * 1000)
    }

    pub(super) fn answer(&self, state: &mut State) -> (u16, String) {
        let recorded = || (200, json!({"status": "recorded"}).to_string());
        if self.target == "/agent/enroll" {
            return enrol(&serde_json::from_slice(&self.body).unwrap(), state);
        }
        if !self.is_signed(state) {
            return problem(401, "unknown-key");
        }
        let path = self.target.split('?').next().unwrap();
        match (self.method.as_str(), path) {
            ("GET", "/command/poll") => {
                state.polls += 1;
                let answer = PollResponse {
                    commands: std::mem::take(&mut state.offers),
                    cancellations: std::mem::take(&mut state.cancellations),
                    queries: std::mem::take(&mut state.queries),
                };
                (200, serde_json::to_string(&answer).unwrap())
            }
            ("GET", "/agent/probe") => probe(self.target.split_once("nonce=").unwrap().1, state),
            ("POST", "/command/receipt") => {
                let receipt: CommandReceipt = serde_json::from_slice(&self.body).unwrap();
                state.receipts.push((receipt.command_id, receipt.attempt));
                recorded()
            }
            ("POST", "/command/not-known") => {
                let not_known: NotKnown = serde_json::from_slice(&self.body).unwrap();
                state.not_known.push(not_known.command_id);
                (204, String::new())
            }
            ("POST", "/command/result") => {
                state.results.push((serde_json::from_slice(&self.body).unwrap(), "post"));
                (200, json!({"status": "recorded", "command": {}}).to_string())
            }
            ("POST", "/telemetry") => {
                state.telemetry.push((serde_json::from_slice(&self.body).unwrap(), "post"));
                recorded()
            }
            ("POST", "/agent/evidence") => {
                let key = state.agent_key.clone().expect("an agent has enrolled");
                state.shelf.offer(&self.body, &key)
            }
            ("PUT", path) if path.starts_with("/agent/evidence/") => {
                state.shelf.piece(self.target.trim_start_matches("/agent/evidence/"), &self.body)
            }
            ("GET", path) if path.starts_with("/agent/evidence/") => state.shelf.state(),
            other => panic!("unexpected request {other:?}"),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// As the real server checks it.
    fn is_signed(&self, state: &mut State) -> bool {
        let Some(key) = &state.agent_key else { return false };
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let signature = RequestSignature::parse_input(self.header("signature-input").unwrap()).unwrap();
        let query = format!("?{query}");
        let parts = RequestParts {
            method: &self.method,
            authority: self.header("host").unwrap(),
            path,
            query: &query,
            content_digest: self.header("content-digest").unwrap(),
        };
        let header = self.header("signature").unwrap();
        let now = clock::wall().timestamp();
        let verified = if path == "/command/poll" {
            let key = PollKey::of_server(&state.key, key);
            verify_poll(&parts, &self.body, &signature, header, &key, now)
        } else {
            verify_request(&parts, &self.body, &signature, header, key, now)
        };
        assert_eq!(verified, Ok(()), "{} {}", self.method, self.target);
        assert!(state.nonces.insert(signature.nonce), "a nonce was used twice");
        true
    }
}

fn enrol(request: &EnrolRequest, state: &mut State) -> (u16, String) {
    let key = PublicKey::from_base64(&request.public_key).unwrap();
    let proof: EnrolmentProof = request.envelope.open(PayloadType::EnrolmentProof, &key).unwrap();
    if proof.token != TOKEN || std::mem::replace(&mut state.is_token_used, true) {
        return problem(401, "enrolment-token-invalid");
    }
    let grant = EnrolmentGrant {
        endpoint_id: EndpointId::of_key(&key),
        epoch: state.epoch,
        hostname: proof.hostname,
        nonce: if state.answers_with_wrong_nonce { TOKEN.to_owned() } else { proof.nonce },
        issued_at: clock::wall(),
        awaiting_approval: false,
    };
    state.agent_key = Some(key);
    let answer = EnrolResponse {
        server_key: state.key.public().to_base64(),
        envelope: Envelope::seal(PayloadType::EnrolmentGrant, &grant, &state.key),
    };
    (201, serde_json::to_string(&answer).unwrap())
}

fn probe(nonce: &str, state: &mut State) -> (u16, String) {
    state.probes += 1;
    let claims = ProbeClaims {
        nonce: nonce.to_owned(),
        endpoint_id: EndpointId::of_key(state.agent_key.as_ref().unwrap()),
        server_time: clock::wall(),
        addresses: state.addresses.clone(),
    };
    let answer = match state.answers_probes {
        Answers::Signed => Envelope::seal(PayloadType::Probe, &claims, &state.key),
        Answers::Forged => Envelope::seal(PayloadType::Probe, &claims, &Keypair::generate()),
        Answers::NotFound => return problem(404, "not-found"),
    };
    (200, serde_json::to_string(&ProbeAnswer { answer }).unwrap())
}

pub(super) fn problem(status: u16, word: &str) -> (u16, String) {
    (status, serde_json::to_string(&Problem::new(status, word, "Refused by the test")).unwrap())
}
