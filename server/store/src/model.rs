//! Domain types as they come out of the database.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, CommandState, EndpointId, Epoch, IsolationObservation, Telemetry};

#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRecord {
    pub id: EndpointId,
    pub hostname: String,
    pub epoch: Epoch,
    pub status: EndpointStatus,
    pub enrolled_at: DateTime<Utc>,
    /// Last message of any kind, by the server's clock.
    pub last_seen_at: Option<DateTime<Utc>>,
    pub agent_version: String,
    pub os: String,
    /// The newest isolate or restore, whatever became of it.
    pub desired: Option<DesiredIsolation>,
    pub observed: Option<ObservedRecord>,
    /// The newest, whole.
    pub telemetry: Option<Telemetry>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EndpointStatus {
    Active,
    /// The same machine or name is enrolled with another key; an administrator must approve.
    AwaitingApproval,
    Revoked,
}

/// What the console asked of a host last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DesiredIsolation {
    pub command_id: CommandId,
    pub direction: IsolationDirection,
    pub state: CommandState,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub reason: String,
    pub expires_at: DateTime<Utc>,
    /// The agent's words on a final state.
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IsolationDirection {
    Isolate,
    Restore,
}

/// What the host reported last of its own isolation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObservedRecord {
    pub isolation: IsolationObservation,
    /// By the server's clock; the age on the page counts from here.
    pub received_at: DateTime<Utc>,
}

/// A row of the view `commands`: queued or final.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRecord {
    pub id: CommandId,
    pub endpoint_id: EndpointId,
    pub hostname: String,
    /// `network_isolate`, `network_restore`.
    pub command: String,
    pub params: serde_json::Value,
    pub status: CommandState,
    pub created_at: DateTime<Utc>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    /// When the result, whichever it was, arrived.
    pub executed_at: Option<DateTime<Utc>>,
    /// When it became final, in whatever way.
    pub finished_at: Option<DateTime<Utc>>,
    /// `{"success": .., "message": .., "data": ..}`
    pub result: Option<serde_json::Value>,
    pub created_by: String,
    pub reason: String,
    pub priority: i16,
    pub attempt: i32,
    pub channel: Option<Channel>,
    pub not_before: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub epoch: Epoch,
    pub cancelled_by: Option<String>,
}

/// The way on which an agent's receipt came.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Channel {
    Stream,
    Polling,
}

impl Channel {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Polling => "polling",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnrolmentTokenRecord {
    pub id: i64,
    pub label: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub uses_left: i32,
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Revoked => "revoked",
        })
    }
}

impl FromStr for EndpointStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "active" => Ok(Self::Active),
            "awaiting_approval" => Ok(Self::AwaitingApproval),
            "revoked" => Ok(Self::Revoked),
            _ => Err(()),
        }
    }
}

impl FromStr for Channel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "stream" => Ok(Self::Stream),
            "polling" => Ok(Self::Polling),
            _ => Err(()),
        }
    }
}
