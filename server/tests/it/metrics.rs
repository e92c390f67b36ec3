use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_server::clock;

use crate::harness::{TestServer, agent::TestAgent};

#[tokio::test]
async fn the_queue_the_commits_and_the_channels_are_measured() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    TestAgent::enrolled(&server, "web-02").await;
    let _socket = agent.join(&server).await;
    let who = server.signed_in(Role::Responder).await;
    server.post("/api/isolate", &who, &json!({ "hostname": "web-02" })).await;
    server.strike.measure(clock::now()).await.unwrap();
    let answer = server.get("/metrics", &who).await;
    let text = answer.body.as_str().unwrap();
    for line in [
        "voltaxe_queue_commands{state=\"pending\"} 1",
        "voltaxe_agents{channel=\"stream\"} 1",
        "voltaxe_commit_seconds_count{what=\"Enqueue\"} 1",
        "voltaxe_expiries_total 0",
        "voltaxe_redeliveries_total 0",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}
