//! Ends that come from the console or from time, not from the host.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;
use voltaxe_protocol::CommandId;

use super::{Cancel, CommandRow, command_rows, records};
use crate::{
    Store, StoreError,
    isolation::settle_change,
    model::{BatchId, CommandRecord},
};

impl Store {
    /// Ends a command that was never handed out; asks one back that was.
    #[tracing::instrument(name = "db.command.cancel", skip_all, err(level = "debug"))]
    pub async fn cancel(&self, id: CommandId, by: &str, now: DateTime<Utc>) -> Result<Cancel, StoreError> {
        // Handed out, or answered, between the statements: then the next one sees it.
        for _ in 0..3 {
            let mut tx = self.durable.begin().await?;
            if let Some(record) = cancel_unsent(&mut *tx, Some(id), None, by, now).await?.pop() {
                settle_change(&mut tx, &record).await?;
                tx.commit().await?;
                return Ok(Cancel::Cancelled(record));
            }
            drop(tx);
            if let Some(record) = ask_back(&self.durable, Some(id), None, by, now).await?.pop() {
                return Ok(Cancel::Requested(record));
            }
            match self.command(id).await? {
                None => return Ok(Cancel::Unknown),
                Some(record) if record.status.is_final() => return Ok(Cancel::AlreadyFinal(record)),
                Some(record) if record.cancel_requested_at.is_some() => {
                    return Ok(Cancel::Requested(record));
                }
                Some(_) => {}
            }
        }
        Ok(Cancel::Unknown)
    }

    /// Ends what ran out: commands that were never handed out at `now`, others when they were due before
    /// `handed_out_before` (the agent gets that much longer to tell).
    #[tracing::instrument(name = "db.command.expire", skip_all, err(level = "debug"))]
    pub async fn expire(
        &self,
        now: DateTime<Utc>,
        handed_out_before: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let rows = command_rows!(
            "WITH due AS (
               SELECT id FROM pending_commands
               WHERE expires_at <= $1 AND (attempt = 0 OR expires_at <= $2)
               ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED
             ), gone AS (
               DELETE FROM pending_commands p USING due WHERE p.id = due.id RETURNING p.*
             ), filed AS (
               INSERT INTO command_history
                 (id, hostname, command, params, status, created_at, delivered_at, created_by, priority, endpoint_id,
                  epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
                  finished_at, cancel_requested_by, cancel_requested_at, schedule_id)
               SELECT id, hostname, command, params, 'expired', created_at, delivered_at, created_by, priority,
                      endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id,
                      idempotency_key, $1, cancel_requested_by, cancel_requested_at, schedule_id
               FROM gone
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation d SET state = 'expired', message = 'no answer before it expired'
               FROM filed WHERE d.endpoint_id = filed.endpoint_id AND d.command_id = filed.id RETURNING 1
             ), rollback AS (
               UPDATE schedules s SET state = 'cancelled', next_run_at = NULL, ended_by = 'server', ended_at = $1,
                 note = 'the isolation expired before it took effect'
               FROM filed WHERE s.rollback_of = filed.id AND s.state = 'waiting' AND (SELECT count(*) FROM desired) >= 0
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id)
               SELECT $1, 'server', 'command.expired', endpoint_id, hostname, id FROM filed
             )",
            "FROM filed",
            now,
            handed_out_before,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut expired = records(rows)?;
        expired.sort_by_key(|record| record.id.0);
        for record in &expired {
            settle_change(&mut tx, record).await?;
        }
        tx.commit().await?;
        Ok(expired)
    }
}

/// Ends one command, or those of a batch, that were never handed out: nobody can have them.
pub(crate) async fn cancel_unsent(
    executor: impl PgExecutor<'_>,
    id: Option<CommandId>,
    batch: Option<BatchId>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<Vec<CommandRecord>, StoreError> {
    let rows = command_rows!(
        "WITH gone AS (
           DELETE FROM pending_commands
           WHERE (id = $1 OR batch_id = $2) AND status = 'pending' AND attempt = 0 RETURNING *
         ), filed AS (
           INSERT INTO command_history
             (id, hostname, command, params, status, created_at, created_by, priority, endpoint_id, epoch, reason,
              not_before, expires_at, attempt, batch_id, idempotency_key, cancelled_by, finished_at, schedule_id)
           SELECT id, hostname, command, params, 'cancelled', created_at, created_by, priority, endpoint_id, epoch,
                  reason, not_before, expires_at, attempt, batch_id, idempotency_key, $3, $4, schedule_id
           FROM gone
           RETURNING *
         ), desired AS (
           UPDATE desired_isolation d SET state = 'cancelled', message = 'cancelled by ' || $3
           FROM filed WHERE d.endpoint_id = filed.endpoint_id AND d.command_id = filed.id RETURNING 1
         ), rollback AS (
           UPDATE schedules s SET state = 'cancelled', next_run_at = NULL, ended_by = $3, ended_at = $4,
             note = 'the isolation was cancelled'
           FROM filed WHERE s.rollback_of = filed.id AND s.state = 'waiting' AND (SELECT count(*) FROM desired) >= 0
         ), audited AS (
           INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id)
           SELECT $4, $3, 'command.cancelled', endpoint_id, hostname, id FROM filed
         )",
        "FROM filed",
        id.map(|id| id.0) as Option<i64>,
        batch.map(|id| id.0) as Option<Uuid>,
        by,
        now,
    )
    .fetch_all(executor)
    .await?;
    records(rows)
}

/// Notes that one command, or those of a batch, are wanted back. Only what is not final and was not asked back before.
pub(crate) async fn ask_back(
    executor: impl PgExecutor<'_>,
    id: Option<CommandId>,
    batch: Option<BatchId>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<Vec<CommandRecord>, StoreError> {
    let rows = command_rows!(
        "WITH asked AS (
           UPDATE pending_commands SET cancel_requested_by = $3, cancel_requested_at = $4
           WHERE (id = $1 OR batch_id = $2) AND attempt > 0 AND cancel_requested_at IS NULL RETURNING *
         ), audited AS (
           INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id)
           SELECT $4, $3, 'command.cancel_requested', endpoint_id, hostname, id FROM asked
         )",
        "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM asked) AS a",
        id.map(|id| id.0) as Option<i64>,
        batch.map(|id| id.0) as Option<Uuid>,
        by,
        now,
    )
    .fetch_all(executor)
    .await?;
    records(rows)
}
