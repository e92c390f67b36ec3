//! Where bundles are kept: how much fits, a service instead of the disk, and a server that is killed.

use secrecy::SecretString;
use serde_json::json;
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{EvidenceLimits, Keypair};
use voltaxe_server::config::{EvidencePlace, EvidenceSettings, S3};
use voltaxe_store::embedded::EmbeddedPostgres;

use crate::{
    binary::Server,
    harness::{
        TestServer,
        agent::TestAgent,
        bundle::{FILES, TestBundle, actions, collected, noise, ordered},
        evidence_in_new_directory,
        postgres::{Sweeper, new_directory},
        s3::{ACCESS_KEY_ID, BUCKET, FakeS3},
        until,
    },
};

#[tokio::test]
async fn the_quota_is_for_all_bundles_together_and_one_content_counts_once() {
    let keeping = EvidenceSettings { quota_bytes: 3_000_000, ..evidence_in_new_directory() };
    let server = TestServer::start_keeping(keeping).await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (first, bundle) = collected(&server, &agent).await;
    assert!((1_500_000..2_000_000).contains(&bundle.bytes.len()));
    agent.deliver(&server, first, &bundle).await;
    let (second, other) = collected(&server, &agent).await;
    assert_ne!(other.sha256(), bundle.sha256(), "its manifest names another command");
    let full = agent.offer(&server, &other.claims(&agent, second)).await;
    assert_eq!((full.status, full.problem()), (507, "evidence-store-full"));
    let detail = full.body["detail"].as_str().unwrap();
    assert!(detail.contains("raise evidence-quota-gib") && detail.contains("3000000"), "{detail}");
    assert!(full.headers.contains_key("retry-after"));

    let third = ordered(&server, &agent, EvidenceLimits::default()).await;
    let same = agent.offer(&server, &bundle.claims(&agent, third)).await;
    assert_eq!(same.body["received_bytes"], json!(0), "the same content takes no more room: {same:?}");
    for (index, piece) in bundle.bytes.chunks(1024 * 1024).enumerate() {
        let answer = agent.put(&server, third, index * 1024 * 1024, piece).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(agent.get(&server, &format!("/agent/evidence/{third}")).await.body["complete"], json!(true));
}

#[tokio::test]
async fn a_disk_that_would_run_full_takes_nothing_more() {
    let keeping = EvidenceSettings { keep_free_bytes: u64::MAX / 2, ..evidence_in_new_directory() };
    let server = TestServer::start_keeping(keeping).await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let (id, bundle) = collected(&server, &agent).await;
    let full = agent.offer(&server, &bundle.claims(&agent, id)).await;
    assert_eq!((full.status, full.problem()), (507, "evidence-store-full"));
    assert!(full.body["detail"].as_str().unwrap().contains("make room on the file system of"), "{full:?}");
}

/// The real binary is killed at whatever it is doing while an agent sends, five times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_ends_with_the_whole_bundle() {
    const PIECE: usize = 128 * 1024;
    const KILLS: usize = 5;

    let state = new_directory();
    let _sweeper = Sweeper::start(&state.join("postgres"));
    let mut running = Server::start(&state, &[]).await;
    let database = EmbeddedPostgres::start_or_join(&state.join("postgres")).await.unwrap();
    let of = |running: &Server| {
        let seed: [u8; 32] = std::fs::read(state.join("signing.key")).unwrap().try_into().unwrap();
        TestServer::of_binary(
            running.address,
            database.url(),
            Keypair::from_seed(&seed),
            state.join("evidence"),
        )
    };
    let mut server = of(&running);
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = ordered(&server, &agent, EvidenceLimits::default()).await;
    let bundle = TestBundle::of(&agent, id, &[("files/noise", &noise(6_000_000))]);
    let (mut acknowledged, mut kills) = (0, 0);
    let mut complete = false;
    while !complete {
        let offered = until("the offer to be taken", async || {
            // Signatures from before its start are refused once.
            let answer = agent.offer(&server, &bundle.claims(&agent, id)).await;
            (answer.status == 200).then_some(answer)
        })
        .await;
        let mut at = usize::try_from(offered.body["received_bytes"].as_u64().unwrap()).unwrap();
        assert!(at >= acknowledged, "what was acknowledged is there: {at} of {acknowledged}");
        complete = offered.body["complete"] == json!(true);
        while !complete {
            let end = bundle.bytes.len().min(at + PIECE);
            let path = format!("/agent/evidence/{id}?offset={at}");
            let piece = bundle.bytes[at..end].to_vec();
            let headers = agent.signed(&server, "PUT", &path, &piece);
            let sending = server.try_request(reqwest::Method::PUT, &path, &headers, piece);
            let is_killed = kills < KILLS && at >= (kills + 1) * bundle.bytes.len() / (KILLS + 1);
            let (answer, ()) = tokio::join!(sending, async {
                if is_killed {
                    running.signal("-KILL");
                }
            });
            // An answer that made it out before the kill counts.
            if let Ok(answer) = answer {
                assert_eq!(answer.status, 200, "{answer:?}");
                acknowledged = usize::try_from(answer.body["received_bytes"].as_u64().unwrap()).unwrap();
                complete = answer.body["complete"] == json!(true);
                at = acknowledged;
            }
            if is_killed {
                kills += 1;
                running.ended().await;
                running = Server::start(&state, &[]).await;
                server = of(&running);
                break;
            }
        }
    }
    assert_eq!(kills, KILLS);
    let resumed = actions(&server, id).await.iter().filter(|action| *action == "resumed").count();
    assert!(resumed >= 1, "it went on from what was there");
    let digest = bundle.sha256();
    let place = state.join(format!("evidence/sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]));
    assert_eq!(std::fs::read(place).unwrap(), bundle.bytes);
    assert_eq!(server.store.evidence(id).await.unwrap().unwrap().state.as_str(), "stored");
    running.signal("-TERM");
    assert!(running.ended().await.success());
}

pub async fn kept_in(s3: &FakeS3) -> TestServer {
    TestServer::start_keeping(EvidenceSettings {
        place: EvidencePlace::S3(S3 {
            bucket: BUCKET.to_owned(),
            endpoint: Some(s3.url.parse().unwrap()),
            region: "eu-test-1".to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SecretString::from("not-so-secret"),
        }),
        ..evidence_in_new_directory()
    })
    .await
}

#[tokio::test]
async fn a_service_that_speaks_s3_keeps_bundles_in_parts_and_gives_back_ranges() {
    let s3 = FakeS3::start().await;
    let server = kept_in(&s3).await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    let id = ordered(&server, &agent, EvidenceLimits::default()).await;
    let bundle = TestBundle::of(&agent, id, &[FILES[1], ("files/noise", &noise(20_000_000))]);
    assert!(bundle.bytes.len() > 16 * 1024 * 1024, "two parts");
    agent.deliver(&server, id, &bundle).await;
    let digest = bundle.sha256();
    let key = format!("sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]);
    assert!(s3.objects() == [(key, bundle.bytes.clone())]);
    assert_eq!(s3.open_uploads(), 0);
    assert_eq!(std::fs::read_dir(server.evidence.directory.join("parts")).unwrap().count(), 0);
    let text = server.get(&format!("/api/evidence/{id}/files/0"), &who).await;
    assert_eq!(text.body["text"], json!("* * * * * root /bin/true\n"), "{text:?}");
    let download = server.open(&format!("/api/evidence/{id}/bundle"), &who).await;
    assert!(download.bytes().await.unwrap() == bundle.bytes);
}

#[tokio::test]
async fn a_service_that_is_away_keeps_nobody_from_sending_and_gets_the_bundle_later() {
    let s3 = FakeS3::start().await;
    let server = kept_in(&s3).await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let id = ordered(&server, &agent, EvidenceLimits::default()).await;
    let bundle = TestBundle::of(&agent, id, &FILES);
    agent.offer(&server, &bundle.claims(&agent, id)).await;
    s3.is_away(true);
    let late = agent.put(&server, id, 0, &bundle.bytes).await;
    assert_eq!((late.status, late.problem()), (503, "evidence-store-unavailable"));
    assert!(late.headers.contains_key("retry-after"));
    assert_eq!(server.store.evidence(id).await.unwrap().unwrap().state.as_str(), "uploading");
    s3.is_away(false);
    let state = agent.get(&server, &format!("/agent/evidence/{id}")).await;
    assert_eq!(state.body, json!({ "received_bytes": bundle.bytes.len(), "complete": true }), "{state:?}");
    assert_eq!(s3.objects().len(), 1);
}
