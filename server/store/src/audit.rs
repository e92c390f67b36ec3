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
}
