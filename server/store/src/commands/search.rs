//! Commands by what is asked for. The history is long: every statement looks at a range of ids, by the index that leaves
//! least of it.

use std::ops::Range;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, CommandState};

use super::{CommandRow, command_rows, records};
use crate::{
    Store, StoreError,
    model::{BatchId, CommandRecord},
};

/// What a command must be; what is not set is not asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CommandFilter {
    pub state: Option<CommandState>,
    pub kind: Option<String>,
    /// Who gave it.
    pub operator: Option<String>,
    /// Part of its host's name.
    pub host: Option<String>,
    pub batch: Option<BatchId>,
    /// Given at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Given before this.
    pub to: Option<DateTime<Utc>>,
}

/// By which index it is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    Batch(BatchId),
    /// Ids of endpoints.
    Endpoints(Vec<String>),
    /// Not `executed`, which most of the history is.
    State(CommandState),
    Operator(String),
    Kind(String),
    Id,
}

/// What became of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandOutcome {
    pub id: CommandId,
    pub command: String,
    pub status: CommandState,
    /// The agent's words.
    pub message: Option<String>,
}

/// A statement of [`Store::find_commands`]: what stands before and after the rest of the filter, and what the index is asked
/// for as $11. Partitions of the history that ended before $10 are not opened. Those for an operator and for a kind are planned
/// anew each time: a plan that is for any of them reads by the ids alone (measured on a million rows, 850 ms instead of 1 for
/// one who gave no command).
macro_rules! found {
    ($filter:ident, $since:ident, $ids:ident, $limit:ident, $start:literal, $end:literal $(, $value:expr)?) => {
        command_rows!(
            lines: (
                $start,
                " AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR command = $5) \
                 AND ($6::text IS NULL OR created_by = $6) AND ($7::text IS NULL OR position($7 in lower(hostname)) > 0) \
                 AND ($8::timestamptz IS NULL OR created_at >= $8) AND ($9::timestamptz IS NULL OR created_at < $9) \
                 AND (finished_at IS NULL OR finished_at >= $10) ",
                $end
            ),
            $ids.end,
            $ids.start,
            $limit,
            $filter.state.map(|state| state.to_string()),
            $filter.kind,
            $filter.operator,
            $filter.host,
            $filter.from,
            $filter.to,
            $since
            $(, $value)?
        )
    };
}

impl Store {
    /// Of the commands with these ids that are queued or ended at `ended_since` or later, the newest first, at most `limit`;
    /// without their results' `data`.
    #[tracing::instrument(name = "db.command.find", skip_all, err(level = "debug"))]
    pub async fn find_commands(
        &self,
        by: &By,
        filter: &CommandFilter,
        ended_since: DateTime<Utc>,
        ids: Range<i64>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let db = &self.reading;
        let rows = match by {
            By::Batch(batch) => {
                let found = found!(
                    filter,
                    ended_since,
                    ids,
                    limit,
                    "FROM commands WHERE batch_id = $11 AND id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3",
                    batch.0
                );
                found.fetch_all(db).await?
            }
            By::Endpoints(endpoints) => {
                let found = found!(
                    filter, ended_since, ids, limit,
                    "FROM commands WHERE id IN (SELECT c.id FROM unnest($11::text[]) AS e(host) CROSS JOIN LATERAL (
                       SELECT id FROM commands WHERE endpoint_id = e.host AND id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3) c ORDER BY 1 DESC LIMIT $3)
                       AND (finished_at IS NULL OR finished_at >= $10) ORDER BY 1 DESC",
                    endpoints
                );
                found.fetch_all(db).await?
            }
            By::State(state) => {
                let found = found!(
                    filter,
                    ended_since,
                    ids,
                    limit,
                    "FROM commands WHERE status = $11 AND status <> 'executed' AND id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3",
                    state.to_string()
                );
                found.fetch_all(db).await?
            }
            By::Operator(operator) => {
                let found = found!(
                    filter,
                    ended_since,
                    ids,
                    limit,
                    "FROM commands WHERE created_by = $11 AND id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3",
                    operator
                );
                found.fetch_all(&self.searching).await?
            }
            By::Kind(kind) => {
                let found = found!(
                    filter,
                    ended_since,
                    ids,
                    limit,
                    "FROM commands WHERE command = $11 AND id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3",
                    kind
                );
                found.fetch_all(&self.searching).await?
            }
            By::Id => {
                let found = found!(
                    filter,
                    ended_since,
                    ids,
                    limit,
                    "FROM commands WHERE id < $1 AND id >= $2",
                    "ORDER BY 1 DESC LIMIT $3"
                );
                found.fetch_all(db).await?
            }
        };
        records(rows)
    }

    /// The id after the newest command's.
    async fn next_command_id(&self) -> Result<i64, StoreError> {
        Ok(self.command_at_or_before(i64::MAX).await?.map_or(1, |(id, _)| id + 1))
    }

    /// The least id from which on commands were given at `at` or later. Some thirty statements, each a row by its id: times
    /// have no index, and ids are given in their order.
    #[tracing::instrument(name = "db.command.id_at", skip_all, err(level = "debug"))]
    pub async fn command_id_at(&self, at: DateTime<Utc>) -> Result<i64, StoreError> {
        let (mut low, mut high) = (0, self.next_command_id().await?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.command_at_or_before(middle).await? {
                Some((id, created_at)) if created_at >= at => high = id.max(low),
                Some(_) | None => low = middle + 1,
            }
        }
        Ok(low)
    }

    /// The newest command up to this id, and when it was given.
    #[tracing::instrument(name = "db.command.at_or_before", skip_all, err(level = "debug"))]
    pub async fn command_at_or_before(&self, id: i64) -> Result<Option<(i64, DateTime<Utc>)>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT id AS "id!", created_at AS "created_at!" FROM commands WHERE id <= $1 ORDER BY 1 DESC LIMIT 1"#,
            id
        )
        .fetch_optional(&self.reading)
        .await?;
        Ok(row.map(|row| (row.id, row.created_at)))
    }

    /// What became of these commands, as far as they are known still.
    #[tracing::instrument(name = "db.command.outcomes", skip_all, err(level = "debug"))]
    pub async fn command_outcomes(&self, ids: &[i64]) -> Result<Vec<CommandOutcome>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id AS "id!", command AS "command!", status AS "status!", result ->> 'message' AS message
               FROM commands WHERE id = ANY($1)"#,
            ids
        )
        .fetch_all(&self.reading)
        .await?;
        let outcome = |id: i64, command, status: &str, message| {
            let status = status.parse().map_err(|_| StoreError::BadRow {
                table: "commands",
                column: "status",
                id: id.to_string(),
            })?;
            Ok(CommandOutcome { id: CommandId(id), command, status, message })
        };
        rows.into_iter().map(|row| outcome(row.id, row.command, &row.status, row.message)).collect()
    }

    /// Endpoints with this, in lower case, in their names: their ids, at most `limit`.
    #[tracing::instrument(name = "db.endpoint.named_like", skip_all, err(level = "debug"))]
    pub async fn endpoints_named_like(&self, part: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT id FROM endpoints WHERE position($1 in lower(hostname)) > 0 LIMIT $2",
            part,
            limit
        )
        .fetch_all(&self.reading)
        .await?)
    }
}
