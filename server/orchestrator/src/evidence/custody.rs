//! The custody record as it leaves the server: the chain, what the agent signed, and the server's signature over its end.
//! It is checked with nothing but the bundle.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::{
    CommandId, EndpointId, Envelope, EvidenceClaims, KeyFingerprint, Keypair, PayloadType, PublicKey,
};
use voltaxe_store::custody::{CustodyEntry, canonical};

use crate::model::EvidenceRecord;

const FORMAT: &str = "voltaxe-custody-1";

/// `custody.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustodyExport {
    /// `voltaxe-custody-1`.
    pub format: String,
    pub command_id: CommandId,
    pub hostname: String,
    /// The agent's, standard base64; absent while it has offered nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_key: Option<String>,
    /// [`EvidenceClaims`], signed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Envelope>,
    /// [`CustodyEntry`]s, each with its own `sha256` (hexadecimal) over the rest of it as RFC 8785 writes it.
    pub entries: Vec<Value>,
    /// Standard base64.
    pub server_key: String,
    /// [`HeadClaims`], signed with it.
    pub head: Envelope,
}

/// What the server signs of a record ([`PayloadType::Custody`]).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HeadClaims {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    /// Of the bundle, hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// How many entries the chain has.
    pub entries: usize,
    /// Of the last of them, hexadecimal.
    pub head_sha256: String,
    pub exported_at: DateTime<Utc>,
    /// The operator's name.
    pub exported_by: String,
}

/// Whom a record must be signed by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerKey {
    Key(Box<PublicKey>),
    Fingerprint(KeyFingerprint),
}

/// What a check of a record says. Without problems everything in it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct CustodyCheck {
    pub problems: Vec<String>,
    /// Signed by the server, if that signature verifies.
    pub head: Option<HeadClaims>,
    /// Signed by the agent, if that signature verifies.
    pub claims: Option<EvidenceClaims>,
    /// Of the key that has signed the record.
    pub server: Option<KeyFingerprint>,
}

impl HeadClaims {
    pub(super) fn of(
        record: &EvidenceRecord,
        rows: &[(String, Vec<u8>)],
        by: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            command_id: record.command_id,
            endpoint_id: record.endpoint_id.clone(),
            sha256: record.sha256.clone(),
            size_bytes: record.size_bytes,
            entries: rows.len(),
            head_sha256: rows.last().map(|(_, sha256)| hex::encode(sha256)).unwrap_or_default(),
            exported_at: now,
            exported_by: by.to_owned(),
        }
    }
}

impl CustodyExport {
    pub(super) fn new(
        record: &EvidenceRecord,
        rows: &[(String, Vec<u8>)],
        head: &HeadClaims,
        key: &Keypair,
    ) -> Self {
        let entry = |(text, sha256): &(String, Vec<u8>)| {
            let mut entry: Value = serde_json::from_str(text).unwrap_or_default();
            entry["sha256"] = Value::from(hex::encode(sha256));
            entry
        };
        Self {
            format: FORMAT.to_owned(),
            command_id: record.command_id,
            hostname: record.hostname.clone(),
            agent_key: record.agent_key.as_ref().map(|key| STANDARD.encode(key)),
            claims: record.claims.clone(),
            entries: rows.iter().map(entry).collect(),
            server_key: key.public().to_base64(),
            head: Envelope::seal(PayloadType::Custody, head, key),
        }
    }

    /// Every hash, every link and both signatures. `pinned`: whose signature alone counts; without it the key in the record is
    /// believed, and whoever reads the outcome must know its fingerprint.
    #[must_use]
    pub fn check(&self, pinned: Option<&ServerKey>) -> CustodyCheck {
        let mut problems = Vec::new();
        if self.format != FORMAT {
            problems.push(format!("the record's format is {:?}, this version reads {FORMAT}", self.format));
        }
        let (head, server) = self.open_head(pinned, &mut problems);
        let last = self.check_chain(&mut problems);
        if let Some(head) = &head {
            if head.entries != self.entries.len() {
                problems.push(format!(
                    "the record has {} entries, the server signed {}",
                    self.entries.len(),
                    head.entries
                ));
            } else if head.head_sha256 != last {
                problems.push("the record does not end with the entry that the server signed".to_owned());
            }
            if head.command_id != self.command_id {
                problems.push(format!(
                    "the record is of command {}, the server signed one of command {}",
                    self.command_id, head.command_id
                ));
            }
        }
        let hostname = self.entries.iter().find_map(|entry| entry.get("detail")?.get("hostname")?.as_str());
        if let Some(hostname) = hostname.filter(|hostname| *hostname != self.hostname) {
            problems.push(format!("the record names the host {:?}, its chain {hostname:?}", self.hostname));
        }
        let claims = self.open_claims(head.as_ref(), &mut problems);
        CustodyCheck { problems, head, claims, server }
    }

