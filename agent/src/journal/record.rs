use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{CommandId, CommandOrder, CommandResult, Envelope, IsolationObservation};

/// One step of a command's life on this host. New fields are optional, so that an agent reads its predecessor's
/// journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Record {
    Received {
        order: CommandOrder,
        /// As the server signed it, for an executor that believes nothing else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        envelope: Option<Box<Envelope>>,
        attempt: i32,
        at: DateTime<Utc>,
    },
    /// Written before the effect. Each start has its own record, so that an order that kills the agent is found out.
    Started {
        id: CommandId,
        /// How the host was before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre_image: Option<IsolationObservation>,
        at: DateTime<Utc>,
    },
    /// Also the only record of an order that was refused.
    Finished {
        kind: String,
        result: CommandResult,
        /// Until then the id is remembered, so that a late duplicate gets this result.
        forget_after: DateTime<Utc>,
        at: DateTime<Utc>,
    },
    /// The server has the result on its disk.
    Reported { id: CommandId, at: DateTime<Utc> },
    /// A finished and reported command, as compaction leaves it.
    Known { kind: String, result: CommandResult, forget_after: DateTime<Utc> },
}

impl Record {
    #[must_use]
    pub fn command_id(&self) -> CommandId {
        match self {
            Self::Received { order, .. } => order.id,
            Self::Started { id, .. } | Self::Reported { id, .. } => *id,
            Self::Finished { result, .. } | Self::Known { result, .. } => result.command_id,
        }
    }
}
