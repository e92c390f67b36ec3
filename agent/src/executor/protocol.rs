use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use voltaxe_protocol::{CommandId, Envelope, IsolationObservation};

use crate::core::ActionOutcome;

/// What the network process asks of the executor, one JSON object a frame. What is not in an envelope is a hint and no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Carry out a command: `Outcome`, after any number of `Progress`; or `Provisional`, and the outcome after `Confirm` or
    /// `RollBack`. `id` only names the answer. Asking again for the same command is harmless.
    Run { id: CommandId, envelope: Envelope, servers: Vec<SocketAddr> },
    /// A signed cancellation: a running command ends early. `Noted`.
    Interrupt { envelope: Envelope },
    /// Of an isolated host: `Challenge`.
    Challenge,
    /// The server's signed answer to a probe with this nonce: `Outcome`, `Refreshed` or `NotConfirmed`.
    Confirm { nonce: String, answer: Envelope },
    /// The server was not reached through the provisional rules of this command: `Outcome`. Rules that were confirmed stay.
    RollBack { id: CommandId, why: String },
    /// `Observed`.
    Observe { purpose: Purpose },
    /// Let the isolated host ask its resolvers for a few seconds where the server is: `DnsOpened`.
    OpenDns,
    /// Let the isolated host knock at these addresses for a few seconds: `ServersTried`. They stay open only after `Confirm`.
    TryServers { servers: Vec<SocketAddr> },
    /// The server has this command's bundle: delete it. `Noted`.
    Discard { id: CommandId },
}

/// What an observation was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Telemetry,
    Check(CommandId),
}

/// What the executor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub enum Done {
    /// The first word on a connection.
    Hello {
        version: String,
    },
    Outcome {
        id: CommandId,
        outcome: ActionOutcome,
    },
    /// The rules are in the kernel, which lifts them unless the server signs `nonce`.
    Provisional {
        id: CommandId,
        nonce: String,
    },
    Progress {
        id: CommandId,
        step: String,
        done_steps: u32,
        total_steps: u32,
        bytes: u64,
    },
    /// `None`: the host is not isolated for good.
    Challenge {
        nonce: Option<String>,
    },
    Refreshed,
    NotConfirmed {
        nonce: String,
        why: String,
    },
    Observed {
        purpose: Purpose,
        observation: IsolationObservation,
    },
    /// Not asked for: the isolation is not as it was.
    Changed,
    /// `Err`: why not.
    DnsOpened {
        refused: Option<String>,
    },
    ServersTried {
        refused: Option<String>,
    },
    Noted,
    /// Said by the client, not by an executor: one is there again and knows nothing of the last one's work.
    Reconnected,
    #[serde(other)]
    Unknown,
}
