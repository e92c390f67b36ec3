//! Bundles of evidence as an agent writes them, and what it says of them.

use std::io::{Cursor, Write as _};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    CollectForensics, CollectionOutcome, CommandId, CommandResult, Envelope, EvidenceClaims, EvidenceLimits,
    EvidenceOffer, ForensicsProfile, Manifest, ManifestEntry, PayloadType, evidence::MANIFEST_PATH,
};
use voltaxe_server::clock;
use voltaxe_store::{Enqueue, NewCommand};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Answer, As, TestServer, agent::TestAgent};

pub const FILES: [(&str, &[u8]); 3] = [
    ("volatile/processes.json", b"[{\"pid\": 1, \"name\": \"init\"}]"),
    ("files/etc/crontab", b"* * * * * root /bin/true\n"),
    ("files/zeros", &[0; 100_000]),
];

pub struct TestBundle {
    pub bytes: Vec<u8>,
    pub manifest_sha256: String,
    pub finished_at: DateTime<Utc>,
    pub files: u32,
}

impl TestBundle {
    pub fn of(agent: &TestAgent, id: CommandId, files: &[(&str, &[u8])]) -> Self {
        let listed: Vec<(String, String, u64)> = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), sha256(content), content.len() as u64))
            .collect();
        Self::listing(agent, id, files, &listed)
    }

    /// With a manifest that says that each file was at `place`.
    pub fn from_places(agent: &TestAgent, id: CommandId, files: &[(&str, &[u8])], place: &str) -> Self {
        let listed: Vec<(String, String, u64)> = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), sha256(content), content.len() as u64))
            .collect();
        Self::listing_at(agent, id, files, &listed, |_| place.to_owned())
    }

    /// With a manifest that lists what it likes: paths, digests, sizes.
    pub fn listing(
        agent: &TestAgent,
        id: CommandId,
        files: &[(&str, &[u8])],
        listed: &[(String, String, u64)],
    ) -> Self {
        Self::listing_at(agent, id, files, listed, |path| format!("/{path}"))
    }

    fn listing_at(
        agent: &TestAgent,
        id: CommandId,
        files: &[(&str, &[u8])],
        listed: &[(String, String, u64)],
        place: impl Fn(&str) -> String,
    ) -> Self {
        let finished_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let entry = |(path, sha256, size_bytes): &(String, String, u64)| ManifestEntry {
            path: path.clone(),
            collector: "test".to_owned(),
            sha256: sha256.clone(),
            size_bytes: *size_bytes,
            collected_at: finished_at,
            source: Some(place(path)),
        };
        let manifest = Manifest {
            command_id: id,
            endpoint_id: agent.id.clone(),
            hostname: agent.hostname.clone(),
            agent_version: "0.0.0-test".to_owned(),
            boot_id: "6f0cf6d0-5d3d-4bb1-a0f4-6f7e4cf7f0d1".to_owned(),
            profile: ForensicsProfile::Quick,
            started_at: finished_at - TimeDelta::seconds(5),
            finished_at,
            entries: listed.iter().map(entry).collect(),
            errors: Vec::new(),
            partial: None,
        };
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (path, content) in files.iter().copied().chain([(MANIFEST_PATH, &manifest[..])]) {
            zip.start_file(path, options).unwrap();
            zip.write_all(content).unwrap();
        }
        Self {
            bytes: zip.finish().unwrap().into_inner(),
            manifest_sha256: sha256(&manifest),
            finished_at,
            files: u32::try_from(listed.len()).unwrap(),
        }
    }

    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    pub fn claims(&self, agent: &TestAgent, id: CommandId) -> EvidenceClaims {
        EvidenceClaims {
            command_id: id,
            endpoint_id: agent.id.clone(),
            epoch: agent.grant.epoch,
            sha256: self.sha256(),
            size_bytes: self.bytes.len() as u64,
            manifest_sha256: self.manifest_sha256.clone(),
            finished_at: self.finished_at,
        }
    }

    pub fn result(&self, id: CommandId) -> CommandResult {
        let outcome = CollectionOutcome {
            timestamp: self.finished_at,
            sha256: Some(self.sha256()),
            size_bytes: self.bytes.len() as u64,
            files: self.files,
            errors: Vec::new(),
            partial: None,
        };
        CommandResult {
            command_id: id,
            success: true,
            message: "collected".to_owned(),
            data: Some(serde_json::to_value(outcome).unwrap()),
        }
    }
}

