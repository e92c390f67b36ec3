//! Deliveries: made with the cursor, claimed for an attempt, and what came of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{WebhookPlace, WebhookReach};
use crate::{
    Store, StoreError,
    model::{DeliveryId, DeliveryRecord, DeliveryState, WebhookId},
};

#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event: &'static str,
    /// What is sent, byte for byte, with every attempt.
    pub body: String,
}

/// Somebody has to send this now.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub webhook: String,
    pub url: String,
    pub secret_number: i32,
    pub rotated_at: Option<DateTime<Utc>>,
    pub body: String,
    /// This one included.
    pub attempt: i32,
}

/// What an attempt led to.
#[derive(Clone, Debug)]
pub struct AttemptOutcome<'a> {
    pub id: DeliveryId,
    pub attempt: i32,
    pub state: DeliveryState,
    /// Of one that waits.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub status: Option<i32>,
    pub answer: &'a str,
    /// The receiver wants no more.
    pub is_gone: bool,
}

impl Store {
    /// Moves the cursor to `to` and writes the deliveries that are due to what was read, in one transaction. False, and nothing
    /// done: another server has moved it.
    #[tracing::instrument(name = "db.webhook.queue", skip_all, err(level = "debug"))]
    pub async fn queue_deliveries(
        &self,
        reach: WebhookReach,
        to: WebhookPlace,
        deliveries: &[NewDelivery],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.durable.begin().await?;
        let moved = sqlx::query!(
            "UPDATE webhook_cursor SET written_in = $3::bigint::text::xid8, id = $4
             WHERE written_in = $1::bigint::text::xid8 AND id = $2",
            reach.from.written_in,
            reach.from.id,
            to.written_in,
            to.id
        )
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        insert(&mut tx, deliveries, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// For what is in no audit log: a test.
    #[tracing::instrument(name = "db.webhook.queue_one", skip_all, err(level = "debug"))]
    pub async fn queue_delivery(&self, delivery: NewDelivery, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.durable.begin().await?;
        insert(&mut tx, &[delivery], now).await?;
        Ok(tx.commit().await?)
    }

    /// Takes deliveries that are due, at most `most`, and so that at most `most_each` of a webhook are under way. Who takes one
    /// and dies has it offered again after `until`.
    #[tracing::instrument(name = "db.webhook.claim", skip_all, err(level = "debug"))]
    pub async fn claim_deliveries(
        &self,
        most: i64,
        most_each: i64,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let rows = sqlx::query!(
            "WITH due AS (
               SELECT d.id FROM webhooks w CROSS JOIN LATERAL (
                 SELECT id FROM webhook_deliveries
                 WHERE webhook_id = w.id AND state = 'waiting' AND next_attempt_at <= $1
                   AND (leased_until IS NULL OR leased_until <= $1)
                 ORDER BY next_attempt_at
                 LIMIT greatest(0, $3 - (SELECT count(*) FROM webhook_deliveries b
                                         WHERE b.webhook_id = w.id AND b.leased_until > $1))
                 FOR UPDATE SKIP LOCKED
               ) AS d
               WHERE w.state = 'active' LIMIT $2
             )
             UPDATE webhook_deliveries d SET leased_until = $4, attempts = d.attempts + 1, last_attempt_at = $1
             FROM due, webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
             RETURNING d.id, d.webhook_id, w.name, w.url, w.secret_number, w.rotated_at, d.body, d.attempts",
            now,
            most,
            most_each,
            until
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ClaimedDelivery {
                id: DeliveryId(row.id),
                webhook_id: WebhookId(row.webhook_id),
                webhook: row.name,
                url: row.url,
                secret_number: row.secret_number,
                rotated_at: row.rotated_at,
                body: row.body,
                attempt: row.attempts,
            })
            .collect())
    }

    /// Without effect when the delivery was claimed anew since.
    #[tracing::instrument(name = "db.webhook.record_attempt", skip_all, err(level = "debug"))]
    pub async fn record_attempt(
        &self,
        outcome: &AttemptOutcome<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH told AS (
               UPDATE webhook_deliveries SET state = $3, next_attempt_at = $4, leased_until = NULL, last_status = $5,
                 last_answer = $6
               WHERE id = $1 AND attempts = $2 AND state = 'waiting' RETURNING webhook_id
             ), gone AS (
               UPDATE webhooks w SET state = 'gone' FROM told WHERE $7::boolean AND w.id = told.webhook_id
               RETURNING w.id, w.name
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $8, 'server', 'webhook.gone', jsonb_build_object('webhook_id', id, 'name', name) FROM gone",
            outcome.id.0,
            outcome.attempt,
            outcome.state.as_str(),
            outcome.next_attempt_at,
            outcome.status,
            outcome.answer,
            outcome.is_gone,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// Has a delivery that waits or has failed attempted at once. Whether there is such a one.
    #[tracing::instrument(name = "db.webhook.retry", skip_all, err(level = "debug"))]
    pub async fn retry_delivery(
        &self,
        id: DeliveryId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH again AS (
               UPDATE webhook_deliveries SET state = 'waiting', next_attempt_at = $3
               WHERE id = $1 AND state <> 'delivered' RETURNING id, webhook_id
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $3, $2, 'webhook.retry', jsonb_build_object('webhook_id', webhook_id, 'delivery_id', id) FROM again",
            id.0,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Of one webhook, newest first, those made before `before`.
    #[tracing::instrument(name = "db.webhook.deliveries", skip_all, err(level = "debug"))]
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, webhook_id, event, state, created_at, attempts, next_attempt_at, last_attempt_at, last_status, last_answer
             FROM webhook_deliveries WHERE webhook_id = $1 AND created_at < coalesce($2, 'infinity'::timestamptz)
             ORDER BY created_at DESC, id DESC LIMIT $3",
            webhook.0,
            before,
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(DeliveryRecord {
                    id: DeliveryId(row.id),
                    webhook_id: WebhookId(row.webhook_id),
                    event: row.event,
                    state: DeliveryState::of(&row.state).ok_or_else(|| StoreError::BadRow {
                        table: "webhook_deliveries",
                        column: "state",
                        id: row.id.to_string(),
                    })?,
                    created_at: row.created_at,
                    attempts: row.attempts,
                    next_attempt_at: row.next_attempt_at,
                    last_attempt_at: row.last_attempt_at,
                    last_status: row.last_status,
                    last_answer: row.last_answer,
                })
            })
            .collect()
    }

    /// Deletes what is older, whatever became of it.
    #[tracing::instrument(name = "db.webhook.forget", skip_all, err(level = "debug"))]
    pub async fn forget_deliveries(&self, oldest: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM webhook_deliveries WHERE created_at < $1", oldest)
            .execute(&self.durable)
            .await?;
        Ok(())
    }
}

/// For webhooks that still exist.
async fn insert(
    tx: &mut sqlx::PgConnection,
    deliveries: &[NewDelivery],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.id.0).collect();
    let webhooks: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.webhook_id.0).collect();
    let events: Vec<String> = deliveries.iter().map(|delivery| delivery.event.to_owned()).collect();
    let bodies: Vec<String> = deliveries.iter().map(|delivery| delivery.body.clone()).collect();
    sqlx::query!(
        "INSERT INTO webhook_deliveries (id, webhook_id, event, body, state, created_at, next_attempt_at)
         SELECT i.id, w.id, i.event, i.body, 'waiting', $5, $5
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS i(id, webhook_id, event, body)
         JOIN webhooks w ON w.id = i.webhook_id",
        &ids,
        &webhooks,
        &events,
        &bodies,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}
