//! What each command does on this host: one file a kind.

mod network_isolate;
mod network_restore;

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Command, CommandId, IsolationObservation, IsolationOutcome, ObservedIsolation};

use crate::{core::ActionOutcome, isolation::Kernel};

/// Carries out one command of the control lane. Doing it a second time is harmless.
pub fn execute(
    kernel: &mut Kernel,
    id: CommandId,
    action: &Command,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    match action {
        Command::NetworkIsolate(_) => network_isolate::run(kernel, id, servers, now),
        Command::NetworkRestore(_) => network_restore::run(kernel, id, now),
    }
}

fn outcome(success: bool, message: String, observation: IsolationObservation) -> ActionOutcome {
    let data = IsolationOutcome {
        isolated: observation.state == ObservedIsolation::Isolated,
        timestamp: observation.observed_at,
        observation,
    };
    let data = serde_json::to_value(data).expect("our wire types have a JSON form");
    ActionOutcome { success, message, data: Some(data) }
}
