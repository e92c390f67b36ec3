use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, ObservedIsolation};

use crate::harness::{
    Answer, As, TestServer,
    agent::{TestAgent, outcome},
};

async fn fleet(server: &TestServer, names: &[&str]) -> Vec<TestAgent> {
    let mut agents = Vec::new();
    for name in names {
        agents.push(TestAgent::enrolled(server, name).await);
    }
    agents
}

fn isolate(names: &[&str]) -> Value {
    json!({ "command": "network_isolate", "hostnames": names, "reason": "outbreak" })
}

async fn executes(server: &TestServer, agent: &TestAgent, state: ObservedIsolation) {
    for command in agent.poll(server).await {
        let id = CommandId(command["id"].as_i64().unwrap());
        let result = serde_json::to_value(outcome(id, state)).unwrap();
        assert_eq!(agent.post(server, "/command/result", &result).await.status, 200);
    }
}

async fn states(server: &TestServer, who: &As, batch: &Answer) -> Value {
    let path = format!("/api/batches/{}", batch.body["batch_id"].as_str().unwrap());
    server.get(&path, who).await.body["states"].clone()
}

#[tokio::test]
async fn a_batch_reaches_every_host_and_shows_its_progress() {
    let server = TestServer::start().await;
    let agents = fleet(&server, &["web-01", "web-02", "web-03"]).await;
    let who = server.signed_in(Role::Responder).await;
    let batch = server.post("/api/batches", &who, &isolate(&["web-01", "web-02", "web-03", "web-01"])).await;
    assert_eq!(batch.status, 202, "{batch:?}");
    assert_eq!(
        (&batch.body["total"], &batch.body["queued"], &batch.body["existing"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(states(&server, &who, &batch).await["pending"], 3);
    executes(&server, &agents[0], ObservedIsolation::Isolated).await;
    agents[1].poll(&server).await;
    let now = states(&server, &who, &batch).await;
    assert_eq!((&now["executed"], &now["pending"]), (&json!(1), &json!(2)));
    let location = batch.headers["location"].to_str().unwrap();
    let page = server.get(&format!("{location}/commands?limit=2"), &who).await;
    assert_eq!(page.body.as_array().unwrap().len(), 2);
    let rest = server.get(&format!("{location}/commands?after={}", page.body[1]["id"]), &who).await;
    assert_eq!(rest.body.as_array().unwrap().len(), 1);
    let list = server.get("/api/batches", &who).await;
    assert_eq!(list.body[0]["batch_id"], batch.body["batch_id"]);
}

#[tokio::test]
async fn one_unknown_host_and_nothing_is_queued() {
    let server = TestServer::start().await;
    fleet(&server, &["web-01"]).await;
    let who = server.signed_in(Role::Responder).await;
    let answer = server.post("/api/batches", &who, &isolate(&["web-01", "web-99"])).await;
    assert_eq!((answer.status, answer.problem()), (404, "unknown-host"));
    assert_eq!(answer.body["field"], "hostnames");
    assert!(answer.body["detail"].as_str().unwrap().contains("\"web-99\""), "{answer:?}");
    assert!(server.get("/api/commands", &who).await.body.as_array().unwrap().is_empty());
    assert!(server.get("/api/batches", &who).await.body.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_list_is_an_error() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Responder).await;
    let answer = server.post("/api/batches", &who, &isolate(&[])).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("hostnames")));
}

#[tokio::test]
async fn the_same_key_is_the_same_batch() {
    let server = TestServer::start().await;
    fleet(&server, &["web-01"]).await;
    let who =
        server.signed_in(Role::Responder).await.with("idempotency-key", uuid::Uuid::new_v4().to_string());
    let first = server.post("/api/batches", &who, &isolate(&["web-01"])).await;
    let again = server.post("/api/batches", &who, &isolate(&["web-01"])).await;
    assert_eq!((again.status, &again.body["batch_id"]), (202, &first.body["batch_id"]), "{again:?}");
    assert_eq!(server.get("/api/commands", &who).await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn undo_releases_exactly_those_that_the_batch_isolated() {
    let server = TestServer::start().await;
    let agents = fleet(&server, &["web-01", "web-02", "web-03"]).await;
    let who = server.signed_in(Role::Responder).await;
    server.post("/api/isolate", &who, &json!({ "hostname": "web-01", "reason": "before" })).await;
    executes(&server, &agents[0], ObservedIsolation::Isolated).await;
    let batch = server.post("/api/batches", &who, &isolate(&["web-01", "web-02", "web-03"])).await;
    assert_eq!(
        (&batch.body["queued"], &batch.body["existing"]),
        (&json!(2), &json!(1)),
        "web-01 was isolated already"
    );
    for agent in &agents {
        executes(&server, agent, ObservedIsolation::Isolated).await;
    }
    // Released and isolated again by hand: not the batch's work any more.
    for order in ["/api/restore", "/api/isolate"] {
        server.post(order, &who, &json!({ "hostname": "web-03", "reason": "by hand" })).await;
        let state = if order == "/api/isolate" {
            ObservedIsolation::Isolated
        } else {
            ObservedIsolation::NotIsolated
        };
        executes(&server, &agents[2], state).await;
    }
    let location = batch.headers["location"].to_str().unwrap();
    let undo = server.post(&format!("{location}/undo"), &who, &json!({ "reason": "false alarm" })).await;
    assert_eq!((undo.status, &undo.body["total"]), (202, &json!(1)), "{undo:?}");
    assert_eq!(undo.body["undo_of"], batch.body["batch_id"]);
    for (agent, expected) in agents.iter().zip([0, 1, 0]) {
        assert_eq!(agent.poll(&server).await.len(), expected, "{}", agent.hostname);
    }
    let undo_again = server
        .post(
            &format!("{}/undo", undo.headers["location"].to_str().unwrap()),
            &who,
            &json!({ "reason": "undo undo" }),
        )
        .await;
    assert_eq!(
        (undo_again.status, undo_again.problem()),
        (409, "conflict"),
        "only an isolation can be undone"
    );
}

#[tokio::test]
async fn cancelling_the_rest_ends_what_nobody_has_and_asks_for_what_was_handed_out() {
    let server = TestServer::start().await;
    let agents = fleet(&server, &["web-01", "web-02", "web-03"]).await;
    let who = server.signed_in(Role::Responder).await;
    let batch = server.post("/api/batches", &who, &isolate(&["web-01", "web-02", "web-03"])).await;
    executes(&server, &agents[0], ObservedIsolation::Isolated).await;
    agents[1].poll(&server).await;
    let location = batch.headers["location"].to_str().unwrap();
    let cancelled = server.post(&format!("{location}/cancel"), &who, &json!({})).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    let now = &cancelled.body["states"];
    assert_eq!((&now["executed"], &now["pending"], &now["cancelled"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(cancelled.body["cancelled_by"], "responder.tester");
    let polled = agents[1].get(&server, "/command/poll?host=web-02").await;
    assert_eq!(polled.body["cancellations"].as_array().unwrap().len(), 1);
    assert!(agents[2].poll(&server).await.is_empty());
}
