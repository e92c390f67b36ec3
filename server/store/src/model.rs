//! Domain types as they come out of the database.

mod webhooks;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use voltaxe_protocol::{
    CommandId, CommandState, EndpointId, Envelope, Epoch, Exception, IsolationObservation, Telemetry,
};

pub use self::webhooks::{
    DeliveryId, DeliveryRecord, DeliveryState, WebhookId, WebhookPreset, WebhookRecord, WebhookState,
};

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
    /// Of an isolate.
    pub terms: IsolationTerms,
    /// The command that set these terms, when that was not the isolate itself.
    pub change_id: Option<CommandId>,
    /// When the server takes the isolation back by itself.
    pub auto_restore_at: Option<DateTime<Utc>>,
}

/// What an isolation leaves open.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IsolationTerms {
    pub exceptions: Vec<Exception>,
    pub allow_dns: bool,
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
    /// As [`voltaxe_protocol::Command::kind`].
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
    /// `{"success": .., "message": .., "data": ..}`; without `data` in lists and in events.
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
    /// Somebody asked for it back after it was handed out; the host has not answered while the command is not final.
    pub cancel_requested_by: Option<String>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub batch_id: Option<BatchId>,
    pub schedule_id: Option<ScheduleId>,
}

impl CommandRecord {
    /// Without the result's `data`, which can be large, and is not for everybody.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        if let Some(result) = self.result.as_mut().and_then(serde_json::Value::as_object_mut) {
            result.remove("data");
        }
        self
    }
}

/// One order to many endpoints.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub Uuid);

/// A command that is made later.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScheduleId(pub Uuid);

/// The way on which an agent's receipt came.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Channel {
    Stream,
    /// The server called the agent.
    Direct,
    Polling,
}

impl Channel {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Direct => "direct",
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

/// A host that was enrolled with a key other than the one its machine or name has, and who has these.
#[derive(Clone, Debug, PartialEq)]
pub struct AwaitingEndpoint {
    pub id: EndpointId,
    pub hostname: String,
    pub label: String,
    pub os: String,
    pub enrolled_at: DateTime<Utc>,
    pub public_key: Vec<u8>,
    /// Revoked by an approval.
    pub holders: Vec<KeyHolder>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KeyHolder {
    pub id: EndpointId,
    pub hostname: String,
    pub public_key: Vec<u8>,
    pub last_seen_at: Option<DateTime<Utc>>,
}

macro_rules! uuid_words {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $id {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

uuid_words!(BatchId, DeliveryId, ScheduleId, WebhookId);

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
            "direct" => Ok(Self::Direct),
            "polling" => Ok(Self::Polling),
            _ => Err(()),
        }
    }
}

/// A row of `batches`, and how many of its commands are in each state.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    pub id: BatchId,
    pub command: String,
    pub reason: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    /// Endpoints it was for.
    pub total: i32,
    /// How many of them got a command; the others were on their way there already.
    pub queued: i32,
    pub undo_of: Option<BatchId>,
    pub schedule_id: Option<ScheduleId>,
    pub cancelled_by: Option<String>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Hosts that were taken out before it was sent.
    pub excluded: Vec<ExcludedHost>,
}

/// A host that somebody took out of a batch, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ExcludedHost {
    pub endpoint_id: String,
    pub hostname: String,
    pub reason: String,
}

/// What became of one of a batch's hosts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BatchHost {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub hostname: String,
    pub state: CommandState,
}

/// How many commands are in each state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct StateCounts {
    pub pending: i64,
    pub delivered: i64,
    pub executed: i64,
    pub failed: i64,
    pub expired: i64,
    pub cancelled: i64,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    Once,
    Cron,
    /// Takes an isolation back, counted from when it took effect.
    Rollback,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    Waiting,
    Done,
    Cancelled,
}

/// A row of `schedules`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    pub id: ScheduleId,
    pub kind: ScheduleKind,
    pub state: ScheduleState,
    pub command: String,
    pub params: serde_json::Value,
    pub reason: String,
    pub endpoint_ids: Vec<EndpointId>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    /// `None` for one that has ended, and for a rollback whose isolation has not taken effect yet.
    pub next_run_at: Option<DateTime<Utc>>,
    pub ends_at: DateTime<Utc>,
    pub lifetime_seconds: i32,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub rollback_of: Option<CommandId>,
    pub rollback_after_seconds: Option<i32>,
    pub runs: i32,
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_batch_id: Option<BatchId>,
    /// Why the last run made no command, or why it ended.
    pub note: Option<String>,
    pub ended_by: Option<String>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// A token bucket in the database. `kind` is a command's kind, or `*` for all of them together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateLimit {
    pub kind: String,
    pub per_minute: f64,
    pub burst: i32,
    /// As of now.
    pub tokens: f64,
}

/// A row of `evidence`: the bundle of one collection, under its command's id.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceRecord {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    pub hostname: String,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub reason: String,
    /// `quick`, `standard`, `full`.
    pub profile: String,
    pub state: EvidenceStatus,
    /// Of the bundle, hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// On the server's disk, as of half a second ago.
    pub received_bytes: u64,
    /// The collection's result is here; the next three come from it.
    pub is_reported: bool,
    pub files: Option<u32>,
    pub errors: Option<u32>,
    /// Why the collection ended early.
    pub partial: Option<String>,
    /// [`voltaxe_protocol::EvidenceClaims`], signed by the agent.
    pub claims: Option<Envelope>,
    /// The key that verified them: Ed25519, 32 bytes.
    pub agent_key: Option<Vec<u8>>,
    pub announced_at: DateTime<Utc>,
    /// The agent's last message about it.
    pub touched_at: DateTime<Utc>,
    pub stored_at: Option<DateTime<Utc>>,
    /// What the server found wrong with the stored bundle; `None` until it has looked, empty when everything holds.
    pub problems: Option<Vec<String>>,
    pub discarded: Option<Discarded>,
}

/// Who had a bundle's bytes removed, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Discarded {
    pub by: String,
    pub at: DateTime<Utc>,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceStatus {
    /// The agent has it; nothing has arrived.
    Announced,
    Uploading,
    /// Whole, and its digest is as claimed.
    Stored,
    /// The agent was silent about it for too long. It may still come.
    Abandoned,
    /// Somebody had its bytes removed. It is not taken again.
    Discarded,
}

macro_rules! words {
    ($($kind:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $kind {
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $kind {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    )*};
}

words! {
    EvidenceStatus { Announced = "announced", Uploading = "uploading", Stored = "stored", Abandoned = "abandoned", Discarded = "discarded" }
    ScheduleKind { Once = "once", Cron = "cron", Rollback = "rollback" }
    ScheduleState { Waiting = "waiting", Done = "done", Cancelled = "cancelled" }
}
