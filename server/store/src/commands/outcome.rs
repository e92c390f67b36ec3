//! What agents say of their commands: received, begun, answered. Many at a time, as one commit.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgExecutor, types::Json};
use voltaxe_protocol::{CANCELLED, CommandId, CommandState};

use super::{CommandRow, NewReceipt, NewResult, NewStart, RecordedResult, command_rows, records};
use crate::{
    Store, StoreError,
    endpoints::facts_of,
    isolation::{CHANGE, settle_change},
    model::CommandRecord,
};

impl Store {
    /// The agents have them on disk. Answers with those that were waiting for this receipt.
    #[tracing::instrument(name = "db.command.receipts", skip_all, fields(commands = receipts.len()), err(level = "debug"))]
    pub async fn record_receipts(&self, receipts: &[NewReceipt]) -> Result<Vec<CommandRecord>, StoreError> {
        let ids: Vec<i64> = receipts.iter().map(|one| one.id.0).collect();
        let endpoints: Vec<String> = receipts.iter().map(|one| one.endpoint_id.as_str().to_owned()).collect();
        let channels: Vec<String> = receipts.iter().map(|one| one.channel.as_str().to_owned()).collect();
        let times: Vec<DateTime<Utc>> = receipts.iter().map(|one| one.at).collect();
        let rows = command_rows!(
            "WITH input AS MATERIALIZED (
               SELECT DISTINCT ON (id, endpoint_id) *
               FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) AS i(id, endpoint_id, channel, at)
               ORDER BY id, endpoint_id
             ), received AS (
               UPDATE pending_commands p
               SET status = 'delivered', delivered_at = i.at, channel = i.channel, attempt = greatest(p.attempt, 1)
               FROM input i
               WHERE p.id = i.id AND p.endpoint_id = i.endpoint_id AND p.status = 'pending'
               RETURNING p.*
             ), desired AS (
               UPDATE desired_isolation d SET state = 'delivered' FROM received r
               WHERE d.endpoint_id = r.endpoint_id AND d.command_id = r.id AND d.state = 'pending'
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM received) AS r",
            &ids,
            &endpoints,
            &channels,
            &times,
        )
        .fetch_all(&self.relaxed)
        .await?;
        records(rows)
    }

    /// The agents have begun. Answers with those that had not been noted as begun.
    #[tracing::instrument(name = "db.command.starts", skip_all, fields(commands = starts.len()), err(level = "debug"))]
    pub async fn record_starts(&self, starts: &[NewStart]) -> Result<Vec<CommandRecord>, StoreError> {
        let ids: Vec<i64> = starts.iter().map(|one| one.id.0).collect();
        let endpoints: Vec<String> = starts.iter().map(|one| one.endpoint_id.as_str().to_owned()).collect();
        let times: Vec<DateTime<Utc>> = starts.iter().map(|one| one.at).collect();
        let rows = command_rows!(
            "WITH input AS MATERIALIZED (
               SELECT DISTINCT ON (id, endpoint_id) *
               FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS i(id, endpoint_id, at)
               ORDER BY id, endpoint_id
             ), started AS (
               UPDATE pending_commands p SET started_at = i.at
               FROM input i
               WHERE p.id = i.id AND p.endpoint_id = i.endpoint_id AND p.started_at IS NULL
               RETURNING p.*
             )",
            "FROM (SELECT *, NULL::text AS cancelled_by, NULL::timestamptz AS finished_at FROM started) AS s",
            &ids,
            &endpoints,
            &times,
        )
        .fetch_all(&self.relaxed)
        .await?;
        records(rows)
    }

    /// Moves the commands to the history with their results, and notes the isolation that the agents read back with them.
    /// The first result of a command stands. Answers in the order of `results`.
    #[tracing::instrument(name = "db.command.results", skip_all, fields(commands = results.len()), err(level = "debug"))]
    pub async fn record_results(&self, results: &[NewResult]) -> Result<Vec<RecordedResult>, StoreError> {
        let mut outcomes: Vec<Option<RecordedResult>> = vec![None; results.len()];
        for record in file(&self.durable, results, Only::Others).await? {
            let is_its =
                |one: &NewResult| one.result.command_id == record.id && one.endpoint_id == record.endpoint_id;
            if let Some(place) = results.iter().position(is_its) {
                outcomes[place] = Some(RecordedResult::Recorded(record));
            }
        }
        let mut answers = Vec::with_capacity(results.len());
        for (one, outcome) in results.iter().zip(outcomes) {
            answers.push(match outcome {
                Some(outcome) => outcome,
                None => self.record_contested(one).await?,
            });
        }
        Ok(answers)
    }

    /// For a result whose command was not waiting for it. Only a command seen to be final counts as answered before.
    async fn record_contested(&self, one: &NewResult) -> Result<RecordedResult, StoreError> {
        for _ in 0..3 {
            match self.command(one.result.command_id).await? {
                Some(record) if record.endpoint_id != one.endpoint_id => break,
                Some(record) if record.status.is_final() => return Ok(RecordedResult::AlreadyFinal(record)),
                Some(record) => {
                    let filed = if record.command == CHANGE {
                        self.file_change(one).await?
                    } else {
                        file(&self.durable, std::slice::from_ref(one), Only::Others).await?.pop()
                    };
                    if let Some(record) = filed {
                        return Ok(RecordedResult::Recorded(record));
                    }
                }
                None => break,
            }
        }
        Ok(RecordedResult::Unknown)
    }

    /// With what it makes of the isolation's record. Each by itself: of two for one host, the second sees what the first left.
    async fn file_change(&self, result: &NewResult) -> Result<Option<CommandRecord>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let filed = file(&mut *tx, std::slice::from_ref(result), Only::Changes).await?.pop();
        if let Some(record) = &filed {
            settle_change(&mut tx, record).await?;
        }
        tx.commit().await?;
        Ok(filed)
    }

    /// A result that contradicts the one that stands is kept beside it, in the audit log.
    #[tracing::instrument(name = "db.command.late_result", skip_all, err(level = "debug"))]
    pub async fn record_late_result(
        &self,
        late: &NewResult,
        stands: &CommandRecord,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason, detail)
             VALUES ($1, 'agent', 'command.late_result', $2, $3, $4, $5, $6)",
            late.at,
            stands.endpoint_id.as_str(),
            stands.hostname,
            stands.id.0,
            late.result.message,
            Json(json!({ "success": late.result.success, "stands": stands.status.as_str() })) as _,
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }
}