    fn open_head(
        &self,
        pinned: Option<&ServerKey>,
        problems: &mut Vec<String>,
    ) -> (Option<HeadClaims>, Option<KeyFingerprint>) {
        let Ok(key) = PublicKey::from_base64(&self.server_key) else {
            problems.push("server_key in the record is no public key".to_owned());
            return (None, None);
        };
        let is_pinned = match pinned {
            None => true,
            Some(ServerKey::Key(pinned)) => **pinned == key,
            Some(ServerKey::Fingerprint(pinned)) => *pinned == key.fingerprint(),
        };
        if !is_pinned {
            problems.push(format!(
                "the record is signed by the key {}, which is not the one given with --server-key",
                key.fingerprint()
            ));
            return (None, None);
        }
        match self.head.open(PayloadType::Custody, &key) {
            Ok(head) => (Some(head), Some(key.fingerprint())),
            Err(error) => {
                problems.push(format!("the server's signature over the record does not hold: {error}"));
                (None, Some(key.fingerprint()))
            }
        }
    }

    /// Answers with the last entry's hash.
    fn check_chain(&self, problems: &mut Vec<String>) -> String {
        let mut previous = String::new();
        for (number, whole) in (1..).zip(&self.entries) {
            let mut entry = whole.clone();
            let claimed = entry.as_object_mut().and_then(|entry| entry.remove("sha256"));
            let claimed = claimed.as_ref().and_then(Value::as_str).unwrap_or_default();
            let read = serde_json::from_value::<CustodyEntry>(entry.clone());
            let what = match &read {
                Ok(read) => {
                    format!("entry {number} ({:?} by {} at {})", read.action, read.actor.name, read.at)
                }
                Err(_) => format!("entry {number}"),
            };
            if hex::encode(Sha256::digest(canonical(&entry))) != claimed {
                problems
                    .push(format!("{what} was changed: its content does not have the hash that it names"));
            }
            match read {
                Ok(read) => {
                    if read.previous != previous || read.sequence != number {
                        problems.push(format!(
                            "{what} does not follow the one before it: an entry was changed, added or taken out"
                        ));
                    }
                    if read.command_id != self.command_id {
                        problems.push(format!("{what} is of another bundle"));
                    }
                }
                Err(error) => problems.push(format!("{what} is not readable: {error}")),
            }
            claimed.clone_into(&mut previous);
        }
        previous
    }

    fn open_claims(&self, head: Option<&HeadClaims>, problems: &mut Vec<String>) -> Option<EvidenceClaims> {
        let (Some(key), Some(claims)) = (&self.agent_key, &self.claims) else {
            problems.push("the record has no claims of the agent: the bundle was never offered".to_owned());
            return None;
        };
        let Ok(key) = PublicKey::from_base64(key) else {
            problems.push("agent_key in the record is no public key".to_owned());
            return None;
        };
        let claims: EvidenceClaims = match claims.open(PayloadType::Evidence, &key) {
            Ok(claims) => claims,
            Err(error) => {
                problems.push(format!("the agent's signature over its claims does not hold: {error}"));
                return None;
            }
        };
        if EndpointId::of_key(&key) != claims.endpoint_id {
            problems.push(format!("the agent's key is not that of {}", claims.endpoint_id));
        }
        if claims.command_id != self.command_id {
            problems.push(format!("the agent's claims are of command {}", claims.command_id));
        }
        if let Some(head) = head {
            let is_the_same = head.endpoint_id == claims.endpoint_id
                && head.sha256 == claims.sha256
                && head.size_bytes == claims.size_bytes;
            if !is_the_same {
                problems.push("what the agent claims is not what the server signed".to_owned());
            }
        }
        Some(claims)
    }
}

#[cfg(test)]
mod tests;
