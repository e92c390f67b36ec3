//! The queue and its history.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, CommandResult, CommandState, EndpointId, Epoch, IsolationObservation};

use crate::{
    Store, StoreError,
    model::{Channel, CommandRecord, IsolationDirection},
};

/// An isolate or restore to be queued.
#[derive(Clone, Debug)]
pub struct NewCommand<'a> {
    pub endpoint_id: &'a EndpointId,
    pub direction: IsolationDirection,
    pub command: &'a str,
    pub params: serde_json::Value,
    pub priority: i16,
    pub created_by: &'a str,
    pub reason: &'a str,
    pub expires_at: DateTime<Utc>,
    /// The browser's key of the click.
    pub idempotency_key: Option<Uuid>,
}

/// What came of [`Store::enqueue`].
#[derive(Clone, Debug, PartialEq)]
pub enum Enqueue {
    New(Enqueued),
    /// This key made this command before.
    Repeated(CommandRecord),
    /// The host is on its way there or is there already, by this command.
    AlreadyWanted(CommandRecord),
    /// The key was used for another command.
    KeyReused,
    /// No active endpoint has this id.
    NoSuchEndpoint,
}

/// On disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Enqueued {
    pub record: CommandRecord,
}

/// What came of [`Store::record_result`].
#[derive(Clone, Debug, PartialEq)]
pub enum RecordedResult {
    /// On disk; the command is final.
    Recorded(CommandRecord),
    /// It was final before; the first result stands.
    AlreadyFinal(CommandRecord),
    /// No such command of this endpoint.
    Unknown,
}

/// Selects whole command rows: the part before SELECT, the part from FROM on, and the arguments.
macro_rules! command_rows {
    ($with:literal, $from:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            CommandRow,
            $with
                + r#" SELECT id AS "id!", endpoint_id AS "endpoint_id!", hostname AS "hostname!",
                        command AS "command!", params AS "params!", status AS "status!",
                        created_at AS "created_at!", delivered_at AS "delivered_at?", started_at AS "started_at?",
                        executed_at AS "executed_at?", finished_at AS "finished_at?", result AS "result?",
                        created_by AS "created_by!", reason AS "reason!", priority AS "priority!",
                        attempt AS "attempt!", channel AS "channel?", not_before AS "not_before?",
                        expires_at AS "expires_at!", epoch AS "epoch!", cancelled_by AS "cancelled_by?" "#
                + $from
            $(, $arg)*
        )
    };
}

impl Store {
    /// Queues an isolate or restore, with its audit row and what the console wants of the host, as one commit. Two
    /// callers at once for the same host make one command.
    #[tracing::instrument(name = "db.command.enqueue", skip_all, err(level = "debug"))]
    pub async fn enqueue(&self, new: &NewCommand<'_>, now: DateTime<Utc>) -> Result<Enqueue, StoreError> {
        match self.insert(new, now).await {
            Ok(Some(record)) => Ok(Enqueue::New(Enqueued { record })),
            Ok(None) => self.existing(new).await,
            // Another request with the same key committed in between.
            Err(StoreError::Taken { constraint }) if constraint == "idempotency_keys_pkey" => {
                self.existing(new).await
            }
            Err(error) => Err(error),
        }
    }

    async fn insert(
        &self,
        new: &NewCommand<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<CommandRecord>, StoreError> {
        // The row lock that ON CONFLICT takes on desired_isolation puts simultaneous clicks in order.
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
                 command_id = excluded.command_id, direction = excluded.direction, state = 'pending',
                 created_by = excluded.created_by, created_at = excluded.created_at, reason = excluded.reason,
                 expires_at = excluded.expires_at, message = NULL
               WHERE d.direction <> excluded.direction
                  OR d.state NOT IN ('pending', 'delivered', 'executed')
                  OR (d.state = 'executed' AND NOT EXISTS (
                        SELECT FROM telemetry_latest t WHERE t.endpoint_id = d.endpoint_id
                           AND t.isolation_state =
                               CASE excluded.direction WHEN 'isolate' THEN 'isolated' ELSE 'not_isolated' END))
               RETURNING d.command_id
             ), queued AS (
               INSERT INTO pending_commands
                 (id, hostname, command, params, status, created_at, created_by, priority, endpoint_id, epoch, reason,
                  expires_at, idempotency_key)
               SELECT slot.command_id, target.hostname, $3, $4, 'pending', $10, $6, $5, target.id, target.epoch, $7,
                      $8, $9
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
        )
        .fetch_optional(&self.durable)
        .await?;
        row.map(CommandRecord::try_from).transpose()
    }

