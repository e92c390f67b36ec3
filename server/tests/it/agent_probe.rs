use chrono::TimeDelta;
use sqlx::Executor as _;
use voltaxe_protocol::{Envelope, PayloadType, ProbeClaims};
use voltaxe_server::clock;

use crate::harness::{As, TestServer, agent::TestAgent};

const NONCE: &str = "AAAAAAAAAAAAAAAAAAAA-_";

#[tokio::test]
async fn a_probe_is_answered_by_the_servers_signature() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let answer = agent.get(&server, &format!("/agent/probe?nonce={NONCE}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let envelope: Envelope = serde_json::from_value(answer.body["answer"].clone()).unwrap();
    let claims: ProbeClaims = envelope.open(PayloadType::Probe, &agent.server_key).unwrap();
    assert_eq!((claims.nonce.as_str(), &claims.endpoint_id), (NONCE, &agent.id));
    assert!((clock::now() - claims.server_time).abs() < TimeDelta::minutes(1));
    assert_eq!(claims.addresses, [server.address], "the address that the request came to");
}

#[tokio::test]
async fn a_nonce_of_another_form_is_refused() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    for query in ["", "?nonce=", "?nonce=short", "?nonce=AAAAAAAAAAAAAAAAAAAA%2B%2F"] {
        let answer = agent.get(&server, &format!("/agent/probe{query}")).await;
        assert_eq!((answer.status, answer.problem()), (422, "invalid"), "{query}");
    }
}

#[tokio::test]
async fn nobody_else_is_answered() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let path = format!("/agent/probe?nonce={NONCE}");
    assert_eq!(server.get(&path, &As::default()).await.problem(), "signature-missing");
    let mut sql = server.sql().await;
    sql.execute("UPDATE endpoints SET status = 'revoked'").await.unwrap();
    server.strike.look_after(clock::now()).await.unwrap();
    assert_eq!(agent.get(&server, &path).await.problem(), "revoked");
    sql.execute("UPDATE endpoints SET status = 'awaiting_approval'").await.unwrap();
    assert_eq!(agent.get(&server, &path).await.problem(), "awaiting-approval");
}
