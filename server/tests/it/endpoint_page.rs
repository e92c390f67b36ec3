//! What an endpoint's page is made of besides its state: labels and note, telemetry over time, retries, snapshots.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, CommandResult, ObservedIsolation};
use voltaxe_server::clock;

use crate::harness::{
    Answer, As, TestServer,
    agent::{TestAgent, outcome},
};

async fn patch(server: &TestServer, agent: &TestAgent, who: &As, body: &Value) -> Answer {
    server.request(Method::PATCH, &format!("/api/endpoints/{}", agent.id), who, body).await
}

async fn rpc(server: &TestServer, function: &str, who: &As, body: Value) -> Value {
    let answer = server.post(&format!("/rpc/{function}"), who, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn log(server: &TestServer, agent: &TestAgent, who: &As) -> Value {
    rpc(server, "endpoint_log", who, json!({ "endpoint_id": agent.id, "before": null })).await
}

#[tokio::test]
async fn labels_and_note_are_written_audited_and_shown() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let answer = patch(&server, &agent, &who, &json!({ "labels": ["prod", "role=web", "prod"] })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["labels"], json!(["prod", "role=web"]));
    assert_eq!((&answer.body["note"], &answer.body["revision"]), (&json!(""), &json!(1)));
    let answer =
        patch(&server, &agent, &who, &json!({ "note": "ask ann\r\nbefore a reboot", "revision": 1 })).await;
    assert_eq!(answer.body["labels"], json!(["prod", "role=web"]), "what is not named stays");
    assert_eq!(answer.body["note"], "ask ann\nbefore a reboot");
    assert_eq!(answer.body["changed_by"], "responder.tester");

    let viewer = server.signed_in(Role::Viewer).await;
    let kept = server.get(&format!("/api/endpoints/{}/notes", agent.id), &viewer).await;
    assert_eq!(kept.body, answer.body);
    let log = log(&server, &agent, &viewer).await;
    assert_eq!((&log["notes"]["note"], &log["notes"]["revision"]), (&answer.body["note"], &json!(2)));
    let events = log["events"]["rows"].as_array().unwrap();
    let told: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["endpoint.annotate", "endpoint.annotate", "endpoint.enrol"]);
    assert_eq!(events[0]["words"], "Labels: prod, role=web. Note: ask ann before a reboot");
    assert!(log["events"]["next"].is_null());
}

#[tokio::test]
async fn nobody_writes_over_what_somebody_else_has_written_meanwhile() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (ann, bob) = (server.signed_in(Role::Responder).await, server.signed_in(Role::Admin).await);
    assert_eq!(patch(&server, &agent, &bob, &json!({ "note": "bob's", "revision": 0 })).await.status, 200);
    let late = patch(&server, &agent, &ann, &json!({ "note": "ann's", "revision": 0 })).await;
    assert_eq!((late.status, late.problem()), (409, "changed-meanwhile"));
    assert!(late.body["detail"].as_str().unwrap().contains("by admin.tester"), "{late:?}");

    let form = json!({ "endpoint_id": agent.id, "form": "labels=prod%20db&note=ann%27s", "revision": 0 });
    let theirs = rpc(&server, "annotate", &ann, form.clone()).await;
    assert_eq!(theirs["changed_meanwhile"]["note"], "bob's");
    let mut with_theirs = form;
    with_theirs["revision"] = theirs["changed_meanwhile"]["revision"].clone();
    let saved = rpc(&server, "annotate", &ann, with_theirs).await;
    assert_eq!((&saved["saved"]["labels"], &saved["saved"]["revision"]), (&json!(["prod", "db"]), &json!(2)));
}

