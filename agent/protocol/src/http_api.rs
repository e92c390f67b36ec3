use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, EndpointId, Envelope};

/// `wait=` of a poll is cut to this many seconds.
pub const LONGEST_POLL_SECONDS: u64 = 25;

/// The answer of `GET /command/poll?host=[&wait=SECONDS]`. With `wait` the server answers when there is something to say, at
/// the latest after so many seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PollResponse {
    pub commands: Vec<OfferedCommand>,
    /// [`crate::Cancellation`]s, signed. Answered by results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellations: Vec<Envelope>,
    /// Commands that the agent has acknowledged and not answered: it says what became of them, by a receipt, a result or
    /// [`NotKnown`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<CommandId>,
}

/// A command on offer. The agent acts on `envelope` alone; `id`, `command` and `params` are there for people and for
/// tools that read the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferedCommand {
    pub id: CommandId,
    pub command: String,
    pub params: serde_json::Value,
    /// Which offer of this command this is, from 1.
    pub attempt: i32,
    pub envelope: Envelope,
}

/// The answer of `POST /command/result`: the result is on the server's disk and the agent may forget it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultReceipt {
    /// Always `recorded`.
    pub status: String,
    /// The command's record after the result.
    pub command: serde_json::Value,
}

/// The body of `POST /command/receipt`: the command is on the agent's disk. The stream has a frame for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CommandReceipt {
    pub command_id: CommandId,
    pub attempt: i32,
}

/// The body of `POST /command/not-known`: the journal does not have a command that the server asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct NotKnown {
    pub command_id: CommandId,
}

/// The body of `POST /command` to an agent: the direct channel. The agent acts on the envelope alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectOffer {
    pub attempt: i32,
    pub envelope: Envelope,
}

/// The agent's answer to a [`DirectOffer`]: [`ReceiptClaims`], signed by the agent, so that nobody else at its address can
/// acknowledge for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectAnswer {
    pub receipt: Envelope,
}

/// The signed content of a direct receipt ([`crate::PayloadType::Receipt`]): the command is on the agent's disk.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ReceiptClaims {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub attempt: i32,
}

/// The answer of `GET /agent/probe?nonce=`: [`ProbeClaims`], signed by the server. It shows an isolated agent that its server
/// is still reached through the rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    pub answer: Envelope,
}

/// The signed content of a probe's answer ([`crate::PayloadType::Probe`]).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProbeClaims {
    /// The request's: 128 random bits, base64url.
    pub nonce: String,
    pub endpoint_id: EndpointId,
    pub server_time: DateTime<Utc>,
    /// Where the server can be reached, now and soon. An isolated agent resolves no names: it adds these to its rules.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
}

/// The body of `POST /agent/evidence`: a bundle wants to be taken. Answered by [`EvidenceState`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceOffer {
    /// [`crate::EvidenceClaims`], signed by the agent.
    pub claims: Envelope,
}

/// The answer of `POST /agent/evidence`, `GET /agent/evidence/{command_id}` and `PUT /agent/evidence/{command_id}?offset=`. The next piece starts at
/// `received_bytes`; one that the server has already is acknowledged once more, one that leaves a gap is refused with 409.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EvidenceState {
    /// On the server's disk.
    pub received_bytes: u64,
    /// The whole bundle is stored and its digest is as claimed: the agent may delete its copy.
    pub complete: bool,
}
