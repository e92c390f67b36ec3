//! `/api/evidence`: what operators see of bundles, and what of it can be shown to others.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::{CommandId, EvidenceLimits};

use crate::harness::{
    As, TestServer,
    agent::TestAgent,
    bundle::{FILES, TestBundle, bundle_of, ordered, sha256},
    postgres::run_directory,
    until,
};

struct Lab {
    server: TestServer,
    agent: TestAgent,
    who: As,
}

async fn lab() -> Lab {
    let server = TestServer::start().await;
    let agent = TestAgent::enrolled(&server, "web-01").await;
    let who = server.signed_in(Role::Responder).await;
    Lab { server, agent, who }
}

impl Lab {
    async fn get(&self, path: &str) -> Value {
        let answer = self.server.get(path, &self.who).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    async fn looked_through(&self, id: CommandId) -> Value {
        until("the bundle to be looked through", async || {
            let found = bundle_of(&self.server, &self.who, id).await["problems"].clone();
            found.is_array().then_some(found)
        })
        .await
    }

    async fn download(&self, id: CommandId, who: As) -> reqwest::Response {
        self.server.open(&format!("/api/evidence/{id}/bundle"), &who).await
    }

    /// The bundle and its record as an operator saves them.
    async fn saved(&self, id: CommandId) -> (std::path::PathBuf, std::path::PathBuf) {
        let directory = run_directory().join(uuid::Uuid::new_v4().simple().to_string());
        std::fs::create_dir(&directory).unwrap();
        let (bundle, custody) = (directory.join("bundle.zip"), directory.join("custody.json"));
        std::fs::write(&bundle, self.download(id, self.who.clone()).await.bytes().await.unwrap()).unwrap();
        std::fs::write(&custody, self.get(&format!("/api/evidence/{id}/custody")).await.to_string()).unwrap();
        (bundle, custody)
    }
}

/// Runs the real binary, without a server and without a database.
fn verify(bundle: &Path, custody: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voltaxe-server"));
    command.env_clear().args(["--state-dir", "/nonexistent", "admin", "verify-evidence"]);
    let output = command.arg(bundle).arg("--custody").arg(custody).args(more).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_bundle_is_listed_browsed_and_downloaded_and_its_custody_says_by_whom() {
    let lab = lab().await;
    let (id, bundle) = lab.agent.delivered(&lab.server, &FILES).await;
    lab.looked_through(id).await;
    let (second, _) = lab.agent.delivered(&lab.server, &FILES).await;
    lab.looked_through(second).await;

    let all = lab.get("/api/evidence").await;
    let ids = |list: &Value| {
        list.as_array().unwrap().iter().map(|one| one["command_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&all), [json!(second), json!(id)]);
    assert_eq!(ids(&lab.get("/api/evidence?limit=1").await), [json!(second)]);
    assert_eq!(ids(&lab.get(&format!("/api/evidence?before={second}")).await), [json!(id)]);
    assert_eq!(ids(&lab.get(&format!("/api/evidence?command={id}")).await), [json!(id)]);
    assert_eq!(ids(&lab.get(&format!("/api/evidence?endpoint={}", lab.agent.id)).await).len(), 2);
    let nobodys = format!("/api/evidence?endpoint=ep_{}", "0".repeat(32));
    assert_eq!(lab.get(&nobodys).await, json!([]));
    insta::assert_json_snapshot!(all[1], {
        ".endpoint_id" => "[endpoint]", ".requested_at" => "[time]", ".announced_at" => "[time]",
        ".stored_at" => "[time]", ".sha256" => "[digest]", ".size_bytes" => "[size]", ".received_bytes" => "[size]",
    }, @r#"
    {
      "announced_at": "[time]",
      "command_id": 1,
      "discarded": null,
      "endpoint_id": "[endpoint]",
      "errors": 0,
      "files": 3,
      "hostname": "web-01",
      "partial": null,
      "problems": [],
      "profile": "quick",
      "reason": "case 7",
      "received_bytes": "[size]",
      "requested_at": "[time]",
      "requested_by": "ann",
      "sha256": "[digest]",
      "size_bytes": "[size]",
      "state": "stored",
      "stored_at": "[time]"
    }
    "#);

    let files = lab.get(&format!("/api/evidence/{id}/files?from=1&limit=1")).await;
    assert_eq!(files["total"], json!(3));
    assert_eq!(files["files"][0]["path"], json!("files/etc/crontab"));
    assert_eq!(files["files"][0]["index"], json!(1));
    assert_eq!(files["files"].as_array().unwrap().len(), 1);
    let text = lab.get(&format!("/api/evidence/{id}/files/1")).await;
    assert_eq!(text["text"], json!("* * * * * root /bin/true\n"));
    assert_eq!((&text["is_cut"], &text["is_binary"]), (&json!(false), &json!(false)));
    let zeros = lab.get(&format!("/api/evidence/{id}/files/2")).await;
    assert_eq!(zeros["is_binary"], json!(true));
    lab.server.strike.measure(voltaxe_server::clock::now()).await.unwrap();
    let metrics = lab.server.get("/metrics", &lab.who).await.body;
    let kept = lab.server.store.evidence_bytes().await.unwrap();
    assert!(kept >= 2 * 300, "{kept}");
    let line = format!("voltaxe_evidence_bytes{{state=\"kept\"}} {kept}");
    assert!(metrics.as_str().unwrap().contains(&line), "{line} is missing in:\n{metrics}");

    let none = lab.server.get(&format!("/api/evidence/{id}/files/3"), &lab.who).await;
    assert_eq!((none.status, none.problem()), (404, "not-found"));
    let wrong = lab.server.get(&format!("/api/evidence/{id}/files/..%2f..%2fetc%2fpasswd"), &lab.who).await;
    assert_eq!((wrong.status, wrong.problem()), (422, "invalid"));

    let whole = lab.download(id, lab.who.clone().with("accept-encoding", "br, gzip")).await;
    assert_eq!(whole.status(), 200);
    let header = |name: &str| whole.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(
        header("content-disposition").unwrap(),
        format!("attachment; filename=\"evidence-web-01-{id}.zip\"")
    );
    assert_eq!(header("content-type").as_deref(), Some("application/zip"));
    assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(header("content-encoding"), None);
    assert!(header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(header("content-length").unwrap(), bundle.bytes.len().to_string());
    assert_eq!(whole.bytes().await.unwrap(), bundle.bytes);
    let part = lab.download(id, lab.who.clone().with("range", "bytes=10-19")).await;
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"].to_str().unwrap(),
        format!("bytes 10-19/{}", bundle.bytes.len())
    );
    assert_eq!(part.bytes().await.unwrap(), bundle.bytes[10..20]);
    let tail = lab.download(id, lab.who.clone().with("range", "bytes=-5")).await;
    assert_eq!(tail.bytes().await.unwrap(), bundle.bytes[bundle.bytes.len() - 5..]);
    assert_eq!(lab.download(id, lab.who.clone().with("range", "bytes=99999999-")).await.status(), 416);

    let custody = lab.get(&format!("/api/evidence/{id}/custody")).await;
    let entries = custody["entries"].as_array().unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let opening = ["requested", "collected", "offered", "stored", "verified", "listed", "viewed", "viewed"];
    assert_eq!(actions[..8], opening);
    assert_eq!(actions[8..], ["downloaded", "downloaded", "downloaded", "exported"]);
    assert_eq!(entries[0]["actor"], json!({ "kind": "operator", "name": "ann" }));
    assert_eq!(entries[0]["detail"]["reason"], json!("case 7"));
    assert_eq!(entries[2]["actor"], json!({ "kind": "agent", "name": lab.agent.id }));
    let viewed = &entries[6];
    assert_eq!(viewed["actor"], json!({ "kind": "operator", "name": "responder.tester" }));
    assert_eq!(viewed["detail"]["from"], json!("127.0.0.1"));
    assert_eq!(viewed["detail"]["path"], json!("files/etc/crontab"));
    assert_eq!(entries[8]["detail"]["bytes"], json!(bundle.bytes.len()));
    assert_eq!(entries[9]["detail"], json!({ "first_byte": 10, "bytes": 10, "from": "127.0.0.1" }));
}

#[tokio::test]
async fn viewers_learn_nothing_of_what_was_collected() {
    let lab = lab().await;
    let (id, _) = lab.agent.delivered(&lab.server, &FILES).await;
    let viewer = lab.server.signed_in(Role::Viewer).await;
    let paths = [
        "",
        &format!("/{id}"),
        &format!("/{id}/files"),
        &format!("/{id}/files/0"),
        &format!("/{id}/custody"),
    ];
    for path in paths {
        let answer = lab.server.get(&format!("/api/evidence{path}"), &viewer).await;
        assert_eq!((answer.status, answer.problem()), (403, "forbidden"), "{path}");
    }
    assert_eq!(lab.download(id, viewer).await.status(), 403);
    assert_eq!(lab.download(id, As::nobody()).await.status(), 401);
    let chain = lab.server.store.custody(id).await.unwrap();
    assert!(chain.iter().all(|(text, _)| !text.contains("viewer.tester")), "and it is not as if they had");
}

#[tokio::test]
async fn a_bundle_that_is_not_whole_is_not_read() {
    let lab = lab().await;
    let id = ordered(&lab.server, &lab.agent, EvidenceLimits::default()).await;
    let none = lab.server.get(&format!("/api/evidence/{id}"), &lab.who).await;
    assert_eq!((none.status, none.problem()), (404, "not-found"));
    let bundle = TestBundle::of(&lab.agent, id, &FILES);
    lab.agent.offer(&lab.server, &bundle.claims(&lab.agent, id)).await;
    lab.agent.put(&lab.server, id, 0, &bundle.bytes[..10]).await;
    for path in ["files", "files/0", "bundle"] {
        let answer = lab.server.get(&format!("/api/evidence/{id}/{path}"), &lab.who).await;
        assert_eq!((answer.status, answer.problem()), (409, "conflict"), "{path}");
    }
}

#[tokio::test]
async fn what_a_hostile_host_packs_is_data() {
    let lab = lab().await;
    let id = ordered(&lab.server, &lab.agent, EvidenceLimits::default()).await;
    let page = "<script>alert(1)</script>\u{202e}\0\u{1b}[2J";
    let files: [(&str, &[u8]); 2] = [("files/page.html", page.as_bytes()), ("files/cut", "é".as_bytes())];
    let mut listed: Vec<(String, String, u64)> = files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), sha256(content), content.len() as u64))
        .collect();
    listed.push(("../../../../etc/passwd".to_owned(), "0".repeat(64), 5));
    listed.push(("<img src=x onerror=alert(1)>\u{202e}".to_owned(), "0".repeat(64), 5));
    let bundle = TestBundle::listing(&lab.agent, id, &files, &listed);
    lab.agent.deliver(&lab.server, id, &bundle).await;
    let problems = lab.looked_through(id).await;
    assert!(problems.to_string().contains("etc/passwd"), "{problems}");

    let answer = lab.server.get(&format!("/api/evidence/{id}/files/0"), &lab.who).await;
    assert_eq!(answer.body["text"], json!(page));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for index in [2, 3] {
        let answer = lab.server.get(&format!("/api/evidence/{id}/files/{index}"), &lab.who).await;
        assert_eq!((answer.status, answer.problem()), (409, "conflict"), "its name leads nowhere");
    }
    let names = lab.get(&format!("/api/evidence/{id}/files")).await;
    assert_eq!(names["files"][3]["path"], json!("<img src=x onerror=alert(1)>\u{202e}"));
}

#[tokio::test]
async fn a_bomb_is_never_unpacked_beyond_its_bound() {
    let lab = lab().await;
    let id = ordered(&lab.server, &lab.agent, EvidenceLimits::default()).await;
    let zeros = vec![0; 64 * 1024 * 1024];
    let bundle = TestBundle::of(&lab.agent, id, &[("files/zeros", &zeros)]);
    assert!(bundle.bytes.len() < 1024 * 1024);
    lab.agent.deliver(&lab.server, id, &bundle).await;
    let text = lab.get(&format!("/api/evidence/{id}/files/0")).await;
    assert_eq!(text["text"].as_str().unwrap().len(), 1024 * 1024);
    assert_eq!((&text["is_cut"], &text["is_binary"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn what_is_no_bundle_is_kept_and_told_as_such() {
    let lab = lab().await;
    let id = ordered(&lab.server, &lab.agent, EvidenceLimits::default()).await;
    let mut bundle = TestBundle::of(&lab.agent, id, &FILES);
    bundle.bytes = b"PK\x05\x06 and nothing else".repeat(1000);
    lab.agent.deliver(&lab.server, id, &bundle).await;
    assert!(!lab.looked_through(id).await.as_array().unwrap().is_empty());
    let files = lab.server.get(&format!("/api/evidence/{id}/files"), &lab.who).await;
    assert_eq!((files.status, files.problem()), (409, "conflict"));
    assert_eq!(lab.download(id, lab.who.clone()).await.bytes().await.unwrap(), bundle.bytes);
}

#[tokio::test]
async fn a_bundle_that_was_taken_from_the_store_is_missed() {
    let lab = lab().await;
    let (id, bundle) = lab.agent.delivered(&lab.server, &FILES).await;
    lab.looked_through(id).await;
    let digest = bundle.sha256();
    let place =
        lab.server.evidence.directory.join(format!("sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]));
    std::fs::remove_file(place).unwrap();
    let files = lab.server.get(&format!("/api/evidence/{id}/files"), &lab.who).await;
    assert_eq!((files.status, files.problem()), (503, "evidence-store-unavailable"));
}

#[tokio::test]
async fn custody_is_append_only_and_every_change_to_an_export_is_named() {
    let lab = lab().await;
    let (id, _) = lab.agent.delivered(&lab.server, &FILES).await;
    lab.looked_through(id).await;
    let mut sql = lab.server.sql().await;
    for statement in [
        "UPDATE evidence_custody SET entry = entry",
        "DELETE FROM evidence_custody WHERE sequence = 1",
        "TRUNCATE evidence_custody",
    ] {
        let refused = sqlx::query(statement).execute(&mut sql).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    let forged = sqlx::query(
        "INSERT INTO evidence_custody (command_id, sequence, entry, sha256, previous_sha256)
         SELECT command_id, 99, entry, sha256, previous_sha256 FROM evidence_custody WHERE sequence = 2",
    );
    assert!(forged.execute(&mut sql).await.is_err(), "an entry that does not say what it is");

    let (bundle, custody) = lab.saved(id).await;
    let fingerprint = lab.server.strike.public_key().fingerprint().to_string();
    let (code, text) = verify(&bundle, &custody, &["--server-key", &fingerprint]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("everything holds") && text.contains("web-01"), "{text}");
    let key = lab.server.strike.public_key().to_base64();
    assert_eq!(verify(&bundle, &custody, &["--server-key", &key]).0, Some(0));
    let (code, text) = verify(&bundle, &custody, &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains(&format!("{fingerprint}: compare it")), "{text}");
    let (code, text) = verify(&bundle, &custody, &["--server-key", &"A".repeat(43)]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not the one given with --server-key"), "{text}");

    let record: Value = serde_json::from_slice(&std::fs::read(&custody).unwrap()).unwrap();
    let tampered = |change: &dyn Fn(&mut Value)| {
        let mut record = record.clone();
        change(&mut record);
        let path = custody.with_file_name("tampered.json");
        std::fs::write(&path, record.to_string()).unwrap();
        let (code, text) = verify(&bundle, &path, &[]);
        assert_eq!(code, Some(1), "{text}");
        text
    };
    let text = tampered(&|record| record["entries"][0]["actor"]["name"] = json!("eve"));
    assert!(text.contains("entry 1 (Requested by eve"), "{text}");
    let text = tampered(&|record| {
        record["entries"].as_array_mut().unwrap().remove(3);
    });
    assert!(text.contains("entry 4") && text.contains("does not follow"), "{text}");
    let text = tampered(&|record| {
        record["entries"].as_array_mut().unwrap().pop();
    });
    assert!(text.contains("the server signed"), "{text}");
    let text = tampered(&|record| record["claims"]["signatures"][0]["sig"] = json!("A".repeat(88)));
    assert!(text.contains("the agent's signature over its claims does not hold"), "{text}");
    let text = tampered(&|record| record["head"]["payload"] = record["claims"]["payload"].clone());
    assert!(text.contains("the server's signature over the record does not hold"), "{text}");
    let text = tampered(&|record| record["agent_key"] = record["server_key"].clone());
    assert!(text.contains("the agent's"), "{text}");
}

#[tokio::test]
async fn a_flipped_byte_is_named_by_its_file() {
    let lab = lab().await;
    let (id, bundle) = lab.agent.delivered(&lab.server, &FILES).await;
    let (saved, custody) = lab.saved(id).await;
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bundle.bytes)).unwrap();
    let at = zip.by_index_raw(1).unwrap().data_start().unwrap();
    let mut flipped = bundle.bytes.clone();
    flipped[usize::try_from(at).unwrap() + 3] ^= 0x10;
    std::fs::write(&saved, &flipped).unwrap();
    let (code, text) = verify(&saved, &custody, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("files/etc/crontab"), "{text}");
    assert!(!text.contains("files/zeros"), "{text}");
    std::fs::write(&saved, &bundle.bytes[..bundle.bytes.len() - 1]).unwrap();
    assert_eq!(verify(&saved, &custody, &[]).0, Some(1));
    let (code, text) = verify(Path::new("/nonexistent.zip"), &custody, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot open the bundle /nonexistent.zip"), "{text}");
    let (code, text) = verify(&saved, &saved, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is no custody record"), "{text}");
}

/// Two at the same moment are two entries, one after the other.
#[tokio::test]
async fn many_looks_at_once_are_one_chain() {
    let lab = lab().await;
    let (id, _) = lab.agent.delivered(&lab.server, &FILES).await;
    lab.looked_through(id).await;
    let path = format!("/api/evidence/{id}/files/1");
    futures::future::join_all((0..20).map(|_| lab.get(&path))).await;
    let (bundle, custody) = lab.saved(id).await;
    let (code, text) = verify(&bundle, &custody, &[]);
    assert_eq!(code, Some(0), "{text}");
    let record: Value = serde_json::from_slice(&std::fs::read(&custody).unwrap()).unwrap();
    let viewed =
        record["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == "viewed").count();
    assert_eq!(viewed, 20);
}
