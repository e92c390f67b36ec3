//! `/agent/evidence`: bundles on their way from an agent.

use serde_json::{Value, json};
use sqlx::Connection as _;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, EvidenceLimits};
use voltaxe_server::clock;

use crate::harness::{
    As, TestServer,
    agent::TestAgent,
    bundle::{FILES, TestBundle, actions, bundle_of, collected},
    until,
};

fn state(received_bytes: usize, complete: bool) -> Value {
    json!({ "received_bytes": received_bytes, "complete": complete })
}

#[tokio::test]
async fn a_bundle_comes_in_pieces_and_is_stored_under_its_digest() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let (id, bundle) = collected(&server, &agent).await;
    let unknown = agent.get(&server, &format!("/agent/evidence/{id}")).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "evidence-not-offered"));
    let early = agent.put(&server, id, 0, b"x").await;
    assert_eq!((early.status, early.problem()), (404, "evidence-not-offered"));

    let reported =
        agent.post(&server, "/command/result", &serde_json::to_value(bundle.result(id)).unwrap()).await;
    assert_eq!(reported.status, 200, "{reported:?}");
    let announced = bundle_of(&server, &who, id).await;
    assert_eq!((&announced["state"], &announced["files"]), (&json!("announced"), &json!(2)));
    assert_eq!(announced["sha256"], json!(bundle.sha256()));

    let offered = agent.offer(&server, &bundle.claims(&agent, id)).await;
    assert_eq!((offered.status, &offered.body), (200, &state(0, false)), "{offered:?}");
    let (first, rest) = bundle.bytes.split_at(1024 * 1024);
    let size = bundle.bytes.len();
    assert!(rest.len() < 1024 * 1024, "two pieces");

    let gap = agent.put(&server, id, first.len(), rest).await;
    assert_eq!((gap.status, gap.problem()), (409, "out-of-order"));
    assert_eq!(gap.body["received_bytes"], json!(0));
    let beyond = agent.put(&server, id, size - 1, b"xy").await;
    assert_eq!((beyond.status, beyond.problem()), (422, "beyond-size"));
    let nothing = agent.put(&server, id, 0, b"").await;
    assert_eq!((nothing.status, nothing.problem()), (422, "invalid"));
    let large = agent.put(&server, id, 0, &vec![0; 1024 * 1024 + 1]).await;
    assert_eq!((large.status, large.problem()), (413, "body-too-large"));

    assert_eq!(agent.put(&server, id, 0, first).await.body, state(first.len(), false));
    let twice = agent.put(&server, id, 0, first).await;
    assert_eq!((twice.status, &twice.body), (200, &state(first.len(), false)));
    let overlapping = agent.put(&server, id, 1024, &bundle.bytes[1024..first.len() + 10]).await;
    assert_eq!(overlapping.body, state(first.len() + 10, false));
    server.strike.flush_evidence(clock::now()).await.unwrap();
    let half = bundle_of(&server, &who, id).await;
    assert_eq!(half["received_bytes"], json!(first.len() + 10));
    let last = agent.put(&server, id, first.len() + 10, &rest[10..]).await;
    assert_eq!(last.body, state(size, true), "{last:?}");
    assert_eq!(agent.put(&server, id, 0, first).await.body, state(size, true));
    assert_eq!(agent.get(&server, &format!("/agent/evidence/{id}")).await.body, state(size, true));
    assert_eq!(agent.offer(&server, &bundle.claims(&agent, id)).await.body, state(size, true));

    let verified = until("the bundle to be looked through", async || {
        let found = bundle_of(&server, &who, id).await;
        found["problems"].is_array().then_some(found)
    })
    .await;
    assert_eq!((&verified["state"], &verified["problems"]), (&json!("stored"), &json!([])));
    let sha256 = bundle.sha256();
    let place = format!("sha256/{}/{}/{sha256}", &sha256[..2], &sha256[2..4]);
    assert_eq!(std::fs::read(server.evidence.directory.join(place)).unwrap(), bundle.bytes);
    assert_eq!(std::fs::read_dir(server.evidence.directory.join("parts")).unwrap().count(), 0);
    assert_eq!(actions(&server, id).await, ["requested", "collected", "offered", "stored", "verified"]);
}

