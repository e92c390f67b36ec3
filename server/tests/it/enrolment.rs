//! What the enrolment page and the dialog for schedules ask for.

use serde_json::json;
use voltaxe_orchestrator::authority::Role;

use crate::harness::{
    As, TestServer,
    agent::{TestAgent, enrol_request},
};

#[tokio::test]
async fn a_token_is_listed_without_what_it_holds_and_revoked() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    let create = json!({ "label": "rack 7", "uses": 3, "seconds": 86_400 });
    let made = server.post("/rpc/create_enrolment_token", &admin, &create).await;
    let string = made.body["string"].as_str().unwrap().to_owned();
    let lifetime = made.body["expires_at"].as_i64().unwrap() - made.body["created_at"].as_i64().unwrap();
    assert_eq!(lifetime, 86_400_000);
    let listed = server.post("/rpc/enrolment", &admin, &json!({})).await;
    let token = &listed.body["tokens"][0];
    assert_eq!(
        (&token["label"], &token["uses_left"], &token["is_open"]),
        (&json!("rack 7"), &json!(3), &json!(true))
    );
    let secret = string.split('.').nth(1).unwrap();
    assert!(!listed.body.to_string().contains(secret));
    let viewer = server.signed_in(Role::Viewer).await;
    assert_eq!(server.post("/rpc/enrolment", &viewer, &json!({})).await.body["tokens"], json!([]));

    let revoke = json!({ "id": token["id"] });
    let revoked = server.post("/rpc/revoke_enrolment_token", &admin, &revoke).await;
    assert_eq!(revoked.body["tokens"][0]["is_open"], json!(false), "{revoked:?}");
    assert_eq!(server.post("/rpc/revoke_enrolment_token", &admin, &revoke).await.status, 409);
    let (_, request) = enrol_request(&string.parse().unwrap(), "web-01", "machine");
    let late = server.post("/agent/enroll", &As::default(), &serde_json::to_value(&request).unwrap()).await;
    assert_eq!((late.status, late.problem()), (401, "enrolment-token-invalid"));
}

#[tokio::test]
async fn a_token_lasts_five_minutes_to_seven_days() {
    let server = TestServer::start().await;
    let admin = server.signed_in(Role::Admin).await;
    for seconds in [0, 299, 604_801, i64::MAX] {
        let create = json!({ "label": "", "uses": 1, "seconds": seconds });
        let answer = server.post("/rpc/create_enrolment_token", &admin, &create).await;
        assert_eq!(answer.status, 422, "{seconds}: {answer:?}");
    }
}

#[tokio::test]
async fn an_approval_lets_the_new_key_in_and_the_old_one_out() {
    let server = TestServer::start().await;
    let old = TestAgent::enrolled(&server, "web-01").await;
    let new = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let waiting = server.post("/rpc/enrolment", &admin, &json!({})).await.body["awaiting"][0].clone();
    assert_eq!(waiting["id"], json!(new.id));
    assert_eq!(waiting["fingerprint"], json!(new.key.public().fingerprint().to_string()));
    assert_eq!(waiting["holders"][0]["fingerprint"], json!(old.key.public().fingerprint().to_string()));
    let approve = json!({ "id": new.id, "reason": "installed anew" });
    let responder = server.signed_in(Role::Responder).await;
    assert_eq!(server.post("/rpc/approve_endpoint", &responder, &approve).await.status, 403);
    assert_eq!(server.post("/rpc/approve_endpoint", &admin, &approve).await.status, 200);
    assert_eq!(server.post("/rpc/approve_endpoint", &admin, &approve).await.status, 409, "once");
    new.poll(&server).await;
    assert_eq!(old.get(&server, "/command/poll?host=web-01").await.status, 403);
    let mut sql = server.sql().await;
    let audited: (String, String) =
        sqlx::query_as("SELECT actor, reason FROM audit_log WHERE action = 'endpoint.approve'")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(audited, ("admin.tester".to_owned(), "installed anew".to_owned()));
}

#[tokio::test]
async fn the_next_runs_of_a_cron_expression_are_told_in_its_zone_and_in_utc() {
    let server = TestServer::start().await;
    let viewer = server.signed_in(Role::Viewer).await;
    let ask = async |cron: &str, zone: &str| {
        server.post("/rpc/preview_cron", &viewer, &json!({ "cron": cron, "time_zone": zone })).await
    };
    let runs = ask("30 2 * * *", "Asia/Tokyo").await;
    let runs = runs.body.as_array().unwrap();
    assert_eq!(runs.len(), 5);
    for run in runs {
        assert!(run[0].as_str().unwrap().ends_with("02:30 JST"), "{run}");
        assert!(run[1].as_str().unwrap().contains("17:30"), "{run}");
    }
    assert_eq!(ask("0 0 30 2 *", "UTC").await.body, json!([]), "it never comes");
    assert_eq!(ask("61 * * * *", "UTC").await.status, 422);
    assert_eq!(ask("* * * * *", "Mars/Olympus").await.status, 422);
}
