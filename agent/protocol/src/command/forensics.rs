use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, EndpointId, Epoch};

/// A bundle travels in pieces of at most so many bytes.
pub const LARGEST_EVIDENCE_CHUNK_BYTES: usize = 1024 * 1024;

/// Collect what an investigation needs, the most volatile first. Answered by [`CollectionOutcome`]; the bundle follows by
/// itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectForensics {
    pub profile: ForensicsProfile,
    #[serde(default)]
    pub limits: EvidenceLimits,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForensicsProfile {
    /// What is gone at the next reboot: seconds.
    Quick,
    /// And where malware makes itself at home, and the last days of logs: a minute or so.
    Standard,
    /// And everything else there is.
    Full,
}

/// What a collection may cost. Whatever it has when it meets a limit is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceLimits {
    /// Of the bundle, from 1 MiB to 4 GiB.
    pub max_bytes: u64,
    /// From 10 to 14,400.
    pub max_seconds: u32,
    /// Share of one CPU, from 1 to 100.
    pub cpu_percent: u8,
}

impl Default for EvidenceLimits {
    fn default() -> Self {
        Self { max_bytes: 512 * 1024 * 1024, max_seconds: 900, cpu_percent: 50 }
    }
}

/// `data` of a collection's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionOutcome {
    pub timestamp: DateTime<Utc>,
    /// Of the bundle, hexadecimal; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    pub size_bytes: u64,
    pub files: u32,
    /// What was not collected, and why. The first ones; the bundle's manifest has all.
    pub errors: Vec<CollectionError>,
    /// Why it ended early: a limit, or somebody cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CollectionError {
    pub collector: String,
    pub message: String,
}

/// `manifest.json` in a bundle: everything else that is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub hostname: String,
    pub agent_version: String,
    pub boot_id: String,
    pub profile: ForensicsProfile,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub entries: Vec<ManifestEntry>,
    pub errors: Vec<CollectionError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Inside the bundle: relative, `/` between parts, without `..`.
    pub path: String,
    pub collector: String,
    /// Of the entry's content, hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    pub collected_at: DateTime<Utc>,
    /// Where on the host it comes from, for copies of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What the agent signs for a bundle ([`crate::PayloadType::Evidence`]), and offers it to the server with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EvidenceClaims {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// Of the bundle, hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// Of `manifest.json` in it, hexadecimal.
    pub manifest_sha256: String,
    pub finished_at: DateTime<Utc>,
}
