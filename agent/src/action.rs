//! What each command of the isolation does on this host: one file a kind.

pub mod agent_check;
pub mod isolation_change;
pub mod isolation_preview;
pub mod network_isolate;
pub mod network_restore;

use voltaxe_protocol::{IsolationObservation, IsolationOutcome, ObservedIsolation};

use crate::core::ActionOutcome;

pub(crate) fn outcome(success: bool, message: String, observation: IsolationObservation) -> ActionOutcome {
    let data = IsolationOutcome {
        isolated: observation.state == ObservedIsolation::Isolated,
        timestamp: observation.observed_at,
        observation,
    };
    let data = serde_json::to_value(data).expect("our wire types have a JSON form");
    ActionOutcome { success, message, data: Some(data) }
}
