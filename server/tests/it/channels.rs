//! The direct channel and the long poll, and what is shown of all three.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse as _, routing::post};
use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{
    CommandId, CommandOrder, DirectAnswer, DirectOffer, EndpointId, Envelope, Keypair, ObservedIsolation,
    PayloadType, PublicKey, ReceiptClaims,
};

use crate::harness::{Answer, As, TestServer, agent::TestAgent, until};

/// An agent's listener that opens what it is offered and signs its receipts with `key`.
#[derive(Clone)]
struct Listener {
    server_key: PublicKey,
    id: EndpointId,
    key: Arc<Keypair>,
    broken: bool,
    heard: Arc<Mutex<Vec<CommandId>>>,
}

impl Listener {
    async fn start(&self) -> u16 {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let router = Router::new().route("/command", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(socket, router).await });
        port
    }
}

async fn take(State(listener): State<Listener>, Json(offer): Json<DirectOffer>) -> axum::response::Response {
    let order: CommandOrder = offer.envelope.open(PayloadType::Command, &listener.server_key).unwrap();
    listener.heard.lock().unwrap().push(order.id);
    if listener.broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let claims =
        ReceiptClaims { command_id: order.id, endpoint_id: listener.id.clone(), attempt: offer.attempt };
    let receipt = Envelope::seal(PayloadType::Receipt, &claims, &listener.key);
    Json(DirectAnswer { receipt }).into_response()
}

fn listener(agent: &TestAgent) -> Listener {
    Listener {
        server_key: agent.server_key.clone(),
        id: agent.id.clone(),
        key: Arc::new(Keypair::from_seed(&agent.key.to_seed())),
        broken: false,
        heard: Arc::default(),
    }
}

async fn advertise(server: &TestServer, agent: &TestAgent, port: u16) {
    let mut telemetry = agent.telemetry(ObservedIsolation::NotIsolated);
    telemetry.agent.direct_port = Some(port);
    let answer = agent.post(server, "/telemetry", &serde_json::to_value(telemetry).unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn isolate(server: &TestServer, who: &As) -> Answer {
    let answer = server.post("/api/isolate", who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
}

#[tokio::test]
async fn an_agent_without_a_stream_is_called_and_its_signed_receipt_counts() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let listener = listener(&agent);
    advertise(&server, &agent, listener.start().await).await;
    let click = isolate(&server, &who).await;
    assert_eq!((&click.body["method"], &click.body["status"]), (&json!("direct"), &json!("delivered")));
    let record = server.get(&format!("/api/commands/{}", click.body["command_id"]), &who).await;
    assert_eq!((&record.body["channel"], &record.body["status"]), (&json!("direct"), &json!("delivered")));
    let shown = &server.get("/telemetry", &who).await.body[0]["channels"]["direct"];
    assert!(shown["worked_at"].is_string(), "{shown}");
    assert!(agent.poll(&server).await.is_empty(), "it has it already");
}

#[tokio::test]
async fn a_receipt_by_another_key_does_not_count_and_the_poll_brings_the_command() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let impostor = Listener { key: Arc::new(Keypair::generate()), ..listener(&agent) };
    advertise(&server, &agent, impostor.start().await).await;
    let click = isolate(&server, &who).await;
    assert_eq!(click.body["status"], "pending");
    let problem = until("the failed call to show", async || {
        let telemetry = server.get("/telemetry", &who).await;
        telemetry.body[0]["channels"]["direct"]["problem"].as_str().map(str::to_owned)
    })
    .await;
    assert!(problem.contains("not the agent's"), "{problem}");
    let polled = until("the poll to bring it", async || {
        let commands = agent.poll(&server).await;
        (!commands.is_empty()).then_some(commands)
    })
    .await;
    assert_eq!(polled[0]["id"], click.body["command_id"], "the same id");
}

#[tokio::test]
async fn a_call_that_fails_leaves_the_command_to_the_poll() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let broken = Listener { broken: true, ..listener(&agent) };
    advertise(&server, &agent, broken.start().await).await;
    let click = isolate(&server, &who).await;
    assert_eq!((&click.body["method"], &click.body["status"]), (&json!("direct"), &json!("pending")));
    until("the poll to bring it", async || (!agent.poll(&server).await.is_empty()).then_some(())).await;
    assert_eq!(broken.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_poll_is_answered_when_a_command_comes() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    assert!(agent.poll(&server).await.is_empty());
    let poll = agent.get(&server, "/command/poll?host=web-01&wait=20");
    let click = async {
        until("the poll to wait", async || {
            let telemetry = server.get("/telemetry", &who).await;
            telemetry.body[0]["connected"].as_bool().unwrap().then_some(())
        })
        .await;
        isolate(&server, &who).await
    };
    let (answer, click) = tokio::join!(poll, click);
    assert_eq!(answer.body["commands"][0]["id"], click.body["command_id"], "{answer:?}");
}

#[tokio::test]
async fn an_agent_that_polls_is_asked_about_what_it_acknowledged() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = isolate(&server, &who).await;
    agent.poll(&server).await;
    let receipt = json!({ "command_id": click.body["command_id"], "attempt": 1 });
    agent.post(&server, "/command/receipt", &receipt).await;
    let answer = agent.get(&server, "/command/poll?host=web-01").await;
    assert_eq!(
        (&answer.body["commands"], &answer.body["queries"]),
        (&json!([]), &json!([click.body["command_id"]]))
    );
    let lost =
        agent.post(&server, "/command/not-known", &json!({ "command_id": click.body["command_id"] })).await;
    assert_eq!(lost.status, 200, "{lost:?}");
    let again = agent.poll(&server).await;
    assert_eq!((&again[0]["id"], &again[0]["attempt"]), (&click.body["command_id"], &json!(2)));
}
