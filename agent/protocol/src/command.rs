use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, EndpointId, Epoch, IsolationObservation};

mod forensics;
mod isolation;
mod process;

pub use forensics::{
    CollectForensics, CollectionError, CollectionOutcome, EvidenceClaims, EvidenceLimits, ForensicsProfile,
    LARGEST_EVIDENCE_CHUNK_BYTES, Manifest, ManifestEntry,
};
pub use isolation::{
    Direction, Exception, ExceptionError, IsolationChange, IsolationOutcome, IsolationPreview,
    IsolationPreviewOutcome, MOST_EXCEPTIONS, NetworkIsolate, NetworkRestore, PreflightKind,
    PreflightWarning, Protocol, Session, check_exceptions,
};
pub use process::{
    KillProcess, ListProcesses, Process, ProcessEffect, ProcessId, ProcessList, ProcessOutcome,
    ProcessTarget, ProcessVerdict, ResumeProcess, SuspendProcess,
};

/// What an agent can be told to do. The enum is the whitelist: a kind that is not here is refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "params", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    NetworkIsolate(NetworkIsolate),
    NetworkRestore(NetworkRestore),
    IsolationChange(IsolationChange),
    IsolationPreview(IsolationPreview),
    AgentCheck(AgentCheck),
    ListProcesses(ListProcesses),
    KillProcess(KillProcess),
    SuspendProcess(SuspendProcess),
    ResumeProcess(ResumeProcess),
    CollectForensics(CollectForensics),
}

impl Command {
    /// The words that [`Command::kind`] can be.
    pub const KINDS: [&str; 10] = [
        "network_isolate",
        "network_restore",
        "isolation_change",
        "isolation_preview",
        "agent_check",
        "list_processes",
        "kill_process",
        "suspend_process",
        "resume_process",
        "collect_forensics",
    ];

    /// The word in the `command` column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NetworkIsolate(_) => "network_isolate",
            Self::NetworkRestore(_) => "network_restore",
            Self::IsolationChange(_) => "isolation_change",
            Self::IsolationPreview(_) => "isolation_preview",
            Self::AgentCheck(_) => "agent_check",
            Self::ListProcesses(_) => "list_processes",
            Self::KillProcess(_) => "kill_process",
            Self::SuspendProcess(_) => "suspend_process",
            Self::ResumeProcess(_) => "resume_process",
            Self::CollectForensics(_) => "collect_forensics",
        }
    }

    /// Greater is more urgent: what changes the isolation 10, every other kind 5.
    #[must_use]
    pub fn priority(&self) -> i16 {
        if self.changes_isolation() { 10 } else { 5 }
    }

    /// Of these, one that was issued later is never undone by an earlier one.
    #[must_use]
    pub fn changes_isolation(&self) -> bool {
        match self {
            Self::NetworkIsolate(_) | Self::NetworkRestore(_) | Self::IsolationChange(_) => true,
            Self::IsolationPreview(_)
            | Self::AgentCheck(_)
            | Self::ListProcesses(_)
            | Self::KillProcess(_)
            | Self::SuspendProcess(_)
            | Self::ResumeProcess(_)
            | Self::CollectForensics(_) => false,
        }
    }
}

/// Look after yourself and report: changes nothing on the host. Shows that commands get through, whichever way.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentCheck {}

/// `data` of an agent check's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentCheckOutcome {
    pub observation: IsolationObservation,
    /// By the host's clock.
    pub timestamp: DateTime<Utc>,
    pub agent_version: String,
    /// Results that the server has not acknowledged yet, without this one.
    pub unreported_results: u32,
    /// Bytes that the journal holds, and that it may hold.
    pub journal_used_bytes: u64,
    pub journal_limit_bytes: u64,
}

/// The signed content of a command envelope ([`crate::PayloadType::Command`]).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandOrder {
    pub id: CommandId,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub action: Command,
    pub issued_at: DateTime<Utc>,
    /// Not to be executed earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// Not to be started at or after this time.
    pub expires_at: DateTime<Utc>,
    /// The operator's name.
    pub created_by: String,
    pub reason: String,
}

/// The signed wish to take a command back ([`crate::PayloadType::Cancellation`]). The agent answers with a result: with
/// `data.refused` = [`CANCELLED`] when it had not started (or never had) the command, else with what the command did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Of the command to be taken back.
    pub id: CommandId,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub issued_at: DateTime<Utc>,
    /// When the command itself expires: until then the agent must remember that it was cancelled.
    pub expires_at: DateTime<Utc>,
    /// The operator's name.
    pub cancelled_by: String,
}

/// `data.refused` of the result of a command that was taken back before it started.
pub const CANCELLED: &str = "cancelled";

/// A command's life. `Delivered` means that the agent has it on disk.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    Pending,
    Delivered,
    Executed,
    Failed,
    Expired,
    Cancelled,
    #[serde(other)]
    Unknown,
}

impl CommandState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Executed => "executed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// A final state never changes again.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Delivered | Self::Unknown => false,
            Self::Executed | Self::Failed | Self::Expired | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for CommandState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CommandState {
    type Err = crate::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Pending, Self::Delivered, Self::Executed, Self::Failed, Self::Expired, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(crate::IdError("a state is pending, delivered, executed, failed, expired or cancelled"))
    }
}

/// What became of a command: the body of `POST /command/result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    pub command_id: CommandId,
    pub success: bool,
    /// One sentence for the operator.
    pub message: String,
    /// Depends on the kind: [`IsolationOutcome`] for what changes the isolation, [`ProcessOutcome`], and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl CommandResult {
    /// Why the agent did not carry the command out: the stable word in `data.refused`, if it refused.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.data.as_ref()?.get("refused")?.as_str()
    }
}
