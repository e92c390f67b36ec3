use crate::harness::{As, TestServer};

#[tokio::test]
async fn a_running_server_is_healthy_and_ready() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/healthz", &As::default()).await.body["status"], "ok");
    assert_eq!(server.get("/readyz", &As::default()).await.body["status"], "ready");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = TestServer::start().await;
    for (path, status) in [("/healthz", 200), ("/telemetry", 401), ("/nothing-here", 404), ("/login", 200)] {
        let answer = server.get(path, &As::default()).await;
        assert_eq!(answer.status, status, "{path}");
        let header =
            |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(!header("x-request-id").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_pages_policy_allows_only_scripts_with_its_nonce() {
    let server = TestServer::start().await;
    let first = server.get("/login", &As::default()).await;
    let second = server.get("/login", &As::default()).await;
    let policy = |answer: &crate::harness::Answer| {
        answer.headers["content-security-policy"].to_str().unwrap().to_owned()
    };
    let nonce = policy(&first).split_once("'nonce-").unwrap().1.split_once('\'').unwrap().0.to_owned();
    assert!(first.body.as_str().unwrap().contains(&format!("nonce=\"{nonce}\"")));
    assert!(!policy(&first).contains("unsafe-inline"));
    assert_ne!(policy(&first), policy(&second));
}

#[tokio::test]
async fn unknown_addresses_and_methods_answer_a_problem() {
    let server = TestServer::start().await;
    let answer = server.post("/healthz", &As::nobody(), &serde_json::json!({})).await;
    assert_eq!((answer.status, answer.problem()), (405, "wrong-method"));
    let answer = server.post("/rpc/no_such_function", &As::nobody(), &serde_json::json!({})).await;
    assert_eq!((answer.status, answer.problem()), (404, "not-found"));
}

#[tokio::test]
async fn the_page_of_an_endpoint_that_does_not_exist_is_not_found() {
    let server = TestServer::start().await;
    let who = server.signed_in(voltaxe_orchestrator::authority::Role::Viewer).await;
    for id in ["ep_00000000000000000000000000000000", "nonsense"] {
        assert_eq!(server.get(&format!("/endpoints/{id}"), &who).await.status, 404, "{id}");
    }
    assert_eq!(server.get("/", &who).await.status, 200);
}
