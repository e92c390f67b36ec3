use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::CommandId;

use super::outcome;
use crate::{
    core::ActionOutcome,
    isolation::{Kernel, Terms},
};

pub(super) fn run(
    kernel: &mut Kernel,
    id: CommandId,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    let terms = Terms::default();
    if let Some(observed) = kernel.is_isolated_on(id, servers, &terms, now()) {
        kernel.confirm(id, now());
        let by =
            observed.generation.map_or_else(String::new, |generation| format!(" by command {generation}"));
        return outcome(true, format!("The host is already isolated{by}"), observed);
    }
    let applied =
        kernel.isolate(id, servers, &terms, now()).and_then(|_| kernel.confirm_contact(id, servers, now()));
    match applied {
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
