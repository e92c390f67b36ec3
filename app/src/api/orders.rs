use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Accepted, Command, Order, order::Sent},
};

/// Orders something of one endpoint; later when the form says so. `form`: the fields of the order's dialog as a browser encodes
/// them. `idempotency_key`: a UUID made when the dialog opened, so that a second click is the same
/// command.
#[server(name = SendOrder, prefix = "/rpc", endpoint = "order", protocol = Rpc)]
pub async fn order(
    order: Order,
    endpoint_id: String,
    form: String,
    idempotency_key: String,
) -> Result<Sent, ApiError> {
    super::caller::answer(ssr::order(order, &endpoint_id, &form, &idempotency_key).await)
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

/// Gives a command that came to nothing to its host again, as a new one. `idempotency_key`: as for [`order`].
#[server(prefix = "/rpc", endpoint = "retry_command", protocol = Rpc)]
pub async fn retry_command(command_id: i64, idempotency_key: String) -> Result<Accepted, ApiError> {
    use super::{
        caller::{Caller, answer},
        parse,
    };

    answer(
        async {
            let caller = Caller::expect()?;
            let (id, key) = (voltaxe_protocol::CommandId(command_id), parse::key(&idempotency_key)?);
            Ok(caller.strike.retry(caller.operator()?, id, key, caller.now).await?.into())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
pub(super) use ssr::isolate;

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::strike::{Request, ScheduleRequest, Target, When};
    use voltaxe_protocol::{Command, EndpointId, NetworkIsolate};

    use super::{
        super::{
            caller::Caller,
            exceptions,
            parse::{self, Form},
            schedules::ssr::named,
        },
        Accepted, ApiError, Order, Sent,
    };

    const TICKET_CHARS: usize = 40;

    pub async fn order(
        order: Order,
        endpoint_id: &str,
        form: &str,
        idempotency_key: &str,
    ) -> Result<Sent, ApiError> {
        let caller = Caller::expect()?;
        let (operator, form) = (caller.operator()?, Form::of(form));
        let endpoint_id: EndpointId = endpoint_id.parse().map_err(|_| ApiError::NotFound)?;
        let command = match order {
            Order::Isolate => Command::NetworkIsolate(isolate(&form, caller.now)?),
            Order::Restore | Order::Check => order.into(),
        };
        let reason = reason(&form)?;
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
                endpoint_ids: vec![endpoint_id],
                reason,
                when: When::Once(at),
                expires_at: None,
                idempotency_key: key,
            };
            let made = caller.strike.create_schedule(operator, request, caller.now).await?;
            let made = named(&[made]).await?.remove(0);
            return Ok(Sent::Schedule(format!("{}, {}", made.title(), made.next_words(None))));
        }
        let target = Target::Endpoint(endpoint_id);
        let request = Request { target, reason, expires_at: None, idempotency_key: key };
        let strike = &caller.strike;
        if let (Command::NetworkIsolate(isolate), true) = (&command, form.is_on("snapshot")) {
            let (isolated, snapshot) =
                strike.isolate_with_snapshot(operator, isolate.clone(), request, caller.now).await?;
            let also = match snapshot {
                Ok(snapshot) => format!("Its snapshot is command {}.", snapshot.command_id),
                Err(error) => format!("The snapshot was not ordered: {}", ApiError::from(error)),
            };
            return Ok(Sent::Command(Accepted { also, ..isolated.into() }));
        }
        Ok(Sent::Command(strike.order(operator, command, request, caller.now).await?.into()))
    }

    /// With the ticket in front: `[INC-7] beacons to a known address`.
    fn reason(form: &Form) -> Result<String, ApiError> {
        let (ticket, reason) = (form.get("ticket"), form.get("reason"));
        if ticket.is_empty() {
            return Ok(reason.to_owned());
        }
        let is_plain = |c: char| !c.is_control() && c != '[' && c != ']';
        if ticket.chars().count() > TICKET_CHARS || !ticket.chars().all(is_plain) {
            return Err(parse::invalid("ticket", "must be at most 40 characters, without brackets"));
        }
        Ok(format!("[{ticket}] {reason}"))
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

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_ticket_stands_before_the_reason() {
            let of = |text| reason(&Form::of(text));
            assert_eq!(of("reason=beacons").unwrap(), "beacons");
            assert_eq!(of("ticket=INC-7&reason=beacons").unwrap(), "[INC-7] beacons");
            assert!(of("ticket=a%5Db&reason=beacons").unwrap_err().of_field("ticket").is_some());
            assert!(of(&format!("ticket={}&reason=x", "9".repeat(41))).is_err());
        }
    }
}
