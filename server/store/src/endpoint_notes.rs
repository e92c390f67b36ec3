use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;

use crate::{Store, StoreError};

/// What operators have written about an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointNotes {
    pub labels: Vec<String>,
    pub note: String,
    /// Rises with each change.
    pub revision: i32,
    /// `None`: nobody has changed them since the host was enrolled.
    pub changed_at: Option<DateTime<Utc>>,
    pub changed_by: Option<String>,
}

/// A row of the audit log that is about an endpoint and no command.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointEvent {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub command_id: Option<i64>,
    pub reason: Option<String>,
    pub detail: Option<serde_json::Value>,
}

impl Store {
    #[tracing::instrument(name = "db.endpoint.notes", skip_all, err(level = "debug"))]
    pub async fn endpoint_notes(&self, id: &EndpointId) -> Result<Option<EndpointNotes>, StoreError> {
        Ok(sqlx::query_as!(
            EndpointNotes,
            "SELECT labels, note, annotation AS revision, annotated_at AS changed_at, annotated_by AS changed_by
             FROM endpoints WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(&self.durable)
        .await?)
    }

    /// Writes what is given, with its audit row. `false`: there is no such endpoint, or another revision of its notes.
    #[tracing::instrument(name = "db.endpoint.annotate", skip_all, err(level = "debug"))]
    pub async fn annotate(
        &self,
        id: &EndpointId,
        labels: Option<&[String]>,
        note: Option<&str>,
        revision: Option<i32>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH changed AS (
               UPDATE endpoints SET labels = coalesce($2, labels), note = coalesce($3, note),
                 annotation = annotation + 1, annotated_at = $6, annotated_by = $5
               WHERE id = $1 AND annotation = coalesce($4, annotation)
               RETURNING id, hostname, labels, note
             )
             INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, detail)
             SELECT $6, $5, 'endpoint.annotate', id, hostname,
                    jsonb_build_object('labels', to_jsonb(labels), 'note', note)
             FROM changed",
            id.as_str(),
            labels as Option<&[String]>,
            note,
            revision,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Newest first, those with ids below `before`.
    #[tracing::instrument(name = "db.endpoint.events", skip_all, err(level = "debug"))]
    pub async fn events_of(
        &self,
        id: &EndpointId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<EndpointEvent>, StoreError> {
        Ok(sqlx::query_as!(
            EndpointEvent,
            "SELECT id, at, actor, action, command_id, reason, detail FROM audit_log
             WHERE endpoint_id = $1 AND action NOT LIKE 'command.%' AND id < $2
             ORDER BY id DESC LIMIT $3",
            id.as_str(),
            before.unwrap_or(i64::MAX),
            limit
        )
        .fetch_all(&self.durable)
        .await?)
    }
}
