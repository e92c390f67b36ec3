use voltaxe_protocol::{AgentCheckOutcome, IsolationObservation, ObservedIsolation};

use crate::{core::ActionOutcome, journal::Usage};

/// Everything but the kernel's word is at hand already: a check takes the isolation thread for one look.
#[must_use]
pub fn outcome(observation: IsolationObservation, unreported_results: u32, journal: Usage) -> ActionOutcome {
    let isolation = match observation.state {
        ObservedIsolation::NotIsolated => "not isolated",
        ObservedIsolation::Isolated => "isolated",
        ObservedIsolation::Partial => "partly isolated",
        ObservedIsolation::Unknown => "in an unknown state of isolation",
    };
    let message = format!("The agent works; the host is {isolation}");
    let data = AgentCheckOutcome {
        timestamp: observation.observed_at,
        observation,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        unreported_results,
        journal_used_bytes: journal.used_bytes,
        journal_limit_bytes: journal.limit_bytes,
    };
    let data = serde_json::to_value(data).expect("our wire types have a JSON form");
    ActionOutcome { success: true, message, data: Some(data) }
}
