//! Postgres is killed under a working server.

use std::{path::Path, time::Duration};

use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_store::{Store, StoreError, embedded::EmbeddedPostgres};

use crate::harness::{
    As, TestServer,
    agent::TestAgent,
    postgres::{Sweeper, new_directory},
    until,
};

/// Kills the postmaster; when the one before it is dead and not followed yet, the one that follows.
async fn kill(directory: &Path) {
    until("a postmaster to kill", async || {
        let pid_file = std::fs::read_to_string(directory.join("data/postmaster.pid")).ok()?;
        let pid = pid_file.lines().next()?;
        let mut kill = std::process::Command::new("kill");
        kill.args(["-KILL", pid]).stderr(std::process::Stdio::null());
        kill.status().unwrap().success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_answers_503_meanwhile_recovers_by_itself_and_loses_nothing_it_acknowledged() {
    let directory = new_directory();
    let postgres = EmbeddedPostgres::start_or_join(&directory).await.unwrap();
    let _sweeper = Sweeper::start(&directory);
    let server = TestServer::start_on(postgres.url()).await;
    let names: Vec<String> = (0..10).map(|n| format!("web-{n:02}")).collect();
    for name in &names {
        TestAgent::enrolled(&server, name).await;
    }
    let who = server.signed_in(Role::Responder).await;
    let mut acknowledged = Vec::new();
    for (n, name) in names.iter().enumerate() {
        if n % 3 == 2 {
            kill(&directory).await;
        }
        let id = until("the server to take commands again", async || {
            let answer = server.post("/api/isolate", &who, &json!({ "hostname": name })).await;
            match answer.status {
                202 => answer.body["command_id"].as_i64(),
                503 => {
                    assert_eq!(answer.problem(), "database-unavailable");
                    assert!(answer.headers.contains_key("retry-after"));
                    None
                }
                _ => panic!("{answer:?}"),
            }
        })
        .await;
        acknowledged.push(id);
    }
    until("the server to be ready", async || {
        (server.get("/readyz", &As::default()).await.status == 200).then_some(())
    })
    .await;
    kill(&directory).await;
    until("the commands", async || {
        match server.store.command(voltaxe_protocol::CommandId(acknowledged[0])).await {
            Ok(found) => Some(found.expect("it was acknowledged")),
            Err(StoreError::Unavailable(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    for id in acknowledged {
        let found =
            until("a connection", async || server.store.command(voltaxe_protocol::CommandId(id)).await.ok())
                .await;
        assert!(found.is_some(), "command {id} was acknowledged and is gone");
    }
    drop(server);
    postgres.stop().await;
    assert!(!directory.join("data/postmaster.pid").exists(), "stopped in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_found_again_and_run_by_one_process_only() {
    let directory = new_directory();
    let _sweeper = Sweeper::start(&directory);
    let first = EmbeddedPostgres::start_or_join(&directory).await.unwrap();
    assert!(first.is_ours());
    let second = EmbeddedPostgres::start_or_join(&directory).await.unwrap();
    assert!(!second.is_ours(), "only told where it is");
    let store = Store::connect_lazy(second.url()).unwrap();
    store.migrate().await.unwrap();
    store.check_durability().await.unwrap();
    store.close().await;
    second.stop().await;
    first.stop().await;
    let again = EmbeddedPostgres::start_or_join(&directory).await.unwrap();
    let store = Store::connect_lazy(again.url()).unwrap();
    assert!(!store.any_operator().await.unwrap(), "the schema is still there");
    store.close().await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_would_lose_commits_is_refused() {
    use sqlx::{Connection as _, Executor as _};

    let url = crate::harness::postgres::fresh_database().await;
    let store = Store::connect_lazy(&url).unwrap();
    store.check_durability().await.unwrap();
    let mut sql = sqlx::PgConnection::connect(&url).await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut sql).await.unwrap();
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sql.execute(sqlx::AssertSqlSafe(alter)).await.unwrap();
    let store = Store::connect_lazy(&url).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(20), store.check_durability()).await.unwrap();
    assert!(matches!(refused, Err(StoreError::NotDurable { setting: "synchronous_commit" })));
}
