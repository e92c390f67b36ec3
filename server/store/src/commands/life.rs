//! What happens to a queued command: leased, received, started, answered, cancelled, expired.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, CommandResult, CommandState, EndpointId, IsolationObservation};

use super::{CommandRow, RecordedResult, command_rows, endpoint_id};
use crate::{
    Store, StoreError,
    model::{Channel, CommandRecord},
};

impl Store {
    /// Takes what is due for an endpoint under a lease until `leased_until`, in order: priority, then age. With
    /// `renew` also what is leased already: for an agent that has just connected and has nothing in flight.
    #[tracing::instrument(name = "db.command.lease", skip_all, err(level = "debug"))]
    pub async fn lease(
        &self,
        endpoint: &EndpointId,
        renew: bool,
        now: DateTime<Utc>,
        leased_until: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        command_rows!(
            "WITH due AS (
               SELECT id FROM pending_commands
               WHERE endpoint_id = $1 AND status = 'pending' AND expires_at > $2
                 AND (not_before IS NULL OR not_before <= $2)
                 AND ($4 OR leased_until IS NULL OR leased_until <= $2)
               ORDER BY priority DESC, id LIMIT 32 FOR UPDATE SKIP LOCKED
             ), leased AS (
               UPDATE pending_commands p SET attempt = p.attempt + 1, leased_until = $3
               FROM due WHERE p.id = due.id RETURNING p.*
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM leased) AS l
             ORDER BY priority DESC, id",
            endpoint.as_str(),
            now,
            leased_until,
            renew,
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(CommandRecord::try_from)
        .collect()
    }

    /// Ends the lease of a command that could not be pushed after all, so that the next poll gets it.
    #[tracing::instrument(name = "db.command.end_lease", skip_all, err(level = "debug"))]
    pub async fn end_lease(&self, id: CommandId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE pending_commands SET leased_until = NULL WHERE id = $1 AND status = 'pending'",
            id.0
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Commands that the agent has acknowledged and not answered, oldest first, at most 32.
    #[tracing::instrument(name = "db.command.unanswered", skip_all, err(level = "debug"))]
    pub async fn unanswered(&self, endpoint: &EndpointId) -> Result<Vec<CommandId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM pending_commands WHERE endpoint_id = $1 AND status = 'delivered' ORDER BY id LIMIT 32",
            endpoint.as_str()
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(ids.into_iter().map(CommandId).collect())
    }

