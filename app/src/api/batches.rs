use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Batch, BatchPage, Listed, Progress, bulk::BatchHost},
};

/// Newest first; `before` is a list's `next`.
#[server(prefix = "/rpc", endpoint = "batches", protocol = Rpc)]
pub async fn batches(before: Option<i64>) -> Result<Listed<Batch>, ApiError> {
    use super::{
        caller::{Caller, answer},
        parse,
    };

    const AT_ONCE: i64 = 50;

    answer(
        async {
            let caller = Caller::expect()?;
            let found = caller.strike.batches(&caller.permit()?, parse::before(before), AT_ONCE).await?;
            let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= AT_ONCE);
            Ok(Listed {
                rows: found.iter().map(Into::into).collect(),
                next: found.last().filter(|_| is_full).map(|record| parse::cursor(record.created_at)),
            })
        }
        .await,
    )
}

/// One batch and its first commands.
#[server(name = LoadBatch, prefix = "/rpc", endpoint = "batch", protocol = Rpc)]
pub async fn batch(id: String) -> Result<BatchPage, ApiError> {
    use super::{caller::answer, commands::ssr::commands};
    use crate::model::command::Of;

    answer(
        async {
            Ok(BatchPage {
                progress: ssr::progress(&id).await?,
                commands: commands(Of::Batch(id), None).await?,
            })
        }
        .await,
    )
}

/// How far one batch is.
#[server(prefix = "/rpc", endpoint = "batch_progress", protocol = Rpc)]
pub async fn batch_progress(id: String) -> Result<Progress, ApiError> {
    super::caller::answer(ssr::progress(&id).await)
}

/// Its hosts by command id, those after `after`, in parts of 2,000.
#[server(prefix = "/rpc", endpoint = "batch_hosts", protocol = Rpc)]
pub async fn batch_hosts(id: String, after: Option<i64>) -> Result<Listed<BatchHost>, ApiError> {
    super::caller::answer(ssr::hosts(&id, after).await)
}

/// Takes back what of it is not final, as [`super::cancel_command`] does.
#[server(prefix = "/rpc", endpoint = "cancel_batch", protocol = Rpc)]
pub async fn cancel_batch(id: String) -> Result<Progress, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            Ok((&caller.strike.cancel_batch(&permit, ssr::id(&id)?, caller.now).await?).into())
        }
        .await,
    )
}

/// Releases exactly the endpoints that the batch isolated and that are isolated by it still. Answers the new batch's id.
#[server(prefix = "/rpc", endpoint = "undo_batch", protocol = Rpc)]
pub async fn undo_batch(id: String, reason: String, idempotency_key: String) -> Result<String, ApiError> {
    use super::{
        caller::{Caller, answer},
        parse,
    };

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let key = Some(parse::key(&idempotency_key)?);
            let undo = caller.strike.undo_batch(&permit, ssr::id(&id)?, &reason, key, caller.now).await?;
            Ok(undo.id.to_string())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::model::BatchId;

    use super::{super::caller::Caller, ApiError, BatchHost, Listed, Progress};

    /// What is no id is no batch's id either.
    pub fn id(text: &str) -> Result<BatchId, ApiError> {
        text.parse().map_err(|_| ApiError::NotFound)
    }

    /// A full part may be the last one; then the next is empty.
    pub async fn hosts(batch: &str, after: Option<i64>) -> Result<Listed<BatchHost>, ApiError> {
        const AT_ONCE: usize = 2_000;

        let caller = Caller::expect()?;
        let after = after.map(voltaxe_protocol::CommandId);
        let hosts = caller.strike.hosts_of_batch(&caller.permit()?, id(batch)?, after).await?;
        Ok(Listed {
            rows: hosts.iter().map(Into::into).collect(),
            next: hosts.last().filter(|_| hosts.len() >= AT_ONCE).map(|host| host.command_id.0),
        })
    }

    pub async fn progress(batch: &str) -> Result<Progress, ApiError> {
        let caller = Caller::expect()?;
        Ok((&caller.strike.batch(&caller.permit()?, id(batch)?).await?).into())
    }
}
