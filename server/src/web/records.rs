//! The JSON of commands and of telemetry in the HTTP API: the seed's words, and ours beside them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_app::model::{Endpoint, endpoint_query::Group};
use voltaxe_orchestrator::model::{ChannelHealth, CommandRecord, DirectHealth, EndpointView};
use voltaxe_protocol::{
    AgentFacts, CommandId, CommandState, Disk, EndpointId, HostFacts, IsolationObservation, LoadAverage,
    Memory, ObservedIsolation,
};

/// A command and what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Command {
    #[schema(value_type = i64)]
    id: CommandId,
    hostname: String,
    #[schema(value_type = String, example = "ep_0123456789abcdef0123456789abcdef")]
    endpoint_id: EndpointId,
    #[schema(example = "network_isolate")]
    command: String,
    #[schema(value_type = Object)]
    params: Value,
    #[schema(value_type = words::State)]
    status: CommandState,
    created_at: DateTime<Utc>,
    /// The host has it on its disk.
    delivered_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    /// When the result, whichever it was, arrived.
    executed_at: Option<DateTime<Utc>>,
    /// When it became final, in whatever way.
    finished_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    /// `success`, `message`, and `data` where one command is asked for.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    created_by: String,
    cancelled_by: Option<String>,
    cancel_requested_by: Option<String>,
    cancel_requested_at: Option<DateTime<Utc>>,
    not_before: Option<DateTime<Utc>>,
    batch_id: Option<Uuid>,
    schedule_id: Option<Uuid>,
    reason: String,
    /// Greater is more urgent.
    priority: i16,
    /// How often it was handed out.
    attempt: i32,
    /// The way on which the host's receipt came.
    #[schema(value_type = Option<words::Channel>)]
    channel: Option<&'static str>,
}

impl From<CommandRecord> for Command {
    fn from(record: CommandRecord) -> Self {
        Self {
            id: record.id,
            hostname: record.hostname,
            endpoint_id: record.endpoint_id,
            command: record.command,
            params: record.params,
            status: record.status,
            created_at: record.created_at,
            delivered_at: record.delivered_at,
            started_at: record.started_at,
            executed_at: record.executed_at,
            finished_at: record.finished_at,
            expires_at: record.expires_at,
            result: record.result,
            created_by: record.created_by,
            cancelled_by: record.cancelled_by,
            cancel_requested_by: record.cancel_requested_by,
            cancel_requested_at: record.cancel_requested_at,
            not_before: record.not_before,
            batch_id: record.batch_id.map(|id| id.0),
            schedule_id: record.schedule_id.map(|id| id.0),
            reason: record.reason,
            priority: record.priority,
            attempt: record.attempt,
            channel: record.channel.map(|channel| channel.as_str()),
        }
    }
}

/// The newest telemetry of an endpoint, with the address it is known by.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Telemetry {
    hostname: String,
    #[schema(value_type = String, example = "ep_0123456789abcdef0123456789abcdef")]
    endpoint_id: EndpointId,
    /// It holds a stream right now.
    connected: bool,
    channels: Channels,
    last_seen_at: Option<DateTime<Utc>>,
    /// What the host reported; `null` while it has not.
    isolated: Option<bool>,
    #[schema(value_type = Option<Object>)]
    isolation: Option<IsolationObservation>,
    isolation_received_at: Option<DateTime<Utc>>,
    /// By the host's clock.
    observed_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<Object>)]
    agent: Option<AgentFacts>,
    #[schema(value_type = Option<Object>)]
    host: Option<HostFacts>,
    #[schema(value_type = Option<Object>)]
    load: Option<LoadAverage>,
    #[schema(value_type = Option<Object>)]
    memory: Option<Memory>,
    #[schema(value_type = Option<Vec<Object>>)]
    disks: Option<Vec<Disk>>,
    uptime_seconds: Option<u64>,
}

impl From<EndpointView> for Telemetry {
    fn from(view: EndpointView) -> Self {
        let record = view.record;
        let (isolation, isolation_received_at) =
            record.observed.map(|observed| (observed.isolation, observed.received_at)).unzip();
        let mut told = Self {
            hostname: record.hostname,
            endpoint_id: record.id,
            connected: view.live,
            channels: view.channels.into(),
            last_seen_at: record.last_seen_at,
            isolated: isolation.as_ref().map(|isolation| isolation.state == ObservedIsolation::Isolated),
            isolation,
            isolation_received_at,
            observed_at: None,
            agent: None,
            host: None,
            load: None,
            memory: None,
            disks: None,
            uptime_seconds: None,
        };
        if let Some(telemetry) = record.telemetry {
            told.observed_at = Some(telemetry.observed_at);
            told.agent = Some(telemetry.agent);
            told.host = Some(telemetry.host);
            told.load = Some(telemetry.load);
            told.memory = Some(telemetry.memory);
            told.disks = Some(telemetry.disks);
            told.uptime_seconds = Some(telemetry.uptime_seconds);
        }
        told
    }
}

