use voltaxe_protocol::EndpointId;

use crate::{Store, StoreError};

impl Store {
    /// Active endpoints whose name has `text` in it, those that begin with it first, then the shortest. Looks at every name:
    /// which is quick enough for names alone.
    #[tracing::instrument(name = "db.endpoint.find", skip_all, err(level = "debug"))]
    pub async fn find_hosts(&self, text: &str, limit: i64) -> Result<Vec<(EndpointId, String)>, StoreError> {
        sqlx::query!(
            "SELECT id, hostname FROM endpoints
             WHERE status = 'active' AND strpos(lower(hostname), lower($1)) > 0
             ORDER BY strpos(lower(hostname), lower($1)) > 1, length(hostname), hostname LIMIT $2",
            text,
            limit
        )
        .fetch_all(&self.durable)
        .await?
        .into_iter()
        .map(|row| Ok((crate::commands::endpoint_id("endpoints", row.id)?, row.hostname)))
        .collect()
    }
}
