use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, ObservedIsolation};

use super::outcome;
use crate::{core::ActionOutcome, isolation::Kernel};

pub fn run(kernel: &mut Kernel, id: CommandId, now: impl Fn() -> DateTime<Utc>) -> ActionOutcome {
    let before = kernel.observe(now());
    match kernel.restore(id, now()) {
        Ok(observed) if before.state == ObservedIsolation::NotIsolated => {
            outcome(true, "The host was not isolated; nothing to restore".to_owned(), observed)
        }
        Ok(observed) => outcome(true, "Network restored successfully".to_owned(), observed),
        Err(error) => {
            let observed = kernel.observe(now());
            outcome(false, format!("The network was not restored: {error}"), observed)
        }
    }
}
