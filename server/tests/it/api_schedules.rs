use chrono::TimeDelta;
use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, ObservedIsolation};
use voltaxe_server::clock;

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, outcome},
};

async fn create(server: &TestServer, who: &As, with: Value) -> crate::harness::Answer {
    let mut body = json!({ "command": "agent_check", "hostnames": ["web-01"], "reason": "nightly look" });
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    server.post("/api/schedules", who, &body).await
}

async fn isolates(server: &TestServer, agent: &TestAgent, id: &Value) {
    agent.poll(server).await;
    let id = CommandId(id.as_i64().unwrap());
    let result = serde_json::to_value(outcome(id, ObservedIsolation::Isolated)).unwrap();
    assert_eq!(agent.post(server, "/command/result", &result).await.status, 200);
}

/// The waiting ones.
async fn waiting(server: &TestServer, who: &As) -> Vec<Value> {
    server.get("/api/schedules?waiting=true", who).await.body.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_command_for_later_is_made_when_its_time_comes_and_once() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let at = clock::now() + TimeDelta::hours(2);
    let body = json!({ "hostname": "web-01", "reason": "at two", "not_before": at });
    let answer = server.post("/api/isolate", &who, &body).await;
    assert_eq!((answer.status, &answer.body["kind"]), (202, &json!("once")), "{answer:?}");
    server.strike.run_schedules(at - TimeDelta::seconds(1)).await.unwrap();
    assert!(agent.poll(&server).await.is_empty());
    server.strike.run_schedules(at).await.unwrap();
    server.strike.run_schedules(at + TimeDelta::seconds(1)).await.unwrap();
    let commands = agent.poll(&server).await;
    assert_eq!(commands.len(), 1);
    let record = server.get(&format!("/api/commands/{}", commands[0]["id"]), &who).await;
    assert_eq!(record.body["schedule_id"], answer.body["schedule_id"]);
    assert_eq!(record.body["created_by"], "responder.tester");
    let schedule = server.get(answer.headers["location"].to_str().unwrap(), &who).await;
    assert_eq!((&schedule.body["state"], &schedule.body["runs"]), (&json!("done"), &json!(1)));
}

#[tokio::test]
async fn two_servers_make_a_schedules_commands_once() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let at = clock::now() + TimeDelta::minutes(1);
    create(&server, &who, json!({ "not_before": at })).await;
    let other = server.strike.clone();
    let (one, two) = tokio::join!(server.strike.run_schedules(at), other.run_schedules(at));
    one.unwrap();
    two.unwrap();
    assert_eq!(agent.poll(&server).await.len(), 1);
}

#[tokio::test]
async fn cron_repeats_until_it_is_cancelled() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let answer = create(&server, &who, json!({ "cron": "*/5 * * * *", "time_zone": "Europe/Berlin" })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let due = |body: &Value| body["next_run_at"].as_str().unwrap().parse().unwrap();
    let first = due(&answer.body);
    server.strike.run_schedules(first).await.unwrap();
    let location = answer.headers["location"].to_str().unwrap();
    let schedule = server.get(location, &who).await;
    assert_eq!(due(&schedule.body) - first, TimeDelta::minutes(5));
    server.strike.run_schedules(due(&schedule.body)).await.unwrap();
    assert_eq!(agent.poll(&server).await.len(), 2);
    let cancelled = server.post(&format!("{location}/cancel"), &who, &json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")));
    server.strike.run_schedules(first + TimeDelta::hours(1)).await.unwrap();
    assert!(agent.poll(&server).await.is_empty());
    let again = server.post(&format!("{location}/cancel"), &who, &json!({})).await;
    assert_eq!((again.status, again.problem()), (409, "conflict"));
}

#[tokio::test]
async fn a_run_that_was_missed_by_far_is_skipped_and_said_so() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let answer = create(&server, &who, json!({ "cron": "0 3 * * *" })).await;
    server.strike.run_schedules(clock::now() + TimeDelta::days(2)).await.unwrap();
    assert!(agent.poll(&server).await.is_empty());
    let schedule = server.get(answer.headers["location"].to_str().unwrap(), &who).await;
    assert!(schedule.body["note"].as_str().unwrap().contains("skipped"), "{schedule:?}");
    assert_eq!(schedule.body["state"], "waiting");
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_named() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let soon = clock::now() + TimeDelta::hours(1);
    for (with, field) in [
        (json!({ "not_before": "2020-01-01T00:00:00Z" }), "not_before"),
        (json!({ "not_before": soon, "expires_at": soon - TimeDelta::minutes(1) }), "expires_at"),
        (json!({ "cron": "61 * * * *" }), "cron"),
        (json!({ "cron": "not a cron" }), "cron"),
        (json!({ "cron": "0 0 30 2 *" }), "cron"),
        (json!({ "cron": "* * * * *", "time_zone": "Mars/Olympus" }), "time_zone"),
        (json!({ "cron": "* * * * *", "not_before": soon }), "not_before"),
        (json!({}), "not_before"),
        (json!({ "not_before": soon, "hostnames": [] }), "hostnames"),
        (json!({ "not_before": soon, "command": "dance" }), "command"),
    ] {
        let answer = create(&server, &who, with.clone()).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{with}: {answer:?}");
    }
    let unknown = create(&server, &who, json!({ "not_before": soon, "hostnames": ["web-99"] })).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "unknown-host"));
    assert!(waiting(&server, &who).await.is_empty());
}