#[tokio::test]
async fn another_server_on_the_same_files_goes_on_where_the_first_was_killed() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    let cut = 700_000;
    agent.put(&server, id, 0, &bundle.bytes[..cut]).await;
    let next = TestServer::start_beside(&server).await;
    drop(server);
    // Written and never acknowledged: it counts, as it is there.
    let part = next.evidence.directory.join(format!("parts/{id}.part"));
    let mut written = std::fs::read(&part).unwrap();
    written.extend_from_slice(&bundle.bytes[cut..cut + 5]);
    std::fs::write(&part, written).unwrap();
    assert_eq!(agent.get(&next, &format!("/agent/evidence/{id}")).await.body, state(cut + 5, false));
    let again = agent.offer(&next, &bundle.claims(&agent, id)).await;
    assert_eq!(again.body, state(cut + 5, false));
    for (start, end) in [(cut, cut + 500_000), (cut + 500_000, bundle.bytes.len())] {
        let answer = agent.put(&next, id, start, &bundle.bytes[start..end]).await;
        assert_eq!(answer.body, state(end, end == bundle.bytes.len()), "{answer:?}");
    }
    assert_eq!(actions(&next, id).await[..4], ["requested", "offered", "resumed", "stored"]);
}

#[tokio::test]
async fn what_is_not_as_claimed_is_refused_and_sent_again() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    let mut wrong = bundle.bytes.clone();
    wrong[500_000] ^= 1;
    let (first, rest) = wrong.split_at(1024 * 1024);
    agent.put(&server, id, 0, first).await;
    let refused = agent.put(&server, id, first.len(), rest).await;
    assert_eq!((refused.status, refused.problem()), (422, "digest-mismatch"));
    assert_eq!(agent.get(&server, &format!("/agent/evidence/{id}")).await.body, state(0, false));
    assert_eq!(bundle_of(&server, &who, id).await["received_bytes"], json!(0));
    let (first, rest) = bundle.bytes.split_at(1024 * 1024);
    agent.put(&server, id, 0, first).await;
    let last = agent.put(&server, id, first.len(), rest).await;
    assert_eq!(last.body, state(bundle.bytes.len(), true));
    assert_eq!(actions(&server, id).await[..4], ["requested", "offered", "rejected", "stored"]);
}

#[tokio::test]
async fn a_bundle_must_be_of_a_collection_of_this_very_host() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let other = TestAgent::enrolled(&server, "web-02").await;
    let (id, bundle) = collected(&server, &agent).await;
    let problem = async |who: &TestAgent, claims| {
        let answer = who.offer(&server, &claims).await;
        (answer.status, answer.problem().to_owned(), answer.body["field"].as_str().map(str::to_owned))
    };
    let is =
        |status: u16, word: &str, field: Option<&str>| (status, word.to_owned(), field.map(str::to_owned));
    let claims = || bundle.claims(&agent, id);

    // Signed by another agent: of that agent's claims, and of its own about a command that is not its own.
    assert_eq!(problem(&other, claims()).await, is(422, "invalid", Some("claims.endpoint_id")));
    let own = bundle.claims(&other, id);
    assert_eq!(problem(&other, own).await, is(404, "evidence-not-expected", None));
    let mut unknown = claims();
    unknown.command_id = CommandId(id.0 + 1000);
    assert_eq!(problem(&agent, unknown).await, is(404, "evidence-not-expected", None));
    let mut old = claims();
    old.epoch.0 += 1;
    assert_eq!(problem(&agent, old).await, is(404, "evidence-not-expected", None));
    let mut large = claims();
    large.size_bytes = EvidenceLimits::default().max_bytes + 1;
    assert_eq!(problem(&agent, large).await, is(422, "invalid", Some("claims.size_bytes")));
    let mut loud = claims();
    loud.sha256 = loud.sha256.to_uppercase();
    assert_eq!(problem(&agent, loud).await, is(422, "invalid", Some("claims.sha256")));
    let answer = agent
        .post(
            &server,
            "/agent/evidence",
            &json!({ "claims": {
        "payloadType": "application/vnd.voltaxe.evidence+json", "payload": "e30=",
        "signatures": [{ "keyid": "", "sig": "AAAA" }] } }),
        )
        .await;
    assert_eq!((answer.status, answer.problem()), (422, "invalid"));

    let isolate = server
        .post("/api/isolate", &server.signed_in(Role::Responder).await, &json!({ "hostname": "web-01" }))
        .await;
    let mut not_a_collection = claims();
    not_a_collection.command_id = CommandId(isolate.body["command_id"].as_i64().unwrap());
    assert_eq!(problem(&agent, not_a_collection).await, is(404, "evidence-not-expected", None));

    assert_eq!(agent.offer(&server, &claims()).await.status, 200);
    let foreign = other.put(&server, id, 0, b"x").await;
    assert_eq!((foreign.status, foreign.problem()), (404, "evidence-not-expected"));
    let foreign = other.get(&server, &format!("/agent/evidence/{id}")).await;
    assert_eq!(foreign.status, 404);

    agent.post(&server, "/command/result", &serde_json::to_value(bundle.result(id)).unwrap()).await;
    let mut another = claims();
    another.sha256 = "0".repeat(64);
    assert_eq!(problem(&agent, another).await, is(409, "evidence-differs", None));
}

