use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Command, Order, order::Sent},
};

/// Orders something of one endpoint or, as a batch, of many; later when the form says so. `form`: the fields of the order's
/// dialog as a browser encodes them. `idempotency_key`: a UUID made when the dialog opened, so that a second click is the same
/// command.
#[server(name = SendOrder, prefix = "/rpc", endpoint = "order", protocol = Rpc)]
pub async fn order(
    order: Order,
    endpoint_ids: Vec<String>,
    form: String,
    as_batch: bool,
    idempotency_key: String,
) -> Result<Sent, ApiError> {
    super::caller::answer(ssr::order(order, endpoint_ids, &form, as_batch, &idempotency_key).await)
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
pub(super) use ssr::isolate;

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::strike::{BatchRequest, Request, ScheduleRequest, Target, When};
    use voltaxe_protocol::{Command, NetworkIsolate};

    use super::{
        super::{
            caller::Caller,
            exceptions,
            parse::{self, Form},
            schedules::ssr::named,
        },
        ApiError, Order, Sent,
    };

    pub async fn order(
        order: Order,
        endpoint_ids: Vec<String>,
        form: &str,
        as_batch: bool,
        idempotency_key: &str,
    ) -> Result<Sent, ApiError> {
        let caller = Caller::expect()?;
        let (operator, form) = (caller.operator()?, Form::of(form));
        let mut endpoint_ids = parse::endpoint_ids(endpoint_ids)?;
        let command = match order {
            Order::Isolate => Command::NetworkIsolate(isolate(&form, caller.now)?),
            Order::Restore | Order::Check => order.into(),
        };
        let reason = form.get("reason").to_owned();
        let key = Some(parse::key(idempotency_key)?);
        if let Some(at) = parse::utc("not_before", form.get("not_before"))? {
            if !form.get("auto_restore_after_seconds").is_empty() {
                return Err(parse::invalid(
                    "auto_restore_after_seconds",
                    "does not go with a later start; schedule the release as well",
                ));
            }
            let request = ScheduleRequest {
                command,
                hostnames: Vec::new(),
                endpoint_ids,
                reason,
                when: When::Once(at),
                expires_at: None,
                idempotency_key: key,
            };
            let made = caller.strike.create_schedule(operator, request, caller.now).await?;
            let made = named(&[made]).await?.remove(0);
            return Ok(Sent::Schedule(format!("{}, {}", made.title(), made.next_words(None))));
        }
        if as_batch {
            let request = BatchRequest {
                command,
                hostnames: Vec::new(),
                endpoint_ids,
                reason,
                expires_at: None,
                idempotency_key: key,
            };
            let batch = caller.strike.create_batch(operator, request, caller.now).await?;
            return Ok(Sent::Batch(batch.id.to_string()));
        }
        let target = Target::Endpoint(endpoint_ids.pop().ok_or(ApiError::NotFound)?);
        let request = Request { target, reason, expires_at: None, idempotency_key: key };
        Ok(Sent::Command(caller.strike.order(operator, command, request, caller.now).await?.into()))
    }

    pub fn isolate(form: &Form, now: chrono::DateTime<chrono::Utc>) -> Result<NetworkIsolate, ApiError> {
        Ok(NetworkIsolate {
            reason: String::new(),
            exceptions: exceptions::parse(form.get("exceptions"), now)?,
            allow_dns: form.is_on("allow_dns"),
            auto_restore_after_seconds: form.number("auto_restore_after_seconds")?,
            notify_users: Some(form.get("notify_users").to_owned()),
        })
    }
}
