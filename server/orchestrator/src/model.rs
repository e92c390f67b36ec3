//! What the orchestrator tells about endpoints and commands.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use voltaxe_protocol::{CommandId, CommandState, Drift, EndpointId};
pub use voltaxe_store::model::{
    BatchHost, BatchId, BatchRecord, Channel, CommandRecord, DesiredIsolation, EndpointRecord,
    EndpointStatus, EnrolmentTokenRecord, EvidenceRecord, EvidenceStatus, ExcludedHost, IsolationDirection,
    IsolationTerms, ObservedRecord, RateLimit, ScheduleId, ScheduleKind, ScheduleRecord, ScheduleState,
    StateCounts,
};

pub use voltaxe_store::EvidenceFilter;
pub use voltaxe_store::SavedView;
pub use voltaxe_store::search::{AlikeEndpoints, ConnectionIs, EndpointSearch, IsolationIs, SeenIs, SortBy};

/// An endpoint as the store knows it, and whether it holds a stream right now.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    pub record: EndpointRecord,
    pub live: bool,
    pub channels: ChannelHealth,
}

/// By which ways an endpoint was reached, as far as this server knows since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelHealth {
    /// It holds a stream since then.
    pub stream_since: Option<DateTime<Utc>>,
    pub stream_lost_at: Option<DateTime<Utc>>,
    pub polled_at: Option<DateTime<Utc>>,
    /// `None`: the agent does not take calls.
    pub direct: Option<DirectHealth>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DirectHealth {
    pub address: SocketAddr,
    pub worked_at: Option<DateTime<Utc>>,
    /// The last call, if that failed.
    pub failed_at: Option<DateTime<Utc>>,
    pub problem: Option<String>,
}

/// Somebody else had changed the rules of a host's isolation: told once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftNote {
    pub endpoint_id: EndpointId,
    pub hostname: String,
    #[serde(flatten)]
    pub drift: Drift,
}

/// How far a long command is, in the agent's words. Not kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ProgressNote {
    pub endpoint_id: EndpointId,
    pub command_id: CommandId,
    pub step: String,
    pub done: u32,
    pub total: u32,
    pub bytes: u64,
}

/// How the click was answered; `Accepted` means that the command is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    pub command_id: CommandId,
    pub status: CommandState,
    pub method: Method,
    /// The command existed already: a repeated click, or the host is isolated or isolating.
    pub existing: bool,
}

/// The channel on which the command went out, or will.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    Stream,
    /// The server called the agent.
    Direct,
    /// Waits for the agent's next poll.
    Polling,
}

impl Method {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Direct => "direct",
            Self::Polling => "polling",
        }
    }
}

impl From<Channel> for Method {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Stream => Self::Stream,
            Channel::Direct => Self::Direct,
            Channel::Polling => Self::Polling,
        }
    }
}
