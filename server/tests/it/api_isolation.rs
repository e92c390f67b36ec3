//! The terms of an isolation, from the click over its changes to its end.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use voltaxe_orchestrator::{authority::Role, model::IsolationDirection};
use voltaxe_protocol::{Command, CommandId, Envelope, IsolationChange, ObservedIsolation};
use voltaxe_server::clock;

use crate::harness::{
    Answer, As, TestServer,
    agent::{TestAgent, outcome},
};

/// The commands that the agent is offered, opened.
async fn offered(server: &TestServer, agent: &TestAgent) -> Vec<(CommandId, Command)> {
    let commands = agent.poll(server).await;
    let open = |offer: &Value| {
        let envelope: Envelope = serde_json::from_value(offer["envelope"].clone()).unwrap();
        let order = agent.open(&envelope);
        (order.id, order.action)
    };
    commands.iter().map(open).collect()
}

async fn reports(server: &TestServer, agent: &TestAgent, id: CommandId, state: ObservedIsolation) {
    let result = serde_json::to_value(outcome(id, state)).unwrap();
    assert_eq!(agent.post(server, "/command/result", &result).await.status, 200);
}

async fn isolated(server: &TestServer, agent: &TestAgent, who: &As, with: Value) -> CommandId {
    let mut body = json!({ "hostname": agent.hostname, "reason": "beacon" });
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let click = server.post("/api/isolate", who, &body).await;
    assert_eq!(click.status, 202, "{click:?}");
    agent.poll(server).await;
    let id = CommandId(click.body["command_id"].as_i64().unwrap());
    reports(server, agent, id, ObservedIsolation::Isolated).await;
    id
}

async fn change(server: &TestServer, who: &As, params: Value) -> Answer {
    let body = json!({ "command": "isolation_change", "hostname": "web-01", "reason": "let ssh in", "params": params });
    server.post("/api/commands", who, &body).await
}

async fn rollback(server: &TestServer, who: &As) -> Option<Value> {
    let waiting = server.get("/api/schedules?waiting=true", who).await;
    waiting.body.as_array().unwrap().first().cloned()
}

fn due(rollback: &Value) -> DateTime<Utc> {
    rollback["next_run_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_isolates_terms_are_signed_and_kept() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({
        "hostname": "web-01", "reason": "beacon", "allow_dns": true, "auto_restore_after_seconds": 3600,
        "notify_users": "This host is being looked at.",
        "exceptions": [{ "network": "10.0.0.5", "direction": "inbound", "protocol": "tcp", "port": 22 }],
    });
    assert_eq!(server.post("/api/isolate", &who, &body).await.status, 202);
    let Command::NetworkIsolate(isolate) = offered(&server, &agent).await.remove(0).1 else {
        panic!("it is an isolate");
    };
    assert_eq!(isolate.auto_restore_after_seconds, Some(3600), "the kernel counts, too");
    assert_eq!(isolate.notify_users.as_deref(), Some("This host is being looked at."));
    assert!(isolate.allow_dns);
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap().desired.unwrap();
    assert_eq!((known.terms.exceptions, known.terms.allow_dns), (isolate.exceptions, true));
}

#[tokio::test]
async fn exceptions_that_cannot_be_are_refused_and_nothing_is_queued() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let exception = |network: &str| json!({ "network": network, "protocol": "tcp", "port": 22 });
    for (exceptions, field) in [
        (json!([exception("0.0.0.0/0")]), "exceptions"),
        (json!([exception("::/0")]), "exceptions"),
        (json!(vec![exception("10.0.0.1"); 33]), "exceptions"),
        (json!([{ "network": "10.0.0.1", "protocol": "tcp" }]), "exceptions"),
        (json!([exception("web-02")]), "exceptions[0].network"),
        (json!([{ "network": "10.0.0.1", "protocol": "gre" }]), "exceptions[0].protocol"),
    ] {
        let body = json!({ "hostname": "web-01", "exceptions": exceptions });
        let answer = server.post("/api/isolate", &who, &body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
    }
    assert_eq!(server.get("/api/commands", &who).await.body, json!([]));
}

