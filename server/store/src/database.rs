//! What the database is, and how large.

use crate::{Store, StoreError};

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DatabaseFacts {
    /// `16.4`.
    pub version: String,
    pub bytes: u64,
    /// Of everybody, to this database.
    pub connections: u64,
    pub connections_allowed: u64,
}

impl Store {
    #[tracing::instrument(name = "db.facts", skip_all, err(level = "debug"))]
    pub async fn database_facts(&self) -> Result<DatabaseFacts, StoreError> {
        let row = sqlx::query!(
            r#"SELECT current_setting('server_version') AS "version!",
                      pg_database_size(current_database()) AS "bytes!",
                      (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS "connections!",
                      current_setting('max_connections')::bigint AS "allowed!""#
        )
        .fetch_one(&self.relaxed)
        .await?;
        let amount = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(DatabaseFacts {
            version: row.version,
            bytes: amount(row.bytes),
            connections: amount(row.connections),
            connections_allowed: amount(row.allowed),
        })
    }
}