#[tokio::test]
async fn what_is_no_label_or_note_is_refused_by_its_field() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    for (body, field) in [
        (json!({ "labels": ["Prod"] }), "labels"),
        (json!({ "labels": ["<b>"] }), "labels"),
        (json!({ "note": "a\u{7}" }), "note"),
        (json!({ "note": "x".repeat(4_001) }), "note"),
        (json!({}), "labels"),
    ] {
        let answer = patch(&server, &agent, &who, &body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{body}");
    }
    let nobody = "/api/endpoints/ep_00112233445566778899aabbccddeeff";
    assert_eq!(server.request(Method::PATCH, nobody, &who, &json!({ "note": "x" })).await.status, 404);
    let viewer = server.signed_in(Role::Viewer).await;
    assert_eq!(patch(&server, &agent, &viewer, &json!({ "note": "x" })).await.status, 403);
}

#[tokio::test]
async fn telemetry_over_time_comes_in_stretches_on_its_scale() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Viewer).await;
    let now = clock::now();
    let mut sql = server.sql().await;
    let samples = [
        (now, 1.0_f32, 1000_i64, 250_i64, Some(50.0_f32), false),
        (now, 3.0, 1000, 750, Some(70.0), true),
        (now - TimeDelta::hours(5), f32::INFINITY, 0, 0, None, false),
        (now - TimeDelta::days(3), 0.5, 1000, 2000, Some(140.0), false),
    ];
    for (at, load, total, available, disk, isolated) in samples {
        sqlx::query("INSERT INTO telemetry_samples VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(agent.id.as_str())
            .bind(at)
            .bind(load)
            .bind(total)
            .bind(available)
            .bind(disk)
            .bind(isolated)
            .execute(&mut sql)
            .await
            .unwrap();
    }
    let ask = async |week: bool| {
        rpc(&server, "series", &who, json!({ "endpoint_id": agent.id, "week": week })).await
    };
    let day = ask(false).await;
    assert_eq!((&day["step"], &day["count"]), (&json!(600_000), &json!(144)));
    let points = day["points"].as_array().unwrap();
    assert_eq!(points.len(), 2, "{day}");
    let newest = &points[1];
    assert_eq!((&newest["at"], &newest["load"]), (&json!(143), &json!([100, 200, 300])));
    assert_eq!(newest["memory"], json!([250, 500, 750]));
    assert_eq!((&newest["disk"], &newest["isolated"]), (&json!([500, 600, 700]), &json!(true)));
    assert_eq!(points[0]["load"], json!([10_000_000, 10_000_000, 10_000_000]));
    assert!(points[0]["memory"].is_null() && points[0]["disk"].is_null());

    let week = ask(true).await;
    assert_eq!((&week["step"], &week["count"]), (&json!(3_600_000), &json!(168)));
    let oldest = &week["points"][0];
    assert_eq!((&oldest["memory"], &oldest["disk"]), (&json!([0, 0, 0]), &json!([1000, 1000, 1000])));
    assert_eq!(week["points"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_came_to_nothing_is_given_again_with_its_parameters() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let kill = json!({
        "command": "kill_process", "hostname": "web-01", "reason": "it mines",
        "params": { "target": { "name": "xmrig" }, "grace_seconds": 2 },
    });
    let made = server.post("/api/commands", &who, &kill).await;
    let first = made.body["command_id"].as_i64().unwrap();
    let key = "2f1c9f3e-9d1c-4a4e-8f0a-3f1f7c1a1b2c";
    let retry = async |id: i64| {
        server.post("/rpc/retry_command", &who, &json!({ "command_id": id, "idempotency_key": key })).await
    };
    assert_eq!(retry(first).await.status, 409, "it is under way");
    agent.poll(&server).await;
    let failed = CommandResult {
        command_id: CommandId(first),
        success: false,
        message: "no such process".to_owned(),
        data: None,
    };
    agent.post(&server, "/command/result", &serde_json::to_value(failed).unwrap()).await;
    let again = retry(first).await;
    assert_eq!(again.status, 200, "{again:?}");
    let second = again.body["command_id"].as_i64().unwrap();
    assert!(second > first);
    assert_eq!(retry(first).await.body["command_id"], second, "the same click");
    let record = server.get(&format!("/api/commands/{second}"), &who).await.body;
    assert_eq!(record["reason"], format!("Retry of #{first}: it mines"));
    assert_eq!(record["params"]["target"]["name"], "xmrig");
    assert_eq!(record["params"]["grace_seconds"], 2);

    server.post(&format!("/api/commands/{second}/cancel"), &who, &json!({})).await;
    let third = server
        .post(
            "/rpc/retry_command",
            &who,
            &json!({ "command_id": second, "idempotency_key": key.replace("2f1c", "3f1c") }),
        )
        .await;
    let third = third.body["command_id"].as_i64().unwrap();
    let record = server.get(&format!("/api/commands/{third}"), &who).await.body;
    assert_eq!(record["reason"], format!("Retry of #{second}: it mines"), "the words are kept once");
    let viewer = server.signed_in(Role::Viewer).await;
    let body = json!({ "command_id": first, "idempotency_key": key });
    assert_eq!(server.post("/rpc/retry_command", &viewer, &body).await.status, 403);
}

#[tokio::test]
async fn a_snapshot_is_ordered_before_the_isolation_and_a_repeated_click_is_neither_twice() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let order = json!({
        "order": "isolate", "endpoint_id": agent.id,
        "form": "ticket=INC-7&reason=beacons&snapshot=on&template=&undo=5",
        "idempotency_key": "5b1c9f3e-9d1c-4a4e-8f0a-3f1f7c1a1b2c",
    });
    let sent = rpc(&server, "order", &who, order.clone()).await;
    let isolate = sent["command"]["command_id"].as_i64().unwrap();
    let snapshot = server.get("/api/commands", &who).await.body;
    let kinds: Vec<_> = snapshot
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["command"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [("network_isolate", "[INC-7] beacons"), ("collect_forensics", "[INC-7] beacons")]);
    assert_eq!(sent["command"]["also"], format!("Its snapshot is command {}.", isolate - 1));
    let again = rpc(&server, "order", &who, order.clone()).await;
    assert_eq!(
        (&again["command"]["command_id"], &again["command"]["existing"]),
        (&json!(isolate), &json!(true))
    );
    assert_eq!(server.get("/api/commands", &who).await.body.as_array().unwrap().len(), 2);

    agent.poll(&server).await;
    let result = serde_json::to_value(outcome(CommandId(isolate), ObservedIsolation::Isolated)).unwrap();
    agent.post(&server, "/command/result", &result).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    assert_eq!(known.observed.unwrap().isolation.state, ObservedIsolation::Isolated);

    let mut bad = order;
    bad["form"] = json!("ticket=%5Bx&reason=beacons");
    let refused = server.post("/rpc/order", &who, &bad).await;
    assert_eq!((refused.status, &refused.body["invalid"]["field"]), (422, &json!("ticket")));
}

#[tokio::test]
async fn the_page_is_whole_without_a_browsers_help_and_what_people_wrote_is_text() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let hostile = "<script>alert(1)</script>\u{202e}";
    patch(&server, &agent, &who, &json!({ "labels": ["role=web"], "note": hostile })).await;
    let mut telemetry = agent.telemetry(ObservedIsolation::NotIsolated);
    telemetry.host.os = "<img src=x onerror=alert(1)>".to_owned();
    telemetry.host.kernel = format!("6.1\u{202e}{}", "k".repeat(100_000));
    agent.post(&server, "/telemetry", &serde_json::to_value(telemetry).unwrap()).await;
    let order = json!({ "hostname": "web-01", "reason": "<b>look</b>" });
    server.post("/api/isolate", &who, &order).await;
    let page = server.get(&format!("/endpoints/{}", agent.id), &who).await;
    assert_eq!(page.status, 200);
    let html = page.body.as_str().unwrap();
    for present in
        ["Timeline", "Telemetry", "Labels and note", "/?label=role%3Dweb", "Cancel isolation", "Enrolled"]
    {
        assert!(html.contains(present), "{present}");
    }
    assert!(html.contains(r"6.1\u{202e}kkk") && html.len() < 300_000, "{} bytes", html.len());
    for markup in ["<script>alert", "<img src=x", "<b>look"] {
        assert!(!html.contains(markup), "{markup}");
    }
}
