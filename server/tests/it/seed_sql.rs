//! The statements that the original design prints for operators of the database, word for word.

use serde_json::json;
use sqlx::{Executor as _, Row as _};
use voltaxe_orchestrator::authority::Role;

use crate::harness::{TestServer, agent::TestAgent};

const PENDING: &str = "
SELECT id, hostname, command, status, created_at, executed_at 
FROM pending_commands 
WHERE status IN ('pending', 'delivered')
ORDER BY priority DESC, created_at ASC;
";
const NOT_EXECUTED: &str = "SELECT * FROM pending_commands WHERE status != 'executed'";
const RESET_STUCK: &str = "
UPDATE pending_commands 
SET status = 'pending', delivered_at = NULL 
WHERE status = 'delivered' 
  AND delivered_at < NOW() - INTERVAL '5 minutes';
";

#[tokio::test]
async fn the_monitoring_statements_run_and_the_reset_does_no_harm() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let id = click.body["command_id"].as_i64().unwrap();
    let mut sql = server.sql().await;
    let rows = sql.fetch_all(PENDING).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<i64, _>("id"), id);
    assert_eq!(rows[0].get::<String, _>("status"), "pending");
    assert_eq!(sql.fetch_all(NOT_EXECUTED).await.unwrap().len(), 1);

    agent.poll(&server).await;
    agent.post(&server, "/command/receipt", &json!({ "command_id": id, "attempt": 1 })).await;
    sql.execute(
        "UPDATE pending_commands SET delivered_at = now() - interval '10 minutes', leased_until = now()",
    )
    .await
    .unwrap();
    assert_eq!(sql.execute(RESET_STUCK).await.unwrap().rows_affected(), 1);
    let offered = agent.poll(&server).await;
    assert_eq!(offered[0]["id"], json!(id), "offered again under the same id, which the agent knows");
    assert_eq!(offered[0]["attempt"], 2);
}

#[tokio::test]
async fn rows_that_make_no_sense_cannot_be_stored() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    server.post("/api/isolate", &who, &json!({ "hostname": "web-01" })).await;
    let mut sql = server.sql().await;
    for nonsense in [
        "UPDATE pending_commands SET status = 'executed'",
        "UPDATE pending_commands SET status = 'delivered'",
        "UPDATE pending_commands SET status = 'isolated'",
        "UPDATE pending_commands SET expires_at = created_at",
        "UPDATE pending_commands SET attempt = -1",
        "UPDATE operators SET role = 'root'",
        "UPDATE operators SET password_hash = 'plain'",
        "DELETE FROM audit_log",
        "UPDATE audit_log SET actor = 'nobody'",
        "TRUNCATE audit_log",
    ] {
        assert!(sql.execute(nonsense).await.is_err(), "{nonsense}");
    }
    assert_eq!(agent.poll(&server).await.len(), 1);
}
