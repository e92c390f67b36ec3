use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{
    AgentFrame, CommandId, Envelope, Keypair, ObservedIsolation, PayloadType, RefusalReason, ServerFrame,
};

use crate::harness::{
    TestServer,
    agent::{TestAgent, challenged, hear, outcome, say},
    until,
};

fn refusal(frame: &ServerFrame) -> RefusalReason {
    match frame {
        ServerFrame::Refused { reason, .. } => *reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_click_reaches_the_stream_and_its_result_ends_the_command() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let (mut socket, welcome) = agent.join(&server).await;
    assert_eq!(welcome, ServerFrame::Welcome { telemetry_interval_seconds: 15 });
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(click.status, 202, "{click:?}");
    assert_eq!(click.body["method"], "stream");
    assert_eq!(click.body["status"], "pending");
    let ServerFrame::Command { envelope, attempt } = hear(&mut socket).await else {
        panic!("expected a command")
    };
    let order = agent.open(&envelope);
    assert_eq!(attempt, 1);
    assert_eq!(json!(order.id), click.body["command_id"]);
    assert_eq!(order.endpoint_id, agent.id);
    assert_eq!(order.created_by, "responder.tester");

    let command = async || server.store.command(order.id).await.unwrap().unwrap();
    say(&mut socket, &AgentFrame::Receipt { command_id: order.id, attempt }).await;
    until("the receipt", async || command().await.delivered_at).await;
    assert_eq!(command().await.status.as_str(), "delivered");
    say(&mut socket, &AgentFrame::Started { command_id: order.id }).await;
    say(&mut socket, &AgentFrame::Result(outcome(order.id, ObservedIsolation::Isolated))).await;
    assert_eq!(hear(&mut socket).await, ServerFrame::ResultRecorded { command_id: order.id });
    let done = command().await;
    assert_eq!(done.status.as_str(), "executed");
    assert_eq!(done.channel.unwrap().as_str(), "stream");
    assert_eq!(done.result.unwrap()["message"], "Network isolated successfully");
    let endpoint = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    let observed = endpoint.observed.unwrap().isolation;
    assert_eq!(observed.state, ObservedIsolation::Isolated);
    assert_eq!(observed.generation, Some(order.id));
}

#[tokio::test]
async fn what_waited_is_offered_when_the_stream_opens_and_again_until_there_is_a_receipt() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(click.body["method"], "polling");
    for expected in [1, 2] {
        let (mut socket, _) = agent.join(&server).await;
        let ServerFrame::Command { envelope, attempt } = hear(&mut socket).await else { panic!("a command") };
        assert_eq!((json!(agent.open(&envelope).id), attempt), (click.body["command_id"].clone(), expected));
    }
}

#[tokio::test]
async fn a_hello_that_is_not_the_enrolled_keys_is_refused() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    agent.join_counter = 1;

    let (mut socket, nonce) = challenged(&server).await;
    let forged = Envelope::seal(PayloadType::Hello, &agent.claims(nonce), &Keypair::generate());
    say(&mut socket, &AgentFrame::Hello { envelope: forged }).await;
    assert_eq!(refusal(&hear(&mut socket).await), RefusalReason::BadSignature);

    let (mut socket, _) = challenged(&server).await;
    let replayed = Envelope::seal(PayloadType::Hello, &agent.claims("n".repeat(43)), &agent.key);
    say(&mut socket, &AgentFrame::Hello { envelope: replayed }).await;
    assert_eq!(
        refusal(&hear(&mut socket).await),
        RefusalReason::BadSignature,
        "an answer to another challenge"
    );

    let (mut socket, nonce) = challenged(&server).await;
    let mut claims = agent.claims(nonce);
    claims.server_key = Keypair::generate().public().fingerprint();
    let relayed = Envelope::seal(PayloadType::Hello, &claims, &agent.key);
    say(&mut socket, &AgentFrame::Hello { envelope: relayed }).await;
    assert_eq!(refusal(&hear(&mut socket).await), RefusalReason::BadSignature, "meant for another server");

    let (mut socket, nonce) = challenged(&server).await;
    let mut claims = agent.claims(nonce);
    claims.epoch.0 += 1;
    let other_epoch = Envelope::seal(PayloadType::Hello, &claims, &agent.key);
    say(&mut socket, &AgentFrame::Hello { envelope: other_epoch }).await;
    assert_eq!(refusal(&hear(&mut socket).await), RefusalReason::WrongEpoch);
}

#[tokio::test]
async fn a_join_counter_that_does_not_rise_is_a_copied_key() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let (_first, _) = agent.join(&server).await;
    agent.join_counter -= 1;
    let (_, answer) = agent.join(&server).await;
    assert_eq!(refusal(&answer), RefusalReason::ClonedKey);
}

#[tokio::test]
async fn a_result_for_another_endpoints_command_changes_nothing() {
    let server = TestServer::start().await;
    let victim = TestAgent::enrolled(&server, "web-01").await;
    let mut other = TestAgent::enrolled(&server, "web-02").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    let (mut socket, _) = other.join(&server).await;
    say(&mut socket, &AgentFrame::Result(outcome(id, ObservedIsolation::Isolated))).await;
    assert_eq!(
        hear(&mut socket).await,
        ServerFrame::ResultRecorded { command_id: id },
        "so that it stops repeating"
    );
    assert_eq!(server.store.command(id).await.unwrap().unwrap().status.as_str(), "pending");
    let claim = serde_json::to_value(outcome(id, ObservedIsolation::Isolated)).unwrap();
    let posted = other.post(&server, "/command/result", &claim).await;
    assert_eq!((posted.status, posted.problem()), (404, "command-not-found"));
    assert!(server.store.endpoint(&victim.id).await.unwrap().unwrap().observed.is_none());
}

#[tokio::test]
async fn an_agent_that_lost_what_it_acknowledged_is_asked_and_gets_it_again() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    let (mut socket, _) = agent.join(&server).await;
    hear(&mut socket).await;
    say(&mut socket, &AgentFrame::Receipt { command_id: id, attempt: 1 }).await;
    until("the receipt", async || server.store.command(id).await.unwrap().unwrap().delivered_at).await;
    drop(socket);
    let (mut socket, _) = agent.join(&server).await;
    assert_eq!(hear(&mut socket).await, ServerFrame::Query { command_id: id });
    say(&mut socket, &AgentFrame::NotKnown { command_id: id }).await;
    let ServerFrame::Command { envelope, attempt } = hear(&mut socket).await else {
        panic!("expected it again")
    };
    assert_eq!((agent.open(&envelope).id, attempt), (id, 2));
}

#[tokio::test]
async fn a_revoked_endpoints_stream_is_closed() {
    let server = TestServer::start().await;
    let mut first = TestAgent::enrolled(&server, "web-01").await;
    let (mut socket, _) = first.join(&server).await;
    let second = TestAgent::enrolled(&server, "web-01").await;
    let now = voltaxe_server::clock::now();
    server.store.approve_endpoint(&second.id, "console", None, now).await.unwrap().unwrap();
    server.strike.sweep(now).await.unwrap();
    let ended = async {
        while let Some(Ok(message)) = futures::StreamExt::next(&mut socket).await {
            if message.is_close() {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("closed within 20 s");
}
