//! `GET /api/commands` with filters, alone and together.

use chrono::TimeDelta;
use serde_json::json;
use voltaxe_orchestrator::{authority::Role, strike::Retention};
use voltaxe_server::clock;

use crate::harness::{Answer, As, TestServer, agent::TestAgent};

fn hosts(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_array().unwrap().iter().map(|row| row["hostname"].as_str().unwrap()).collect()
}

/// The ids on this page and on all that follow it.
async fn followed(server: &TestServer, who: &As, path: String) -> Vec<i64> {
    let (mut next, mut ids) = (Some(path), Vec::new());
    while let Some(path) = next {
        let answer = server.get(&path, who).await;
        ids.extend(answer.body.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()));
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn each_filter_leaves_what_it_names() {
    let server = TestServer::start().await;
    for host in ["web-01", "web-02", "db-01"] {
        TestAgent::enrolled(&server, host).await;
    }
    let (responder, admin) = (server.signed_in(Role::Responder).await, server.signed_in(Role::Admin).await);
    server.post("/api/isolate", &responder, &json!({ "hostname": "web-01", "reason": "one" })).await;
    let second = server.post("/api/isolate", &admin, &json!({ "hostname": "web-02", "reason": "two" })).await;
    let order = json!({ "command": "agent_check", "hostnames": ["db-01", "web-02"], "reason": "three" });
    let batch = server.post("/api/batches", &responder, &order).await;
    server.post(&format!("/api/commands/{}/cancel", second.body["command_id"]), &admin, &json!({})).await;

    let batch = batch.body["batch_id"].as_str().or(batch.body["id"].as_str()).unwrap().to_owned();
    let found = async |query: &str| {
        let answer = server.get(&format!("/api/commands?{query}"), &responder).await;
        let mut found: Vec<String> = hosts(&answer).into_iter().map(str::to_owned).collect();
        found.sort();
        assert!(answer.headers.get("link").is_none(), "all was looked at: {query}");
        found
    };
    assert_eq!(found("state=cancelled").await, ["web-02"]);
    assert_eq!(found("state=pending").await, ["db-01", "web-01", "web-02"]);
    assert_eq!(found("state=executed").await, [""; 0]);
    assert_eq!(found("kind=agent_check").await, ["db-01", "web-02"]);
    assert_eq!(found("operator=admin.tester").await, ["web-02"]);
    assert_eq!(found("host=WEB").await, ["web-01", "web-02", "web-02"]);
    assert_eq!(found("host=no-such-host").await, [""; 0]);
    assert_eq!(found(&format!("batch={batch}")).await, ["db-01", "web-02"]);
    assert_eq!(found("host=web&kind=network_isolate&operator=responder.tester").await, ["web-01"]);
    assert_eq!(found("from=2100-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(found("from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&kind=agent_check").await.len(), 2);
    assert_eq!(found("to=2020-01-01T00:00:00Z").await, [""; 0]);
}

#[tokio::test]
async fn filtered_pages_follow_each_other() {
    let server = TestServer::start().await;
    let names: Vec<String> = (0..5).map(|number| format!("web-{number:02}")).collect();
    for name in &names {
        TestAgent::enrolled(&server, name).await;
    }
    let who = server.signed_in(Role::Responder).await;
    let order = json!({ "command": "agent_check", "hostnames": names, "reason": "all" });
    server.post("/api/batches", &who, &order).await;
    let ids = followed(&server, &who, "/api/commands?kind=agent_check&limit=2".to_owned()).await;
    assert_eq!(ids.len(), 5);
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "{ids:?}");
}

/// The newest are looked for where the history of this week stands. One that was given long ago and ended this week stands there
/// as well, and comes after all that were given since.
#[tokio::test]
async fn what_ended_long_ago_follows_what_ended_this_week() {
    let server = TestServer::start().await;
    let retention = Retention { history_days: 90, samples_days: 7 };
    for days in [30, 0] {
        server.strike.maintain(retention, clock::now() - TimeDelta::days(days)).await.unwrap();
    }
    let names: Vec<String> = (0..6).map(|number| format!("web-{number:02}")).collect();
    for name in &names {
        TestAgent::enrolled(&server, name).await;
    }
    let who = server.signed_in(Role::Responder).await;
    let mut ids = Vec::new();
    for name in &names {
        let order = json!({ "command": "agent_check", "hostname": name, "reason": "one of them" });
        let id = server.post("/api/commands", &who, &order).await.body["command_id"].as_i64().unwrap();
        let cancelled = server.post(&format!("/api/commands/{id}/cancel"), &who, &json!({})).await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        ids.push(id);
    }
    let mut sql = server.sql().await;
    let history = "UPDATE command_history SET created_at = created_at - interval '30 days'";
    for statement in [
        format!("{history} WHERE id = {}", ids[0]),
        format!(
            "{history}, finished_at = finished_at - interval '30 days' WHERE id BETWEEN {} AND {}",
            ids[1], ids[3]
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut sql).await.unwrap();
    }
    ids.reverse();
    for filter in ["kind=agent_check", "state=cancelled", "operator=responder.tester", "host=web"] {
        for limit in 1..=7 {
            let path = format!("/api/commands?{filter}&limit={limit}");
            assert_eq!(followed(&server, &who, path).await, ids, "{filter}, {limit} at a time");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_filter_is_named() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    for (query, field) in [("kind=dance", "kind"), ("state=done", "state")] {
        let answer = server.get(&format!("/api/commands?{query}"), &who).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
    }
}
