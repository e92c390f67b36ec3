//! Commands that are made later. When a schedule is due is decided by its row's lock: two servers make its commands once.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, EndpointId};

use crate::{
    Store, StoreError,
    batches::{CreateBatch, NewBatch, create_in},
    commands::{NewCommand, endpoint_id, insert},
    isolation::{Held, begin_change},
    model::{BatchId, CommandRecord, IsolationTerms, ScheduleId, ScheduleKind, ScheduleRecord},
};

/// A schedule of kind `once` or `cron`; rollbacks are made together with their isolation.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    pub id: ScheduleId,
    pub kind: ScheduleKind,
    pub command: &'static str,
    pub params: serde_json::Value,
    pub reason: String,
    pub endpoint_ids: Vec<EndpointId>,
    pub created_by: String,
    pub next_run_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub lifetime_seconds: i32,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub idempotency_key: Option<Uuid>,
}

/// What a run of a schedule leads to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The commands to make; none when there is nothing to do, `note` says why.
    pub batch: Option<NewBatch>,
    pub note: Option<String>,
    /// `None`: this was the last run.
    pub next_run_at: Option<DateTime<Utc>>,
}

const SUPERSEDED: &str = "another order was given to the host since";

macro_rules! schedule_rows {
    ($with:literal, $from:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            ScheduleRow,
            $with
                + " SELECT id, kind, state, command, params, reason, endpoint_ids, created_by, created_at, next_run_at,
                           ends_at, lifetime_seconds, cron, time_zone, rollback_of, rollback_after_seconds, runs,
                           last_run_at, last_batch_id, note, ended_by, ended_at "
                + $from
            $(, $arg)*
        )
    };
}

impl Store {
    /// On disk when it returns; a repeated key answers with the schedule that it made.
    #[tracing::instrument(name = "db.schedule.create", skip_all, err(level = "debug"))]
    pub async fn create_schedule(
        &self,
        new: &NewSchedule,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StoreError> {
        let endpoints: Vec<String> = new.endpoint_ids.iter().map(|id| id.as_str().to_owned()).collect();
        sqlx::query!(
            "WITH made AS (
               INSERT INTO schedules
                 (id, kind, state, command, params, reason, endpoint_ids, created_by, created_at, next_run_at, ends_at,
                  lifetime_seconds, cron, time_zone, idempotency_key)
               VALUES ($1, $2, 'waiting', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
               ON CONFLICT (created_by, idempotency_key) DO NOTHING RETURNING *
             )
             INSERT INTO audit_log (at, actor, action, reason, detail)
             SELECT $8, $7, 'schedule.create', $5, jsonb_build_object('schedule', id, 'command', command,
                    'endpoints', cardinality(endpoint_ids), 'next_run_at', next_run_at, 'cron', cron) FROM made",
            new.id.0,
            new.kind.as_str(),
            new.command,
            new.params,
            new.reason,
            &endpoints,
            new.created_by,
            now,
            new.next_run_at,
            new.ends_at,
            new.lifetime_seconds,
            new.cron,
            new.time_zone,
            new.idempotency_key,
        )
        .execute(&self.durable)
        .await?;
        schedule_rows!(
            "",
            "FROM schedules WHERE id = $1 OR (created_by = $2 AND idempotency_key = $3)",
            new.id.0,
            new.created_by,
            new.idempotency_key
        )
        .fetch_one(&self.durable)
        .await?
        .try_into()
    }

    #[tracing::instrument(name = "db.schedule.get", skip_all, err(level = "debug"))]
    pub async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        schedule_rows!("", "FROM schedules WHERE id = $1", id.0)
            .fetch_optional(&self.durable)
            .await?
            .map(ScheduleRecord::try_from)
            .transpose()
    }

