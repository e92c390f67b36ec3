//! `/command/poll`, `/command/receipt`, `/command/result`.

use chrono::TimeDelta;
use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, ObservedIsolation, OfferedCommand};
use voltaxe_server::clock;

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, outcome},
};

async fn isolate(server: &TestServer, hostname: &str) -> CommandId {
    let who = server.signed_in(Role::Responder).await;
    let click = server.post("/api/isolate", &who, &json!({ "hostname": hostname })).await;
    assert_eq!(click.status, 202, "{click:?}");
    CommandId(click.body["command_id"].as_i64().unwrap())
}

#[tokio::test]
async fn a_poll_offers_the_seeds_shape_and_a_signed_envelope() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let _other = TestAgent::enrolled(&server, "web-02").await;
    let id = isolate(&server, "web-01").await;
    isolate(&server, "web-02").await;
    let commands = agent.poll(&server).await;
    assert_eq!(commands.len(), 1, "only its own");
    assert_eq!(commands[0]["id"], json!(id));
    assert_eq!(commands[0]["command"], "network_isolate");
    assert_eq!(commands[0]["params"], json!({ "reason": "Manual isolation" }));
    let offered: OfferedCommand = serde_json::from_value(commands[0].clone()).unwrap();
    let order = agent.open(&offered.envelope);
    assert_eq!((order.id, &order.endpoint_id), (id, &agent.id));
    assert!(agent.poll(&server).await.is_empty(), "leased: not offered again at once");
    let record = server.store.command(id).await.unwrap().unwrap();
    assert_eq!(record.status.as_str(), "pending", "handed out is not delivered");
}

#[tokio::test]
async fn receipt_and_result_over_http_end_the_command_and_the_first_result_stands() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = isolate(&server, "web-01").await;
    agent.poll(&server).await;
    let receipt = agent.post(&server, "/command/receipt", &json!({ "command_id": id, "attempt": 1 })).await;
    assert_eq!(receipt.body, json!({ "status": "recorded" }));
    assert_eq!(server.store.command(id).await.unwrap().unwrap().status.as_str(), "delivered");
    let result = serde_json::to_value(outcome(id, ObservedIsolation::Isolated)).unwrap();
    let answer = agent.post(&server, "/command/result", &result).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("recorded")));
    assert_eq!(answer.body["command"]["status"], "executed");
    assert_eq!(answer.body["command"]["channel"], "polling");

    let other_words = json!({ "command_id": id, "success": false, "message": "it failed after all" });
    let answer = agent.post(&server, "/command/result", &other_words).await;
    assert_eq!((answer.status, &answer.body["command"]["status"]), (200, &json!("executed")));
    let mut sql = server.sql().await;
    let noted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'command.late_result'")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(noted, 1, "the second is recorded beside it");
}

#[tokio::test]
async fn requests_that_are_unsigned_forged_stale_altered_or_replayed_are_refused() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let impostor = TestAgent {
        key: voltaxe_protocol::Keypair::generate(),
        ..TestAgent::enrolled(&server, "web-02").await
    };
    let path = "/command/poll?host=web-01";
    let refused = async |who: As, path: &str| {
        let answer = server.get(path, &who).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        answer.problem().to_owned()
    };
    assert_eq!(refused(As::default(), path).await, "signature-missing");
    assert_eq!(refused(impostor.signed(&server, "GET", path, b""), path).await, "bad-signature");
    let early = clock::now() - TimeDelta::seconds(90);
    assert_eq!(refused(agent.signed_at(&server, "GET", path, b"", early), path).await, "signature-stale");
    let late = clock::now() + TimeDelta::seconds(90);
    assert_eq!(refused(agent.signed_at(&server, "GET", path, b"", late), path).await, "signature-stale");
    let for_another = agent.signed(&server, "GET", "/command/poll?host=web-02", b"");
    assert_eq!(refused(for_another, path).await, "bad-signature");
    let other_body = agent.signed(&server, "GET", path, b"body");
    assert_eq!(refused(other_body, path).await, "digest-mismatch");
    let once = agent.signed(&server, "GET", path, b"");
    assert_eq!(server.get(path, &once).await.status, 200);
    assert_eq!(refused(once, path).await, "replayed");
    let garbled = agent.signed(&server, "GET", path, b"").with("signature-input", "sig1=();created=1");
    assert_eq!(refused(garbled, path).await, "signature-missing");
}

