//! In two steps: rules that the kernel lifts by itself, and, once the server was reached through them, for good.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{CommandId, IsolationObservation, NetworkIsolate, ObservedIsolation};

use super::outcome;
use crate::{
    core::ActionOutcome,
    isolation::{Kernel, Terms},
};

/// Provisional rules of an interrupted attempt are kept when there is at least this much of their time left.
const ENOUGH_TIME: TimeDelta = TimeDelta::seconds(15);

/// What came of the first step.
pub enum Isolated {
    /// The kernel lifts the rules unless [`confirm`] follows.
    Provisionally,
    /// By rules that were confirmed before.
    Already(ActionOutcome),
    Not(ActionOutcome),
}

/// Doing it again is harmless.
pub fn apply(
    kernel: &mut Kernel,
    id: CommandId,
    order: &NetworkIsolate,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> Isolated {
    let terms = Terms::of_isolate(order, now());
    if let Some(observed) = kernel.is_isolated_on(id, servers, &terms, now()) {
        kernel.confirm(id, now());
        let by =
            observed.generation.map_or_else(String::new, |generation| format!(" by command {generation}"));
        return Isolated::Already(outcome(true, format!("The host is already isolated{by}"), observed));
    }
    if is_on_probation(&kernel.observe(now()), id, now()) {
        return Isolated::Provisionally;
    }
    match kernel.isolate(id, servers, &terms, now()) {
        Ok(_) => Isolated::Provisionally,
        Err(error) => {
            let observed = kernel.observe(now());
            Isolated::Not(outcome(false, format!("The host was not isolated: {error}"), observed))
        }
    }
}

/// The server was reached; `servers` stay open.
pub fn confirm(
    kernel: &mut Kernel,
    id: CommandId,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    match kernel.confirm_contact(id, servers, now()) {
        Ok(observed) => {
            let servers = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("Network isolated successfully; only the server ({servers}) stays reachable");
            outcome(true, message, observed)
        }
        Err(error) => {
            let observed = kernel.observe(now());
            outcome(false, format!("The host was not isolated: {error}"), observed)
        }
    }
}

/// The server was not reached: `why`.
pub fn roll_back(
    kernel: &mut Kernel,
    id: CommandId,
    why: &str,
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    let lost = format!(
        "failed: control channel lost; rolled back. The server was not reached through the rules: {why}"
    );
    match kernel.roll_back(id, now()) {
        Ok(observed) => {
            let message = match observed.generation {
                Some(earlier) => {
                    format!("{lost}. The earlier isolation by command {earlier} is in force again")
                }
                None => lost,
            };
            outcome(false, message, observed)
        }
        Err(error) => {
            let observed = kernel.observe(now());
            let message = match observed.state {
                ObservedIsolation::NotIsolated => lost,
                ObservedIsolation::Isolated | ObservedIsolation::Partial | ObservedIsolation::Unknown => {
                    format!("{lost}. Taking the rules back failed ({error}); the kernel lifts them by itself")
                }
            };
            outcome(false, message, observed)
        }
    }
}

fn is_on_probation(observed: &IsolationObservation, id: CommandId, now: DateTime<Utc>) -> bool {
    observed.state == ObservedIsolation::Isolated
        && observed.is_provisional
        && observed.generation == Some(id)
        && observed.auto_restore_at.is_some_and(|at| at - now >= ENOUGH_TIME)
}
