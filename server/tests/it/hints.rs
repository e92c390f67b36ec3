//! Two servers on one database.

use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::ServerFrame;
use voltaxe_server::clock;

use crate::harness::{
    TestServer,
    agent::{TestAgent, hear},
    until,
};

#[tokio::test]
async fn a_command_given_at_one_server_reaches_the_agent_at_the_other_at_once() {
    let here = TestServer::start().await;
    let there = TestServer::start_beside(&here).await;
    let mut agent = TestAgent::enrolled(&here, "web-01").await;
    let (mut socket, _) = agent.join(&there).await;
    let hearing = there.strike.clone();
    let heard = tokio::spawn(async move { hearing.hear_others(clock::now).await });
    let mut sql = here.sql().await;
    until("the other server to listen", async || {
        let listening: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND query ILIKE 'LISTEN%' AND state = 'idle'",
        )
        .fetch_one(&mut sql)
        .await
        .unwrap();
        (listening > 0).then_some(())
    })
    .await;
    let who = here.signed_in(Role::Responder).await;
    let click = here.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    assert_eq!(click.body["method"], "polling", "this server knows of no stream");
    here.strike.tell_others().await.unwrap();
    assert!(matches!(hear(&mut socket).await, ServerFrame::Command { .. }));
    heard.abort();
}