/// Which commands' results to file: a change of an isolation's terms takes a transaction, the others one statement.
#[derive(Clone, Copy, Debug)]
enum Only {
    Changes,
    Others,
}

/// `desired` is counted where schedules are changed: its rows are locked before theirs, as everywhere.
async fn file(
    executor: impl PgExecutor<'_>,
    results: &[NewResult],
    only: Only,
) -> Result<Vec<CommandRecord>, StoreError> {
    let columns = Columns::of(results);
    let rows = command_rows!(
        "WITH input AS MATERIALIZED (
           SELECT DISTINCT ON (id, endpoint_id) *
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::timestamptz[],
                       $7::text[], $8::timestamptz[], $9::jsonb[], $10::boolean[]) WITH ORDINALITY
             AS i(id, endpoint_id, status, result, message, at, channel, started_at, observed, taken_back, nth)
           ORDER BY id, endpoint_id, nth
         ), gone AS (
           DELETE FROM pending_commands p USING input i
           WHERE p.id = i.id AND p.endpoint_id = i.endpoint_id AND (p.command = 'isolation_change') = $11
           RETURNING p.*
         ), ended AS MATERIALIZED (
           SELECT g.*, i.at, i.message, i.result AS answer, i.channel AS by_channel, i.started_at AS begun_at,
                  i.observed, i.taken_back AND g.cancel_requested_at IS NOT NULL AS is_cancelled,
                  CASE WHEN i.taken_back AND g.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE i.status END
                    AS end_status
           FROM gone g JOIN input i ON i.id = g.id ORDER BY g.endpoint_id
         ), filed AS (
           INSERT INTO command_history
             (id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by,
              priority, endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id,
              idempotency_key, finished_at, cancelled_by, cancel_requested_by, cancel_requested_at, schedule_id)
           SELECT id, hostname, command, params, end_status, created_at, coalesce(delivered_at, at),
                  CASE WHEN NOT is_cancelled THEN at END, answer, created_by,
                  priority, endpoint_id, epoch, reason, not_before, expires_at, greatest(attempt, 1),
                  coalesce(channel, by_channel),
                  CASE WHEN NOT is_cancelled THEN coalesce(started_at, begun_at, delivered_at, at) END, batch_id,
                  idempotency_key, at, CASE WHEN is_cancelled THEN cancel_requested_by END, cancel_requested_by,
                  cancel_requested_at, schedule_id
           FROM ended
           RETURNING *
         ), desired AS (
           UPDATE desired_isolation d SET state = e.end_status, message = e.message,
             earlier_end = CASE WHEN d.earlier_terms IS NOT NULL AND e.end_status = 'executed'
               THEN e.at + make_interval(secs => (e.params ->> 'auto_restore_after_seconds')::integer)
               ELSE d.earlier_end END
           FROM ended e WHERE d.endpoint_id = e.endpoint_id AND d.command_id = e.id
           RETURNING 1
         ), observed AS (
           INSERT INTO telemetry_latest AS t
             (endpoint_id, observed_at, received_at, isolation_state, isolation_generation, isolation_detail,
              isolation_observed_at, isolation_received_at, isolation_facts)
           SELECT DISTINCT ON (endpoint_id) endpoint_id, (observed->>'observed_at')::timestamptz, at,
                  observed->>'state', (observed->>'generation')::bigint, observed->>'detail',
                  (observed->>'observed_at')::timestamptz, at, nullif(observed->'facts', 'null')
           FROM ended WHERE observed IS NOT NULL ORDER BY endpoint_id, at DESC
           ON CONFLICT (endpoint_id) DO UPDATE SET
             isolation_state = excluded.isolation_state, isolation_generation = excluded.isolation_generation,
             isolation_detail = excluded.isolation_detail, isolation_facts = excluded.isolation_facts,
             isolation_observed_at = excluded.isolation_observed_at,
             isolation_received_at = excluded.isolation_received_at
           WHERE t.isolation_observed_at <= excluded.isolation_observed_at
              OR t.isolation_received_at < excluded.isolation_received_at - interval '10 seconds'
         ), rollback AS (
           UPDATE schedules s SET
             next_run_at = CASE WHEN e.end_status = 'executed'
               THEN e.at + make_interval(secs => s.rollback_after_seconds) END,
             state = CASE WHEN e.end_status = 'executed' THEN 'waiting' ELSE 'cancelled' END,
             ended_by = CASE WHEN e.end_status <> 'executed' THEN 'server' END,
             ended_at = CASE WHEN e.end_status <> 'executed' THEN e.at END,
             note = CASE WHEN e.end_status <> 'executed' THEN 'the isolation did not take effect' END
           FROM ended e WHERE s.rollback_of = e.id AND s.state = 'waiting' AND e.command = 'network_isolate'
             AND (SELECT count(*) FROM desired) >= 0
         ), released AS (
           UPDATE schedules s SET state = 'cancelled', next_run_at = NULL, ended_by = 'server', ended_at = e.at,
             note = 'the host was released by command ' || e.id
           FROM ended e
           WHERE s.endpoint_ids[1] = e.endpoint_id AND s.kind = 'rollback' AND s.state = 'waiting'
             AND s.rollback_of < e.id AND e.command = 'network_restore' AND e.end_status = 'executed'
             AND (SELECT count(*) FROM desired) >= 0
         ), audited AS (
           INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason)
           SELECT at, 'agent', 'command.' || end_status, endpoint_id, hostname, id, message FROM ended
         )",
        "FROM filed",
        &columns.ids,
        &columns.endpoints,
        &columns.states,
        &columns.results,
        &columns.messages,
        &columns.times,
        &columns.channels,
        &columns.started as &[Option<DateTime<Utc>>],
        &columns.observed as &[Option<Value>],
        &columns.taken_back,
        matches!(only, Only::Changes),
    )
    .fetch_all(executor)
    .await?;
    records(rows)
}

