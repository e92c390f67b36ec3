//! The history's partitions: made ahead, dropped by age, and healed.

use chrono::{Days, TimeDelta};
use serde_json::json;
use sqlx::Row as _;
use voltaxe_orchestrator::{authority::Role, strike::Retention};
use voltaxe_server::clock;

use crate::harness::{TestServer, agent::TestAgent};

const RETENTION: Retention = Retention { history_days: 90, samples_days: 7 };

async fn partitions(sql: &mut sqlx::PgConnection) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'command_history'::regclass ORDER BY 1",
    )
    .fetch_all(sql)
    .await
    .unwrap();
    rows.iter().map(|row| row.get("name")).collect()
}

#[tokio::test]
async fn a_row_that_came_before_its_partition_moves_into_it() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    server.post(&format!("/api/commands/{}/cancel", click.body["command_id"]), &who, &json!({})).await;
    let mut sql = server.sql().await;
    let in_default: i64 =
        sqlx::query_scalar("SELECT count(*) FROM command_history_default").fetch_one(&mut sql).await.unwrap();
    assert_eq!(in_default, 1, "no maintenance has run yet");
    server.strike.maintain(RETENTION, clock::now()).await.unwrap();
    let in_default: i64 =
        sqlx::query_scalar("SELECT count(*) FROM command_history_default").fetch_one(&mut sql).await.unwrap();
    assert_eq!(in_default, 0);
    let record = server.get(&format!("/api/commands/{}", click.body["command_id"]), &who).await;
    assert_eq!(record.body["status"], "cancelled");
    assert!(partitions(&mut sql).await.len() >= 4, "the coming weeks are there");
}

#[tokio::test]
async fn what_is_past_its_retention_is_dropped_and_the_rest_is_kept() {
    let server = TestServer::start().await;
    let mut sql = server.sql().await;
    let long_ago = clock::now() - TimeDelta::days(120);
    server.strike.maintain(RETENTION, long_ago).await.unwrap();
    let old = partitions(&mut sql).await;
    server.strike.maintain(RETENTION, clock::now()).await.unwrap();
    let kept = partitions(&mut sql).await;
    assert!(!kept.contains(&old[0]), "{} is older than 90 days: {kept:?}", old[0]);
    let a_week = Retention { history_days: 7, ..RETENTION };
    server.strike.maintain(a_week, clock::now()).await.unwrap();
    let oldest_day = (clock::now().date_naive() - Days::new(14)).format("%Y%m%d").to_string();
    for name in partitions(&mut sql).await.iter().filter(|name| !name.ends_with("default")) {
        assert!(
            name.rsplit('_').next().unwrap() >= oldest_day.as_str(),
            "{name} is older than the seed's 7 days"
        );
    }
}
