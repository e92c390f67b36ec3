use serde_json::json;
use voltaxe_orchestrator::authority::Role;

use crate::harness::{TestServer, agent::TestAgent};

#[tokio::test]
async fn a_command_that_nobody_has_can_be_cancelled_and_is_never_handed_out() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let cancel = format!("/api/commands/{}/cancel", click.body["command_id"]);
    let answer = server.post(&cancel, &who, &json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")));
    assert_eq!(answer.body["cancelled_by"], "responder.tester");
    assert!(agent.poll(&server).await.is_empty());
    let again = server.post(&cancel, &who, &json!({})).await;
    assert_eq!((again.status, again.problem()), (409, "conflict"));
}

#[tokio::test]
async fn a_command_that_was_handed_out_is_not_said_to_be_cancelled() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(agent.poll(&server).await.len(), 1);
    let answer =
        server.post(&format!("/api/commands/{}/cancel", click.body["command_id"]), &who, &json!({})).await;
    assert_eq!((answer.status, answer.problem()), (409, "conflict"));
}

#[tokio::test]
async fn unknown_and_unreadable_ids_are_told_apart() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    let answer = server.get("/api/commands/999999", &who).await;
    assert_eq!((answer.status, answer.problem()), (404, "command-not-found"));
    let answer = server.get("/api/commands/abc", &who).await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));
}
