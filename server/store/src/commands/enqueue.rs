//! How a command comes to be.

use chrono::{DateTime, Utc};
use voltaxe_protocol::CommandId;

use super::{CommandRow, Enqueue, NewCommand, command_rows, direction_word};
use crate::{Store, StoreError, model::CommandRecord};

impl Store {
    /// Queues an isolate or restore, with its audit row and what the console wants of the host, as one commit. Two
    /// callers at once for the same host make one command.
    #[tracing::instrument(name = "db.command.enqueue", skip_all, err(level = "debug"))]
    pub async fn enqueue(&self, new: &NewCommand<'_>, now: DateTime<Utc>) -> Result<Enqueue, StoreError> {
        // The state can change between the two statements, by an opposite click or a result: then once more.
        for _ in 0..3 {
            match self.insert(new, now).await {
                Ok(Some(record)) => return Ok(Enqueue::New(record)),
                // Another request with the same key committed in between.
                Ok(None) => {}
                Err(StoreError::Taken { constraint }) if constraint == "idempotency_keys_pkey" => {}
                Err(error) => return Err(error),
            }
            if let Some(existing) = self.existing(new).await? {
                return Ok(existing);
            }
        }
        Ok(Enqueue::NoSuchEndpoint)
    }

    async fn insert(
        &self,
        new: &NewCommand<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<CommandRecord>, StoreError> {
        // After a day a new command asks the host itself again; the old one may be out of the history by then.
        // The row lock that ON CONFLICT takes on desired_isolation puts simultaneous clicks in order; the id is taken under
        // it, so that the newest wish has the greatest id.
        let row = command_rows!(
            "WITH target AS (
               SELECT id, hostname, epoch FROM endpoints
               WHERE id = $1 AND status = 'active'
                 AND NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.operator = $6 AND k.key = $9)
             ), slot AS (
               INSERT INTO desired_isolation AS d
                 (endpoint_id, command_id, direction, state, created_by, created_at, reason, expires_at)
               SELECT id, nextval('command_ids'), $2, 'pending', $6, $10, $7, $8 FROM target
               ON CONFLICT (endpoint_id) DO UPDATE SET
                 command_id = nextval('command_ids'), direction = excluded.direction, state = 'pending',
                 created_by = excluded.created_by, created_at = excluded.created_at, reason = excluded.reason,
                 expires_at = excluded.expires_at, message = NULL
               WHERE d.direction <> excluded.direction
                  OR d.state NOT IN ('pending', 'delivered', 'executed')
                  OR (d.state = 'executed' AND d.created_at < $10::timestamptz - interval '1 day')
                  OR (d.state = 'executed' AND NOT EXISTS (
                        SELECT FROM telemetry_latest t WHERE t.endpoint_id = d.endpoint_id
                           AND t.isolation_state =
                               CASE excluded.direction WHEN 'isolate' THEN 'isolated' ELSE 'not_isolated' END))
               RETURNING d.command_id
             ), queued AS (
               INSERT INTO pending_commands
                 (id, hostname, command, params, status, created_at, created_by, priority, endpoint_id, epoch, reason,
                  expires_at, idempotency_key, attempt, leased_until)
               SELECT slot.command_id, target.hostname, $3, $4, 'pending', $10, $6, $5, target.id, target.epoch, $7,
                      $8, $9, CASE WHEN $11::timestamptz IS NULL THEN 0 ELSE 1 END, $11
               FROM slot, target
               RETURNING *
             ), keyed AS (
               INSERT INTO idempotency_keys (operator, key, endpoint_id, command, command_id, created_at)
               SELECT $6, $9, endpoint_id, command, id, $10 FROM queued WHERE $9::uuid IS NOT NULL
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason)
               SELECT $10, $6, 'command.' || command, endpoint_id, hostname, id, $7 FROM queued
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM queued) AS q",
            new.endpoint_id.as_str(),
            direction_word(new.direction),
            new.command,
            new.params,
            new.priority,
            new.created_by,
            new.reason,
            new.expires_at,
            new.idempotency_key,
            now,
            new.leased_until,
        )
        .fetch_optional(&self.durable)
        .await?;
        row.map(CommandRecord::try_from).transpose()
    }

    async fn existing(&self, new: &NewCommand<'_>) -> Result<Option<Enqueue>, StoreError> {
        if let Some(key) = new.idempotency_key {
            let known = sqlx::query!(
                "SELECT endpoint_id, command, command_id FROM idempotency_keys WHERE operator = $1 AND key = $2",
                new.created_by,
                key
            )
            .fetch_optional(&self.durable)
            .await?;
            if let Some(known) = known {
                if known.endpoint_id != new.endpoint_id.as_str() || known.command != new.command {
                    return Ok(Some(Enqueue::KeyReused));
                }
                let known = self.command(CommandId(known.command_id)).await?;
                return Ok(Some(known.map_or(Enqueue::KeyReused, Enqueue::Repeated)));
            }
        }
        let wanted = sqlx::query_scalar!(
            "SELECT d.command_id FROM desired_isolation d JOIN endpoints e ON e.id = d.endpoint_id
             WHERE d.endpoint_id = $1 AND d.direction = $2 AND e.status = 'active'",
            new.endpoint_id.as_str(),
            direction_word(new.direction)
        )
        .fetch_optional(&self.durable)
        .await?;
        match wanted {
            Some(id) => Ok(self.command(CommandId(id)).await?.map(Enqueue::AlreadyWanted)),
            None => Ok(None),
        }
    }
}
