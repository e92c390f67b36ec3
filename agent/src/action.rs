//! What each command does on this host: one file a kind.

pub mod agent_check;
mod network_isolate;
mod network_restore;

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, IsolationObservation, IsolationOutcome, ObservedIsolation};

use crate::{core::ActionOutcome, isolation::Kernel};

/// The commands of the control lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Control {
    Isolate,
    Restore,
}

/// Carries out one command of the control lane. Doing it a second time is harmless.
pub fn execute(
    kernel: &mut Kernel,
    id: CommandId,
    action: Control,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    match action {
        Control::Isolate => network_isolate::run(kernel, id, servers, now),
        Control::Restore => network_restore::run(kernel, id, now),
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
