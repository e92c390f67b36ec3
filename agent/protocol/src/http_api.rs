use serde::{Deserialize, Serialize};

use crate::{CommandId, Envelope};

/// The answer of `GET /command/poll`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PollResponse {
    pub commands: Vec<OfferedCommand>,
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