#[tokio::test]
async fn a_change_replaces_the_terms_and_moves_the_way_back() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let isolate = isolated(&server, &agent, &who, json!({ "auto_restore_after_seconds": 3600 })).await;

    let later = clock::now() + TimeDelta::hours(5);
    let ssh = json!({ "network": "10.0.0.5", "direction": "inbound", "protocol": "tcp", "port": 22 });
    let answer = change(&server, &who, json!({ "exceptions": [ssh], "auto_restore_at": later })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let (id, command) = offered(&server, &agent).await.remove(0);
    let Command::IsolationChange(IsolationChange { exceptions, auto_restore_at, reason, .. }) = command
    else {
        panic!("it is a change");
    };
    assert_eq!((exceptions.len(), auto_restore_at, reason.as_str()), (1, Some(later), "let ssh in"));
    assert!((due(&rollback(&server, &who).await.unwrap()) - later).abs() < TimeDelta::milliseconds(1));

    reports(&server, &agent, id, ObservedIsolation::Isolated).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    let desired = known.desired.unwrap();
    assert_eq!((desired.command_id, desired.direction), (isolate, IsolationDirection::Isolate));
    assert_eq!((desired.change_id, desired.terms.exceptions.len()), (Some(id), 1));
    assert_eq!(known.observed.unwrap().isolation.generation, Some(id), "the change's rules are in force");
    let again = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(again.body["command_id"], json!(isolate), "it is isolated by the same order still");

    change(&server, &who, json!({})).await;
    assert_eq!(rollback(&server, &who).await, None, "a change without an end lets it last");
    change(&server, &who, json!({ "auto_restore_at": later })).await;
    let made = rollback(&server, &who).await.unwrap();
    assert_eq!(made["rollback_of"], json!(isolate));
    server.strike.run_schedules(later + TimeDelta::seconds(1)).await.unwrap();
    let kinds: Vec<_> =
        offered(&server, &agent).await.into_iter().map(|(_, command)| command.kind()).collect();
    assert_eq!(kinds, ["isolation_change", "isolation_change", "network_restore"]);
}

#[tokio::test]
async fn there_is_nothing_to_change_on_a_host_that_is_not_to_be_isolated() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let never = change(&server, &who, json!({})).await;
    assert_eq!((never.status, never.problem()), (409, "conflict"));
    isolated(&server, &agent, &who, json!({})).await;
    server.post("/api/restore", &who, &json!({ "hostname": "web-01" })).await;
    let released = change(&server, &who, json!({})).await;
    assert_eq!((released.status, released.problem()), (409, "conflict"));
    assert!(released.body["detail"].as_str().unwrap().contains("web-01"));
    let unknown = json!({ "command": "isolation_change", "hostname": "web-99", "reason": "let ssh in" });
    assert_eq!(server.post("/api/commands", &who, &unknown).await.problem(), "unknown-host");
}

#[tokio::test]
async fn a_change_is_made_once_however_often_it_is_sent() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    isolated(&server, &agent, &who, json!({})).await;
    let keyed = who.clone().with("idempotency-key", uuid::Uuid::new_v4().to_string());
    let first = change(&server, &keyed, json!({ "allow_dns": true })).await;
    server.post("/api/restore", &who, &json!({ "hostname": "web-01" })).await;
    let again = change(&server, &keyed, json!({ "allow_dns": true })).await;
    assert_eq!(first.body["command_id"], again.body["command_id"]);
    assert_eq!(again.body["existing"], true);
}

