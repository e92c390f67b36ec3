use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Accepted, Command, Order},
};

/// `idempotency_key`: a UUID made when the dialog opened, so that a second click is the same command.
/// `release_after_seconds`: the isolation ends by itself so long after it took effect.
#[server(prefix = "/rpc", endpoint = "isolate", protocol = Rpc)]
pub async fn isolate(
    endpoint_id: String,
    reason: String,
    release_after_seconds: Option<i64>,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    let command = ssr::command(Order::Isolate, release_after_seconds);
    ssr::order(command, ssr::request(&endpoint_id, reason, &idempotency_key)).await
}

/// As [`isolate`].
#[server(prefix = "/rpc", endpoint = "restore", protocol = Rpc)]
pub async fn restore(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    ssr::order(Ok(Order::Restore.into()), ssr::request(&endpoint_id, reason, &idempotency_key)).await
}

/// Has the agent report, which shows that commands arrive. As [`isolate`].
#[server(prefix = "/rpc", endpoint = "check_agent", protocol = Rpc)]
pub async fn check_agent(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    ssr::order(Ok(Order::Check.into()), ssr::request(&endpoint_id, reason, &idempotency_key)).await
}

/// Takes a command back: for certain when no host can have it, else by asking the host.
#[server(prefix = "/rpc", endpoint = "cancel_command", protocol = Rpc)]
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
pub(super) mod ssr {
    use voltaxe_orchestrator::strike::{Request, Target};
    use voltaxe_protocol::Command;

    use super::{
        super::{
            caller::{Caller, answer},
            parse,
        },
        Accepted, ApiError, Order,
    };

    pub async fn order(
        command: Result<Command, ApiError>,
        request: Result<Request, ApiError>,
    ) -> Result<Accepted, ApiError> {
        answer(
            async {
                let caller = Caller::expect()?;
                Ok(caller.strike.order(caller.operator()?, command?, request?, caller.now).await?.into())
            }
            .await,
        )
    }

    pub fn request(endpoint_id: &str, reason: String, idempotency_key: &str) -> Result<Request, ApiError> {
        Ok(Request {
            target: Target::Endpoint(endpoint_id.parse().map_err(|_| ApiError::NotFound)?),
            reason,
            expires_at: None,
            idempotency_key: Some(parse::key(idempotency_key)?),
        })
    }

    pub fn command(order: Order, release_after_seconds: Option<i64>) -> Result<Command, ApiError> {
        let mut command = order.into();
        if let Some(seconds) = release_after_seconds {
            let field = "auto_restore_after_seconds";
            let Command::NetworkIsolate(isolate) = &mut command else {
                return Err(parse::invalid(field, "goes with an isolation only"));
            };
            let seconds = u32::try_from(seconds);
            isolate.auto_restore_after_seconds =
                Some(seconds.map_err(|_| parse::invalid(field, "must be a number of seconds"))?);
        }
        Ok(command)
    }
}
