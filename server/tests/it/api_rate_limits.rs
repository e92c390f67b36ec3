use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::ServerFrame;
use voltaxe_server::clock;

use crate::harness::{
    TestServer,
    agent::{TestAgent, hear},
};

#[tokio::test]
async fn what_a_limit_holds_back_waits_its_turn_and_is_sent_when_the_bucket_has_filled() {
    let server = TestServer::start().await;
    let mut agents =
        [TestAgent::enrolled(&server, "web-01").await, TestAgent::enrolled(&server, "web-02").await];
    let (mut first, _) = agents[0].join(&server).await;
    let (mut second, _) = agents[1].join(&server).await;
    let admin = server.signed_in(Role::Admin).await;
    let limit = json!({ "per_minute": 1, "burst": 1 });
    let set = server.request(Method::PUT, "/api/rate-limits/agent_check", &admin, &limit).await;
    assert_eq!(set.status, 200, "{set:?}");
    let order = json!({ "command": "agent_check", "hostnames": ["web-01", "web-02"], "reason": "both" });
    assert_eq!(server.post("/api/batches", &admin, &order).await.status, 202);

    let deferred = async || {
        let commands = server.get("/api/commands", &admin).await;
        let rows = commands.body.as_array().unwrap().clone();
        rows.iter().filter(|row| row["attempt"] == 0).count()
    };
    crate::harness::until("one of two to go out", async || {
        server.strike.delivery().release_deferred(clock::now()).await.unwrap();
        (deferred().await == 1).then_some(())
    })
    .await;
    server.strike.delivery().release_deferred(clock::now()).await.unwrap();
    assert_eq!(deferred().await, 1, "the bucket is empty");
    server.strike.delivery().release_deferred(clock::now() + TimeDelta::minutes(2)).await.unwrap();
    assert_eq!(deferred().await, 0);
    for socket in [&mut first, &mut second] {
        assert!(matches!(hear(socket).await, ServerFrame::Command { .. }));
    }
}

#[tokio::test]
async fn a_limit_on_one_kind_holds_no_other_back() {
    let server = TestServer::start().await;
    let mut agent = TestAgent::enrolled(&server, "web-01").await;
    let (mut socket, _) = agent.join(&server).await;
    let admin = server.signed_in(Role::Admin).await;
    let limit = json!({ "per_minute": 1, "burst": 1 });
    server.request(Method::PUT, "/api/rate-limits/agent_check", &admin, &limit).await;
    server.post("/api/isolate", &admin, &json!({ "hostname": "web-01" })).await;
    assert!(matches!(hear(&mut socket).await, ServerFrame::Command { .. }));
}

#[tokio::test]
async fn limits_are_listed_removed_and_checked() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let limit = json!({ "per_minute": 30.0, "burst": 5 });
    server.request(Method::PUT, "/api/rate-limits/*", &admin, &limit).await;
    let list = server.get("/api/rate-limits", &admin).await;
    assert_eq!(list.body, json!([{ "kind": "*", "per_minute": 30.0, "burst": 5, "tokens": 5.0 }]));
    let gone = server.request(Method::DELETE, "/api/rate-limits/*", &admin, &json!({})).await;
    assert_eq!(gone.status, 204);
    let twice = server.request(Method::DELETE, "/api/rate-limits/*", &admin, &json!({})).await;
    assert_eq!((twice.status, twice.problem()), (404, "not-found"));
    for (kind, body, field) in [
        ("dance", &limit, "kind"),
        ("agent_check", &json!({ "per_minute": 0, "burst": 5 }), "per_minute"),
        ("agent_check", &json!({ "per_minute": 1, "burst": 0 }), "burst"),
    ] {
        let answer = server.request(Method::PUT, &format!("/api/rate-limits/{kind}"), &admin, body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
    }
}
