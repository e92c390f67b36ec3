//! Webhooks: who is told of what. The audit log's rows become deliveries through one cursor, which moves in the transaction that
//! writes them: none is lost and none is made twice, however many servers there are.

mod deliveries;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, EndpointId};

pub use self::deliveries::{AttemptOutcome, ClaimedDelivery, NewDelivery};
use crate::{
    Store, StoreError,
    model::{WebhookId, WebhookPreset, WebhookRecord, WebhookState},
};

/// The last row of the audit log that was turned into deliveries: its transaction and its id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WebhookPlace {
    pub written_in: i64,
    pub id: i64,
}

/// Where reading goes on, and before which transaction it must stop: all before it are over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WebhookReach {
    pub from: WebhookPlace,
    pub horizon: i64,
}

/// A row of the audit log, with the kind of its command.
#[derive(Clone, Debug)]
pub struct AuditedEvent {
    pub place: WebhookPlace,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub endpoint_id: Option<EndpointId>,
    pub hostname: Option<String>,
    pub command_id: Option<CommandId>,
    pub reason: Option<String>,
    pub detail: Option<serde_json::Value>,
    pub command: Option<String>,
}

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct WebhookTerms<'a> {
    pub name: &'a str,
    pub url: &'a str,
    pub preset: WebhookPreset,
    pub events: &'a [String],
    pub kinds: &'a [String],
}

