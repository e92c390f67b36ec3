//! Lists that operators come back to.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Store, StoreError};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SavedView {
    pub id: Uuid,
    pub operator: String,
    pub name: String,
    /// Of the page's address.
    pub query: String,
    pub is_shared: bool,
}

impl Store {
    /// An operator's own and what others share, by name.
    #[tracing::instrument(name = "db.saved_view.list", skip_all, err(level = "debug"))]
    pub async fn saved_views(&self, operator: &str) -> Result<Vec<SavedView>, StoreError> {
        let rows = sqlx::query_as!(
            SavedView,
            "SELECT id, operator, name, query, is_shared FROM saved_views WHERE operator = $1 OR is_shared
             ORDER BY name, operator LIMIT 500",
            operator
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows)
    }

    /// One of the same name is replaced. `false`: the operator has `most` already.
    #[tracing::instrument(name = "db.saved_view.save", skip_all, err(level = "debug"))]
    pub async fn save_view(
        &self,
        view: &SavedView,
        most: i64,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "INSERT INTO saved_views (id, operator, name, query, is_shared, created_at)
             SELECT $1, $2, $3, $4, $5, $6
             WHERE (SELECT count(*) FROM saved_views WHERE operator = $2 AND name <> $3) < $7
             ON CONFLICT (operator, name) DO UPDATE SET query = excluded.query, is_shared = excluded.is_shared",
            view.id,
            view.operator,
            view.name,
            view.query,
            view.is_shared,
            now,
            most
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// `false`: the operator has none of this id.
    #[tracing::instrument(name = "db.saved_view.delete", skip_all, err(level = "debug"))]
    pub async fn delete_view(&self, operator: &str, id: Uuid) -> Result<bool, StoreError> {
        let done = sqlx::query!("DELETE FROM saved_views WHERE id = $1 AND operator = $2", id, operator)
            .execute(&self.durable)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
