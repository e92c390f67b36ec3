//! `/api/evidence/{id}/discard`: the bytes go, the record and its custody stay.

use serde_json::{Value, json};
use sqlx::Row as _;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::CommandId;
use voltaxe_server::clock;

use crate::{
    evidence_kept::kept_in,
    harness::{
        Answer, As, TestServer,
        agent::TestAgent,
        bundle::{FILES, TestBundle, actions, bundle_of, collected},
        s3::FakeS3,
        until,
    },
};

async fn discard(server: &TestServer, who: &As, id: CommandId) -> Answer {
    let body = json!({ "reason": "it holds what must not leave the host" });
    server.post(&format!("/api/evidence/{id}/discard"), who, &body).await
}

async fn looked_through(server: &TestServer, who: &As, id: CommandId) {
    until("the bundle to be looked through", async || {
        bundle_of(server, who, id).await["problems"].is_array().then_some(())
    })
    .await;
}

fn place(server: &TestServer, bundle: &TestBundle) -> std::path::PathBuf {
    let digest = bundle.sha256();
    server.evidence.directory.join(format!("sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]))
}

#[tokio::test]
async fn what_is_discarded_is_gone_and_its_record_says_by_whom_and_why() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let (id, bundle) = agent.delivered(&server, &FILES).await;
    looked_through(&server, &admin, id).await;
    assert!(place(&server, &bundle).exists());
    let responder = server.signed_in(Role::Responder).await;
    assert_eq!(discard(&server, &responder, id).await.status, 403);
    for (body, field) in [(json!({ "reason": "x" }), "reason"), (json!({ "reason": "a\u{7}bc" }), "reason")] {
        let answer = server.post(&format!("/api/evidence/{id}/discard"), &admin, &body).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
    }

    let gone = discard(&server, &admin, id).await;
    assert_eq!((gone.status, &gone.body["state"]), (200, &json!("discarded")), "{gone:?}");
    assert_eq!(gone.body["discarded"]["by"], json!("admin.tester"));
    assert_eq!(gone.body["discarded"]["reason"], json!("it holds what must not leave the host"));
    assert_eq!(gone.body["sha256"], json!(bundle.sha256()));
    assert!(!place(&server, &bundle).exists());
    assert_eq!(server.store.evidence_bytes().await.unwrap(), 0, "it takes no room");
    for path in ["files", "files/0", "bundle"] {
        let answer = server.get(&format!("/api/evidence/{id}/{path}"), &admin).await;
        assert_eq!((answer.status, answer.problem()), (409, "conflict"), "{path}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("admin.tester discarded this bundle at 20"), "{detail}");
    }
    let twice = discard(&server, &admin, id).await;
    assert_eq!((twice.status, twice.problem()), (409, "conflict"));
    let never = discard(&server, &admin, CommandId(id.0 + 1000)).await;
    assert_eq!((never.status, never.problem()), (404, "not-found"));

    assert_eq!(actions(&server, id).await.last().unwrap(), "discarded");
    let custody = server.get(&format!("/api/evidence/{id}/custody"), &responder).await;
    let entries = custody.body["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["action"] == "discarded").unwrap();
    assert_eq!(entry["actor"], json!({ "kind": "operator", "name": "admin.tester" }));
    assert_eq!(entry["detail"]["reason"], json!("it holds what must not leave the host"));
    let export: voltaxe_orchestrator::evidence::custody::CustodyExport =
        serde_json::from_value(custody.body).unwrap();
    assert_eq!(export.check(None).problems, Vec::<String>::new());
    let row = sqlx::query(
        "SELECT actor, reason, command_id, detail FROM audit_log WHERE action = 'evidence.discard'",
    )
    .fetch_one(&mut server.sql().await)
    .await
    .unwrap();
    assert_eq!(row.get::<String, _>("actor"), "admin.tester");
    assert_eq!(row.get::<i64, _>("command_id"), id.0);
    assert_eq!(row.get::<Value, _>("detail")["sha256"], json!(bundle.sha256()));

    let offered = agent.offer(&server, &bundle.claims(&agent, id)).await;
    assert_eq!((offered.status, offered.problem()), (404, "evidence-not-expected"), "the agent gives up");
    assert!(offered.body["detail"].as_str().unwrap().contains("was discarded"), "{offered:?}");
    server.strike.look_after_evidence(clock::now() + chrono::TimeDelta::days(30)).await.unwrap();
    assert_eq!(bundle_of(&server, &admin, id).await["state"], json!("discarded"));
}

#[tokio::test]
async fn an_upload_that_is_discarded_goes_no_further() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    agent.put(&server, id, 0, &bundle.bytes[..1000]).await;
    assert_eq!(discard(&server, &admin, id).await.status, 200);
    assert_eq!(std::fs::read_dir(server.evidence.directory.join("parts")).unwrap().count(), 0);
    let next = agent.put(&server, id, 1000, &bundle.bytes[1000..2000]).await;
    assert_eq!((next.status, next.problem()), (404, "evidence-not-expected"));
    let state = agent.get(&server, &format!("/agent/evidence/{id}")).await;
    assert_eq!(state.status, 404);
    assert_eq!(actions(&server, id).await, ["requested", "offered", "discarded"]);
}

#[tokio::test]
async fn bytes_that_are_another_bundles_as_well_stay() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let (first, bundle) = agent.delivered(&server, &FILES).await;
    let second = crate::harness::bundle::ordered(&server, &agent, Default::default()).await;
    agent.deliver(&server, second, &bundle).await;
    looked_through(&server, &admin, first).await;
    looked_through(&server, &admin, second).await;
    assert_eq!(discard(&server, &admin, first).await.status, 200);
    assert!(place(&server, &bundle).exists());
    assert_eq!(server.open(&format!("/api/evidence/{second}/bundle"), &admin).await.status(), 200);
    assert_eq!(discard(&server, &admin, second).await.status, 200);
    assert!(!place(&server, &bundle).exists());
}

#[tokio::test]
async fn bytes_that_cannot_be_removed_now_are_removed_later() {
    let s3 = FakeS3::start().await;
    let server = kept_in(&s3).await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let admin = server.signed_in(Role::Admin).await;
    let (id, _) = agent.delivered(&server, &FILES).await;
    looked_through(&server, &admin, id).await;
    s3.is_away(true);
    let gone = discard(&server, &admin, id).await;
    assert_eq!((gone.status, &gone.body["state"]), (200, &json!("discarded")), "{gone:?}");
    s3.is_away(false);
    assert_eq!(s3.objects().len(), 1);
    let read = server.get(&format!("/api/evidence/{id}/files"), &admin).await;
    assert_eq!((read.status, read.problem()), (409, "conflict"), "nobody gets them meanwhile");
    server.strike.look_after_evidence(clock::now()).await.unwrap();
    assert!(s3.objects().is_empty());
    assert!(server.store.unremoved_evidence(10).await.unwrap().is_empty());
}