    /// Newest first, those made before `before`; with `waiting` only those that have not ended.
    #[tracing::instrument(name = "db.schedule.list", skip_all, err(level = "debug"))]
    pub async fn schedules(
        &self,
        waiting: bool,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<ScheduleRecord>, StoreError> {
        schedule_rows!(
            "",
            "FROM schedules WHERE (NOT $1 OR state = 'waiting') AND ($2::timestamptz IS NULL OR created_at < $2)
             ORDER BY created_at DESC, id DESC LIMIT $3",
            waiting,
            before,
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(ScheduleRecord::try_from)
        .collect()
    }

    /// Rollbacks of this endpoint that have not ended.
    #[tracing::instrument(name = "db.schedule.rollbacks_of", skip_all, err(level = "debug"))]
    pub async fn rollbacks_of(&self, endpoint: &EndpointId) -> Result<Vec<ScheduleRecord>, StoreError> {
        schedule_rows!(
            "",
            "FROM schedules WHERE endpoint_ids[1] = $1 AND kind = 'rollback' AND state = 'waiting'
             ORDER BY rollback_of DESC",
            endpoint.as_str()
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(ScheduleRecord::try_from)
        .collect()
    }

    /// Ends a schedule that waits, and gives the command that `change` makes of it and of the terms of the isolation that it
    /// would have ended: a host's kernel may count the time, too. `None` when it does not wait (any more). One transaction.
    #[tracing::instrument(name = "db.schedule.cancel", skip_all, err(level = "debug"))]
    pub async fn cancel_schedule(
        &self,
        id: ScheduleId,
        by: &str,
        change: impl FnOnce(&ScheduleRecord, IsolationTerms) -> Option<NewCommand>,
        now: DateTime<Utc>,
    ) -> Result<Option<(ScheduleRecord, Vec<CommandRecord>)>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let held = Held::lock_behind(&mut tx, id).await?;
        let ended = schedule_rows!(
            "WITH ended AS (
               UPDATE schedules SET state = 'cancelled', next_run_at = NULL, ended_by = $2, ended_at = $3
               WHERE id = $1 AND state = 'waiting' RETURNING *
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, command_id, reason, detail)
               SELECT $3, $2, 'schedule.cancel', CASE WHEN cardinality(endpoint_ids) = 1 THEN endpoint_ids[1] END,
                      rollback_of, reason, jsonb_build_object('schedule', id) FROM ended
             )",
            "FROM ended",
            id.0,
            by,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(ended) = ended else { return Ok(None) };
        let record = ScheduleRecord::try_from(ended)?;
        let made = make_change(&mut tx, held, |terms| change(&record, terms), now).await?;
        tx.commit().await?;
        Ok(Some((record, made)))
    }

    /// Moves a waiting rollback on by so many seconds; `change` as for [`Store::cancel_schedule`]. `None` when it does not wait
    /// (any more). One transaction.
    #[tracing::instrument(name = "db.schedule.extend", skip_all, err(level = "debug"))]
    pub async fn extend_rollback(
        &self,
        id: ScheduleId,
        seconds: i32,
        by: &str,
        change: impl FnOnce(&ScheduleRecord, IsolationTerms) -> Option<NewCommand>,
        now: DateTime<Utc>,
    ) -> Result<Option<(ScheduleRecord, Vec<CommandRecord>)>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let held = Held::lock_behind(&mut tx, id).await?;
        let moved = schedule_rows!(
            "WITH moved AS (
               UPDATE schedules SET rollback_after_seconds = rollback_after_seconds + $2,
                 next_run_at = next_run_at + make_interval(secs => $2),
                 ends_at = ends_at + make_interval(secs => $2)
               WHERE id = $1 AND state = 'waiting' AND kind = 'rollback' RETURNING *
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, command_id, detail)
               SELECT $4, $3, 'schedule.extend', endpoint_ids[1], rollback_of,
                      jsonb_build_object('schedule', id, 'seconds', $2, 'next_run_at', next_run_at)
               FROM moved
             )",
            "FROM moved",
            id.0,
            seconds,
            by,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(moved) = moved else { return Ok(None) };
        let record = ScheduleRecord::try_from(moved)?;
        let made = make_change(&mut tx, held, |terms| change(&record, terms), now).await?;
        tx.commit().await?;
        Ok(Some((record, made)))
    }

    /// Schedules whose time has come, oldest first, at most 100; and those that can have no run any more.
    #[tracing::instrument(name = "db.schedule.due", skip_all, err(level = "debug"))]
    pub async fn due_schedules(&self, now: DateTime<Utc>) -> Result<Vec<ScheduleRecord>, StoreError> {
        schedule_rows!(
            "",
            "FROM schedules WHERE state = 'waiting' AND (next_run_at <= $1 OR ends_at <= $1)
             ORDER BY next_run_at LIMIT 100",
            now
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(ScheduleRecord::try_from)
        .collect()
    }

    /// Makes the commands of a run and moves the schedule on, in one transaction. A rollback makes none when another order was
    /// given to the host since. `None`: another server did it, or it was
    /// cancelled or moved meanwhile.
    #[tracing::instrument(name = "db.schedule.run", skip_all, err(level = "debug"))]
    pub async fn run_schedule(
        &self,
        schedule: &ScheduleRecord,
        run: &Run,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<CommandRecord>>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let is_superseded = schedule.kind == ScheduleKind::Rollback
            && Held::lock_behind(&mut tx, schedule.id).await?.is_none();
        let mine = sqlx::query_scalar!(
            "SELECT id FROM schedules
             WHERE id = $1 AND state = 'waiting' AND runs = $2 AND next_run_at IS NOT DISTINCT FROM $3 FOR UPDATE SKIP LOCKED",
            schedule.id.0,
            schedule.runs,
            schedule.next_run_at
        )
        .fetch_optional(&mut *tx)
        .await?;
        if mine.is_none() {
            return Ok(None);
        }
        let mut made = Vec::new();
        let mut batch_id: Option<BatchId> = None;
        if let Some(batch) = run.batch.as_ref().filter(|_| !is_superseded)
            && let CreateBatch::New(record, commands) = create_in(&mut tx, batch, now).await?
        {
            batch_id = Some(record.id);
            made = commands;
        }
        sqlx::query!(
            "UPDATE schedules SET runs = runs + 1, last_run_at = $2::timestamptz, last_batch_id = coalesce($3, last_batch_id),
               note = $4, next_run_at = $5, state = CASE WHEN $5::timestamptz IS NULL THEN 'done' ELSE 'waiting' END,
               ended_by = CASE WHEN $5::timestamptz IS NULL THEN 'server' END,
               ended_at = CASE WHEN $5::timestamptz IS NULL THEN $2::timestamptz END
             WHERE id = $1",
            schedule.id.0,
            now,
            batch_id.map(|id| id.0),
            if is_superseded { Some(SUPERSEDED) } else { run.note.as_deref() },
            run.next_run_at,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(made))
    }

    /// Which of these may take commands now.
    #[tracing::instrument(name = "db.endpoint.active_of", skip_all, err(level = "debug"))]
    pub async fn active_of(&self, ids: &[EndpointId]) -> Result<Vec<EndpointId>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        sqlx::query_scalar!(
            "SELECT id FROM endpoints WHERE id = ANY($1) AND status = 'active' ORDER BY 1",
            &ids
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(|id| endpoint_id("endpoints", id))
        .collect()
    }
}