    async fn existing(&self, new: &NewCommand<'_>) -> Result<Enqueue, StoreError> {
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
                    return Ok(Enqueue::KeyReused);
                }
                return match self.command(CommandId(known.command_id)).await? {
                    Some(record) => Ok(Enqueue::Repeated(record)),
                    None => Ok(Enqueue::KeyReused),
                };
            }
        }
        let wanted = sqlx::query_scalar!(
            "SELECT d.command_id FROM desired_isolation d JOIN endpoints e ON e.id = d.endpoint_id
             WHERE d.endpoint_id = $1 AND e.status = 'active'",
            new.endpoint_id.as_str()
        )
        .fetch_optional(&self.durable)
        .await?;
        match wanted {
            Some(id) => {
                Ok(self.command(CommandId(id)).await?.map_or(Enqueue::NoSuchEndpoint, Enqueue::AlreadyWanted))
            }
            None => Ok(Enqueue::NoSuchEndpoint),
        }
    }

    /// Queued or final.
    #[tracing::instrument(name = "db.command.get", skip_all, err(level = "debug"))]
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!("", "FROM commands WHERE id = $1", id.0)
            .fetch_optional(&self.durable)
            .await?
            .map(CommandRecord::try_from)
            .transpose()
    }

    /// Newest first.
    #[tracing::instrument(name = "db.command.list_of_endpoint", skip_all, err(level = "debug"))]
    pub async fn commands_of(
        &self,
        endpoint: &EndpointId,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        command_rows!(
            "",
            "FROM commands WHERE endpoint_id = $1 ORDER BY 1 DESC LIMIT $2",
            endpoint.as_str(),
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(CommandRecord::try_from)
        .collect()
    }

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
        .fetch_all(&self.relaxed)
        .await?
        .into_iter()
        .map(CommandRecord::try_from)
        .collect()
    }

    /// Notes that a command was pushed from memory. Losing this in a crash only makes it be offered again.
    #[tracing::instrument(name = "db.command.mark_pushed", skip_all, err(level = "debug"))]
    pub async fn mark_pushed(&self, id: CommandId, leased_until: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE pending_commands SET attempt = attempt + 1, leased_until = $2 WHERE id = $1 AND status = 'pending'",
            id.0,
            leased_until
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Endpoints with a command whose lease ran out or whose time has come, for the sweep.
    #[tracing::instrument(name = "db.command.overdue", skip_all, err(level = "debug"))]
    pub async fn overdue_endpoints(&self, now: DateTime<Utc>) -> Result<Vec<EndpointId>, StoreError> {
        sqlx::query_scalar!(
            "SELECT DISTINCT endpoint_id FROM pending_commands
             WHERE status = 'pending' AND expires_at > $1 AND (not_before IS NULL OR not_before <= $1)
               AND (leased_until IS NULL OR leased_until <= $1)
             LIMIT 1000",
            now
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

pub(crate) fn direction_word(direction: IsolationDirection) -> &'static str {
    match direction {
        IsolationDirection::Isolate => "isolate",
        IsolationDirection::Restore => "restore",
    }
}

pub(crate) fn endpoint_id(table: &'static str, id: String) -> Result<EndpointId, StoreError> {
    EndpointId::try_from(id.clone()).map_err(|_| StoreError::BadRow { table, column: "endpoint_id", id })
}

struct CommandRow {
    id: i64,
    endpoint_id: String,
    hostname: String,
    command: String,
    params: serde_json::Value,
    status: String,
    created_at: DateTime<Utc>,
    delivered_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    executed_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<serde_json::Value>,
    created_by: String,
    reason: String,
    priority: i16,
    attempt: i32,
    channel: Option<String>,
    not_before: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    epoch: i32,
    cancelled_by: Option<String>,
}

impl TryFrom<CommandRow> for CommandRecord {
    type Error = StoreError;

    fn try_from(row: CommandRow) -> Result<Self, StoreError> {
        let bad = |column| StoreError::BadRow { table: "commands", column, id: row.id.to_string() };
        Ok(Self {
            id: CommandId(row.id),
            status: row.status.parse().map_err(|_| bad("status"))?,
            channel: row.channel.as_deref().map(str::parse).transpose().map_err(|()| bad("channel"))?,
            endpoint_id: EndpointId::try_from(row.endpoint_id).map_err(|_| StoreError::BadRow {
                table: "commands",
                column: "endpoint_id",
                id: row.id.to_string(),
            })?,
            hostname: row.hostname,
            command: row.command,
            params: row.params,
            created_at: row.created_at,
            delivered_at: row.delivered_at,
            started_at: row.started_at,
            executed_at: row.executed_at,
            finished_at: row.finished_at,
            result: row.result,
            created_by: row.created_by,
            reason: row.reason,
            priority: row.priority,
            attempt: row.attempt,
            not_before: row.not_before,
            expires_at: row.expires_at,
            epoch: Epoch(row.epoch),
            cancelled_by: row.cancelled_by,
        })
    }
}
