//! Every route and every server function, for everybody who might ask.

use serde_json::json;
use voltaxe_app::api::{Access as FunctionAccess, SERVER_FUNCTIONS};
use voltaxe_orchestrator::authority::Role;
use voltaxe_server::routes::{Access, console_routes, docs_routes, gateway_routes};

use crate::harness::{Answer, As, TestServer};

/// The addresses in the tables have placeholders.
fn filled(path: &str) -> String {
    path.replace("{id}", "1")
        .replace("{kind}", "agent_check")
        .replace("{index}", "0")
        .replace("{file}", "start.js")
        .replace("{command_id}", "1")
        .replace("{session}", "1")
}

fn is_refused_as_signed_out(answer: &Answer) -> bool {
    answer.status == 401
}

#[tokio::test]
async fn console_routes_follow_the_role_table() {
    let server = TestServer::start().await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, server.token(role).await));
    }
    for route in console_routes().into_iter().chain(docs_routes()) {
        let Access::Operator(action) = route.access else {
            panic!("{} {} is in the console's table and asks for no role", route.method, route.path);
        };
        let path = filled(route.path);
        let ask = async |who: &As| match route.method.as_str() {
            "GET" if path == "/events" => {
                let response = server.open(&path, who).await;
                response.status().as_u16()
            }
            "GET" => server.get(&path, who).await.status,
            method => {
                let method = method.parse().unwrap();
                server.request(method, &path, who, &json!({})).await.status
            }
        };
        assert_eq!(ask(&As::nobody()).await, 401, "{path} without a session");
        let forged = As::nobody().with("cookie", format!("__Host-voltaxe={}", "A".repeat(43)));
        assert_eq!(ask(&forged).await, 401, "{path} with a made-up session");
        for role in Role::ALL {
            let status = ask(&server.signed_in(role).await).await;
            if role >= action.role() {
                assert!(!matches!(status, 401 | 403), "{path} as {role}: {status}");
            } else {
                assert_eq!(status, 403, "{path} as {role}");
            }
        }
        let wrong = ask(&As::default().with("authorization", "Bearer vxt_")).await;
        assert!(matches!(wrong, 401 | 429), "{path} with a wrong token: {wrong}");
        for (role, token) in &tokens {
            let status = ask(token).await;
            if *role >= action.role() && !action.is_for_people() {
                assert!(!matches!(status, 401 | 403), "{path} with a token of {role}: {status}");
            } else {
                assert_eq!(status, 403, "{path} with a token of {role}");
            }
        }
    }
}

#[tokio::test]
async fn server_functions_follow_the_role_table() {
    let server = TestServer::start().await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push(server.token(role).await);
    }
    for (path, access) in SERVER_FUNCTIONS {
        let nobody = server.post(path, &As::nobody(), &json!({})).await;
        match access {
            FunctionAccess::Public => assert!(nobody.status != 403, "{path}: {nobody:?}"),
            FunctionAccess::SignedIn | FunctionAccess::Action(_) => {
                assert!(is_refused_as_signed_out(&nobody), "{path}: {nobody:?}");
            }
        }
        for token in &tokens {
            let status = server.post(path, token, &json!({})).await.status;
            assert_eq!(status, 403, "{path} with a token");
        }
        let FunctionAccess::Action(action) = access else { continue };
        for role in Role::ALL {
            let status = server.post(path, &server.signed_in(role).await, &json!({})).await.status;
            if role >= action.role() {
                assert!(!matches!(status, 401 | 403), "{path} as {role}: {status}");
            } else {
                assert_eq!(status, 403, "{path} as {role}");
            }
        }
    }
}

#[tokio::test]
async fn the_gateway_answers_nobody_without_a_signature() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    for route in gateway_routes() {
        if route.access == Access::Public || route.path == "/agent/stream" {
            continue;
        }
        for who in [As::default(), admin.clone()] {
            let path = filled(route.path);
            let answer = match route.method.as_str() {
                "GET" => server.get(&format!("{path}?host=web-01"), &who).await,
                "PUT" => server.put_raw(&format!("{path}?offset=0"), &who, "x").await,
                _ => server.post(&path, &who, &json!({})).await,
            };
            let expected = if route.access == Access::EnrolmentToken { 422 } else { 401 };
            assert_eq!(answer.status, expected, "{}: {answer:?}", route.path);
        }
    }
}

#[tokio::test]
async fn a_session_ends_with_sign_out() {
    let server = TestServer::start().await;
    let who = server.signed_in(Role::Viewer).await;
    assert_eq!(server.get("/telemetry", &who).await.status, 200);
    let answer = server.post("/rpc/sign_out", &who, &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.get("/telemetry", &who).await.status, 401);
}
