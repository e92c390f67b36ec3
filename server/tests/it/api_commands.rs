use serde_json::json;
use voltaxe_orchestrator::authority::Role;

use voltaxe_protocol::{
    AgentFrame, CANCELLED, Cancellation, CommandId, Envelope, ObservedIsolation, PayloadType, ServerFrame,
};

use crate::harness::{
    TestServer,
    agent::{TestAgent, hear, outcome, say},
};

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
async fn a_command_that_was_handed_out_is_asked_back_and_never_said_to_be_cancelled_before_the_host_says_so()
{
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    assert_eq!(agent.poll(&server).await.len(), 1);
    let cancel = format!("/api/commands/{id}/cancel");
    let answer = server.post(&cancel, &who, &json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("pending")), "{answer:?}");
    assert_eq!(answer.body["cancel_requested_by"], "responder.tester");
    let again = server.post(&cancel, &who, &json!({})).await;
    assert_eq!(again.body["cancel_requested_at"], answer.body["cancel_requested_at"], "asked once");

    let polled = agent.get(&server, "/command/poll?host=web-01").await;
    assert_eq!(polled.body["commands"], json!([]), "what is wanted back is not handed out again");
    let envelope: Envelope = serde_json::from_value(polled.body["cancellations"][0].clone()).unwrap();
    let cancellation: Cancellation = envelope.open(PayloadType::Cancellation, &agent.server_key).unwrap();
    assert_eq!((cancellation.id, cancellation.cancelled_by.as_str()), (id, "responder.tester"));

    let taken_back = json!({ "command_id": id, "success": false, "message": "Cancelled before it started",
                             "data": { "refused": CANCELLED } });
    assert_eq!(agent.post(&server, "/command/result", &taken_back).await.status, 200);
    let record = server.get(&format!("/api/commands/{id}"), &who).await;
    assert_eq!(record.body["status"], "cancelled");
    assert_eq!(record.body["cancelled_by"], "responder.tester");
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_shows_what_the_host_did() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let (mut socket, _) = agent.join(&server).await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    assert!(matches!(hear(&mut socket).await, ServerFrame::Command { .. }));
    server.post(&format!("/api/commands/{id}/cancel"), &who, &json!({})).await;
    assert!(matches!(hear(&mut socket).await, ServerFrame::Cancel { .. }));
    say(&mut socket, &AgentFrame::Result(outcome(id, ObservedIsolation::Isolated))).await;
    assert_eq!(hear(&mut socket).await, ServerFrame::ResultRecorded { command_id: id });
    let record = server.get(&format!("/api/commands/{id}"), &who).await;
    assert_eq!(record.body["status"], "executed", "it was: {record:?}");
    assert_eq!(record.body["cancel_requested_by"], "responder.tester");
    let final_cancel = server.post(&format!("/api/commands/{id}/cancel"), &who, &json!({})).await;
    assert_eq!((final_cancel.status, final_cancel.problem()), (409, "conflict"));
}

#[tokio::test]
async fn an_agent_cannot_cancel_what_nobody_wants_back() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    agent.poll(&server).await;
    let claim = json!({ "command_id": click.body["command_id"], "success": false, "message": "no",
                        "data": { "refused": CANCELLED } });
    agent.post(&server, "/command/result", &claim).await;
    let record = server.get(&format!("/api/commands/{}", click.body["command_id"]), &who).await;
    assert_eq!(record.body["status"], "failed");
}

#[tokio::test]
async fn the_list_is_paged_by_id_newest_first() {
    let server = TestServer::start().await;
    for name in ["web-01", "web-02", "web-03"] {
        TestAgent::enrolled(&server, name).await;
    }
    let who = server.signed_in(Role::Responder).await;
    for name in ["web-01", "web-02", "web-03"] {
        let body = json!({ "command": "agent_check", "hostname": name, "reason": "looking" });
        let answer = server.post("/api/commands", &who, &body).await;
        assert_eq!((answer.status, &answer.body["method"]), (202, &json!("polling")), "{answer:?}");
    }
    let first = server.get("/api/commands?limit=2", &who).await;
    let names = |answer: &crate::harness::Answer| -> Vec<String> {
        answer
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["hostname"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&first), ["web-03", "web-02"]);
    let rest = server.get(&format!("/api/commands?limit=2&before={}", first.body[1]["id"]), &who).await;
    assert_eq!(names(&rest), ["web-01"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_named() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let order = |with: serde_json::Value| {
        let mut body = json!({ "command": "agent_check", "hostname": "web-01", "reason": "looking" });
        body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        body
    };
    for (with, field) in [
        (json!({ "command": "rm_rf" }), "command"),
        (json!({ "reason": "x" }), "reason"),
        (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "auto_restore_after_seconds": 600 }), "auto_restore_after_seconds"),
        (
            json!({ "command": "network_isolate", "auto_restore_after_seconds": 5 }),
            "auto_restore_after_seconds",
        ),
        (json!({ "not_before": "2020-01-01T00:00:00Z" }), "not_before"),
        (json!({ "hostname": null }), "hostname"),
    ] {
        let answer = server.post("/api/commands", &who, &order(with.clone())).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{with}: {answer:?}");
    }
    let unknown_field =
        server.post("/api/isolate", &who, &json!({ "hostname": "web-01", "force": true })).await;
    assert_eq!(unknown_field.status, 422);
    assert!(
        server.get("/api/commands", &who).await.body.as_array().unwrap().is_empty(),
        "nothing was queued"
    );
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
