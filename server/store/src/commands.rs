//! The queue and its history.

mod ending;
mod enqueue;
mod handout;
mod outcome;
mod search;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{CommandId, CommandResult, EndpointId, Epoch, IsolationObservation};

use crate::{
    Store, StoreError,
    model::{BatchId, Channel, CommandRecord, IsolationDirection, ScheduleId},
};

/// A command to be queued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommand {
    pub endpoint_id: EndpointId,
    /// For isolate and restore: what the console then wants of the host.
    pub direction: Option<IsolationDirection>,
    pub command: &'static str,
    pub params: serde_json::Value,
    pub priority: i16,
    pub created_by: String,
    pub reason: String,
    pub expires_at: DateTime<Utc>,
    /// Set when it will be pushed at once: it counts as handed out from its first moment on disk.
    pub leased_until: Option<DateTime<Utc>>,
    /// The browser's key of the click.
    pub idempotency_key: Option<Uuid>,
    pub batch_id: Option<BatchId>,
    pub schedule_id: Option<ScheduleId>,
    /// For an isolate: take it back so many seconds after it has taken effect.
    pub rollback_after_seconds: Option<i32>,
}

/// What came of one command of [`Store::enqueue`].
#[derive(Clone, Debug, PartialEq)]
pub enum Enqueue {
    /// On disk.
    New(CommandRecord),
    /// This key made this command before.
    Repeated(CommandRecord),
    /// The host is on its way there or is there already, by this command.
    AlreadyWanted(CommandRecord),
    /// The key was used for another command.
    KeyReused,
    /// No active endpoint has this id.
    NoSuchEndpoint,
}

/// A receipt, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReceipt {
    pub endpoint_id: EndpointId,
    pub id: CommandId,
    pub channel: Channel,
    pub at: DateTime<Utc>,
}

/// The agent has begun with a command.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStart {
    pub endpoint_id: EndpointId,
    pub id: CommandId,
    pub at: DateTime<Utc>,
}

/// A result, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct NewResult {
    pub endpoint_id: EndpointId,
    pub result: CommandResult,
    /// The isolation that the agent read back with it.
    pub observed: Option<IsolationObservation>,
    pub channel: Channel,
    /// When the agent said that it began, if that is not in the database yet.
    pub started_at: Option<DateTime<Utc>>,
    pub at: DateTime<Utc>,
}

/// What came of [`Store::cancel`].
#[derive(Clone, Debug, PartialEq)]
pub enum Cancel {
    /// It was never handed out: nobody can have it, and it is final.
    Cancelled(CommandRecord),
    /// It was handed out: the host is asked, and answers by a result.
    Requested(CommandRecord),
    /// It is final already.
    AlreadyFinal(CommandRecord),
    Unknown,
}

/// What came of one of [`Store::record_results`].
#[derive(Clone, Debug, PartialEq)]
pub enum RecordedResult {
    /// On disk; the command is final.
    Recorded(CommandRecord),
    /// It was final before; the first result stands.
    AlreadyFinal(CommandRecord),
    /// No such command of this endpoint.
    Unknown,
}

