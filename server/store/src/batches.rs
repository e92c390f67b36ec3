//! One order to many endpoints, made whole or not at all.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, EndpointId};

use crate::{
    NewCommand, Store, StoreError,
    commands::{ask_back, cancel_unsent, endpoint_id, insert},
    model::{BatchHost, BatchId, BatchRecord, CommandRecord, ExcludedHost, ScheduleId, StateCounts},
};

/// A batch to be made. Its commands are derived from one that names no endpoint in particular.
#[derive(Clone, Debug)]
pub struct NewBatch {
    pub id: BatchId,
    pub undo_of: Option<BatchId>,
    pub idempotency_key: Option<Uuid>,
    /// Hosts that were taken out before.
    pub excluded: Vec<ExcludedHost>,
    /// One for each endpoint, all alike but for `endpoint_id` and `leased_until`; at least one.
    pub commands: Vec<NewCommand>,
}

/// What came of [`Store::create_batch`].
#[derive(Clone, Debug, PartialEq)]
pub enum CreateBatch {
    /// On disk: the batch, and the commands it made.
    New(BatchRecord, Vec<CommandRecord>),
    /// This key made this batch before.
    Repeated(BatchRecord),
    /// Nothing was made: these are no active endpoints (any more).
    NoSuchEndpoints(Vec<EndpointId>),
}

/// What came of [`Store::cancel_batch`].
#[derive(Clone, Debug, PartialEq)]
pub struct CancelledBatch {
    pub batch: BatchRecord,
    /// Final now.
    pub cancelled: Vec<CommandRecord>,
    /// With the hosts already: asked back.
    pub requested: Vec<CommandRecord>,
}

macro_rules! batch_rows {
    ($where:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            BatchRow,
            "SELECT id, command, reason, created_by, created_at, total, queued, undo_of, schedule_id, cancelled_by,
                    cancelled_at, excluded
             FROM batches " + $where
            $(, $arg)*
        )
    };
}

impl Store {
    /// Makes a batch and its commands in one transaction.
    #[tracing::instrument(name = "db.batch.create", skip_all, fields(commands = new.commands.len()), err(level = "debug"))]
    pub async fn create_batch(&self, new: &NewBatch, now: DateTime<Utc>) -> Result<CreateBatch, StoreError> {
        let mut tx = self.durable.begin().await?;
        let outcome = create_in(&mut tx, new, now).await;
        match outcome {
            Ok(CreateBatch::New(batch, commands)) => {
                tx.commit().await?;
                Ok(CreateBatch::New(batch, commands))
            }
            Ok(other) => Ok(other),
            Err(StoreError::Taken { constraint }) if constraint == "batches_idempotency" => {
                drop(tx);
                let first = new.commands.first().map(|one| one.created_by.as_str()).unwrap_or_default();
                match self.batch_by_key(first, new.idempotency_key).await? {
                    Some(batch) => Ok(CreateBatch::Repeated(batch)),
                    None => Err(StoreError::Taken { constraint }),
                }
            }
            Err(error) => Err(error),
        }
    }

    #[tracing::instrument(name = "db.batch.get", skip_all, err(level = "debug"))]
    pub async fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>, StoreError> {
        Ok(batch_rows!("WHERE id = $1", id.0).fetch_optional(&self.durable).await?.map(BatchRecord::from))
    }

    async fn batch_by_key(
        &self,
        created_by: &str,
        key: Option<Uuid>,
    ) -> Result<Option<BatchRecord>, StoreError> {
        Ok(batch_rows!("WHERE created_by = $1 AND idempotency_key = $2", created_by, key)
            .fetch_optional(&self.durable)
            .await?
            .map(BatchRecord::from))
    }