#[tokio::test]
async fn an_isolation_takes_itself_back_counted_from_when_it_took_effect() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({ "hostname": "web-01", "reason": "look first", "auto_restore_after_seconds": 3600 });
    let click = server.post("/api/isolate", &who, &body).await;
    let rollback = waiting(&server, &who).await.remove(0);
    assert_eq!(
        (&rollback["kind"], &rollback["rollback_of"]),
        (&json!("rollback"), &click.body["command_id"])
    );
    assert_eq!(rollback["next_run_at"], Value::Null, "it counts from the effect, not from the click");
    isolates(&server, &agent, &click.body["command_id"]).await;
    let armed = waiting(&server, &who).await.remove(0);
    let due: chrono::DateTime<chrono::Utc> = armed["next_run_at"].as_str().unwrap().parse().unwrap();

    let extend = format!("/api/schedules/{}/extend", armed["schedule_id"].as_str().unwrap());
    let longer = server.post(&extend, &who, &json!({ "seconds": 600 })).await;
    assert_eq!(longer.status, 200, "{longer:?}");
    server.strike.run_schedules(due + TimeDelta::seconds(1)).await.unwrap();
    let told = agent.poll(&server).await;
    assert_eq!(told.len(), 1, "it was extended");
    assert_eq!(told[0]["command"], "isolation_change", "the host's kernel counts, too");
    server.strike.run_schedules(due + TimeDelta::seconds(601)).await.unwrap();
    let commands = agent.poll(&server).await;
    assert_eq!(commands[0]["command"], "network_restore");
    let too_much = server.post(&extend, &who, &json!({ "seconds": 5 })).await;
    assert_eq!((too_much.status, &too_much.body["field"]), (422, &json!("seconds")));
}

#[tokio::test]
async fn a_rollback_never_undoes_another_orders_work() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({ "hostname": "web-01", "reason": "first", "auto_restore_after_seconds": 3600 });
    let first = server.post("/api/isolate", &who, &body).await;
    isolates(&server, &agent, &first.body["command_id"]).await;
    let restore =
        server.post("/api/restore", &who, &json!({ "hostname": "web-01", "reason": "clean" })).await;
    agent.poll(&server).await;
    let id = CommandId(restore.body["command_id"].as_i64().unwrap());
    let done = serde_json::to_value(outcome(id, ObservedIsolation::NotIsolated)).unwrap();
    agent.post(&server, "/command/result", &done).await;
    assert!(waiting(&server, &who).await.is_empty(), "the release ended it");

    let again = server.post("/api/isolate", &who, &json!({ "hostname": "web-01", "reason": "second" })).await;
    isolates(&server, &agent, &again.body["command_id"]).await;
    server.strike.run_schedules(clock::now() + TimeDelta::hours(2)).await.unwrap();
    assert!(agent.poll(&server).await.is_empty(), "the second isolation stays");
}

#[tokio::test]
async fn a_rollback_ends_with_an_isolation_that_never_took_effect() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let body = json!({ "hostname": "web-01", "reason": "first", "auto_restore_after_seconds": 3600 });
    let click = server.post("/api/isolate", &who, &body).await;
    server.post(&format!("/api/commands/{}/cancel", click.body["command_id"]), &who, &json!({})).await;
    assert!(waiting(&server, &who).await.is_empty());
    let all = server.get("/api/schedules", &who).await;
    assert_eq!(
        (&all.body[0]["state"], &all.body[0]["note"]),
        (&json!("cancelled"), &json!("the isolation was cancelled"))
    );
}