/// Selects whole command rows: the part before SELECT, the part from FROM on, and the arguments. With `lines:` for lists,
/// where a result's `data`, which can be 64 KiB, is left out.
macro_rules! command_rows {
    (lines: $from:literal $(, $arg:expr)* $(,)?) => {
        command_rows!(@ "", r#"result - 'data' AS "result?""#, ($from) $(, $arg)*)
    };
    (lines: ($($from:literal),+) $(, $arg:expr)* $(,)?) => {
        command_rows!(@ "", r#"result - 'data' AS "result?""#, ($($from),+) $(, $arg)*)
    };
    ($with:literal, $from:literal $(, $arg:expr)* $(,)?) => {
        command_rows!(@ $with, r#"result AS "result?""#, ($from) $(, $arg)*)
    };
    (@ $with:literal, $result:literal, ($($from:literal),+) $(, $arg:expr)*) => {
        sqlx::query_as!(
            CommandRow,
            $with
                + r#" SELECT id AS "id!", endpoint_id AS "endpoint_id!", hostname AS "hostname!",
                        command AS "command!", params AS "params!", status AS "status!",
                        created_at AS "created_at!", delivered_at AS "delivered_at?", started_at AS "started_at?",
                        executed_at AS "executed_at?", finished_at AS "finished_at?", "#
                + $result
                + r#",
                        created_by AS "created_by!", reason AS "reason!", priority AS "priority!",
                        attempt AS "attempt!", channel AS "channel?", not_before AS "not_before?",
                        expires_at AS "expires_at!", epoch AS "epoch!", cancelled_by AS "cancelled_by?",
                        cancel_requested_by AS "cancel_requested_by?", cancel_requested_at AS "cancel_requested_at?",
                        batch_id AS "batch_id?", schedule_id AS "schedule_id?" "#
                $(+ $from)+
            $(, $arg)*
        )
    };
}

use command_rows;
pub(crate) use ending::{ask_back, cancel_unsent};
pub(crate) use enqueue::insert;
pub use handout::Lease;
pub use search::{By, CommandFilter, CommandOutcome};

impl Store {
    /// Queued or final.
    #[tracing::instrument(name = "db.command.get", skip_all, err(level = "debug"))]
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError> {
        command_rows!("", "FROM commands WHERE id = $1", id.0)
            .fetch_optional(&self.reading)
            .await?
            .map(CommandRecord::try_from)
            .transpose()
    }

    /// Newest first, those older than `before`, without their results' `data`.
    #[tracing::instrument(name = "db.command.list_of_endpoint", skip_all, err(level = "debug"))]
    pub async fn commands_of(
        &self,
        endpoint: &EndpointId,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let rows = command_rows!(
            lines: "FROM commands WHERE endpoint_id = $1 AND id < $2 ORDER BY 1 DESC LIMIT $3",
            endpoint.as_str(),
            before.map_or(i64::MAX, |id| id.0),
            limit
        )
        .fetch_all(&self.reading)
        .await?;
        records(rows)
    }

    /// Of all endpoints, newest first, those older than `before`, without their results' `data`.
    #[tracing::instrument(name = "db.command.list", skip_all, err(level = "debug"))]
    pub async fn commands(
        &self,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let rows = command_rows!(
            lines: "FROM commands WHERE id < $1 ORDER BY 1 DESC LIMIT $2",
            before.map_or(i64::MAX, |id| id.0),
            limit
        )
        .fetch_all(&self.reading)
        .await?;
        records(rows)
    }

    /// The commands of a batch by id, those greater than `after`, without their results' `data`.
    #[tracing::instrument(name = "db.command.list_of_batch", skip_all, err(level = "debug"))]
    pub async fn commands_of_batch(
        &self,
        batch: BatchId,
        after: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let rows = command_rows!(
            lines: "FROM commands WHERE batch_id = $1 AND id > $2 ORDER BY 1 LIMIT $3",
            batch.0,
            after.map_or(0, |id| id.0),
            limit
        )
        .fetch_all(&self.reading)
        .await?;
        records(rows)
    }
}

fn records(rows: Vec<CommandRow>) -> Result<Vec<CommandRecord>, StoreError> {
    rows.into_iter().map(CommandRecord::try_from).collect()
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
    cancel_requested_by: Option<String>,
    cancel_requested_at: Option<DateTime<Utc>>,
    batch_id: Option<Uuid>,
    schedule_id: Option<Uuid>,
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
            cancel_requested_by: row.cancel_requested_by,
            cancel_requested_at: row.cancel_requested_at,
            batch_id: row.batch_id.map(BatchId),
            schedule_id: row.schedule_id.map(ScheduleId),
        })
    }
}