    /// Newest first, those made before `before`.
    #[tracing::instrument(name = "db.batch.list", skip_all, err(level = "debug"))]
    pub async fn batches(
        &self,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<BatchRecord>, StoreError> {
        let rows = batch_rows!(
            "WHERE $1::timestamptz IS NULL OR created_at < $1 ORDER BY created_at DESC, id DESC LIMIT $2",
            before,
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows.into_iter().map(BatchRecord::from).collect())
    }

    /// How many of a batch's commands are in each state.
    #[tracing::instrument(name = "db.batch.states", skip_all, err(level = "debug"))]
    pub async fn batch_states(&self, id: BatchId) -> Result<StateCounts, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT status AS "status!", count(*) AS "count!" FROM commands WHERE batch_id = $1 GROUP BY 1"#,
            id.0
        )
        .fetch_all(&self.durable)
        .await?;
        let mut counts = StateCounts::default();
        for row in rows {
            match row.status.as_str() {
                "pending" => counts.pending = row.count,
                "delivered" => counts.delivered = row.count,
                "executed" => counts.executed = row.count,
                "failed" => counts.failed = row.count,
                "expired" => counts.expired = row.count,
                "cancelled" => counts.cancelled = row.count,
                _ => {
                    return Err(StoreError::BadRow {
                        table: "commands",
                        column: "status",
                        id: id.to_string(),
                    });
                }
            }
        }
        Ok(counts)
    }

    /// A batch's hosts by command id, those after `after`: what became of each.
    #[tracing::instrument(name = "db.batch.hosts", skip_all, err(level = "debug"))]
    pub async fn batch_hosts(
        &self,
        id: BatchId,
        after: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<BatchHost>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", endpoint_id AS "endpoint_id!", hostname AS "hostname!", status AS "status!"
               FROM commands WHERE batch_id = $1 AND id > $2 ORDER BY id LIMIT $3"#,
            id.0,
            after.map_or(0, |after| after.0),
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        rows.into_iter()
            .map(|row| {
                let bad =
                    || StoreError::BadRow { table: "commands", column: "status", id: row.id.to_string() };
                Ok(BatchHost {
                    command_id: CommandId(row.id),
                    endpoint_id: endpoint_id("commands", row.endpoint_id.clone())?,
                    hostname: row.hostname.clone(),
                    state: row.status.parse().map_err(|_| bad())?,
                })
            })
            .collect()
    }

    /// Cancels what of a batch was not handed out, and asks back what was. One transaction.
    #[tracing::instrument(name = "db.batch.cancel", skip_all, err(level = "debug"))]
    pub async fn cancel_batch(
        &self,
        id: BatchId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<CancelledBatch>, StoreError> {
        let mut tx = self.durable.begin().await?;
        sqlx::query!(
            "WITH ended AS (
               UPDATE batches SET cancelled_by = $2, cancelled_at = $3
               WHERE id = $1 AND cancelled_at IS NULL RETURNING *
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $3, $2, 'batch.cancel', jsonb_build_object('batch', id) FROM ended",
            id.0,
            by,
            now
        )
        .execute(&mut *tx)
        .await?;
        let Some(batch) = batch_rows!("WHERE id = $1", id.0).fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let cancelled = cancel_unsent(&mut *tx, None, Some(id), by, now).await?;
        let requested = ask_back(&mut *tx, None, Some(id), by, now).await?;
        tx.commit().await?;
        Ok(Some(CancelledBatch { batch: batch.into(), cancelled, requested }))
    }

    /// Endpoints whose isolation is the work of this batch and still in force or on its way.
    #[tracing::instrument(name = "db.batch.isolated_by", skip_all, err(level = "debug"))]
    pub async fn isolated_by_batch(&self, id: BatchId) -> Result<Vec<EndpointId>, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT d.endpoint_id FROM commands c
               JOIN desired_isolation d ON d.endpoint_id = c.endpoint_id AND d.command_id = c.id
               WHERE c.batch_id = $1 AND d.direction = 'isolate' AND d.state IN ('pending', 'delivered', 'executed')
               ORDER BY 1"#,
            id.0
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(|id| endpoint_id("desired_isolation", id))
        .collect()
    }

    /// The active endpoints of these names, by name; names without one are missing.
    #[tracing::instrument(name = "db.endpoint.by_hostnames", skip_all, err(level = "debug"))]
    pub async fn endpoints_named(&self, names: &[String]) -> Result<Vec<(String, EndpointId)>, StoreError> {
        sqlx::query!(
            "SELECT hostname, id FROM endpoints WHERE hostname = ANY($1) AND status = 'active'",
            names
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(|row| Ok((row.hostname, endpoint_id("endpoints", row.id)?)))
        .collect()
    }
}

