use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, ObservedIsolation, ReleaseClaims, ReleaseTicket};

use crate::harness::{
    TestServer,
    agent::{TestAgent, outcome},
};

fn is_for(agent: &TestAgent, ticket: &Value, generation: CommandId) -> bool {
    let ticket: ReleaseTicket = ticket.as_str().unwrap().parse().unwrap();
    let claims = ReleaseClaims { endpoint_id: agent.id.clone(), epoch: agent.grant.epoch, generation };
    ticket.is_for(&claims, &agent.server_key)
}

#[tokio::test]
async fn a_ticket_is_for_the_isolation_that_is_in_force_and_leaves_a_trace() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let path = format!("/api/endpoints/{}/release-ticket", agent.id);
    let reason = json!({ "reason": "the server moves" });
    let too_early = server.post(&path, &admin, &reason).await;
    assert_eq!((too_early.status, too_early.problem()), (409, "conflict"));

    let click = server.post("/api/isolate", &admin, &json!({ "hostname": "web-01" })).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    let wanted = server.post(&path, &admin, &reason).await;
    assert_eq!(wanted.status, 200, "{wanted:?}");
    assert!(is_for(&agent, &wanted.body["ticket"], id), "it is on its way");

    agent.poll(&server).await;
    let result = serde_json::to_value(outcome(id, ObservedIsolation::Isolated)).unwrap();
    agent.post(&server, "/command/result", &result).await;
    let change = json!({ "command": "isolation_change", "hostname": "web-01", "reason": "let ssh in" });
    server.post("/api/commands", &admin, &change).await;
    let in_force = server.post(&path, &admin, &reason).await;
    assert!(is_for(&agent, &in_force.body["ticket"], id), "the change has not reached the host");
    assert_eq!(in_force.headers["cache-control"], "no-store");
    assert_eq!((&in_force.body["generation"], &in_force.body["hostname"]), (&json!(id), &json!("web-01")));
    let line = in_force.body["command_line"].as_str().unwrap();
    assert!(line.contains(in_force.body["ticket"].as_str().unwrap()), "{line}");

    let mut sql = server.sql().await;
    let kept: Vec<(String, String, i64, Option<Value>)> = sqlx::query_as(
        "SELECT actor, reason, command_id, detail FROM audit_log WHERE action = 'release_ticket.issue'",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(kept, vec![("admin.tester".to_owned(), "the server moves".to_owned(), id.0, None); 2]);
}

#[tokio::test]
async fn a_ticket_needs_a_reason_and_an_administrator() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let path = format!("/api/endpoints/{}/release-ticket", agent.id);
    let responder = server.signed_in(Role::Responder).await;
    assert_eq!(server.post(&path, &responder, &json!({ "reason": "please" })).await.status, 403);
    let admin = server.signed_in(Role::Admin).await;
    server.post("/api/isolate", &admin, &json!({ "hostname": "web-01" })).await;
    let without = server.post(&path, &admin, &json!({ "reason": "" })).await;
    assert_eq!((without.status, &without.body["field"]), (422, &json!("reason")));
    let nobody = "/api/endpoints/ep_00112233445566778899aabbccddeeff/release-ticket";
    assert_eq!(server.post(nobody, &admin, &json!({ "reason": "please" })).await.problem(), "unknown-host");
}

#[tokio::test]
async fn the_servers_own_console_issues_tickets_too_and_nothing_shows_them() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let now = voltaxe_server::clock::now();
    let issued = server.strike.release_ticket_at_console("web-01", "on the phone", now).await.unwrap();
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    assert!(is_for(&agent, &json!(issued.ticket.reveal()), id));
    assert!(!format!("{issued:?}").contains(&issued.ticket.reveal()[5..13]));
    assert!(server.strike.release_ticket_at_console("web-99", "on the phone", now).await.is_err());
}
