use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, IsolationChange};

use super::outcome;
use crate::{
    core::ActionOutcome,
    isolation::{Kernel, Terms},
};

/// The server's addresses stay open, so that no contact has to be shown.
pub fn run(
    kernel: &mut Kernel,
    id: CommandId,
    order: &IsolationChange,
    servers: &[SocketAddr],
    now: impl Fn() -> DateTime<Utc>,
) -> ActionOutcome {
    match kernel.change(id, servers, &Terms::of_change(order), now()) {
        Ok(observed) => {
            let exceptions = match observed.exceptions.len() {
                0 => "no exceptions".to_owned(),
                1 => "1 exception".to_owned(),
                several => format!("{several} exceptions"),
            };
            outcome(true, format!("The isolation goes on with {exceptions}"), observed)
        }
        Err(error) => {
            let observed = kernel.observe(now());
            outcome(false, format!("The isolation was not changed: {error}"), observed)
        }
    }
}