async fn make_change(
    tx: &mut sqlx::PgTransaction<'_>,
    held: Option<Held>,
    change: impl FnOnce(IsolationTerms) -> Option<NewCommand>,
    now: DateTime<Utc>,
) -> Result<Vec<CommandRecord>, StoreError> {
    let Some(held) = held else { return Ok(Vec::new()) };
    let Some(change) = change(held.terms()) else { return Ok(Vec::new()) };
    let made = insert(&mut **tx, &[change], now).await?;
    for record in &made {
        begin_change(tx, &held, record).await?;
    }
    Ok(made)
}

struct ScheduleRow {
    id: Uuid,
    kind: String,
    state: String,
    command: String,
    params: serde_json::Value,
    reason: String,
    endpoint_ids: Vec<String>,
    created_by: String,
    created_at: DateTime<Utc>,
    next_run_at: Option<DateTime<Utc>>,
    ends_at: DateTime<Utc>,
    lifetime_seconds: i32,
    cron: Option<String>,
    time_zone: Option<String>,
    rollback_of: Option<i64>,
    rollback_after_seconds: Option<i32>,
    runs: i32,
    last_run_at: Option<DateTime<Utc>>,
    last_batch_id: Option<Uuid>,
    note: Option<String>,
    ended_by: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<ScheduleRow> for ScheduleRecord {
    type Error = StoreError;

    fn try_from(row: ScheduleRow) -> Result<Self, StoreError> {
        let bad = |column| StoreError::BadRow { table: "schedules", column, id: row.id.to_string() };
        Ok(Self {
            id: ScheduleId(row.id),
            kind: row.kind.parse().map_err(|()| bad("kind"))?,
            state: row.state.parse().map_err(|()| bad("state"))?,
            endpoint_ids: row
                .endpoint_ids
                .into_iter()
                .map(|id| endpoint_id("schedules", id))
                .collect::<Result<_, _>>()?,
            command: row.command,
            params: row.params,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            next_run_at: row.next_run_at,
            ends_at: row.ends_at,
            lifetime_seconds: row.lifetime_seconds,
            cron: row.cron,
            time_zone: row.time_zone,
            rollback_of: row.rollback_of.map(CommandId),
            rollback_after_seconds: row.rollback_after_seconds,
            runs: row.runs,
            last_run_at: row.last_run_at,
            last_batch_id: row.last_batch_id.map(BatchId),
            note: row.note,
            ended_by: row.ended_by,
            ended_at: row.ended_at,
        })
    }
}
