use chrono::DateTime;
use serde_json::json;
use voltaxe_protocol::Epoch;
use voltaxe_store::custody::{Actor, ActorKind, CustodyAction, CustodyEvent, CustodyHead};

use super::*;
use crate::model::EvidenceStatus;

fn exported() -> CustodyExport {
    let (server, agent) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
    let endpoint_id = EndpointId::of_key(&agent.public());
    let now = DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap();
    let claims = EvidenceClaims {
        command_id: CommandId(7),
        endpoint_id: endpoint_id.clone(),
        epoch: Epoch(1),
        sha256: "ab".repeat(32),
        size_bytes: 4096,
        manifest_sha256: "cd".repeat(32),
        finished_at: now,
    };
    let record = EvidenceRecord {
        command_id: CommandId(7),
        endpoint_id: endpoint_id.clone(),
        epoch: Epoch(1),
        hostname: "web-01".to_owned(),
        requested_by: "ann".to_owned(),
        requested_at: now,
        reason: "case 7".to_owned(),
        profile: "quick".to_owned(),
        state: EvidenceStatus::Stored,
        sha256: claims.sha256.clone(),
        size_bytes: 4096,
        received_bytes: 4096,
        is_reported: true,
        files: Some(1),
        errors: Some(0),
        partial: None,
        agent_key: Some(agent.public().as_bytes().to_vec()),
        claims: Some(Envelope::seal(PayloadType::Evidence, &claims, &agent)),
        announced_at: now,
        touched_at: now,
        stored_at: Some(now),
        problems: Some(Vec::new()),
        discarded: None,
    };
    let mut head: Option<CustodyHead> = None;
    let rows: Vec<(String, Vec<u8>)> = [
        (
            ActorKind::Operator,
            "ann",
            CustodyAction::Requested,
            json!({ "reason": "case 7 \u{1}\"é\u{202e}" }),
        ),
        (ActorKind::Agent, endpoint_id.as_str(), CustodyAction::Collected, json!({ "size_bytes": 4096 })),
        (ActorKind::Agent, endpoint_id.as_str(), CustodyAction::Offered, json!({ "from": "192.0.2.7" })),
        (ActorKind::Agent, endpoint_id.as_str(), CustodyAction::Resumed, json!({ "received_bytes": 5 })),
        (ActorKind::Server, "voltaxe-server", CustodyAction::Rejected, json!({ "found": null })),
        (ActorKind::Server, "voltaxe-server", CustodyAction::Abandoned, json!({})),
        (ActorKind::Server, "voltaxe-server", CustodyAction::Stored, json!({})),
        (ActorKind::Server, "voltaxe-server", CustodyAction::Verified, json!({ "first": [], "problems": 0 })),
        (ActorKind::Operator, "bob", CustodyAction::Listed, json!({ "from": null })),
        (ActorKind::Operator, "bob", CustodyAction::Viewed, json!({ "path": "files/a", "index": 3 })),
        (ActorKind::Operator, "bob", CustodyAction::Downloaded, json!({ "bytes": 4096, "first_byte": 0 })),
        (ActorKind::Operator, "bob", CustodyAction::Exported, json!({})),
    ]
    .into_iter()
    .map(|(kind, name, action, detail)| {
        let event = CustodyEvent { at: now, actor: Actor { kind, name: name.to_owned() }, action, detail };
        let entry = CustodyEntry::following(head, CommandId(7), &event, now);
        let (text, sha256) = entry.sealed();
        head = Some(CustodyHead { sequence: entry.sequence, sha256 });
        (text, sha256.to_vec())
    })
    .collect();
    CustodyExport::new(&record, &rows, &HeadClaims::of(&record, &rows, "bob", now), &server)
}

/// Records are read years later: what was exported once holds for every version.
#[test]
fn the_record_is_as_it_was() {
    let kept: CustodyExport = serde_json::from_str(include_str!("../../../fixtures/custody.json")).unwrap();
    let exported = exported();
    assert_eq!(kept, exported);
    let check = kept.check(Some(&ServerKey::Key(Box::new(Keypair::from_seed(&[1; 32]).public()))));
    assert_eq!(check.problems, Vec::<String>::new());
    assert_eq!(check.head.unwrap().entries, 12);
    assert_eq!(check.claims.unwrap().size_bytes, 4096);
}

#[test]
fn any_changed_letter_of_it_is_a_problem() {
    let exported = exported();
    for number in 0..exported.entries.len() {
        for (key, value) in [
            ("at", json!("2020-01-01T00:00:00Z")),
            ("recorded_at", json!("2020-01-01T00:00:00Z")),
            ("actor", json!({ "kind": "operator", "name": "eve" })),
            ("action", json!("viewed!")),
            ("detail", json!({ "new": true })),
            ("sequence", json!(99)),
            ("command_id", json!(8)),
            ("previous", json!("00")),
            ("sha256", json!("00")),
            ("more", json!(1)),
        ] {
            let mut changed = exported.clone();
            changed.entries[number][key] = value;
            let problems = changed.check(None).problems;
            assert!(problems[0].contains(&format!("entry {}", number + 1)), "{key}: {problems:?}");
        }
    }
}
