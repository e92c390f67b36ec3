use chrono::TimeDelta;
use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, Drift, Exception, ObservedIsolation, Telemetry};

use crate::{
    events::Frames,
    harness::{TestServer, agent::TestAgent},
};

fn drifted(agent: &TestAgent, count: u32) -> Telemetry {
    let mut telemetry = agent.telemetry(ObservedIsolation::Isolated);
    telemetry.isolation.generation = Some(CommandId(41));
    telemetry.isolation.drift = Some(Drift {
        found_at: telemetry.observed_at,
        found: "the table inet voltaxe_isolation was gone".to_owned(),
        put_back: true,
        count,
    });
    telemetry
}

async fn tell(server: &TestServer, agent: &TestAgent, telemetry: &Telemetry) {
    let answer = agent.post(server, "/telemetry", &serde_json::to_value(telemetry).unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn audited(server: &TestServer) -> Vec<(String, i64, Value)> {
    let mut sql = server.sql().await;
    sqlx::query_as(
        "SELECT hostname, command_id, detail FROM audit_log WHERE action = 'isolation.drift' ORDER BY id",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_drift_is_told_once_and_kept() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let viewer = server.signed_in(Role::Viewer).await;
    let mut frames = Frames::open(&server, &viewer).await;
    frames.next_called("reset").await;
    tell(&server, &agent, &agent.telemetry(ObservedIsolation::Isolated)).await;
    let first = drifted(&agent, 1);
    tell(&server, &agent, &first).await;
    let told: Value = serde_json::from_str(&frames.next_called("drift").await.data).unwrap();
    assert_eq!(
        (&told["hostname"], &told["put_back"], &told["count"]),
        (&json!("web-01"), &json!(true), &json!(1))
    );
    // The same one with every telemetry message that follows.
    let mut same = agent.telemetry(ObservedIsolation::Isolated);
    same.isolation.drift.clone_from(&first.isolation.drift);
    tell(&server, &agent, &same).await;
    tell(&server, &agent, &drifted(&agent, 2)).await;
    let kept = audited(&server).await;
    let counts: Vec<_> =
        kept.iter().map(|(host, by, detail)| (host.as_str(), *by, &detail["count"])).collect();
    assert_eq!(counts, [("web-01", 41, &json!(1)), ("web-01", 41, &json!(2))]);
    assert!(kept[0].2["found"].as_str().unwrap().contains("was gone"));
    let metrics = server.get("/metrics", &viewer).await.body;
    assert!(metrics.as_str().unwrap().contains("voltaxe_isolation_drift_total 2"), "{metrics}");
}

#[tokio::test]
async fn what_a_host_says_of_its_isolation_is_kept_whole() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let mut telemetry = drifted(&agent, 3);
    let ends = voltaxe_server::clock::now() + TimeDelta::hours(1);
    telemetry.isolation.auto_restore_at = Some(ends);
    telemetry.isolation.is_provisional = true;
    telemetry.isolation.allows_dns = true;
    let exception = json!({ "network": "10.0.0.5", "protocol": "tcp", "port": 22 });
    let exception: Exception = serde_json::from_value(exception).unwrap();
    telemetry.isolation.exceptions = vec![exception; 100];
    tell(&server, &agent, &telemetry).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap().observed.unwrap().isolation;
    assert_eq!((known.is_provisional, known.allows_dns, known.auto_restore_at), (true, true, Some(ends)));
    assert_eq!(known.exceptions.len(), 32, "whoever holds a host does not fill the server");
    assert_eq!(known.drift.unwrap().count, 3);
    let answer = server.get("/telemetry", &server.signed_in(Role::Viewer).await).await;
    assert_eq!(answer.body[0]["isolation"]["is_provisional"], true);

    tell(&server, &agent, &agent.telemetry(ObservedIsolation::NotIsolated)).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap().observed.unwrap().isolation;
    assert_eq!((known.is_provisional, known.drift), (false, None), "it is over");
}