impl Store {
    /// All webhooks, by name.
    #[tracing::instrument(name = "db.webhook.list", skip_all, err(level = "debug"))]
    pub async fn webhooks(&self) -> Result<Vec<WebhookRecord>, StoreError> {
        let rows = sqlx::query_as!(
            WebhookRow,
            "SELECT id, name, url, preset, events, kinds, state, active_since, secret_number, rotated_at, created_by, created_at
             FROM webhooks ORDER BY name, id"
        )
        .fetch_all(&self.durable)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    #[tracing::instrument(name = "db.webhook.get", skip_all, err(level = "debug"))]
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<WebhookRecord>, StoreError> {
        let row = sqlx::query_as!(
            WebhookRow,
            "SELECT id, name, url, preset, events, kinds, state, active_since, secret_number, rotated_at, created_by, created_at
             FROM webhooks WHERE id = $1",
            id.0
        )
        .fetch_optional(&self.durable)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Makes a webhook, unless there are `most` already: then answers false. The first one has the cursor skip what nobody was
    /// to be told of.
    #[tracing::instrument(name = "db.webhook.create", skip_all, err(level = "debug"))]
    pub async fn create_webhook(
        &self,
        id: WebhookId,
        terms: &WebhookTerms<'_>,
        most: i64,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH skipped AS (
               UPDATE webhook_cursor SET written_in = pg_snapshot_xmin(pg_current_snapshot()), id = 0
               WHERE NOT EXISTS (SELECT FROM webhooks WHERE state = 'active')
             ), made AS (
               INSERT INTO webhooks
                 (id, name, url, preset, events, kinds, state, active_since, secret_number, created_by, created_at)
               SELECT $1, $2, $3, $4, $5, $6, 'active', $9, 1, $8, $9
               WHERE (SELECT count(*) FROM webhooks) < $7
               RETURNING id, name
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $9, $8, 'webhook.create', jsonb_build_object('webhook_id', id, 'name', name, 'events', $5::text[]) FROM made",
            id.0,
            terms.name,
            terms.url,
            terms.preset.as_str(),
            terms.events,
            terms.kinds,
            most,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether there is such a webhook.
    #[tracing::instrument(name = "db.webhook.change", skip_all, err(level = "debug"))]
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        terms: &WebhookTerms<'_>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH changed AS (
               UPDATE webhooks SET name = $2, url = $3, preset = $4, events = $5, kinds = $6 WHERE id = $1 RETURNING id, name
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $8, $7, 'webhook.change', jsonb_build_object('webhook_id', id, 'name', name, 'events', $5::text[])
             FROM changed",
            id.0,
            terms.name,
            terms.url,
            terms.preset.as_str(),
            terms.events,
            terms.kinds,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Pauses or resumes. What happens while it is paused is not told later; what waited before goes on. Whether there is such
    /// a webhook.
    #[tracing::instrument(name = "db.webhook.set_active", skip_all, err(level = "debug"))]
    pub async fn set_webhook_active(
        &self,
        id: WebhookId,
        is_active: bool,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH skipped AS (
               UPDATE webhook_cursor SET written_in = pg_snapshot_xmin(pg_current_snapshot()), id = 0
               WHERE $2::boolean AND NOT EXISTS (SELECT FROM webhooks WHERE state = 'active')
             ), changed AS (
               UPDATE webhooks SET state = CASE WHEN $2 THEN 'active' ELSE 'paused' END,
                 active_since = CASE WHEN $2 AND state <> 'active' THEN $4 ELSE active_since END
               WHERE id = $1 RETURNING id, name
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $4, $3, CASE WHEN $2 THEN 'webhook.resume' ELSE 'webhook.pause' END,
               jsonb_build_object('webhook_id', id, 'name', name)
             FROM changed",
            id.0,
            is_active,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The number of the new secret.
    #[tracing::instrument(name = "db.webhook.rotate", skip_all, err(level = "debug"))]
    pub async fn rotate_webhook(
        &self,
        id: WebhookId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<i32>, StoreError> {
        Ok(sqlx::query_scalar!(
            "WITH changed AS (
               UPDATE webhooks SET secret_number = secret_number + 1, rotated_at = $3 WHERE id = $1
               RETURNING id, name, secret_number
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, detail)
               SELECT $3, $2, 'webhook.rotate', jsonb_build_object('webhook_id', id, 'name', name) FROM changed
             )
             SELECT secret_number FROM changed",
            id.0,
            by,
            now
        )
        .fetch_optional(&self.durable)
        .await?)
    }

    /// With its deliveries. Whether there was one.
    #[tracing::instrument(name = "db.webhook.delete", skip_all, err(level = "debug"))]
    pub async fn delete_webhook(
        &self,
        id: WebhookId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH gone AS (DELETE FROM webhooks WHERE id = $1 RETURNING id, name)
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $3, $2, 'webhook.delete', jsonb_build_object('webhook_id', id, 'name', name) FROM gone",
            id.0,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Where reading the audit log goes on. A cursor that is ahead of the database, as after it was restored into another
    /// cluster, begins anew.
    #[tracing::instrument(name = "db.webhook.reach", skip_all, err(level = "debug"))]
    pub async fn webhook_reach(&self) -> Result<WebhookReach, StoreError> {
        let row = sqlx::query!(
            r#"WITH ahead AS (
                 UPDATE webhook_cursor SET written_in = pg_snapshot_xmin(pg_current_snapshot()), id = 0
                 WHERE written_in > pg_snapshot_xmax(pg_current_snapshot()) RETURNING written_in, id
               )
               SELECT c.written_in::text::bigint AS "written_in!", c.id AS "id!",
                      pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "horizon!"
               FROM (SELECT written_in, id FROM ahead UNION ALL
                     SELECT written_in, id FROM webhook_cursor WHERE NOT EXISTS (SELECT FROM ahead)) AS c"#
        )
        .fetch_one(&self.durable)
        .await?;
        Ok(WebhookReach {
            from: WebhookPlace { written_in: row.written_in, id: row.id },
            horizon: row.horizon,
        })
    }

    /// Rows of the audit log within reach, in the order of their transactions; at most `limit`.
    #[tracing::instrument(name = "db.webhook.read_audit", skip_all, err(level = "debug"))]
    pub async fn audited_events(
        &self,
        reach: WebhookReach,
        limit: i64,
    ) -> Result<Vec<AuditedEvent>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT a.id, a.written_in::text::bigint AS "written_in!", a.at, a.actor, a.action, a.endpoint_id, a.hostname,
                      a.command_id, a.reason, a.detail,
                      (SELECT c.command FROM commands c WHERE c.id = a.command_id LIMIT 1) AS command
               FROM audit_log a
               WHERE (a.written_in, a.id) > ($1::bigint::text::xid8, $2::bigint) AND a.written_in < $3::bigint::text::xid8
               ORDER BY a.written_in, a.id LIMIT $4"#,
            reach.from.written_in,
            reach.from.id,
            reach.horizon,
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AuditedEvent {
                    place: WebhookPlace { written_in: row.written_in, id: row.id },
                    at: row.at,
                    actor: row.actor,
                    action: row.action,
                    endpoint_id: row
                        .endpoint_id
                        .map(|id| crate::commands::endpoint_id("audit_log", id))
                        .transpose()?,
                    hostname: row.hostname,
                    command_id: row.command_id.map(CommandId),
                    reason: row.reason,
                    detail: row.detail,
                    command: row.command,
                })
            })
            .collect()
    }
}

struct WebhookRow {
    id: Uuid,
    name: String,
    url: String,
    preset: String,
    events: Vec<String>,
    kinds: Vec<String>,
    state: String,
    active_since: DateTime<Utc>,
    secret_number: i32,
    rotated_at: Option<DateTime<Utc>>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<WebhookRow> for WebhookRecord {
    type Error = StoreError;

    fn try_from(row: WebhookRow) -> Result<Self, StoreError> {
        let bad = |column| StoreError::BadRow { table: "webhooks", column, id: row.id.to_string() };
        Ok(Self {
            id: WebhookId(row.id),
            preset: WebhookPreset::of(&row.preset).ok_or_else(|| bad("preset"))?,
            state: match row.state.as_str() {
                "active" => WebhookState::Active,
                "paused" => WebhookState::Paused,
                "gone" => WebhookState::Gone,
                _ => return Err(bad("state")),
            },
            name: row.name,
            url: row.url,
            events: row.events,
            kinds: row.kinds,
            active_since: row.active_since,
            secret_number: row.secret_number,
            rotated_at: row.rotated_at,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}