/// Makes a batch in somebody's transaction. Anything but `New` means: roll back.
pub(crate) async fn create_in(
    tx: &mut sqlx::PgTransaction<'_>,
    new: &NewBatch,
    now: DateTime<Utc>,
) -> Result<CreateBatch, StoreError> {
    let Some(first) = new.commands.first() else { return Ok(CreateBatch::NoSuchEndpoints(Vec::new())) };
    let total = i32::try_from(new.commands.len()).unwrap_or(i32::MAX);
    sqlx::query!(
        "WITH made AS (
           INSERT INTO batches
             (id, command, params, reason, created_by, created_at, total, queued, undo_of, schedule_id, idempotency_key,
              excluded)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11) RETURNING *
         )
         INSERT INTO audit_log (at, actor, action, reason, detail)
         SELECT created_at, created_by, 'batch.create', reason, jsonb_build_object('batch', id, 'command', command,
                'endpoints', total, 'undo_of', undo_of, 'schedule', schedule_id, 'excluded', excluded) FROM made",
        new.id.0,
        first.command,
        first.params,
        first.reason,
        first.created_by,
        now,
        total,
        new.undo_of.map(|id| id.0),
        first.schedule_id.map(|id| id.0),
        new.idempotency_key,
        serde_json::to_value(&new.excluded).unwrap_or_default(),
    )
    .execute(&mut **tx)
    .await?;
    // Not locked: a revocation that comes in between cancels what was made, or makes nothing of it.
    let ids: Vec<String> = new.commands.iter().map(|one| one.endpoint_id.as_str().to_owned()).collect();
    let active =
        sqlx::query_scalar!("SELECT id FROM endpoints WHERE id = ANY($1) AND status = 'active'", &ids)
            .fetch_all(&mut **tx)
            .await?;
    if active.len() != new.commands.len() {
        let active: std::collections::HashSet<_> = active.into_iter().collect();
        let missing = new.commands.iter().map(|one| &one.endpoint_id);
        let missing = missing.filter(|id| !active.contains(id.as_str())).cloned().collect();
        return Ok(CreateBatch::NoSuchEndpoints(missing));
    }
    let commands = insert(&mut **tx, &new.commands, now).await?;
    let queued = i32::try_from(commands.len()).unwrap_or(i32::MAX);
    let batch = sqlx::query_as!(
        BatchRow,
        "UPDATE batches SET queued = $2 WHERE id = $1
         RETURNING id, command, reason, created_by, created_at, total, queued, undo_of, schedule_id, cancelled_by,
                   cancelled_at, excluded",
        new.id.0,
        queued
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(CreateBatch::New(batch.into(), commands))
}

struct BatchRow {
    id: Uuid,
    command: String,
    reason: String,
    created_by: String,
    created_at: DateTime<Utc>,
    total: i32,
    queued: i32,
    undo_of: Option<Uuid>,
    schedule_id: Option<Uuid>,
    cancelled_by: Option<String>,
    cancelled_at: Option<DateTime<Utc>>,
    excluded: serde_json::Value,
}

impl From<BatchRow> for BatchRecord {
    fn from(row: BatchRow) -> Self {
        Self {
            id: BatchId(row.id),
            command: row.command,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            total: row.total,
            queued: row.queued,
            undo_of: row.undo_of.map(BatchId),
            schedule_id: row.schedule_id.map(ScheduleId),
            cancelled_by: row.cancelled_by,
            cancelled_at: row.cancelled_at,
            // Written by another version, perhaps.
            excluded: serde_json::from_value(row.excluded).unwrap_or_default(),
        }
    }
}
