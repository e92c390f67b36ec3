use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, CommandResult, EndpointId, Envelope, Epoch, KeyFingerprint, Telemetry};

/// A longer frame closes the stream, in both directions.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;

/// From the server to an agent, one JSON object a text frame.
///
/// The server speaks first, with a challenge; the agent answers [`AgentFrame::Hello`]; the server closes with
/// `refused` or goes on with `welcome`, and from then on both sides speak when they have something to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Challenge {
        /// 256 random bits, base64url.
        nonce: String,
        server_time: DateTime<Utc>,
    },
    Welcome {
        /// How often the server wants telemetry.
        telemetry_interval_seconds: u32,
    },
    Refused {
        reason: RefusalReason,
        detail: String,
    },
    Command {
        attempt: i32,
        envelope: Envelope,
    },
    /// A [`crate::Cancellation`], signed. Answered by a result.
    Cancel {
        envelope: Envelope,
    },
    /// What became of this command? The agent answers from its journal: a receipt, a result or `not_known`.
    Query {
        command_id: CommandId,
    },
    /// The result is on the server's disk; the agent may forget it.
    ResultRecorded {
        command_id: CommandId,
    },
    #[serde(other)]
    Unknown,
}

/// From an agent to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentFrame {
    /// [`HelloClaims`], signed by the agent.
    Hello {
        envelope: Envelope,
    },
    /// The command is on the agent's disk.
    Receipt {
        command_id: CommandId,
        attempt: i32,
    },
    Started {
        command_id: CommandId,
    },
    /// How far a long command is. Not kept: the next one replaces it.
    Progress {
        command_id: CommandId,
        /// What is being done, for a person to read.
        step: String,
        done_steps: u32,
        total_steps: u32,
        bytes: u64,
    },
    Result(CommandResult),
    /// The journal does not know this command: it was never received here.
    NotKnown {
        command_id: CommandId,
    },
    /// An envelope was thrown away: no valid signature, or not for this agent. Nothing was done.
    Rejected {
        reason: String,
    },
    Telemetry(Box<Telemetry>),
    #[serde(other)]
    Unknown,
}

/// Signed answer to a stream's challenge ([`crate::PayloadType::Hello`]).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HelloClaims {
    /// The challenge's nonce.
    pub nonce: String,
    pub endpoint_id: EndpointId,
    pub epoch: Epoch,
    /// Rises with every stream. One that does not rise shows a copied key.
    pub join_counter: i64,
    /// The server this agent means to speak to: a hello cannot be relayed to another.
    pub server_key: KeyFingerprint,
    pub agent_version: String,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The server does not know this key.
    NotEnrolled,
    BadSignature,
    /// Enrolled again since.
    WrongEpoch,
    /// This counter was seen before: two agents hold the same key.
    ClonedKey,
    /// The same machine enrolled with another key; an administrator must approve.
    AwaitingApproval,
    Revoked,
    /// Too many streams; try again later.
    Busy,
    #[serde(other)]
    Unknown,
}
