use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::ObservedIsolation;

use crate::harness::{TestServer, agent::TestAgent};

#[tokio::test]
async fn the_latest_of_each_host_is_answered_with_the_seeds_word_isolated() {
    let server = TestServer::start().await;
    let first = TestAgent::enrolled(&server, "web-01").await;
    let _silent = TestAgent::enrolled(&server, "web-02").await;
    for state in [ObservedIsolation::NotIsolated, ObservedIsolation::Isolated] {
        let telemetry = serde_json::to_value(first.telemetry(state)).unwrap();
        assert_eq!(first.post(&server, "/telemetry", &telemetry).await.status, 200);
    }
    let answer = server.get("/telemetry", &server.signed_in(Role::Viewer).await).await;
    let hosts = answer.body.as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    assert_eq!((&hosts[0]["hostname"], &hosts[0]["isolated"]), (&"web-01".into(), &true.into()));
    assert_eq!(hosts[0]["memory"]["total_bytes"], 1 << 30);
    assert!(hosts[1]["isolated"].is_null(), "a host that has not reported is not said to be anything");
    let mut sql = server.sql().await;
    let samples: i64 =
        sqlx::query_scalar("SELECT count(*) FROM telemetry_samples").fetch_one(&mut sql).await.unwrap();
    assert_eq!(samples, 2);
}

#[tokio::test]
async fn an_older_observation_does_not_replace_a_newer_one() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let older = serde_json::to_value(agent.telemetry(ObservedIsolation::NotIsolated)).unwrap();
    let newer = serde_json::to_value(agent.telemetry(ObservedIsolation::Isolated)).unwrap();
    agent.post(&server, "/telemetry", &newer).await;
    agent.post(&server, "/telemetry", &older).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    assert_eq!(known.observed.unwrap().isolation.state, ObservedIsolation::Isolated);
}

#[tokio::test]
async fn a_host_whose_clock_was_set_back_is_believed_again() {
    use sqlx::Executor as _;

    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let mut ahead = agent.telemetry(ObservedIsolation::Isolated);
    ahead.isolation.observed_at += chrono::TimeDelta::hours(1);
    agent.post(&server, "/telemetry", &serde_json::to_value(ahead).unwrap()).await;
    // As if some time had gone by.
    let mut sql = server.sql().await;
    sql.execute(
        "UPDATE telemetry_latest SET isolation_received_at = isolation_received_at - interval '11 seconds'",
    )
    .await
    .unwrap();
    let corrected = serde_json::to_value(agent.telemetry(ObservedIsolation::NotIsolated)).unwrap();
    agent.post(&server, "/telemetry", &corrected).await;
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    assert_eq!(known.observed.unwrap().isolation.state, ObservedIsolation::NotIsolated);
}
