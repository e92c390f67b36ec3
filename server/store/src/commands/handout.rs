//! Handing queued commands out, and asking for those that were acknowledged.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, EndpointId};

use super::{CommandRow, command_rows, endpoint_id, records};
use crate::{Store, StoreError, model::CommandRecord};

/// At most so many commands of one endpoint are handed out at a time.
const AT_ONCE: i64 = 32;

impl Store {
    /// Takes what is due for an endpoint under a lease until `leased_until`: with `fifo` in order of age, else of priority,
    /// then age. With `renew` also what is leased already: for an agent that has just connected and has nothing in flight.
    /// With `only` no other command than these.
    #[tracing::instrument(name = "db.command.lease", skip_all, err(level = "debug"))]
    pub async fn lease(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let only: Option<Vec<i64>> = lease.only.map(|ids| ids.iter().map(|id| id.0).collect());
        let rows = command_rows!(
            "WITH due AS (
               SELECT id FROM pending_commands
               WHERE endpoint_id = $1 AND status = 'pending' AND expires_at > $2 AND cancel_requested_at IS NULL
                 AND (not_before IS NULL OR not_before <= $2)
                 AND ($4 OR leased_until IS NULL OR leased_until <= $2)
                 AND ($6::bigint[] IS NULL OR id = ANY($6))
               ORDER BY CASE WHEN $5 THEN 0 ELSE priority END DESC, id LIMIT $7 FOR UPDATE SKIP LOCKED
             ), leased AS (
               UPDATE pending_commands p SET attempt = p.attempt + 1, leased_until = $3
               FROM due WHERE p.id = due.id RETURNING p.*
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM leased) AS l
             ORDER BY CASE WHEN $5 THEN 0 ELSE priority END DESC, id",
            endpoint.as_str(),
            now,
            lease.until,
            lease.renew,
            lease.fifo,
            only.as_deref(),
            AT_ONCE,
        )
        .fetch_all(&self.durable)
        .await?;
        records(rows)
    }

    /// What [`Store::lease`] would take now: id and kind, in order.
    #[tracing::instrument(name = "db.command.due", skip_all, err(level = "debug"))]
    pub async fn due(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(CommandId, String)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, command FROM pending_commands
             WHERE endpoint_id = $1 AND status = 'pending' AND expires_at > $2 AND cancel_requested_at IS NULL
               AND (not_before IS NULL OR not_before <= $2)
               AND ($3 OR leased_until IS NULL OR leased_until <= $2)
             ORDER BY CASE WHEN $4 THEN 0 ELSE priority END DESC, id LIMIT $5",
            endpoint.as_str(),
            now,
            lease.renew,
            lease.fifo,
            AT_ONCE,
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows.into_iter().map(|row| (CommandId(row.id), row.command)).collect())
    }

    /// Ends the lease of commands that could not be pushed after all, so that the next poll gets them.
    #[tracing::instrument(name = "db.command.end_leases", skip_all, err(level = "debug"))]
    pub async fn end_leases(&self, ids: &[CommandId]) -> Result<(), StoreError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        sqlx::query!(
            "UPDATE pending_commands SET leased_until = NULL WHERE id = ANY($1) AND status = 'pending'",
            &ids
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Commands that the agent has acknowledged and not answered, oldest first, at most 32.
    #[tracing::instrument(name = "db.command.unanswered", skip_all, err(level = "debug"))]
    pub async fn unanswered(&self, endpoint: &EndpointId) -> Result<Vec<CommandId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM pending_commands
             WHERE endpoint_id = $1 AND status = 'delivered' AND cancel_requested_at IS NULL ORDER BY id LIMIT 32",
            endpoint.as_str()
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(ids.into_iter().map(CommandId).collect())
    }

    /// Commands that were handed out and then asked back, oldest first, at most 32.
    #[tracing::instrument(name = "db.command.asked_back", skip_all, err(level = "debug"))]
    pub async fn asked_back(&self, endpoint: &EndpointId) -> Result<Vec<CommandRecord>, StoreError> {
        let rows = command_rows!(
            "",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM pending_commands
                   WHERE endpoint_id = $1 AND cancel_requested_at IS NOT NULL ORDER BY id LIMIT 32) AS c",
            endpoint.as_str()
        )
        .fetch_all(&self.durable)
        .await?;
        records(rows)
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
        connected: &[EndpointId],
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointId>, StoreError> {
        let connected: Vec<String> = connected.iter().map(|id| id.as_str().to_owned()).collect();
        sqlx::query_scalar!(
            "SELECT DISTINCT endpoint_id FROM pending_commands
             WHERE endpoint_id = ANY($2) AND (
               (status = 'pending' AND expires_at > $1 AND (not_before IS NULL OR not_before <= $1)
                 AND (leased_until IS NULL OR leased_until <= $1))
               OR cancel_requested_at IS NOT NULL)",
            now,
            &connected
        )
        .fetch_all(&self.relaxed)
        .await?
        .into_iter()
        .map(|id| endpoint_id("pending_commands", id))
        .collect()
    }

    /// Those of `among` that acknowledged a command before `delivered_before` and have not answered it.
    #[tracing::instrument(name = "db.command.silent", skip_all, err(level = "debug"))]
    pub async fn silent_endpoints(
        &self,
        among: &[EndpointId],
        delivered_before: DateTime<Utc>,
    ) -> Result<Vec<EndpointId>, StoreError> {
        let among: Vec<String> = among.iter().map(|id| id.as_str().to_owned()).collect();
        sqlx::query_scalar!(
            "SELECT DISTINCT endpoint_id FROM pending_commands
             WHERE endpoint_id = ANY($2) AND status = 'delivered' AND delivered_at < $1",
            delivered_before,
            &among
        )
        .fetch_all(&self.relaxed)
        .await?
        .into_iter()
        .map(|id| endpoint_id("pending_commands", id))
        .collect()
    }
}

/// How [`Store::lease`] takes commands.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    pub until: DateTime<Utc>,
    pub renew: bool,
    pub fifo: bool,
    pub only: Option<&'a [CommandId]>,
}
