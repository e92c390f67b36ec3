//! Webhooks: what happens, told to other systems. As Standard Webhooks 1.0 wants it: <https://www.standardwebhooks.com>.
//!
//! The audit log is what is told: whatever writes a row there needs to know nothing of webhooks. Each delivery is attempted at
//! least once and carries the same id every time.

mod attempt;
mod destination;
mod event;
mod manage;
mod signature;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;
use voltaxe_store::{AttemptOutcome, ClaimedDelivery, WebhookPlace};

pub use self::{
    attempt::{Answer, MOST_ANSWER_CHARS},
    destination::{Allowance, Blocked},
    event::{EVENTS, TEST_EVENT},
    manage::{NewSecret, WebhookRequest},
    signature::ROTATED_SECRET_HOLDS,
};
use crate::{
    Strike, StrikeError,
    model::{DeliveryId, DeliveryState, WebhookState},
};

/// Rows of the audit log that are looked at in one go.
const READ_AT_ONCE: i64 = 500;
/// Attempts of one webhook that are under way at once: a slow receiver keeps no other one waiting.
const AT_ONCE_EACH: i64 = 4;
/// Longer than an attempt may take: after this another server takes it on.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How long deliveries are kept; and no event is told that is older.
const KEPT: TimeDelta = TimeDelta::days(14);

/// One attempt: what to send, where.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: DeliveryId,
    /// The webhook's name, for the log.
    pub webhook: String,
    pub url: String,
    pub body: String,
    /// The header `webhook-timestamp`.
    pub timestamp: i64,
    /// The header `webhook-signature`.
    pub signature: String,
    attempt: i32,
}

impl Strike {
    /// Turns what the audit log tells into deliveries. True: there may be more to read. Safe to run by several servers at once.
    pub async fn read_events(&self, now: DateTime<Utc>) -> Result<bool, StrikeError> {
        let mut webhooks = self.store().webhooks().await?;
        webhooks.retain(|webhook| webhook.state == WebhookState::Active);
        if webhooks.is_empty() {
            return Ok(false);
        }
        let reach = self.store().webhook_reach().await?;
        let events = self.store().audited_events(reach, READ_AT_ONCE).await?;
        let Some(last) = events.last() else { return Ok(false) };
        let is_all = i64::try_from(events.len()).is_ok_and(|count| count < READ_AT_ONCE);
        let to = if is_all { WebhookPlace { written_in: reach.horizon, id: 0 } } else { last.place };
        let deliveries: Vec<_> = events
            .iter()
            .filter(|event| now - event.at < KEPT)
            .flat_map(|event| event::deliveries(event, &webhooks, self.config().console_url.as_deref()))
            .collect();
        self.store().queue_deliveries(reach, to, &deliveries, now).await?;
        Ok(!is_all)
    }

    /// Takes attempts that are due, at most `most`. What becomes of each must be told by [`Strike::attempted`].
    pub async fn due_attempts(&self, most: usize, now: DateTime<Utc>) -> Result<Vec<Attempt>, StrikeError> {
        let most = i64::try_from(most).unwrap_or(1);
        let claimed = self.store().claim_deliveries(most, AT_ONCE_EACH, now, now + LEASE).await?;
        Ok(claimed.into_iter().map(|delivery| self.attempt(delivery, now)).collect())
    }

    fn attempt(&self, delivery: ClaimedDelivery, now: DateTime<Utc>) -> Attempt {
        let timestamp = now.timestamp();
        let secrets = signature::secrets(self.key(), &delivery, now);
        Attempt {
            id: delivery.id,
            signature: signature::header(&secrets, delivery.id, timestamp, &delivery.body),
            webhook: delivery.webhook,
            url: delivery.url,
            body: delivery.body,
            timestamp,
            attempt: delivery.attempt,
        }
    }

    pub async fn attempted(
        &self,
        attempt: &Attempt,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let verdict = attempt::verdict(attempt.attempt, answer, now);
        let words = answer.words();
        if verdict.state == DeliveryState::Failed {
            tracing::warn!(webhook = %attempt.webhook, delivery = %attempt.id, attempts = attempt.attempt, "the webhook {} was not told of something, and no further attempt is made: /webhooks has it", attempt.webhook);
        }
        let outcome = AttemptOutcome {
            id: attempt.id,
            attempt: attempt.attempt,
            state: verdict.state,
            next_attempt_at: verdict.next_attempt_at,
            status: answer.status(),
            answer: &words,
            is_gone: verdict.is_gone,
        };
        Ok(self.store().record_attempt(&outcome, now).await?)
    }

    /// Deletes old deliveries.
    pub async fn forget_deliveries(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.store().forget_deliveries(now - KEPT).await?)
    }

    fn webhook_secret(&self, id: Uuid, number: i32) -> SecretString {
        signature::shown(&signature::secret(self.key(), id, number))
    }
}
