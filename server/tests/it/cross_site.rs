use serde_json::json;
use voltaxe_orchestrator::authority::Role;

use crate::harness::TestServer;

#[tokio::test]
async fn posts_from_another_site_are_refused_whoever_is_signed_in() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    for path in ["/api/isolate", "/rpc/order", "/rpc/sign_out", "/rpc/sign_in"] {
        for (name, value) in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "none")]
        {
            let answer = server.post(path, &admin.clone().with(name, value), &json!({})).await;
            assert_eq!((answer.status, answer.problem()), (403, "cross-site"), "{path} {value}");
        }
        let mut from_elsewhere = admin.clone().with("origin", "https://evil.example");
        from_elsewhere.0.retain(|(name, _)| *name != "sec-fetch-site");
        let answer = server.post(path, &from_elsewhere, &json!({})).await;
        assert_eq!((answer.status, answer.problem()), (403, "cross-site"), "{path} by Origin");
    }
    assert_eq!(server.get("/telemetry", &admin).await.status, 200, "still signed in");
}

#[tokio::test]
async fn a_tool_that_names_the_consoles_origin_is_let_in() {
    let server = TestServer::start().await;
    let mut who = server.signed_in(Role::Responder).await.with("origin", server.url.clone());
    who.0.retain(|(name, _)| *name != "sec-fetch-site");
    let answer = server.post("/api/isolate", &who, &json!({ "hostname": "nowhere" })).await;
    assert_eq!((answer.status, answer.problem()), (404, "unknown-host"));
}