#[tokio::test]
async fn claims_may_change_until_a_result_says_which_hold() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, first) = collected(&server, &agent).await;
    agent.offer(&server, &first.claims(&agent, id)).await;
    agent.put(&server, id, 0, &first.bytes[..1000]).await;
    // The agent was killed and has collected anew.
    let second = TestBundle::of(&agent, id, &FILES);
    assert_eq!(agent.offer(&server, &second.claims(&agent, id)).await.body, state(0, false));
    let whole = agent.put(&server, id, 0, &second.bytes).await;
    assert_eq!(whole.body, state(second.bytes.len(), true), "{whole:?}");
    let late = agent.offer(&server, &first.claims(&agent, id)).await;
    assert_eq!((late.status, late.problem()), (409, "evidence-differs"));
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_ends_and_may_come_back() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    agent.put(&server, id, 0, &bundle.bytes[..1000]).await;
    let part = server.evidence.directory.join(format!("parts/{id}.part"));
    server.strike.look_after_evidence(clock::now() + chrono::TimeDelta::days(6)).await.unwrap();
    assert!(part.exists());
    server.strike.look_after_evidence(clock::now() + chrono::TimeDelta::days(8)).await.unwrap();
    assert!(!part.exists());
    assert_eq!(bundle_of(&server, &who, id).await["state"], json!("abandoned"));
    let late = agent.put(&server, id, 1000, &bundle.bytes[1000..2000]).await;
    assert_eq!((late.status, late.problem()), (404, "evidence-not-offered"));
    assert_eq!(agent.offer(&server, &bundle.claims(&agent, id)).await.body, state(0, false));
    for (index, piece) in bundle.bytes.chunks(1024 * 1024).enumerate() {
        agent.put(&server, id, index * 1024 * 1024, piece).await;
    }
    assert_eq!(bundle_of(&server, &who, id).await["state"], json!("stored"));
    assert_eq!(actions(&server, id).await[..5], ["requested", "offered", "abandoned", "offered", "stored"]);
}

#[tokio::test]
async fn a_bundle_that_is_stored_and_was_not_looked_through_is_looked_through_later() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, _) = agent.delivered(&server, &FILES).await;
    let who = server.signed_in(Role::Responder).await;
    until("the first look", async || bundle_of(&server, &who, id).await["problems"].is_array().then_some(()))
        .await;
    let mut sql = sqlx::PgConnection::connect(&server.database_url).await.unwrap();
    sqlx::query("UPDATE evidence SET problems = NULL").execute(&mut sql).await.unwrap();
    server.strike.look_after_evidence(clock::now()).await.unwrap();
    assert_eq!(bundle_of(&server, &who, id).await["problems"], json!([]));
}

#[tokio::test]
async fn those_who_watch_hear_how_far_it_is_and_no_more() {
    use futures::StreamExt as _;

    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let viewer = server.signed_in(Role::Viewer).await;
    let mut stream = server.open("/events", &viewer).await.bytes_stream();
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    for (index, piece) in bundle.bytes.chunks(200_000).enumerate() {
        agent.put(&server, id, index * 200_000, piece).await;
        if index == 3 {
            server.strike.flush_evidence(clock::now()).await.unwrap();
        }
    }
    let (mut text, mut told) = (String::new(), Vec::new());
    until("the bundle to be told as stored", async || {
        text += &String::from_utf8_lossy(&stream.next().await.unwrap().unwrap());
        told = text
            .split("\n\n")
            .filter(|frame| frame.contains("event: evidence\n"))
            .filter_map(|frame| frame.lines().find_map(|line| line.strip_prefix("data: ")))
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .collect::<Vec<_>>();
        told.iter().any(|one| one["state"] == "stored").then_some(())
    })
    .await;
    let size = bundle.bytes.len();
    let steps: Vec<(String, u64)> = told
        .iter()
        .map(|one| (one["state"].as_str().unwrap().to_owned(), one["received_bytes"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        steps[..3],
        [("uploading".to_owned(), 0), ("uploading".to_owned(), 800_000), ("stored".to_owned(), size as u64)]
    );
    assert!(told[0].get("sha256").is_none());
}

#[tokio::test]
async fn a_request_must_be_signed_with_its_body() {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    let path = format!("/agent/evidence/{id}?offset=0");
    let unsigned = server.put_raw(&path, &As::default(), "x").await;
    assert_eq!((unsigned.status, unsigned.problem()), (401, "signature-missing"));
    let signed = agent.signed(&server, "PUT", &path, &bundle.bytes[..100]);
    let other_body = server.put_raw(&path, &signed, bundle.bytes[100..200].to_vec()).await;
    assert_eq!((other_body.status, other_body.problem()), (401, "digest-mismatch"));
    let elsewhere = server
        .put_raw(&format!("/agent/evidence/{id}?offset=5"), &signed, bundle.bytes[..100].to_vec())
        .await;
    assert_eq!((elsewhere.status, elsewhere.problem()), (401, "bad-signature"));
}
