use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Delivery, Webhook, WebhookChange},
};

/// By name.
#[server(prefix = "/rpc", endpoint = "webhooks", protocol = Rpc)]
pub async fn webhooks() -> Result<Vec<Webhook>, ApiError> {
    super::caller::answer(ssr::webhooks().await)
}

/// The newest of a webhook.
#[server(prefix = "/rpc", endpoint = "webhook_deliveries", protocol = Rpc)]
pub async fn webhook_deliveries(id: String) -> Result<Vec<Delivery>, ApiError> {
    super::caller::answer(ssr::deliveries(&id).await)
}

/// `form`: as a browser encodes it; its field `action` says what is to be done, `id` to which webhook or delivery.
#[server(prefix = "/rpc", endpoint = "change_webhook", protocol = Rpc)]
pub async fn change_webhook(form: String) -> Result<WebhookChange, ApiError> {
    super::caller::answer(ssr::change(&form).await)
}

#[cfg(feature = "ssr")]
mod ssr {
    use std::str::FromStr;

    use voltaxe_orchestrator::{
        model::{DeliveryRecord, WebhookRecord},
        webhooks::{EVENTS, NewSecret, ROTATED_SECRET_HOLDS, WebhookRequest},
    };
    use voltaxe_protocol::Command;

    use super::{
        super::{
            caller::Caller,
            parse::{self, Form},
        },
        ApiError, Delivery, Webhook, WebhookChange,
    };
    use crate::model::Secret;

    const SHOWN: i64 = 20;

    pub async fn webhooks() -> Result<Vec<Webhook>, ApiError> {
        let caller = Caller::expect()?;
        let found = caller.strike.webhooks(&caller.permit()?).await?;
        Ok(found.iter().map(|webhook| drawn(webhook, &caller)).collect())
    }

    pub async fn deliveries(id: &str) -> Result<Vec<Delivery>, ApiError> {
        let caller = Caller::expect()?;
        let found = caller.strike.deliveries(&caller.permit()?, parsed(id)?, None, SHOWN).await?;
        Ok(found.into_iter().map(delivery).collect())
    }

    pub async fn change(form: &str) -> Result<WebhookChange, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        let (strike, form, now) = (&caller.strike, Form::of(form), caller.now);
        let id = form.get("id");
        let secret = match form.get("action") {
            "save" if id.is_empty() => Some(strike.create_webhook(&permit, &request(&form), now).await?),
            "save" => {
                strike.change_webhook(&permit, parsed(id)?, &request(&form), now).await?;
                None
            }
            "rotate" => Some(strike.rotate_webhook(&permit, parsed(id)?, now).await?),
            action => {
                match action {
                    "pause" => strike.set_webhook_active(&permit, parsed(id)?, false, now).await?,
                    "resume" => strike.set_webhook_active(&permit, parsed(id)?, true, now).await?,
                    "delete" => strike.delete_webhook(&permit, parsed(id)?, now).await?,
                    "test" => _ = strike.test_webhook(&permit, parsed(id)?, now).await?,
                    "retry" => strike.retry_delivery(&permit, parsed(id)?, now).await?,
                    _ => return Err(parse::invalid("action", "is none that there is")),
                }
                None
            }
        };
        Ok(WebhookChange { secret: secret.map(shown), webhooks: webhooks().await? })
    }

    fn request(form: &Form) -> WebhookRequest {
        let ticked = |names: &[&str], prefix: &str| {
            let is_on = |name: &&&str| form.is_on(&format!("{prefix}{name}"));
            names.iter().filter(is_on).map(|name| (*name).to_owned()).collect()
        };
        WebhookRequest {
            name: form.get("name").to_owned(),
            url: form.get("url").to_owned(),
            preset: form.get("preset").to_owned(),
            events: ticked(&EVENTS, ""),
            kinds: ticked(&Command::KINDS, "kind."),
        }
    }

    fn parsed<T: FromStr>(id: &str) -> Result<T, ApiError> {
        id.parse().map_err(|_| ApiError::NotFound)
    }

    fn shown(made: NewSecret) -> Secret {
        use secrecy::ExposeSecret as _;
        Secret(made.secret.expose_secret().to_owned())
    }

    fn drawn(webhook: &WebhookRecord, caller: &Caller) -> Webhook {
        let both_until = webhook.rotated_at.map(|at| at + ROTATED_SECRET_HOLDS);
        Webhook {
            id: webhook.id.to_string(),
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            preset: webhook.preset.as_str().to_owned(),
            events: webhook.events.clone(),
            kinds: webhook.kinds.clone(),
            state: webhook.state.as_str().to_owned(),
            both_until: both_until.filter(|until| *until > caller.now).map(|until| until.timestamp_millis()),
            created_by: webhook.created_by.clone(),
            created_at: webhook.created_at.timestamp_millis(),
        }
    }

    fn delivery(record: DeliveryRecord) -> Delivery {
        Delivery {
            id: record.id.to_string(),
            event: record.event,
            state: record.state.as_str().to_owned(),
            created_at: record.created_at.timestamp_millis(),
            attempts: record.attempts,
            next_attempt_at: record.next_attempt_at.map(|at| at.timestamp_millis()),
            last_status: record.last_status,
            last_answer: record.last_answer.unwrap_or_default(),
        }
    }
}
