use std::collections::BTreeSet;

use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_server::{
    routes::{Access, console_routes},
    web::openapi::{describe, operations},
};

use crate::harness::{As, TestServer, agent::TestAgent};

#[test]
fn the_document_has_every_route_of_the_console_and_no_other() {
    let routes: BTreeSet<String> =
        console_routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let mut entries = BTreeSet::new();
    for operation in operations() {
        let entry = format!("{} {}", operation.method, operation.path);
        assert!(entries.insert(entry.clone()), "{entry} has two entries in web/openapi/operations.rs");
    }
    let missing: Vec<_> = routes.difference(&entries).collect();
    let extra: Vec<_> = entries.difference(&routes).collect();
    assert!(missing.is_empty(), "routes without an entry in web/openapi/operations.rs: {missing:#?}");
    assert!(extra.is_empty(), "entries in web/openapi/operations.rs that no route is for: {extra:#?}");
}

#[test]
fn each_operation_has_its_role_its_parts_of_the_path_and_its_refusals() {
    let document = describe();
    for route in console_routes() {
        let Access::Operator(action) = route.access else { panic!("{} is for nobody", route.path) };
        let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        let name = format!("{} {}", route.method, route.path);
        assert_eq!(operation["x-required-role"], action.role().as_str(), "{name}");
        let parameters: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let in_path: BTreeSet<&str> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
            .collect();
        assert_eq!(parameters, in_path, "{name}");
        for status in ["401", "403", "503"] {
            let refusal = &operation["responses"][status]["content"]["application/problem+json"]["schema"];
            assert_eq!(refusal["$ref"], "#/components/schemas/Problem", "{name} {status}");
        }
        let succeeds =
            operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
        assert!(succeeds, "{name} says no success");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    found.insert(reference.to_owned());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = describe();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_and_the_page_about_it_are_for_whoever_is_signed_in() {
    let server = TestServer::start().await;
    let viewer = server.signed_in(Role::Viewer).await;
    let document = server.get("/api/openapi.json", &viewer).await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
    let page = server.get("/docs", &viewer).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe-eval"), "{policy}");
    let text = page.body.as_str().unwrap();
    for part in text.split(['"']).filter(|part| part.starts_with("/docs/")) {
        let file = server.get(part, &viewer).await;
        assert_eq!(file.status, 200, "{part}");
    }
    assert!(!text.contains("http"), "nothing comes from elsewhere");
    assert_eq!(server.get("/docs/index.html", &viewer).await.status, 404);
    for path in ["/docs", "/docs/start.js", "/api/openapi.json"] {
        assert_eq!(server.get(path, &As::nobody()).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_list_that_goes_on_names_its_next_page() {
    let server = TestServer::start().await;
    let who = server.token(Role::Responder).await;
    for name in ["web-01", "web-02", "web-03"] {
        TestAgent::enrolled(&server, name).await;
        let body = json!({ "command": "agent_check", "hostnames": [name], "reason": "looking" });
        assert_eq!(server.post("/api/batches", &who, &body).await.status, 202);
        let later = json!({ "command": "agent_check", "hostnames": [name], "reason": "looking", "cron": "0 3 * * 1" });
        assert_eq!(server.post("/api/schedules", &who, &later).await.status, 202);
    }
    for (list, id) in
        [("/api/commands", "id"), ("/api/batches", "batch_id"), ("/api/schedules", "schedule_id")]
    {
        let mut next = Some(format!("{list}?limit=2"));
        let (mut seen, mut pages) = (BTreeSet::new(), 0);
        while let Some(address) = next {
            let page = server.get(&address, &who).await;
            assert_eq!(page.status, 200, "{address}: {page:?}");
            for row in page.body.as_array().unwrap() {
                assert!(seen.insert(row[id].to_string()), "{address}");
            }
            pages += 1;
            next = page.headers.get("link").map(|link| {
                let (address, rest) = link.to_str().unwrap()[1..].split_once('>').unwrap();
                assert_eq!(rest, "; rel=\"next\"");
                address.to_owned()
            });
        }
        assert_eq!((seen.len(), pages), (3, 2), "{list}");
    }
}

#[tokio::test]
async fn no_text_of_a_request_breaks_the_server() {
    let server = TestServer::start().await;
    let who = server.token(Role::Admin).await;
    let nul = "a\u{0}b";
    for (path, body) in [
        ("/api/isolate", json!({ "hostname": nul })),
        ("/api/isolate", json!({ "hostname": "web-01", "reason": nul })),
        ("/api/commands", json!({ "command": nul, "hostname": "web-01", "reason": "because" })),
        ("/api/batches", json!({ "command": "agent_check", "hostnames": [nul], "reason": "because" })),
        (
            "/api/schedules",
            json!({ "command": "agent_check", "hostnames": [nul], "reason": "because", "cron": "0 3 * * 1" }),
        ),
        (
            "/api/schedules",
            json!({ "command": "agent_check", "hostnames": ["a"], "reason": "because", "cron": nul }),
        ),
    ] {
        let answer = server.post(path, &who, &body).await;
        assert!((400..500).contains(&answer.status), "{path} {body}: {answer:?}");
        answer.problem();
    }
    for path in [
        "/api/commands?before=9223372036854775808",
        "/api/commands/9223372036854775808",
        "/api/commands/%FF",
        "/api/commands/%00",
        "/api/evidence/%FF/files/%FF",
        "/api/batches?before=-262143-01-01T00:00:00Z",
        "/api/batches?before=%2B262142-12-31T23:59:59Z",
        "/api/schedules?before=0001-01-01T00:00:00Z",
    ] {
        let answer = server.get(path, &who).await;
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        answer.problem();
    }
}
