//! What administrators do with webhooks.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;
use voltaxe_protocol::Command;
use voltaxe_store::WebhookTerms;

use super::event::{self, EVENTS};
use crate::{
    Strike, StrikeError,
    authority::{Permit, may},
    model::{DeliveryId, DeliveryRecord, WebhookId, WebhookPreset, WebhookRecord},
};

const LONGEST_NAME: usize = 100;
const MOST_WEBHOOKS: i64 = 50;
const DELIVERIES_AT_ONCE: i64 = 500;

type May = Permit<may::ManageWebhooks>;

/// What a webhook is to be.
#[derive(Clone, Debug, Default)]
pub struct WebhookRequest {
    pub name: String,
    pub url: String,
    /// `generic` or `slack`.
    pub preset: String,
    pub events: Vec<String>,
    /// Of events of commands, only those of these kinds; empty: of all.
    pub kinds: Vec<String>,
}

/// Shown once.
#[derive(Clone)]
pub struct NewSecret {
    pub id: WebhookId,
    pub secret: SecretString,
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSecret({}, [hidden])", self.id)
    }
}

impl Strike {
    /// By name.
    pub async fn webhooks(&self, _permit: &May) -> Result<Vec<WebhookRecord>, StrikeError> {
        Ok(self.store().webhooks().await?)
    }

    pub async fn webhook(&self, _permit: &May, id: WebhookId) -> Result<WebhookRecord, StrikeError> {
        self.store().webhook(id).await?.ok_or_else(|| no_webhook(id))
    }

    /// Answers the secret, which is not to be had again.
    pub async fn create_webhook(
        &self,
        permit: &May,
        request: &WebhookRequest,
        now: DateTime<Utc>,
    ) -> Result<NewSecret, StrikeError> {
        let terms = self.check(request)?;
        let id = WebhookId(Uuid::now_v7());
        let by = &permit.operator().username;
        if !self.store().create_webhook(id, &terms, MOST_WEBHOOKS, by, now).await? {
            return Err(StrikeError::Conflict(format!(
                "there are {MOST_WEBHOOKS} webhooks, which is as many as there can be; delete one first"
            )));
        }
        Ok(NewSecret { id, secret: self.webhook_secret(id.0, 1) })
    }

    pub async fn change_webhook(
        &self,
        permit: &May,
        id: WebhookId,
        request: &WebhookRequest,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let terms = self.check(request)?;
        found(id, self.store().change_webhook(id, &terms, &permit.operator().username, now).await?)
    }

    /// What happens while it is paused is not told later.
    pub async fn set_webhook_active(
        &self,
        permit: &May,
        id: WebhookId,
        is_active: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let by = &permit.operator().username;
        found(id, self.store().set_webhook_active(id, is_active, by, now).await?)
    }

    /// Answers the new secret. For a day everything is signed with both.
    pub async fn rotate_webhook(
        &self,
        permit: &May,
        id: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<NewSecret, StrikeError> {
        let number = self.store().rotate_webhook(id, &permit.operator().username, now).await?;
        let number = number.ok_or_else(|| no_webhook(id))?;
        Ok(NewSecret { id, secret: self.webhook_secret(id.0, number) })
    }

    pub async fn delete_webhook(
        &self,
        permit: &May,
        id: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        found(id, self.store().delete_webhook(id, &permit.operator().username, now).await?)
    }

    /// Has a `webhook.test` sent to it.
    pub async fn test_webhook(
        &self,
        permit: &May,
        id: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<DeliveryId, StrikeError> {
        let webhook = self.webhook(permit, id).await?;
        if webhook.state != crate::model::WebhookState::Active {
            return Err(StrikeError::Conflict(format!("{} is not active; resume it first", webhook.name)));
        }
        let delivery = event::test(&webhook, &permit.operator().username, now);
        let id = delivery.id;
        self.store().queue_delivery(delivery, now).await?;
        Ok(id)
    }

    /// Newest first, those made before `before`; at most 200.
    pub async fn deliveries(
        &self,
        _permit: &May,
        webhook: WebhookId,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<DeliveryRecord>, StrikeError> {
        Ok(self.store().deliveries(webhook, before, limit.clamp(1, DELIVERIES_AT_ONCE)).await?)
    }

    /// Has a delivery that waits or has failed attempted now.
    pub async fn retry_delivery(
        &self,
        permit: &May,
        id: DeliveryId,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        if self.store().retry_delivery(id, &permit.operator().username, now).await? {
            Ok(())
        } else {
            Err(StrikeError::NotFound(format!("no delivery {id} waits or has failed")))
        }
    }

    fn check<'a>(&self, request: &'a WebhookRequest) -> Result<WebhookTerms<'a>, StrikeError> {
        let invalid = |field, problem: String| StrikeError::Invalid { field, problem };
        let name = request.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(invalid("name", format!("must be 1 to {LONGEST_NAME} characters")));
        }
        let url = request.url.trim();
        self.config().webhook_allowance.check_url(url).map_err(|problem| invalid("url", problem))?;
        let preset = WebhookPreset::of(request.preset.trim())
            .ok_or_else(|| invalid("preset", "must be generic or slack".to_owned()))?;
        let is_known = |event: &String| EVENTS.contains(&event.as_str());
        if request.events.is_empty()
            || request.events.len() > EVENTS.len()
            || !request.events.iter().all(is_known)
        {
            return Err(invalid("events", format!("must be one or more of {}", EVENTS.join(", "))));
        }
        let is_kind = |kind: &String| Command::KINDS.contains(&kind.as_str());
        if request.kinds.len() > Command::KINDS.len() || !request.kinds.iter().all(is_kind) {
            return Err(invalid("kinds", format!("must be none, or some of {}", Command::KINDS.join(", "))));
        }
        Ok(WebhookTerms { name, url, preset, events: &request.events, kinds: &request.kinds })
    }
}

fn found(id: WebhookId, is_found: bool) -> Result<(), StrikeError> {
    if is_found { Ok(()) } else { Err(no_webhook(id)) }
}

fn no_webhook(id: WebhookId) -> StrikeError {
    StrikeError::NotFound(format!("there is no webhook {id}"))
}
