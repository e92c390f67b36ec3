use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Command, Listed},
};

/// Everybody's commands, newest first; `before` is a list's `next`.
#[server(prefix = "/rpc", endpoint = "commands", protocol = Rpc)]
pub async fn commands(before: Option<i64>) -> Result<Listed<Command>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let before = before.map(voltaxe_protocol::CommandId);
            let found = caller.strike.commands(&caller.permit()?, before, ssr::AT_ONCE).await?;
            Ok(ssr::listed(&found))
        }
        .await,
    )
}

/// One endpoint's commands, newest first; `before` is a list's `next`.
#[server(prefix = "/rpc", endpoint = "commands_of_endpoint", protocol = Rpc)]
pub async fn commands_of_endpoint(id: String, before: Option<i64>) -> Result<Listed<Command>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            let before = before.map(voltaxe_protocol::CommandId);
            let found = caller.strike.commands_of(&caller.permit()?, &id, before, ssr::AT_ONCE).await?;
            Ok(ssr::listed(&found))
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
pub(super) mod ssr {
    use voltaxe_orchestrator::model::CommandRecord;

    use super::{Command, Listed};

    pub const AT_ONCE: i64 = 50;

    /// A full part may be the last one; then the next is empty.
    pub fn listed(records: &[CommandRecord]) -> Listed<Command> {
        let is_full = i64::try_from(records.len()).is_ok_and(|count| count >= AT_ONCE);
        Listed {
            rows: records.iter().map(Into::into).collect(),
            next: records.last().filter(|_| is_full).map(|record| record.id.0),
        }
    }
}
