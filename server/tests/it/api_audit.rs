//! The audit log: its filters, its pages, and its export.

use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_server::clock;
use voltaxe_store::AuditEntry;

use crate::harness::{Answer, As, TestServer, agent::TestAgent};

fn actions(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect()
}

async fn note(server: &TestServer, actor: &str, action: &str, reason: &str) {
    let entry = AuditEntry { actor, action, reason: Some(reason), ..AuditEntry::default() };
    server.store.audit(entry, clock::now()).await.unwrap();
}

#[tokio::test]
async fn a_click_is_found_by_who_what_where_and_why_with_its_result() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    TestAgent::enrolled(&server, "db-01").await;
    let who = server.signed_in(Role::Responder).await;
    let order = |host: &str, reason: &str| json!({ "hostname": host, "reason": reason });
    server.post("/api/isolate", &who, &order("web-01", "Beacon to 10.1.2.3")).await;
    let other = server.post("/api/isolate", &who, &order("db-01", "exfiltration")).await;
    server.post(&format!("/api/commands/{}/cancel", other.body["command_id"]), &who, &json!({})).await;

    for query in [
        "host=WEB&action=command",
        "actor=responder.tester&reason=beacon",
        "action=command.network_isolate&host=web-01",
    ] {
        let answer = server.get(&format!("/api/audit?{query}"), &who).await;
        assert_eq!(actions(&answer), ["command.network_isolate"], "{query}");
        let row = &answer.body[0];
        assert_eq!((&row["hostname"], &row["result"]), (&json!("web-01"), &json!("pending")), "{query}");
        assert_eq!(
            (&row["reason"], &row["command"]),
            (&json!("Beacon to 10.1.2.3"), &json!("network_isolate"))
        );
    }
    let answer = server.get("/api/audit?host=db-01&action=command", &who).await;
    assert_eq!(actions(&answer), ["command.cancelled", "command.network_isolate"], "newest first");
    assert_eq!(answer.body[1]["result"], "cancelled", "what became of it since");

    let id = &answer.body[1]["id"];
    let one = server.get(&format!("/api/audit/{id}"), &who).await;
    assert_eq!(one.body, answer.body[1]);
    let none = server.get("/api/audit/999999", &who).await;
    assert_eq!((none.status, none.problem()), (404, "not-found"));

    let tomorrow = "2100-01-01T00:00:00Z";
    assert_eq!(actions(&server.get(&format!("/api/audit?from={tomorrow}"), &who).await), [""; 0]);
    assert!(!actions(&server.get(&format!("/api/audit?to={tomorrow}"), &who).await).is_empty());
}

#[tokio::test]
async fn pages_follow_each_other_by_the_link_that_each_names() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Responder).await;
    for number in 0..7 {
        note(&server, "eve", "test.note", &format!("note & {number}")).await;
    }
    let mut next = Some("/api/audit?actor=eve&reason=note+%26&limit=3".to_owned());
    let mut seen = Vec::new();
    while let Some(path) = next {
        let answer = server.get(&path, &who).await;
        let rows = answer.body.as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["reason"].as_str().unwrap().to_owned()));
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
    }
    assert_eq!(seen, (0..7).rev().map(|number| format!("note & {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn reasons_are_not_for_viewers() {
    let server = TestServer::start().await;
    let viewer = server.signed_in(Role::Viewer).await;
    for path in ["/api/audit", "/api/audit?format=csv", "/api/audit/1"] {
        assert_eq!(server.get(path, &viewer).await.status, 403, "{path}");
    }
}

async fn export(server: &TestServer, who: &As, query: &str) -> (String, String) {
    let response = server.open(&format!("/api/audit?{query}"), who).await;
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    (kind, response.text().await.unwrap())
}

#[tokio::test]
async fn an_export_has_every_row_once_and_no_formula_and_is_noted_itself() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Responder).await;
    note(&server, "eve", "test.note", "=HYPERLINK(\"http://evil\")").await;
    // More than are read at once.
    sqlx::query(
        "INSERT INTO audit_log (at, actor, action, reason) SELECT now(), 'eve', 'test.note', n::text FROM generate_series(1, 1200) n",
    )
    .execute(&mut server.sql().await)
    .await
    .unwrap();
    let (kind, csv) = export(&server, &who, "format=csv&actor=eve").await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    assert_eq!(csv.lines().count(), 1 + 1201);
    assert!(csv.starts_with("id,at,actor,action,"));
    assert!(csv.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""), "{}", csv.lines().last().unwrap());

    let (_, json_lines) = export(&server, &who, "format=json&actor=eve").await;
    let rows: Vec<Value> = json_lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 1201);
    assert!(rows.windows(2).all(|pair| pair[0]["id"].as_i64() > pair[1]["id"].as_i64()));

    let (_, events) = export(&server, &who, "format=ocsf&reason=HYPERLINK").await;
    let event: Value = serde_json::from_str(events.trim_end()).unwrap();
    assert_eq!((&event["class_uid"], &event["category_uid"]), (&json!(7001), &json!(7)));
    assert_eq!(event["actor"]["user"]["name"], "eve");

    let noted = server.get("/api/audit?action=audit.export", &who).await;
    assert_eq!(noted.body.as_array().unwrap().len(), 3);
    assert_eq!(noted.body[0]["detail"]["format"], "ocsf");
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_named() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Responder).await;
    let long = format!("reason={}", "x".repeat(300));
    for (query, field) in [(long.as_str(), "reason"), ("format=xml", "format")] {
        let answer = server.get(&format!("/api/audit?{query}"), &who).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
    }
    for query in ["from=yesterday", "colour=red"] {
        let answer = server.get(&format!("/api/audit?{query}"), &who).await;
        assert!(matches!(answer.status, 400 | 422), "{answer:?}");
    }
}