#[tokio::test]
async fn the_shared_key_is_good_for_polls_and_for_nothing_else() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let other = TestAgent::enrolled(&server, "web-02").await;
    let path = "/command/poll?host=web-01";
    let refused = async |who: As, path: &str| {
        let answer = server.get(path, &who).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        answer.problem().to_owned()
    };
    let once = agent.signed_poll(&server, "GET", path);
    assert_eq!(server.get(path, &once).await.status, 200);
    assert_eq!(refused(once, path).await, "replayed");
    assert_eq!(
        server.get(path, &agent.signed(&server, "GET", path, b"")).await.status,
        200,
        "by the identity's key too"
    );
    let in_anothers_name = TestAgent { key: other.key, ..TestAgent::enrolled(&server, "web-03").await };
    assert_eq!(refused(in_anothers_name.signed_poll(&server, "GET", path), path).await, "bad-signature");
    let altered = agent.signed_poll(&server, "GET", path);
    assert_eq!(refused(altered, "/command/poll?host=web-01&wait=25").await, "bad-signature");
    let renamed = agent.signed(&server, "GET", path, b"");
    let input = renamed.header("signature-input").replace("ed25519", "hmac-sha256");
    assert_eq!(refused(renamed.with("signature-input", input), path).await, "bad-signature");
    let unknown = agent.signed_poll(&server, "GET", path);
    let input = unknown.header("signature-input").replace("hmac-sha256", "none");
    assert_eq!(refused(unknown.with("signature-input", input), path).await, "wrong-algorithm");

    for path in ["/command/receipt", "/command/result", "/command/not-known", "/telemetry"] {
        let who = agent.signed_poll(&server, "POST", path);
        let answer = server.post_raw(path, &who, "application/json", Vec::new()).await;
        assert_eq!((answer.status, answer.problem()), (401, "wrong-algorithm"), "{path}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("sign this request with alg=\"ed25519\""), "{detail}");
    }
}

#[tokio::test]
async fn bad_bodies_of_a_signed_agent_are_answered_with_what_is_wrong() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let raw = async |path: &str, body: Vec<u8>| {
        let who = agent.signed(&server, "POST", path, &body);
        server.post_raw(path, &who, "application/json", body).await
    };
    let answer = raw("/command/result", b"{".to_vec()).await;
    assert_eq!((answer.status, answer.problem()), (400, "malformed-json"));
    let answer = raw("/command/result", b"{\"command_id\": \"x\"}".to_vec()).await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));
    let answer = raw("/telemetry", vec![b' '; 300 * 1024]).await;
    assert_eq!((answer.status, answer.problem()), (413, "body-too-large"));
    let answer = agent.get(&server, "/command/poll").await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));
    let unknown = json!({ "command_id": 424_242, "success": true, "message": "?" });
    let answer = agent.post(&server, "/command/result", &unknown).await;
    assert_eq!((answer.status, answer.problem()), (404, "command-not-found"));
}

#[tokio::test]
async fn a_result_with_a_nul_or_a_megabyte_is_kept_without_it() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = isolate(&server, "web-01").await;
    let hostile = json!({
        "command_id": id, "success": false, "message": format!("a\u{0}{}", "b".repeat(10_000)),
        "data": { "x": "\u{0}" },
    });
    let answer = agent.post(&server, "/command/result", &hostile).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["command"]["result"].get("data"), None, "the agent knows what it said");
    let stored = server.store.command(id).await.unwrap().unwrap().result.unwrap();
    assert!(stored["message"].as_str().unwrap().len() <= 2000);
    assert!(stored["data"]["left_out"].is_string());
}

#[tokio::test]
async fn a_command_nobody_fetches_expires() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = isolate(&server, "web-01").await;
    let later = clock::now() + TimeDelta::days(8);
    server.strike.sweep(later).await.unwrap();
    assert_eq!(server.store.command(id).await.unwrap().unwrap().status.as_str(), "expired");
    assert!(agent.poll(&server).await.is_empty());
}

#[tokio::test]
async fn a_received_command_without_an_answer_ends_too() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = isolate(&server, "web-01").await;
    agent.poll(&server).await;
    agent.post(&server, "/command/receipt", &json!({ "command_id": id, "attempt": 1 })).await;
    let status = async |at| {
        server.strike.sweep(at).await.unwrap();
        server.store.command(id).await.unwrap().unwrap().status.as_str()
    };
    assert_eq!(
        status(clock::now() + TimeDelta::days(7) + TimeDelta::minutes(1)).await,
        "delivered",
        "within the grace"
    );
    assert_eq!(status(clock::now() + TimeDelta::days(7) + TimeDelta::hours(2)).await, "expired");
}

#[tokio::test]
async fn a_request_signed_before_the_server_started_is_asked_for_again() {
    use voltaxe_server::gateway::signed::Nonces;

    let started = voltaxe_server::clock::now().timestamp();
    let nonces = Nonces::since(started);
    let keyid = format!("ep_{}", "0".repeat(32)).parse::<voltaxe_protocol::EndpointId>().unwrap();
    let signature = |created| voltaxe_protocol::RequestSignature {
        created,
        nonce: "A".repeat(22),
        keyid: keyid.clone(),
        alg: voltaxe_protocol::SignatureAlgorithm::HmacSha256,
    };
    let refused = nonces.remember(&signature(started), started + 1).unwrap_err();
    let response = axum::response::IntoResponse::into_response(refused);
    assert_eq!(response.status(), 503, "no 401, after which an agent would rest for long");
    assert!(nonces.remember(&signature(started + 1), started + 1).is_ok());
}
