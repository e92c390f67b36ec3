use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, EndpointId, Epoch, IsolationObservation};

/// What an agent can be told to do. The enum is the whitelist: a kind that is not here is refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "params", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    NetworkIsolate(NetworkIsolate),
    NetworkRestore(NetworkRestore),
}

impl Command {
    /// The word in the `command` column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NetworkIsolate(_) => "network_isolate",
            Self::NetworkRestore(_) => "network_restore",
        }
    }

    /// Greater is more urgent: isolate and restore 10, every other kind 5.
    #[must_use]
    pub fn priority(&self) -> i16 {
        match self {
            Self::NetworkIsolate(_) | Self::NetworkRestore(_) => 10,
        }
    }
}

/// Cut the host off the network, all but the server.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkIsolate {
    pub reason: String,
}

/// Give the host its network back, exactly as it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRestore {
    pub reason: String,
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
    /// Depends on the kind; [`IsolationOutcome`] for isolate and restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// `data` of an isolate's or restore's result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IsolationOutcome {
    /// As read back from the kernel after the action, not as asked for.
    pub isolated: bool,
    pub timestamp: DateTime<Utc>,
    pub observation: IsolationObservation,
}