    /// The agent says that it does not have it after all: it waits again.
    #[tracing::instrument(name = "db.command.take_receipt_back", skip_all, err(level = "debug"))]
    pub async fn take_receipt_back(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
    ) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!(
            "WITH back AS (
               UPDATE pending_commands
               SET status = 'pending', delivered_at = NULL, started_at = NULL, leased_until = NULL, channel = NULL
               WHERE id = $1 AND endpoint_id = $2 AND status = 'delivered'
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation SET state = 'pending' WHERE command_id = $1 AND endpoint_id = $2
                 AND state = 'delivered'
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM back) AS b",
            id.0,
            endpoint.as_str(),
        )
        .fetch_optional(&self.durable)
        .await?
        .map(CommandRecord::try_from)
        .transpose()
    }

    /// Those of `connected` with a command whose lease ran out or whose time has come, for the sweep.
    #[tracing::instrument(name = "db.command.overdue", skip_all, err(level = "debug"))]
    pub async fn overdue_endpoints(
        &self,
        connected: &[String],
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointId>, StoreError> {
        sqlx::query_scalar!(
            "SELECT DISTINCT endpoint_id FROM pending_commands
             WHERE status = 'pending' AND expires_at > $1 AND (not_before IS NULL OR not_before <= $1)
               AND (leased_until IS NULL OR leased_until <= $1) AND endpoint_id = ANY($2)",
            now,
            connected
        )
        .fetch_all(&self.relaxed)
        .await?
        .into_iter()
        .map(|id| endpoint_id("pending_commands", id))
        .collect()
    }

    /// The agent has it on disk. `None` when the command is not waiting for this endpoint's receipt (any more).
    #[tracing::instrument(name = "db.command.receipt", skip_all, err(level = "debug"))]
    pub async fn record_receipt(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!(
            "WITH received AS (
               UPDATE pending_commands
               SET status = 'delivered', delivered_at = $4, channel = $3, attempt = greatest(attempt, 1)
               WHERE id = $1 AND endpoint_id = $2 AND status = 'pending'
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation SET state = 'delivered' WHERE command_id = $1 AND endpoint_id = $2
                 AND state = 'pending'
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM received) AS r",
            id.0,
            endpoint.as_str(),
            channel.as_str(),
            now,
        )
        .fetch_optional(&self.relaxed)
        .await?
        .map(CommandRecord::try_from)
        .transpose()
    }

    /// The agent has begun.
    #[tracing::instrument(name = "db.command.started", skip_all, err(level = "debug"))]
    pub async fn record_started(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!(
            "WITH started AS (
               UPDATE pending_commands SET started_at = $3
               WHERE id = $1 AND endpoint_id = $2 AND started_at IS NULL
               RETURNING *
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM started) AS s",
            id.0,
            endpoint.as_str(),
            now,
        )
        .fetch_optional(&self.relaxed)
        .await?
        .map(CommandRecord::try_from)
        .transpose()
    }

    /// Moves the command to the history with its result, and notes the isolation that the agent read back with it. The
    /// first result stands.
    #[tracing::instrument(name = "db.command.result", skip_all, err(level = "debug"))]
    pub async fn record_result(
        &self,
        endpoint: &EndpointId,
        result: &CommandResult,
        observed: Option<&IsolationObservation>,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<RecordedResult, StoreError> {
        let state = if result.success { CommandState::Executed } else { CommandState::Failed };
        let stored = serde_json::json!({
            "success": result.success, "message": result.message, "data": result.data,
        });
        let row = command_rows!(
            "WITH gone AS (
               DELETE FROM pending_commands WHERE id = $1 AND endpoint_id = $2 RETURNING *
             ), filed AS (
               INSERT INTO command_history
                 (id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by,
                  priority, endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id,
                  idempotency_key, finished_at)
               SELECT id, hostname, command, params, $3, created_at, coalesce(delivered_at, $6), $6, $4, created_by,
                      priority, endpoint_id, epoch, reason, not_before, expires_at, greatest(attempt, 1),
                      coalesce(channel, $7), coalesce(started_at, delivered_at, $6), batch_id, idempotency_key, $6
               FROM gone
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation SET state = $3, message = $5
               WHERE command_id = $1 AND endpoint_id = $2 AND EXISTS (SELECT FROM filed)
             ), observed AS (
               INSERT INTO telemetry_latest AS t
                 (endpoint_id, observed_at, received_at, isolation_state, isolation_generation, isolation_detail,
                  isolation_observed_at, isolation_received_at)
               SELECT $2, $8, $6, $9, $10, $11, $8, $6 FROM filed WHERE $9::text IS NOT NULL
               ON CONFLICT (endpoint_id) DO UPDATE SET
                 isolation_state = excluded.isolation_state, isolation_generation = excluded.isolation_generation,
                 isolation_detail = excluded.isolation_detail,
                 isolation_observed_at = excluded.isolation_observed_at,
                 isolation_received_at = excluded.isolation_received_at
               WHERE t.isolation_observed_at <= excluded.isolation_observed_at
                  OR t.isolation_received_at < $6::timestamptz - interval '10 seconds'
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason)
               SELECT $6, 'agent', 'command.' || $3, endpoint_id, hostname, id, $5 FROM filed
             )",
            "FROM filed",
            result.command_id.0,
            endpoint.as_str(),
            state.as_str(),
            stored,
            result.message,
            now,
            channel.as_str(),
            observed.map(|o| o.observed_at),
            observed.map(|o| o.state.as_str()),
            observed.and_then(|o| o.generation).map(|id| id.0),
            observed.and_then(|o| o.detail.as_deref()),
        )
        .fetch_optional(&self.durable)
        .await?;
        if let Some(row) = row {
            return Ok(RecordedResult::Recorded(row.try_into()?));
        }
        match self.command(result.command_id).await? {
            Some(record) if &record.endpoint_id == endpoint => Ok(RecordedResult::AlreadyFinal(record)),
            Some(_) | None => Ok(RecordedResult::Unknown),
        }
    }

    /// Cancels a command that was never handed out, so that nobody can have it. `None` when it is not such a one.
    #[tracing::instrument(name = "db.command.cancel", skip_all, err(level = "debug"))]
    pub async fn cancel(
        &self,
        id: CommandId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!(
            "WITH gone AS (
               DELETE FROM pending_commands WHERE id = $1 AND status = 'pending' AND attempt = 0 RETURNING *
             ), filed AS (
               INSERT INTO command_history
                 (id, hostname, command, params, status, created_at, created_by, priority, endpoint_id, epoch, reason,
                  not_before, expires_at, attempt, batch_id, idempotency_key, cancelled_by, finished_at)
               SELECT id, hostname, command, params, 'cancelled', created_at, created_by, priority, endpoint_id, epoch,
                      reason, not_before, expires_at, attempt, batch_id, idempotency_key, $2, $3
               FROM gone
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation SET state = 'cancelled', message = 'cancelled by ' || $2
               WHERE command_id = $1 AND EXISTS (SELECT FROM filed)
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id)
               SELECT $3, $2, 'command.cancelled', endpoint_id, hostname, id FROM filed
             )",
            "FROM filed",
            id.0,
            by,
            now,
        )
        .fetch_optional(&self.durable)
        .await?
        .map(CommandRecord::try_from)
        .transpose()
    }

    /// Ends what ran out: queued commands at `now`, received ones that were due before `received_before` (the agent
    /// gets that much longer to tell).
    #[tracing::instrument(name = "db.command.expire", skip_all, err(level = "debug"))]
    pub async fn expire(
        &self,
        now: DateTime<Utc>,
        received_before: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        command_rows!(
            "WITH due AS (
               SELECT id FROM pending_commands
               WHERE expires_at <= CASE status WHEN 'pending' THEN $1::timestamptz ELSE $2::timestamptz END
               ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED
             ), gone AS (
               DELETE FROM pending_commands p USING due WHERE p.id = due.id RETURNING p.*
             ), filed AS (
               INSERT INTO command_history
                 (id, hostname, command, params, status, created_at, delivered_at, created_by, priority, endpoint_id,
                  epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
                  finished_at)
               SELECT id, hostname, command, params, 'expired', created_at, delivered_at, created_by, priority,
                      endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id,
                      idempotency_key, $1
               FROM gone
               RETURNING *
             ), desired AS (
               UPDATE desired_isolation d SET state = 'expired', message = 'no answer before it expired'
               FROM filed WHERE d.command_id = filed.id
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id)
               SELECT $1, 'server', 'command.expired', endpoint_id, hostname, id FROM filed
             )",
            "FROM filed",
            now,
            received_before,
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(CommandRecord::try_from)
        .collect()
    }
}