/// A row of the list of endpoints: who it is, how it is reached, what is wanted of it, and what it reported.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub struct Listed {
    #[serde(flatten)]
    telemetry: Telemetry,
    #[schema(value_type = words::EndpointStatus)]
    status: String,
    labels: Vec<String>,
    os: String,
    agent_version: String,
    enrolled_at: DateTime<Utc>,
    /// Which part of the fleet strip counts it.
    #[schema(value_type = String, example = "isolated")]
    isolation_group: &'static str,
}

impl Listed {
    #[must_use]
    pub fn new(view: EndpointView, labels: Vec<String>) -> Self {
        Self {
            status: view.record.status.to_string(),
            labels,
            os: view.record.os.clone(),
            agent_version: view.record.agent_version.clone(),
            enrolled_at: view.record.enrolled_at,
            isolation_group: Group::of(&Endpoint::from(&view)).word(),
            telemetry: view.into(),
        }
    }
}

/// By which ways an endpoint was reached since this server started.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channels {
    stream_since: Option<DateTime<Utc>>,
    stream_lost_at: Option<DateTime<Utc>>,
    polled_at: Option<DateTime<Utc>>,
    /// `null`: the agent does not take calls.
    direct: Option<DirectChannel>,
}

impl From<ChannelHealth> for Channels {
    fn from(channels: ChannelHealth) -> Self {
        Self {
            stream_since: channels.stream_since,
            stream_lost_at: channels.stream_lost_at,
            polled_at: channels.polled_at,
            direct: channels.direct.map(Into::into),
        }
    }
}

/// The server calls the agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DirectChannel {
    address: String,
    worked_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    problem: Option<String>,
}

impl From<DirectHealth> for DirectChannel {
    fn from(direct: DirectHealth) -> Self {
        Self {
            address: direct.address.to_string(),
            worked_at: direct.worked_at,
            failed_at: direct.failed_at,
            problem: direct.problem,
        }
    }
}

/// Words of types that know nothing of schemas.
pub mod words {
    #![expect(dead_code, reason = "only their schemas are used")]

    use chrono::{DateTime, Utc};
    use utoipa::ToSchema;

    /// Of a command. `executed`, `failed`, `expired` and `cancelled` are final.
    #[derive(ToSchema)]
    #[schema(as = CommandState, rename_all = "snake_case")]
    pub enum State {
        Pending,
        Delivered,
        Executed,
        Failed,
        Expired,
        Cancelled,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum Channel {
        Stream,
        Direct,
        Polling,
    }

    /// What an agent can be told to do.
    #[derive(ToSchema)]
    #[schema(as = CommandKind, rename_all = "snake_case")]
    pub enum Kind {
        NetworkIsolate,
        NetworkRestore,
        IsolationChange,
        IsolationPreview,
        AgentCheck,
        ListProcesses,
        KillProcess,
        SuspendProcess,
        ResumeProcess,
        CollectForensics,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum ScheduleKind {
        Once,
        Cron,
        Rollback,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum ScheduleState {
        Waiting,
        Done,
        Cancelled,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum EvidenceState {
        Announced,
        Uploading,
        Stored,
        Abandoned,
        Discarded,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum EndpointStatus {
        Active,
        AwaitingApproval,
        Revoked,
    }

    /// A line of a bundle's manifest.
    #[derive(ToSchema)]
    pub struct ManifestEntry {
        path: String,
        collector: String,
        sha256: String,
        size_bytes: u64,
        collected_at: DateTime<Utc>,
        source: Option<String>,
    }

    /// Who had a bundle's bytes removed, and why.
    #[derive(ToSchema)]
    pub struct Discarded {
        by: String,
        at: DateTime<Utc>,
        reason: String,
    }

    /// A row of the audit log, and what became of its command.
    #[derive(ToSchema)]
    pub struct AuditRow {
        id: i64,
        at: DateTime<Utc>,
        /// An operator's name, `token:` and an API token's name, or who else it was.
        actor: String,
        #[schema(example = "command.create")]
        action: String,
        endpoint_id: Option<String>,
        hostname: Option<String>,
        command_id: Option<i64>,
        /// The command's kind. `null` where there is no command, or one that is past its retention.
        command: Option<String>,
        result: Option<State>,
        message: Option<String>,
        reason: Option<String>,
        #[schema(value_type = Option<Object>)]
        detail: (),
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum WebhookPreset {
        Generic,
        Slack,
    }

    /// `gone`: the receiver answered 410.
    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum WebhookState {
        Active,
        Paused,
        Gone,
    }

    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum DeliveryState {
        Waiting,
        Delivered,
        Failed,
    }

    /// Each role may do all that the one before it may.
    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case")]
    pub enum Role {
        Viewer,
        Responder,
        Admin,
    }
}
