use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, Exception};

/// The body of `POST /telemetry` and of the stream's telemetry frame. Readers ignore fields they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    pub hostname: String,
    /// Whether the kernel drops traffic for us right now; the short form of `isolation`.
    pub isolated: bool,
    /// By the host's clock.
    pub observed_at: DateTime<Utc>,
    pub isolation: IsolationObservation,
    pub agent: AgentFacts,
    pub host: HostFacts,
    pub load: LoadAverage,
    pub memory: Memory,
    #[serde(default)]
    pub disks: Vec<Disk>,
    pub uptime_seconds: u64,
}

/// What the agent read back from the kernel's tables.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct IsolationObservation {
    pub state: ObservedIsolation,
    /// The isolate command whose rules are in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<CommandId>,
    /// By the host's clock.
    pub observed_at: DateTime<Utc>,
    /// For `partial` and `unknown`: what was found instead, for a person to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the kernel lifts the isolation by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_restore_at: Option<DateTime<Utc>>,
    /// The rules are new and the server has not been reached through them yet: the kernel lifts them soon unless it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_provisional: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub allows_dns: bool,
    /// The last time that somebody else had changed the rules of this isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// The kernel did not hold what was applied.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// By the host's clock.
    pub found_at: DateTime<Utc>,
    /// What was there instead, for a person to read.
    pub found: String,
    /// The rules were put back; otherwise why that failed is in `found`.
    pub put_back: bool,
    /// How often since the isolation was applied.
    pub count: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservedIsolation {
    NotIsolated,
    Isolated,
    /// Some of our rules are there and some are missing.
    Partial,
    /// The kernel could not be asked.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ObservedIsolation {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotIsolated => "not_isolated",
            Self::Isolated => "isolated",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AgentFacts {
    pub version: String,
    pub started_at: DateTime<Utc>,
    /// Results the server has not acknowledged yet.
    #[serde(default)]
    pub unreported_results: u32,
    /// Where the agent takes commands by the direct channel: a TCP port at the address its requests come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_port: Option<u16>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// For example `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    pub kernel: String,
    pub arch: String,
    pub cpus: u32,
    /// Kernel's random id of this boot.
    pub boot_id: String,
    /// Addresses of the physical and virtual interfaces, without loopback and link-local.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Runnable processes, averaged over 1, 5 and 15 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadAverage {
    pub one: f64,
    pub five: f64,
    pub fifteen: f64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub total_bytes: u64,
    pub available_bytes: u64,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    pub mount: String,
    pub total_bytes: u64,
    pub available_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
