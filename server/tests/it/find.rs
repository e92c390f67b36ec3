use serde_json::json;
use voltaxe_orchestrator::authority::Role;

use crate::harness::{TestServer, agent::TestAgent};

#[tokio::test]
async fn a_host_is_found_by_a_part_of_its_name_the_likeliest_first() {
    let server = TestServer::start().await;
    for hostname in ["db-web", "web-01", "web-0100", "mail"] {
        TestAgent::enrolled(&server, hostname).await;
    }
    let who = server.signed_in(Role::Viewer).await;
    let find = async |text: &str| {
        let answer = server.post("/rpc/find_hosts", &who, &json!({ "text": text })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let found = answer.body.as_array().unwrap();
        found.iter().map(|host| host["hostname"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find(" WEB ").await, ["web-01", "web-0100", "db-web"]);
    assert_eq!(find("b-w").await, ["db-web"]);
    assert_eq!(find("").await.len(), 4);
    for nothing in ["%", "_", "web-01'", "x".repeat(10_000).as_str()] {
        assert!(find(nothing).await.is_empty(), "{nothing}");
    }
}
