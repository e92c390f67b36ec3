//! Credentials of machines.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Store, StoreError};

#[derive(Clone, Debug)]
pub struct NewApiToken<'a> {
    pub id: Uuid,
    pub name: &'a str,
    pub role: &'a str,
    pub token_sha256: &'a [u8; 32],
    pub created_by: &'a str,
    pub expires_at: DateTime<Utc>,
}

/// A row of `api_tokens`, without the hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiTokenRow {
    pub id: Uuid,
    pub name: String,
    pub role: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_by: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Store {
    /// [`StoreError::Taken`] when the name was given before.
    #[tracing::instrument(name = "db.api_token.create", skip_all, err(level = "debug"))]
    pub async fn create_api_token(
        &self,
        new: &NewApiToken<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH token AS (
               INSERT INTO api_tokens (id, name, role, token_sha256, created_by, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
             )
             INSERT INTO audit_log (at, actor, action, detail)
             VALUES ($6, $5, 'api_token.create',
                     jsonb_build_object('name', $2::text, 'role', $3::text, 'expires_at', $7::timestamptz))",
            new.id,
            new.name,
            new.role,
            new.token_sha256,
            new.created_by,
            now,
            new.expires_at
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// Those that hold first, then by name; at most `limit`.
    #[tracing::instrument(name = "db.api_token.list", skip_all, err(level = "debug"))]
    pub async fn api_tokens(&self, now: DateTime<Utc>, limit: i64) -> Result<Vec<ApiTokenRow>, StoreError> {
        Ok(sqlx::query_as!(
            ApiTokenRow,
            "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_by, revoked_at
             FROM api_tokens ORDER BY (revoked_at IS NULL AND expires_at > $1) DESC, name LIMIT $2",
            now,
            limit
        )
        .fetch_all(&self.durable)
        .await?)
    }

    /// The token with this hash, while it holds.
    #[tracing::instrument(name = "db.api_token.get", skip_all, err(level = "debug"))]
    pub async fn api_token(
        &self,
        token_sha256: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<ApiTokenRow>, StoreError> {
        Ok(sqlx::query_as!(
            ApiTokenRow,
            "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_by, revoked_at
             FROM api_tokens WHERE token_sha256 = $1 AND revoked_at IS NULL AND expires_at > $2",
            token_sha256,
            now
        )
        .fetch_optional(&self.durable)
        .await?)
    }

    #[tracing::instrument(name = "db.api_token.touch", skip_all, err(level = "debug"))]
    pub async fn touch_api_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("UPDATE api_tokens SET last_used_at = $2 WHERE id = $1", id, now)
            .execute(&self.relaxed)
            .await?;
        Ok(())
    }

    /// `None` when there is none; revoking once more changes nothing.
    #[tracing::instrument(name = "db.api_token.revoke", skip_all, err(level = "debug"))]
    pub async fn revoke_api_token(
        &self,
        id: Uuid,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<ApiTokenRow>, StoreError> {
        sqlx::query!(
            "WITH revoked AS (
               UPDATE api_tokens SET revoked_by = $2, revoked_at = $3 WHERE id = $1 AND revoked_at IS NULL
               RETURNING name
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $3, $2, 'api_token.revoke', jsonb_build_object('name', name) FROM revoked",
            id,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(sqlx::query_as!(
            ApiTokenRow,
            "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, revoked_by, revoked_at
             FROM api_tokens WHERE id = $1",
            id
        )
        .fetch_optional(&self.durable)
        .await?)
    }
}