/// What does not compress.
pub fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An order to collect evidence on this host, in its queue.
pub async fn ordered(server: &TestServer, agent: &TestAgent, limits: EvidenceLimits) -> CommandId {
    let order = CollectForensics { profile: ForensicsProfile::Quick, limits };
    let now = clock::now();
    let new = NewCommand {
        endpoint_id: agent.id.clone(),
        direction: None,
        command: "collect_forensics",
        params: serde_json::to_value(order).unwrap(),
        priority: 5,
        created_by: "ann".to_owned(),
        reason: "case 7".to_owned(),
        expires_at: now + TimeDelta::days(1),
        leased_until: None,
        idempotency_key: None,
        batch_id: None,
        schedule_id: None,
        rollback_after_seconds: None,
    };
    match server.store.enqueue(&[new], now).await.unwrap().remove(0) {
        Enqueue::New(record) => record.id,
        other => panic!("{other:?}"),
    }
}

/// Such an order, and what the host has collected by it: 1.6 MB.
pub async fn collected(server: &TestServer, agent: &TestAgent) -> (CommandId, TestBundle) {
    let id = ordered(server, agent, EvidenceLimits::default()).await;
    (id, TestBundle::of(agent, id, &[FILES[0], ("files/noise", &noise(1_600_000))]))
}

impl TestAgent {
    pub async fn offer(&self, server: &TestServer, claims: &EvidenceClaims) -> Answer {
        let offer = EvidenceOffer { claims: Envelope::seal(PayloadType::Evidence, claims, &self.key) };
        self.post(server, "/agent/evidence", &serde_json::to_value(&offer).unwrap()).await
    }

    pub async fn put(&self, server: &TestServer, id: CommandId, offset: usize, piece: &[u8]) -> Answer {
        let path = format!("/agent/evidence/{id}?offset={offset}");
        let headers = self.signed(server, "PUT", &path, piece);
        server.put_raw(&path, &headers, piece.to_vec()).await
    }

    /// From an order to a bundle in the evidence store.
    pub async fn delivered(&self, server: &TestServer, files: &[(&str, &[u8])]) -> (CommandId, TestBundle) {
        let id = ordered(server, self, EvidenceLimits::default()).await;
        let bundle = TestBundle::of(self, id, files);
        self.deliver(server, id, &bundle).await;
        (id, bundle)
    }

    pub async fn deliver(&self, server: &TestServer, id: CommandId, bundle: &TestBundle) {
        let reported =
            self.post(server, "/command/result", &serde_json::to_value(bundle.result(id)).unwrap()).await;
        assert_eq!(reported.status, 200, "{reported:?}");
        let offered = self.offer(server, &bundle.claims(self, id)).await;
        assert_eq!(offered.body, json!({ "received_bytes": 0, "complete": false }), "{offered:?}");
        let mut last = Value::Null;
        for (index, piece) in bundle.bytes.chunks(1024 * 1024).enumerate() {
            let answer = self.put(server, id, index * 1024 * 1024, piece).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            last = answer.body;
        }
        assert_eq!(last, json!({ "received_bytes": bundle.bytes.len(), "complete": true }));
    }
}

/// What its custody says has happened to it, in order.
pub async fn actions(server: &TestServer, id: CommandId) -> Vec<String> {
    let chain = server.store.custody(id).await.unwrap();
    chain
        .iter()
        .map(|(text, _)| {
            let entry: Value = serde_json::from_str(text).unwrap();
            entry["action"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// What the server says of a bundle.
pub async fn bundle_of(server: &TestServer, who: &As, id: CommandId) -> Value {
    let answer = server.get(&format!("/api/evidence/{id}"), who).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}
