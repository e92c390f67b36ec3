use std::{net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{
    AgentFrame, Command, CommandId, CommandReceipt, CommandResult, Envelope, NotKnown, RefusalReason,
    Telemetry,
};

use super::{DirectVerdict, Ticket};
use crate::journal::{BatchId, Record, Urgency};

/// A reading of both clocks. The core has none of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    pub wall: DateTime<Utc>,
    /// Monotonic, zero when the agent started.
    pub uptime: Duration,
}

/// How an order reached this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    Stream,
    /// The server's request to this host.
    Direct,
    Poll,
    /// Read back from the journal after a restart.
    Journal,
}

impl Channel {
    /// The tag of the log lines.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Stream => "COMMAND STREAM",
            Self::Direct => "COMMAND DIRECT",
            Self::Poll => "COMMAND POLL",
            Self::Journal => "COMMAND JOURNAL",
        }
    }
}

/// What the event loop is to do. Each is done in the order given and answered by the named `handle_` call.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// `handle_committed`.
    Append { batch: BatchId, records: Vec<Record>, urgency: Urgency },
    /// The journal's whole new content. Not answered.
    Compact { records: Vec<Record> },
    /// `handle_action_done`.
    Run { id: CommandId, action: Command, envelope: Option<Box<Envelope>> },
    /// The signed wish to end a running command early. Its result is told as ever.
    Interrupt { id: CommandId, envelope: Envelope },
    /// Ask the server through the isolation's rules, over a new connection. `handle_probed`.
    Probe { nonce: String },
    /// What the executor wants the server to sign. `handle_challenge`.
    Challenge,
    /// The server's answer, for the executor: `handle_action_done` of the command on probation, or `handle_refreshed`, or
    /// `handle_not_confirmed`. The answer was verified: `addresses` are the server's.
    Confirm { nonce: String, answer: Envelope, addresses: Vec<SocketAddr> },
    /// The server was not reached through this command's rules. `handle_action_done`.
    RollBack { id: CommandId, why: String },
    /// The server may have moved. `handle_searched`.
    Search,
    /// `handle_stream_live` or `handle_stream_lost`.
    ConnectStream,
    /// Over the live stream. Not answered.
    Send(AgentFrame),
    /// `handle_poll_answer` or `handle_poll_failed`.
    Poll,
    /// `handle_posted`.
    Post(Post),
    /// Of `handle_direct_offer`. Not answered.
    AnswerDirect { ticket: Ticket, verdict: DirectVerdict },
    /// `handle_telemetry`.
    CollectTelemetry,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Post {
    Receipt(CommandReceipt),
    NotKnown(NotKnown),
    Result(CommandResult),
    Telemetry(Box<Telemetry>),
}

/// Which post an answer belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PostKey {
    Receipt(CommandId),
    NotKnown(CommandId),
    Result(CommandId),
    Telemetry,
}

impl Post {
    /// The same over the stream.
    #[must_use]
    pub fn into_frame(self) -> AgentFrame {
        match self {
            Self::Receipt(CommandReceipt { command_id, attempt }) => {
                AgentFrame::Receipt { command_id, attempt }
            }
            Self::NotKnown(NotKnown { command_id }) => AgentFrame::NotKnown { command_id },
            Self::Result(result) => AgentFrame::Result(result),
            Self::Telemetry(telemetry) => AgentFrame::Telemetry(telemetry),
        }
    }

    #[must_use]
    pub fn key(&self) -> PostKey {
        match self {
            Self::Receipt(receipt) => PostKey::Receipt(receipt.command_id),
            Self::NotKnown(not_known) => PostKey::NotKnown(not_known.command_id),
            Self::Result(result) => PostKey::Result(result.command_id),
            Self::Telemetry(_) => PostKey::Telemetry,
        }
    }
}

/// Why an HTTP request brought nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestFailure {
    /// Try again soon.
    #[error("the server cannot be reached: {0}")]
    Unavailable(String),
    /// The server answered and could not do it: this one again later, others meanwhile.
    #[error("the server failed at the request: {0}")]
    Failed(String),
    /// 401 or 403. The key is kept; a person must act at the server.
    #[error("the server refuses this agent ({word}): {detail}")]
    Refused { word: String, detail: String },
    /// The server does not know the command.
    #[error("the server does not know the command")]
    CommandNotFound,
    /// Trying again soon would change nothing.
    #[error("the server did not accept the request: {0}")]
    NotAccepted(String),
}

/// Why there is no stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StreamLoss {
    /// It never came to a welcome.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    #[error("the connection ended: {0}")]
    Closed(String),
    #[error("the server refuses this agent: {detail}")]
    Refused { reason: RefusalReason, detail: String },
}

/// What an executor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionOutcome {
    pub success: bool,
    /// One sentence for the operator.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// Why the core wants to be woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WakeReason {
    StreamReconnect,
    Poll,
    Telemetry,
    ReportAgain,
    NotBefore,
    Lifeline,
    Forget,
}
