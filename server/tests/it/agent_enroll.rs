use serde_json::json;
use voltaxe_protocol::{EnrolRequest, EnrolString, ObservedIsolation};
use voltaxe_server::clock;

use crate::harness::{
    Answer, As, TestServer,
    agent::{TestAgent, enrol_request},
};

async fn enrol(server: &TestServer, request: &EnrolRequest) -> Answer {
    server.post("/agent/enroll", &As::default(), &serde_json::to_value(request).unwrap()).await
}

#[tokio::test]
async fn a_host_with_a_token_becomes_an_endpoint() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    assert_eq!(agent.grant.endpoint_id, agent.id);
    assert_eq!(agent.grant.epoch.0, 1);
    assert!(!agent.grant.awaiting_approval);
    assert_eq!(agent.grant.nonce, "n".repeat(43));
    let known = server.store.endpoint(&agent.id).await.unwrap().unwrap();
    assert_eq!(known.hostname, "web-01");
    assert!(known.observed.is_none(), "nothing is claimed that the host has not reported");
}

#[tokio::test]
async fn a_token_is_good_once() {
    let server = TestServer::start().await;
    let string = server.enrol_string(1).await;
    assert_eq!(enrol(&server, &enrol_request(&string, "web-01", "m1").1).await.status, 201);
    let again = enrol(&server, &enrol_request(&string, "web-02", "m2").1).await;
    assert_eq!((again.status, again.problem()), (401, "enrolment-token-invalid"));
    assert_eq!(server.store.endpoints().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_made_up_or_expired_lets_nobody_in() {
    let server = TestServer::start().await;
    let made_up = EnrolString { token: "A".repeat(43), ..server.enrol_string(1).await };
    let answer = enrol(&server, &enrol_request(&made_up, "web-01", "m1").1).await;
    assert_eq!((answer.status, answer.problem()), (401, "enrolment-token-invalid"));

    let long_ago = clock::now() - chrono::TimeDelta::minutes(61);
    let (expired, _) =
        server.strike.create_enrolment_token_at_console("old".to_owned(), 1, long_ago).await.unwrap();
    let answer = enrol(&server, &enrol_request(&expired, "web-01", "m1").1).await;
    assert_eq!((answer.status, answer.problem()), (401, "enrolment-token-invalid"));
}

#[tokio::test]
async fn a_request_signed_by_another_key_is_refused_and_uses_nothing_up() {
    let server = TestServer::start().await;
    let string = server.enrol_string(1).await;
    let (_, mine) = enrol_request(&string, "web-01", "m1");
    let (_, other) = enrol_request(&string, "web-01", "m1");
    let crossed = EnrolRequest { public_key: other.public_key, envelope: mine.envelope.clone() };
    let answer = enrol(&server, &crossed).await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));
    assert_eq!(answer.body["field"], "envelope");
    assert_eq!(enrol(&server, &mine).await.status, 201);
}

#[tokio::test]
async fn a_host_name_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let string = server.enrol_string(5).await;
    for name in ["", "<script>alert(1)</script>", "a b", &"x".repeat(300)] {
        let answer = enrol(&server, &enrol_request(&string, name, "m1").1).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!("hostname")), "{name:?}");
    }
}

#[tokio::test]
async fn the_same_machine_with_another_key_waits_for_an_administrator() {
    let server = TestServer::start().await;
    let first = TestAgent::enrolled(&server, "web-01").await;
    let second = TestAgent::enrolled(&server, "web-01").await;
    assert!(second.grant.awaiting_approval);
    let telemetry = serde_json::to_value(second.telemetry(ObservedIsolation::NotIsolated)).unwrap();
    let answer = second.post(&server, "/telemetry", &telemetry).await;
    assert_eq!((answer.status, answer.problem()), (403, "awaiting-approval"));
    assert_eq!(first.post(&server, "/telemetry", &telemetry).await.status, 200);

    let revoked =
        server.store.approve_endpoint(&second.id, "console", None, clock::now()).await.unwrap().unwrap();
    assert_eq!(revoked, std::slice::from_ref(&first.id));
    // Approved by another process: the server learns of it with the next sweep, a few seconds later at most.
    server.strike.sweep(clock::now()).await.unwrap();
    assert_eq!(second.post(&server, "/telemetry", &telemetry).await.status, 200);
    let answer = first.post(&server, "/telemetry", &telemetry).await;
    assert_eq!((answer.status, answer.problem()), (403, "revoked"));
}

#[tokio::test]
async fn secrets_do_not_show_in_debug_output() {
    let server = TestServer::start().await;
    let string = server.enrol_string(1).await;
    assert!(!format!("{string:?}").contains(&string.token));
    assert!(string.to_string().contains(&string.token));
    assert_eq!(string.to_string().parse::<EnrolString>().unwrap(), string);
}

#[tokio::test]
async fn a_request_that_is_sent_again_changes_nothing() {
    let server = TestServer::start().await;
    let string = server.enrol_string(5).await;
    let (_, request) = enrol_request(&string, "web-01", "m1");
    assert_eq!(enrol(&server, &request).await.status, 201);
    let again = enrol(&server, &request).await;
    assert_eq!((again.status, again.problem()), (409, "key-known"));
    let known = server.store.endpoints().await.unwrap();
    assert_eq!((known.len(), known[0].epoch.0), (1, 1));
    let mut sql = server.sql().await;
    let left: i32 =
        sqlx::query_scalar("SELECT uses_left FROM enrolment_tokens").fetch_one(&mut sql).await.unwrap();
    assert_eq!(left, 4, "and uses nothing up");
}