/// One array a column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<i64>,
    endpoints: Vec<String>,
    states: Vec<String>,
    results: Vec<Value>,
    messages: Vec<String>,
    times: Vec<DateTime<Utc>>,
    channels: Vec<String>,
    started: Vec<Option<DateTime<Utc>>>,
    observed: Vec<Option<Value>>,
    taken_back: Vec<bool>,
}

impl Columns {
    fn of(results: &[NewResult]) -> Self {
        let mut columns = Self::default();
        for one in results {
            let result = &one.result;
            let CommandId(id) = result.command_id;
            let state = if result.success { CommandState::Executed } else { CommandState::Failed };
            columns.ids.push(id);
            columns.endpoints.push(one.endpoint_id.as_str().to_owned());
            columns.states.push(state.as_str().to_owned());
            columns
                .results
                .push(json!({ "success": result.success, "message": result.message, "data": result.data }));
            columns.messages.push(result.message.clone());
            columns.times.push(one.at);
            columns.channels.push(one.channel.as_str().to_owned());
            columns.started.push(one.started_at);
            columns.observed.push(one.observed.as_ref().map(|observed| {
                json!({
                    "state": observed.state.as_str(),
                    "generation": observed.generation,
                    "detail": observed.detail,
                    "observed_at": observed.observed_at,
                    "facts": facts_of(observed),
                })
            }));
            columns.taken_back.push(!result.success && result.refused() == Some(CANCELLED));
        }
        columns
    }
}
