use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Command, Listed, command::Of},
};

/// Some commands: an endpoint's and everybody's newest first, a batch's by id. `from` is a list's `next`.
#[server(prefix = "/rpc", endpoint = "commands", protocol = Rpc)]
pub async fn commands(of: Of, from: Option<i64>) -> Result<Listed<Command>, ApiError> {
    super::caller::answer(ssr::commands(of, from).await)
}

#[cfg(feature = "ssr")]
pub(super) mod ssr {
    use voltaxe_orchestrator::model::CommandRecord;
    use voltaxe_protocol::CommandId;

    use super::{super::caller::Caller, ApiError, Command, Listed, Of};

    const AT_ONCE: i64 = 50;

    pub async fn commands(of: Of, from: Option<i64>) -> Result<Listed<Command>, ApiError> {
        let caller = Caller::expect()?;
        let (permit, from) = (caller.permit()?, from.map(CommandId));
        let found = match of {
            Of::All => caller.strike.commands(&permit, from, AT_ONCE).await?,
            Of::Endpoint(id) => {
                let id = id.parse().map_err(|_| ApiError::NotFound)?;
                caller.strike.commands_of(&permit, &id, from, AT_ONCE).await?
            }
            Of::Batch(id) => {
                let id = id.parse().map_err(|_| ApiError::NotFound)?;
                caller.strike.commands_of_batch(&permit, id, from, AT_ONCE).await?
            }
        };
        Ok(listed(&found))
    }

    /// A full part may be the last one; then the next is empty.
    fn listed(records: &[CommandRecord]) -> Listed<Command> {
        let is_full = i64::try_from(records.len()).is_ok_and(|count| count >= AT_ONCE);
        Listed {
            rows: records.iter().map(Into::into).collect(),
            next: records.last().filter(|_| is_full).map(|record| record.id.0),
        }
    }
}
