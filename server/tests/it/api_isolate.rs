use serde_json::json;
use uuid::Uuid;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::ObservedIsolation;

use crate::harness::{
    TestServer,
    agent::{TestAgent, outcome},
};

#[tokio::test]
async fn the_seeds_request_is_answered_with_id_status_and_method() {
    let server = TestServer::start().await;
    let _agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let answer = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(answer.status, 202);
    insta::assert_json_snapshot!(answer.body, { ".command_id" => "[id]" }, @r#"
    {
      "command_id": "[id]",
      "existing": false,
      "method": "polling",
      "status": "pending"
    }
    "#);
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let record = server.get(&location, &who).await;
    assert_eq!(record.status, 200);
    insta::assert_json_snapshot!(record.body, {
        ".id" => "[id]", ".endpoint_id" => "[endpoint]", ".created_at" => "[time]", ".expires_at" => "[time]",
    }, @r#"
    {
      "attempt": 0,
      "batch_id": null,
      "cancel_requested_at": null,
      "cancel_requested_by": null,
      "cancelled_by": null,
      "channel": null,
      "command": "network_isolate",
      "created_at": "[time]",
      "created_by": "responder.tester",
      "delivered_at": null,
      "endpoint_id": "[endpoint]",
      "executed_at": null,
      "expires_at": "[time]",
      "finished_at": null,
      "hostname": "web-01",
      "id": "[id]",
      "not_before": null,
      "params": {
        "reason": "Manual isolation"
      },
      "priority": 10,
      "reason": "Manual isolation",
      "result": null,
      "schedule_id": null,
      "started_at": null,
      "status": "pending"
    }
    "#);
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Responder).await;
    let answer = server.post("/api/isolate", &who, &json!({ "hostname": "web-99" })).await;
    assert_eq!((answer.status, answer.problem()), (404, "unknown-host"));
    assert!(answer.body["detail"].as_str().unwrap().contains("web-99"));
    assert_eq!(answer.body["field"], "hostname");
}

#[tokio::test]
async fn bad_bodies_are_answered_with_what_is_wrong() {
    let server = TestServer::start().await;
    let _agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let raw =
        async |body: &str| server.post_raw("/api/isolate", &who, "application/json", body.to_owned()).await;

    let answer = raw("{\"hostname\": ").await;
    assert_eq!((answer.status, answer.problem()), (400, "malformed-json"));
    let answer = raw("{}").await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));
    assert!(answer.body["detail"].as_str().unwrap().contains("hostname"));
    let answer = raw("{\"hostname\": \"web-01\", \"force\": true}").await;
    assert!(answer.body["detail"].as_str().unwrap().contains("force"), "{answer:?}");
    let answer = raw("{\"hostname\": \"web-01\", \"reason\": \"x\"}").await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("reason")));
    let answer = raw(&format!("{{\"hostname\": \"{}\"}}", "x".repeat(300 * 1024))).await;
    assert_eq!((answer.status, answer.problem()), (413, "body-too-large"));
    let answer = server.post_raw("/api/isolate", &who, "text/plain", "hostname=web-01").await;
    assert_eq!((answer.status, answer.problem()), (415, "not-json"));
    let keyed = who.clone().with("idempotency-key", "not-a-uuid");
    let answer = server.post("/api/isolate", &keyed, &json!({ "hostname": "web-01" })).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("Idempotency-Key")));

    let mut sql = server.sql().await;
    let queued: i64 = sqlx::query_scalar("SELECT count(*) FROM commands").fetch_one(&mut sql).await.unwrap();
    assert_eq!(queued, 0, "nothing was half done");
}

#[tokio::test]
async fn a_key_makes_one_command_however_often_it_is_sent() {
    let server = TestServer::start().await;
    let _agent = TestAgent::enrolled(&server, "web-01").await;
    let _other = TestAgent::enrolled(&server, "web-02").await;
    let key = Uuid::new_v4().to_string();
    let who = server.signed_in(Role::Responder).await.with("idempotency-key", key);
    let body = json!({ "hostname": "web-01" });
    let clicks = futures::future::join_all((0..20).map(|_| server.post("/api/isolate", &who, &body))).await;
    let ids: std::collections::BTreeSet<_> =
        clicks.iter().map(|click| click.body["command_id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 1, "{clicks:?}");
    let for_another_host = server.post("/api/isolate", &who, &json!({ "hostname": "web-02" })).await;
    assert_eq!((for_another_host.status, for_another_host.problem()), (422, "invalid"));
}

#[tokio::test]
async fn operators_who_click_at_once_make_one_command() {
    let server = TestServer::start().await;
    let _agent = TestAgent::enrolled(&server, "web-01").await;
    let body = json!({ "hostname": "web-01" });
    let responder = server.signed_in(Role::Responder).await;
    let admin = server.signed_in(Role::Admin).await;
    let clicks = futures::future::join_all(
        (0..20).map(|n| server.post("/api/isolate", if n % 2 == 0 { &responder } else { &admin }, &body)),
    )
    .await;
    let new = clicks.iter().filter(|click| click.body["existing"] == false).count();
    assert_eq!(new, 1, "{clicks:?}");
    let mut sql = server.sql().await;
    let queued: i64 = sqlx::query_scalar("SELECT count(*) FROM commands").fetch_one(&mut sql).await.unwrap();
    assert_eq!(queued, 1);
}

#[tokio::test]
async fn an_isolated_host_answers_with_the_command_that_did_it_until_it_is_not() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({ "hostname": "web-01" });
    let click = async |path: &str| server.post(path, &who, &body).await.body;
    let report = async |id: &serde_json::Value, state| {
        let id = voltaxe_protocol::CommandId(id.as_i64().unwrap());
        let result = serde_json::to_value(outcome(id, state)).unwrap();
        assert_eq!(agent.post(&server, "/command/result", &result).await.status, 200);
    };
    let first = click("/api/isolate").await;
    report(&first["command_id"], ObservedIsolation::Isolated).await;
    let again = click("/api/isolate").await;
    assert_eq!((&again["command_id"], &again["existing"]), (&first["command_id"], &json!(true)));

    let lost = serde_json::to_value(agent.telemetry(ObservedIsolation::NotIsolated)).unwrap();
    assert_eq!(agent.post(&server, "/telemetry", &lost).await.status, 200);
    let anew = click("/api/isolate").await;
    assert_eq!(anew["existing"], false, "the isolation was lost, so a click must isolate again");

    report(&anew["command_id"], ObservedIsolation::Isolated).await;
    let release = click("/api/restore").await;
    assert_eq!(release["existing"], false);
}
