use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::json;
use voltaxe_orchestrator::{
    api_tokens::{ApiTokenRequest, TokenError},
    authority::Role,
};
use voltaxe_server::clock;

use crate::harness::{As, TestServer, agent::TestAgent};

#[tokio::test]
async fn a_token_is_made_shown_once_used_listed_and_revoked_at_once() {
    let server = TestServer::start().await;
    TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let new = json!({ "name": "soar", "role": "responder" });
    let made = server.post("/api/tokens", &admin, &new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.body["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("vxt_"));
    let machine = As::default().with("authorization", format!("Bearer {token}"));

    let order = json!({ "hostname": "web-01", "reason": "Beacon" });
    let ordered = server.post("/api/isolate", &machine, &order).await;
    assert_eq!(ordered.status, 202, "no cookie, no origin: {ordered:?}");
    let location = ordered.headers["location"].to_str().unwrap();
    let command = server.get(location, &machine).await;
    assert_eq!(command.body["created_by"], "token:soar");

    let listed = server.get("/api/tokens", &admin).await;
    assert_eq!(listed.body[0]["name"], "soar");
    assert!(listed.body[0]["last_used_at"].is_string(), "{listed:?}");
    assert!(!listed.body.to_string().contains("vxt_"), "never again");
    let again = server.post("/api/tokens", &admin, &new).await;
    assert_eq!((again.status, &again.body["field"]), (422, &json!("name")), "a name is one token's for good");

    let address = format!("/api/tokens/{}", made.body["id"].as_str().unwrap());
    let revoked = server.request(reqwest::Method::DELETE, &address, &admin, &json!({})).await;
    assert_eq!((revoked.status, &revoked.body["revoked_by"]), (200, &json!("admin.tester")));
    let refused = server.get("/telemetry", &machine).await;
    assert_eq!((refused.status, refused.problem()), (401, "token-wrong"));
    assert_eq!(refused.headers["www-authenticate"], "Bearer");

    let mut sql = server.sql().await;
    let actions: Vec<(String, String)> = sqlx::query_as(
        "SELECT actor, action FROM audit_log WHERE action LIKE '%token%' OR actor LIKE 'token:%' ORDER BY id",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert!(actions.contains(&("admin.tester".to_owned(), "api_token.create".to_owned())), "{actions:?}");
    assert!(actions.contains(&("admin.tester".to_owned(), "api_token.revoke".to_owned())), "{actions:?}");
    assert!(actions.iter().any(|(actor, _)| actor == "token:soar"), "{actions:?}");
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM api_tokens t WHERE t::text LIKE '%' || $1 || '%'")
            .bind(&token[4..])
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(kept, 0, "only its hash");
}

#[tokio::test]
async fn a_token_manages_no_operators_and_no_tokens_and_opens_no_page() {
    let server = TestServer::start().await;
    let machine = server.token(Role::Admin).await;
    let new = json!({ "name": "child", "role": "viewer" });
    let answer = server.post("/api/tokens", &machine, &new).await;
    assert_eq!((answer.status, answer.problem()), (403, "forbidden"));
    assert!(answer.body["detail"].as_str().unwrap().contains("no API token may do this"), "{answer:?}");
    assert_eq!(server.get("/api/tokens", &machine).await.status, 403);
    for page in ["/", "/commands", "/tokens", "/login"] {
        let answer = server.get(page, &machine).await;
        assert_eq!((answer.status, answer.problem()), (403, "not-for-tokens"), "{page}");
    }
    for function in ["/rpc/endpoints", "/rpc/sign_out", "/rpc/session", "/rpc/sign_in"] {
        assert_eq!(server.post(function, &machine, &json!({})).await.status, 403, "{function}");
    }
}

#[tokio::test]
async fn a_request_with_a_token_and_a_cookie_is_judged_by_the_token_alone() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let viewer = server.token(Role::Viewer).await;
    let both = admin.clone().with("authorization", viewer.header("authorization"));
    let order = json!({ "hostname": "web-01" });
    assert_eq!(server.post("/api/isolate", &both, &order).await.status, 403);
    let wrong = admin.with("authorization", "Bearer vxt_wrong");
    assert_eq!(server.get("/telemetry", &wrong).await.status, 401);
    let twice = As(vec![viewer.0[0].clone(), viewer.0[0].clone()]);
    assert_eq!(server.get("/telemetry", &twice).await.status, 401);
}

#[tokio::test]
async fn wrong_tokens_slow_their_sender_and_never_one_that_holds() {
    let server = TestServer::start().await;
    let machine = server.token(Role::Viewer).await;
    assert_eq!(server.get("/telemetry", &machine).await.status, 200);
    let guess = As::default().with("authorization", format!("Bearer vxt_{}", "0".repeat(72)));
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(server.get("/telemetry", &guess).await.status);
    }
    assert_eq!(statuses[..6], [401; 6], "{statuses:?}");
    let throttled = server.get("/telemetry", &guess).await;
    assert_eq!((throttled.status, throttled.problem()), (429, "throttled"));
    assert!(throttled.headers.contains_key("retry-after"));
    assert_eq!(server.get("/telemetry", &machine).await.status, 200);
}

#[tokio::test]
async fn administrators_make_list_and_revoke_tokens_on_the_page() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let made = server
        .post("/rpc/create_api_token", &admin, &json!({ "form": "name=soar&role=responder&days=30" }))
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    let machine =
        As::default().with("authorization", format!("Bearer {}", made.body["token"].as_str().unwrap()));
    assert_eq!(server.get("/telemetry", &machine).await.status, 200);
    let page = server.get("/tokens", &admin).await;
    let html = page.body.as_str().unwrap();
    assert!(page.status == 200 && html.contains("soar") && !html.contains("vxt_"), "{html}");
    let wrong = server.post("/rpc/create_api_token", &admin, &json!({ "form": "name=soar&role=root" })).await;
    assert_eq!(wrong.body["invalid"]["field"], "role", "{wrong:?}");
    let revoked =
        server.post("/rpc/revoke_api_token", &admin, &json!({ "id": made.body["made"]["id"] })).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(server.get("/telemetry", &machine).await.status, 401);
    let page = server.get("/tokens", &server.signed_in(Role::Responder).await).await;
    assert_eq!(page.status, 403);
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let server = TestServer::start().await;
    let now = clock::now();
    let request = ApiTokenRequest { name: "short".to_owned(), role: Role::Viewer, days: 1 };
    let tokens = server.operators.api_tokens();
    let (secret, _) = tokens.create_at_console(request, now).await.unwrap();
    let client = [192, 0, 2, 1].into();
    let at = async |at| tokens.operator_of(secret.expose_secret(), client, at).await;
    assert_eq!(at(now).await.unwrap().username, "token:short");
    assert!(at(now + TimeDelta::hours(23)).await.is_ok());
    assert!(matches!(at(now + TimeDelta::hours(24)).await, Err(TokenError::Wrong)));
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    for (new, field) in [
        (json!({ "name": "SOAR", "role": "viewer" }), "name"),
        (json!({ "name": "a\u{0}b", "role": "viewer" }), "name"),
        (json!({ "name": "soar", "role": "viewer", "days": 0 }), "days"),
        (json!({ "name": "soar", "role": "viewer", "days": 366 }), "days"),
    ] {
        let answer = server.post("/api/tokens", &admin, &new).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{new}");
    }
}
