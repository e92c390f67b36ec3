use std::ops::Range;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, EndpointId};

use crate::{Store, StoreError};

/// Who did what. Commands write theirs together with themselves; this is for everything else.
#[derive(Clone, Debug, Default)]
pub struct AuditEntry<'a> {
    /// An operator's name, `agent`, `server` or `console`.
    pub actor: &'a str,
    /// `operator.sign_in`, `endpoint.enrol`, ..
    pub action: &'a str,
    pub endpoint: Option<(&'a EndpointId, &'a str)>,
    pub command_id: Option<CommandId>,
    pub reason: Option<&'a str>,
    pub detail: Option<serde_json::Value>,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub endpoint_id: Option<String>,
    pub hostname: Option<String>,
    pub command_id: Option<CommandId>,
    pub reason: Option<String>,
    pub detail: Option<serde_json::Value>,
}

/// What a row must be; what is not set is not asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuditFilter {
    pub actor: Option<String>,
    /// `operator.sign_in`, or `operator` for all of its kind.
    pub action: Option<String>,
    /// Part of the host's name, in lower case.
    pub host: Option<String>,
    /// Part of the reason, in lower case.
    pub reason: Option<String>,
    /// At this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this.
    pub to: Option<DateTime<Utc>>,
}

/// By which index it is looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditBy {
    /// Ids of endpoints.
    Endpoints(Vec<String>),
    Actor(String),
    /// Whole.
    Action(String),
    Id,
}

struct AuditRow {
    id: i64,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    endpoint_id: Option<String>,
    hostname: Option<String>,
    command_id: Option<i64>,
    reason: Option<String>,
    detail: Option<serde_json::Value>,
}

/// A statement of [`Store::find_audit`]: what stands before and after the rest of the filter, and what the index is asked for
/// as $10.
macro_rules! found {
    ($filter:ident, $ids:ident, $limit:ident, $start:literal, $end:literal $(, $value:expr)?) => {
        sqlx::query_as!(
            AuditRow,
            "SELECT id, at, actor, action, endpoint_id, hostname, command_id, reason, detail "
                + $start
                + " AND ($4::text IS NULL OR actor = $4) \
                 AND ($5::text IS NULL OR action = $5 OR starts_with(action, $5 || '.')) \
                 AND ($6::text IS NULL OR position($6 in lower(hostname)) > 0) \
                 AND ($7::text IS NULL OR position($7 in lower(reason)) > 0) \
                 AND ($8::timestamptz IS NULL OR at >= $8) AND ($9::timestamptz IS NULL OR at < $9) "
                + $end,
            $ids.end,
            $ids.start,
            $limit,
            $filter.actor,
            $filter.action,
            $filter.host,
            $filter.reason,
            $filter.from,
            $filter.to
            $(, $value)?
        )
    };
}

impl Store {
    #[tracing::instrument(name = "db.audit.append", skip_all, err(level = "debug"))]
    pub async fn audit(&self, entry: AuditEntry<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (endpoint_id, hostname) = entry.endpoint.map(|(id, hostname)| (id.as_str(), hostname)).unzip();
        sqlx::query!(
            "INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            now,
            entry.actor,
            entry.action,
            endpoint_id,
            hostname,
            entry.command_id.map(|id| id.0),
            entry.reason,
            entry.detail,
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// Of the rows with these ids, the newest first, at most `limit`.
    #[tracing::instrument(name = "db.audit.find", skip_all, err(level = "debug"))]
    pub async fn find_audit(
        &self,
        by: &AuditBy,
        filter: &AuditFilter,
        ids: Range<i64>,
        limit: i64,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let db = &self.durable;
        let rows = match by {
            AuditBy::Endpoints(endpoints) => {
                let found = found!(
                    filter, ids, limit,
                    "FROM audit_log WHERE id IN (SELECT c.id FROM unnest($10::text[]) AS e(host) CROSS JOIN LATERAL (
                       SELECT id FROM audit_log WHERE endpoint_id = e.host AND id < $1 AND id >= $2",
                    "ORDER BY id DESC LIMIT $3) c ORDER BY 1 DESC LIMIT $3) ORDER BY id DESC",
                    endpoints
                );
                found.fetch_all(db).await?
            }
            AuditBy::Actor(actor) => {
                let found = found!(
                    filter,
                    ids,
                    limit,
                    "FROM audit_log WHERE actor = $10 AND id < $1 AND id >= $2",
                    "ORDER BY id DESC LIMIT $3",
                    actor
                );
                // Planned anew, as for commands.
                found.fetch_all(&self.searching).await?
            }
            AuditBy::Action(action) => {
                let found = found!(
                    filter,
                    ids,
                    limit,
                    "FROM audit_log WHERE action = $10 AND id < $1 AND id >= $2",
                    "ORDER BY id DESC LIMIT $3",
                    action
                );
                // Planned anew, as for commands.
                found.fetch_all(&self.searching).await?
            }
            AuditBy::Id => {
                let found = found!(
                    filter,
                    ids,
                    limit,
                    "FROM audit_log WHERE id < $1 AND id >= $2",
                    "ORDER BY id DESC LIMIT $3"
                );
                found.fetch_all(db).await?
            }
        };
        Ok(rows.into_iter().map(AuditRecord::from).collect())
    }

    #[tracing::instrument(name = "db.audit.get", skip_all, err(level = "debug"))]
    pub async fn audit_entry(&self, id: i64) -> Result<Option<AuditRecord>, StoreError> {
        let row = sqlx::query_as!(
            AuditRow,
            "SELECT id, at, actor, action, endpoint_id, hostname, command_id, reason, detail FROM audit_log
             WHERE id = $1",
            id
        )
        .fetch_optional(&self.durable)
        .await?;
        Ok(row.map(AuditRecord::from))
    }

    /// The id after the newest row's.
    #[tracing::instrument(name = "db.audit.next_id", skip_all, err(level = "debug"))]
    pub async fn next_audit_id(&self) -> Result<i64, StoreError> {
        let newest = sqlx::query_scalar!("SELECT id FROM audit_log ORDER BY id DESC LIMIT 1")
            .fetch_optional(&self.durable)
            .await?;
        Ok(newest.map_or(1, |id| id + 1))
    }

    /// The id of the first row at this time or later. `None`: there is none yet.
    #[tracing::instrument(name = "db.audit.id_at", skip_all, err(level = "debug"))]
    pub async fn audit_id_at(&self, at: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT id FROM audit_log WHERE at >= $1 ORDER BY at LIMIT 1", at)
            .fetch_optional(&self.durable)
            .await?)
    }
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        let AuditRow { id, at, actor, action, endpoint_id, hostname, command_id, reason, detail } = row;
        let command_id = command_id.map(CommandId);
        Self { id, at, actor, action, endpoint_id, hostname, command_id, reason, detail }
    }
}