#[tokio::test]
async fn moving_or_cancelling_the_way_back_tells_the_hosts_kernel() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let soon = clock::now() + TimeDelta::seconds(1);
    let exceptions = json!([
        { "network": "10.0.0.5", "protocol": "tcp", "port": 443 },
        { "network": "10.0.0.6", "protocol": "tcp", "port": 443, "until": soon },
    ]);
    let with = json!({ "auto_restore_after_seconds": 3600, "exceptions": exceptions });
    isolated(&server, &agent, &who, with).await;
    let way_back = rollback(&server, &who).await.unwrap();
    let path = format!("/api/schedules/{}", way_back["schedule_id"].as_str().unwrap());
    crate::harness::until("the second exception to end", async || (clock::now() > soon).then_some(())).await;

    let longer = server.post(&format!("{path}/extend"), &who, &json!({ "seconds": 600 })).await;
    assert_eq!(longer.status, 200, "{longer:?}");
    let Command::IsolationChange(moved) = offered(&server, &agent).await.remove(0).1 else {
        panic!("it is a change");
    };
    assert_eq!(moved.auto_restore_at, Some(due(&longer.body)));
    assert_eq!(moved.exceptions.len(), 1, "what is over is not asked for again");

    assert_eq!(server.post(&format!("{path}/cancel"), &who, &json!({})).await.status, 200);
    let Command::IsolationChange(lasting) = offered(&server, &agent).await.remove(0).1 else {
        panic!("it is a change");
    };
    assert_eq!((lasting.auto_restore_at, lasting.exceptions.len()), (None, 1));
}

#[tokio::test]
async fn what_is_about_one_host_now_is_refused_for_many_and_for_later() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let boot = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let by_id = json!({ "target": { "processes": [{ "pid": 7, "start_ticks": 1, "boot_id": boot }] } });
    for (command, params, field) in [
        ("isolation_change", json!({}), "command"),
        ("isolation_preview", json!({}), "command"),
        ("list_processes", json!({}), "command"),
        ("kill_process", by_id, "target"),
    ] {
        let soon = clock::now() + TimeDelta::hours(1);
        let body =
            json!({ "command": command, "params": params, "hostnames": ["web-01"], "reason": "looking" });
        let batch = server.post("/api/batches", &who, &body).await;
        assert_eq!((batch.status, &batch.body["field"]), (422, &json!(field)), "{command}: {batch:?}");
        let mut body = body;
        body["not_before"] = json!(soon);
        let schedule = server.post("/api/schedules", &who, &body).await;
        assert_eq!((schedule.status, &schedule.body["field"]), (422, &json!(field)), "{command}");
    }
    for (command, params) in [
        ("kill_process", json!({ "target": { "name": "nc" } })),
        ("collect_forensics", json!({ "profile": "quick" })),
        ("network_isolate", json!({ "allow_dns": true, "auto_restore_after_seconds": 600 })),
    ] {
        let body =
            json!({ "command": command, "params": params, "hostnames": ["web-01"], "reason": "looking" });
        let batch = server.post("/api/batches", &who, &body).await;
        assert_eq!(batch.status, 202, "{command}: {batch:?}");
    }
    let kinds: Vec<_> =
        offered(&server, &agent).await.into_iter().map(|(_, command)| command.kind()).collect();
    assert_eq!(kinds, ["network_isolate", "kill_process", "collect_forensics"]);
}

#[tokio::test]
async fn a_scheduled_isolation_leaves_out_what_is_over_by_then() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let at = clock::now() + TimeDelta::hours(2);
    let exceptions = json!([
        { "network": "10.0.0.5", "protocol": "icmp" },
        { "network": "10.0.0.6", "protocol": "icmp", "until": at - TimeDelta::hours(1) },
    ]);
    let body = json!({ "hostname": "web-01", "not_before": at, "exceptions": exceptions });
    assert_eq!(server.post("/api/isolate", &who, &body).await.status, 202);
    server.strike.run_schedules(at).await.unwrap();
    let Command::NetworkIsolate(isolate) = offered(&server, &agent).await.remove(0).1 else {
        panic!("it is an isolate");
    };
    assert_eq!(isolate.exceptions.len(), 1);
}
