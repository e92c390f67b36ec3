use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::CommandId;

use super::outcome;
use crate::{core::ActionOutcome, isolation::Kernel};

pub(super) fn run(
    kernel: &mut Kernel,
    id: CommandId,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    if let Some(observed) = kernel.is_isolated_towards(servers, now()) {
        kernel.confirm(id, now());
        let by =
            observed.generation.map_or_else(String::new, |generation| format!(" by command {generation}"));
        return outcome(true, format!("The host is already isolated{by}"), observed);
    }
    match kernel.isolate(id, servers, now()) {
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
