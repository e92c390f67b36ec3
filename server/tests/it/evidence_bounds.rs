//! What a host can make the server write and do about its evidence, and what others notice of it.

use serde_json::json;
use voltaxe_orchestrator::{
    authority::{Operator, OperatorId, Role, may},
    evidence::custody::CustodyExport,
};
use voltaxe_server::clock;
use voltaxe_store::custody::{Actor, CustodyAction, CustodyEvent, MOST_AGENT_ENTRIES};

use crate::harness::{
    TestServer,
    agent::TestAgent,
    bundle::{FILES, TestBundle, actions, bundle_of, collected, ordered},
    until,
};

#[tokio::test]
async fn a_host_that_never_tires_writes_no_more_than_so_much_custody() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let (id, bundle) = collected(&server, &agent).await;
    let most = usize::try_from(MOST_AGENT_ENTRIES).unwrap();
    for round in 0..most + 20 {
        let mut claims = bundle.claims(&agent, id);
        claims.size_bytes -= u64::from(round % 2 == 1);
        assert_eq!(agent.offer(&server, &claims).await.status, 200);
    }
    let chain = actions(&server, id).await;
    assert_eq!(chain.len(), 1 + most + 1, "requested, the offers, and the word that there were more");
    assert_eq!(chain.last().unwrap(), "left_out");

    agent.offer(&server, &bundle.claims(&agent, id)).await;
    for (index, piece) in bundle.bytes.chunks(1024 * 1024).enumerate() {
        agent.put(&server, id, index * 1024 * 1024, piece).await;
    }
    until("the bundle to be looked through", async || {
        bundle_of(&server, &who, id).await["problems"].is_array().then_some(())
    })
    .await;
    assert_eq!(actions(&server, id).await[most + 2..], ["stored", "verified"]);
    let custody = server.get(&format!("/api/evidence/{id}/custody"), &who).await;
    let export: CustodyExport = serde_json::from_value(custody.body).unwrap();
    assert_eq!(export.check(None).problems, Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_goes_on_again_and_again_is_one_entry() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    for piece in 0..10 {
        agent.put(&server, id, piece * 100, &bundle.bytes[piece * 100..(piece + 1) * 100]).await;
        agent.offer(&server, &bundle.claims(&agent, id)).await;
    }
    assert_eq!(actions(&server, id).await, ["requested", "offered", "resumed"]);
}

#[tokio::test]
async fn what_arrived_under_other_claims_rejects_nothing() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    agent.put(&server, id, 0, &bundle.bytes[..1000]).await;
    server.strike.flush_evidence(clock::now()).await.unwrap();
    let now = clock::now();
    let event =
        CustodyEvent { at: now, actor: Actor::server(), action: CustodyAction::Rejected, detail: json!({}) };
    server.store.restart_evidence(id, &"0".repeat(64), &event, now).await.unwrap();
    assert_eq!(server.store.evidence(id).await.unwrap().unwrap().received_bytes, 1000);
    server.store.restart_evidence(id, &bundle.sha256(), &event, now).await.unwrap();
    assert_eq!(server.store.evidence(id).await.unwrap().unwrap().received_bytes, 0);
    assert_eq!(actions(&server, id).await, ["requested", "offered", "rejected"]);
}

#[tokio::test]
async fn bundles_that_are_missing_keep_no_other_from_being_looked_through() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let mut bundles = Vec::new();
    for _ in 0..12 {
        let id = ordered(&server, &agent, Default::default()).await;
        let bundle = TestBundle::of(&agent, id, &FILES);
        agent.deliver(&server, id, &bundle).await;
        until("the first look", async || {
            bundle_of(&server, &who, id).await["problems"].is_array().then_some(())
        })
        .await;
        bundles.push((id, bundle.sha256()));
    }
    sqlx::query("UPDATE evidence SET problems = NULL").execute(&mut server.sql().await).await.unwrap();
    for (_, digest) in &bundles[..11] {
        let place = format!("sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]);
        std::fs::remove_file(server.evidence.directory.join(place)).unwrap();
    }
    let (last, _) = bundles[11];
    server.strike.look_after_evidence(clock::now()).await.unwrap();
    assert!(bundle_of(&server, &who, last).await["problems"].is_null(), "ten in one run");
    server.strike.look_after_evidence(clock::now()).await.unwrap();
    assert_eq!(bundle_of(&server, &who, last).await["problems"], json!([]));
    assert_eq!(server.store.unverified_evidence(100).await.unwrap().len(), 11, "they may be brought back");
}

#[tokio::test]
async fn a_long_record_is_read_in_pages() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    let event = CustodyEvent {
        at: clock::now(),
        actor: Actor::server(),
        action: CustodyAction::Listed,
        detail: json!({}),
    };
    for _ in 0..300 {
        server.store.append_custody(id, &event, clock::now()).await.unwrap();
    }
    let operator =
        Operator { id: OperatorId(uuid::Uuid::new_v4()), username: "ann".to_owned(), role: Role::Responder };
    let permit = operator.permit::<may::ViewEvidence>().unwrap();
    let sequences = async |before| {
        let page = server.strike.evidence_custody(&permit, id, before).await.unwrap();
        (page.first().unwrap().sequence, page.last().unwrap().sequence, page.len())
    };
    assert_eq!(sequences(None).await, (103, 302, 200));
    assert_eq!(sequences(Some(103)).await, (1, 102, 102));
}

#[tokio::test]
async fn what_is_asked_of_all_evidence_reads_an_index() {
    let server = TestServer::start().await;
    let mut sql = server.sql().await;
    // An empty table needs none.
    for setting in ["SET enable_seqscan = off", "SET enable_bitmapscan = off"] {
        sqlx::query(setting).execute(&mut sql).await.unwrap();
    }
    for (statement, index) in [
        (
            "SELECT DISTINCT ON (sha256) size_bytes FROM evidence WHERE state IN ('uploading', 'stored')",
            "evidence_kept",
        ),
        (
            "SELECT DISTINCT ON (sha256) size_bytes FROM evidence
             WHERE state IN ('uploading', 'stored') AND command_id <> 1 AND sha256 <> '\\x00'",
            "evidence_kept",
        ),
        (
            "SELECT * FROM evidence WHERE state = 'stored' AND problems IS NULL
             ORDER BY looked_at NULLS FIRST, command_id LIMIT 10",
            "evidence_unverified",
        ),
        (
            "SELECT * FROM evidence WHERE state = 'discarded' AND removed_at IS NULL ORDER BY command_id",
            "evidence_unremoved",
        ),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {statement}")))
            .fetch_all(&mut sql)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    }
}
