use leptos::{prelude::*, server_fn::codec::Json};

use crate::{
    error::ApiError,
    model::{Accepted, Command},
};

/// `idempotency_key`: a UUID made when the dialog opened, so that a second click is the same command.
#[server(prefix = "/rpc", endpoint = "isolate", input = Json)]
pub async fn isolate(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let request = ssr::request(&endpoint_id, reason, &idempotency_key)?;
            Ok(caller.strike.isolate(&permit, request, caller.now).await?.into())
        }
        .await,
    )
}

/// As [`isolate`].
#[server(prefix = "/rpc", endpoint = "restore", input = Json)]
pub async fn restore(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let request = ssr::request(&endpoint_id, reason, &idempotency_key)?;
            Ok(caller.strike.restore(&permit, request, caller.now).await?.into())
        }
        .await,
    )
}

/// Withdraws a command that the agent does not have yet.
#[server(prefix = "/rpc", endpoint = "cancel_command", input = Json)]
pub async fn cancel_command(command_id: i64) -> Result<Command, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let id = voltaxe_protocol::CommandId(command_id);
            Ok((&caller.strike.cancel(&permit, id, caller.now).await?).into())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::strike::{Request, Target};

    use super::ApiError;

    /// Characters.
    const REASON: std::ops::RangeInclusive<usize> = 3..=500;

    pub fn request(endpoint_id: &str, reason: String, idempotency_key: &str) -> Result<Request, ApiError> {
        let reason = reason.trim();
        if !REASON.contains(&reason.chars().count()) {
            return Err(ApiError::Invalid {
                field: "reason".to_owned(),
                problem: format!("write {} to {} characters", REASON.start(), REASON.end()),
            });
        }
        Ok(Request {
            target: Target::Endpoint(endpoint_id.parse().map_err(|_| ApiError::NotFound)?),
            reason: reason.to_owned(),
            idempotency_key: Some(idempotency_key.parse().map_err(|_| ApiError::Invalid {
                field: "idempotency_key".to_owned(),
                problem: "it is not a UUID".to_owned(),
            })?),
        })
    }
}
