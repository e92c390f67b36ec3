use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Accepted, Command},
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
    use voltaxe_orchestrator::strike::Order;

    let request = ssr::request(&endpoint_id, reason, release_after_seconds, &idempotency_key);
    ssr::order(Order::Isolate, request).await
}

/// As [`isolate`].
#[server(prefix = "/rpc", endpoint = "restore", protocol = Rpc)]
pub async fn restore(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    use voltaxe_orchestrator::strike::Order;

    ssr::order(Order::Restore, ssr::request(&endpoint_id, reason, None, &idempotency_key)).await
}

/// Has the agent report, which shows that commands arrive. As [`isolate`].
#[server(prefix = "/rpc", endpoint = "check_agent", protocol = Rpc)]
pub async fn check_agent(
    endpoint_id: String,
    reason: String,
    idempotency_key: String,
) -> Result<Accepted, ApiError> {
    use voltaxe_orchestrator::strike::Order;

    ssr::order(Order::AgentCheck, ssr::request(&endpoint_id, reason, None, &idempotency_key)).await
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
mod ssr {
    use voltaxe_orchestrator::strike::{Options, Order, Request, Target};

    use super::{
        super::{
            caller::{Caller, answer},
            parse,
        },
        Accepted, ApiError,
    };

    pub async fn order(order: Order, request: Result<Request, ApiError>) -> Result<Accepted, ApiError> {
        answer(
            async {
                let caller = Caller::expect()?;
                Ok(caller.strike.order(caller.operator()?, order, request?, caller.now).await?.into())
            }
            .await,
        )
    }

    pub fn request(
        endpoint_id: &str,
        reason: String,
        auto_restore_after_seconds: Option<i64>,
        idempotency_key: &str,
    ) -> Result<Request, ApiError> {
        Ok(Request {
            target: Target::Endpoint(endpoint_id.parse().map_err(|_| ApiError::NotFound)?),
            reason,
            options: Options { expires_at: None, auto_restore_after_seconds },
            idempotency_key: Some(parse::key(idempotency_key)?),
        })
    }
}
