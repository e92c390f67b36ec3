//! People, their sessions, and the link that makes the first of them.

mod manage;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::manage::{ChangedOperator, OperatorSummary, OwnSession};

use crate::{Store, StoreError};

#[derive(Clone, Debug)]
pub struct NewOperator<'a> {
    pub id: Uuid,
    pub username: &'a str,
    /// PHC string of argon2id.
    pub password_hash: &'a str,
    pub role: &'a str,
}

/// No `Debug`: it holds the password's hash.
pub struct OperatorRow {
    pub id: Uuid,
    pub username: String,
    pub password_hash: String,
    pub role: String,
}

#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    pub token_sha256: &'a [u8; 32],
    pub operator: Uuid,
    /// Where it is opened from, when that is known.
    pub client: Option<String>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRow {
    pub operator_id: Uuid,
    pub username: String,
    pub role: String,
    pub last_seen_at: DateTime<Utc>,
}

impl Store {
    #[tracing::instrument(name = "db.operator.any", skip_all, err(level = "debug"))]
    pub async fn any_operator(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM operators) AS "any!""#)
            .fetch_one(&self.durable)
            .await?)
    }

    /// Replaces every earlier setup link. `false` when an operator exists already, and nothing is written.
    #[tracing::instrument(name = "db.setup_link.create", skip_all, err(level = "debug"))]
    pub async fn create_setup_link(
        &self,
        token_sha256: &[u8; 32],
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.durable.begin().await?;
        sqlx::query!("DELETE FROM setup_links").execute(&mut *tx).await?;
        let done = sqlx::query!(
            "INSERT INTO setup_links (token_sha256, created_at, expires_at)
             SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM operators)",
            token_sha256,
            now,
            expires_at
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    #[tracing::instrument(name = "db.setup_link.check", skip_all, err(level = "debug"))]
    pub async fn setup_link_holds(
        &self,
        token_sha256: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM setup_links WHERE token_sha256 = $1 AND expires_at > $2)
                 AND NOT EXISTS (SELECT FROM operators) AS "holds!""#,
            token_sha256,
            now
        )
        .fetch_one(&self.durable)
        .await?)
    }

    /// Uses the setup link up and makes the first operator. `false` when the link does not hold or somebody was first.
    #[tracing::instrument(name = "db.operator.create_first", skip_all, err(level = "debug"))]
    pub async fn create_first_operator(
        &self,
        token_sha256: &[u8; 32],
        new: &NewOperator<'_>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        // Deleting the link's row puts two users of the same link in order.
        let done = sqlx::query!(
            "WITH used AS (
               DELETE FROM setup_links WHERE token_sha256 = $1 AND expires_at > $6 RETURNING token_sha256
             ), made AS (
               INSERT INTO operators (id, username, password_hash, role, created_at)
               SELECT $2, $3, $4, $5, $6 FROM used WHERE NOT EXISTS (SELECT FROM operators)
               RETURNING username
             )
             INSERT INTO audit_log (at, actor, action) SELECT $6, username, 'operator.first' FROM made",
            token_sha256,
            new.id,
            new.username,
            new.password_hash,
            new.role,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    #[tracing::instrument(name = "db.operator.create", skip_all, err(level = "debug"))]
    pub async fn create_operator(
        &self,
        new: &NewOperator<'_>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH made AS (
               INSERT INTO operators (id, username, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5)
             )
             INSERT INTO audit_log (at, actor, action, detail)
             VALUES ($5, $6, 'operator.create', jsonb_build_object('username', $2::text, 'role', $4::text))",
            new.id,
            new.username,
            new.password_hash,
            new.role,
            now,
            by
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// Sets a new hash and ends all sessions of that operator. `false` when there is none of that name.
    #[tracing::instrument(name = "db.operator.reset_password", skip_all, err(level = "debug"))]
    pub async fn reset_password(
        &self,
        username: &str,
        password_hash: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH changed AS (
               UPDATE operators SET password_hash = $2 WHERE username = $1 RETURNING id
             ), ended AS (
               DELETE FROM sessions USING changed WHERE operator_id = changed.id
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $4, $3, 'operator.reset_password', jsonb_build_object('username', $1::text) FROM changed",
            username,
            password_hash,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Who may sign in under this name.
    #[tracing::instrument(name = "db.operator.by_username", skip_all, err(level = "debug"))]
    pub async fn operator_named(&self, username: &str) -> Result<Option<OperatorRow>, StoreError> {
        Ok(sqlx::query_as!(
            OperatorRow,
            "SELECT id, username, password_hash, role FROM operators WHERE username = $1 AND disabled_at IS NULL",
            username
        )
        .fetch_optional(&self.durable)
        .await?)
    }

    #[tracing::instrument(name = "db.session.create", skip_all, err(level = "debug"))]
    pub async fn create_session(&self, new: NewSession<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH session AS (
               INSERT INTO sessions (token_sha256, operator_id, created_at, last_seen_at, expires_at, client)
               VALUES ($1, $2, $3, $3, $4, $5)
             ), seen AS (
               UPDATE operators SET last_seen_at = $3 WHERE id = $2
             )
             INSERT INTO audit_log (at, actor, action)
             SELECT $3, username, 'operator.sign_in' FROM operators WHERE id = $2",
            new.token_sha256,
            new.operator,
            now,
            new.expires_at,
            new.client
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// The session's operator, when it is neither idle since before `idle_since` nor at its end.
    #[tracing::instrument(name = "db.session.get", skip_all, err(level = "debug"))]
    pub async fn session(
        &self,
        token_sha256: &[u8; 32],
        now: DateTime<Utc>,
        idle_since: DateTime<Utc>,
    ) -> Result<Option<SessionRow>, StoreError> {
        Ok(sqlx::query_as!(
            SessionRow,
            "SELECT s.operator_id, o.username, o.role, s.last_seen_at
             FROM sessions s JOIN operators o ON o.id = s.operator_id
             WHERE s.token_sha256 = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND o.disabled_at IS NULL",
            token_sha256,
            now,
            idle_since
        )
        .fetch_optional(&self.durable)
        .await?)
    }

    /// Moves the idle limit on.
    #[tracing::instrument(name = "db.session.touch", skip_all, err(level = "debug"))]
    pub async fn touch_session(&self, token_sha256: &[u8; 32], now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH touched AS (UPDATE sessions SET last_seen_at = $2 WHERE token_sha256 = $1 RETURNING operator_id)
             UPDATE operators o SET last_seen_at = $2 FROM touched t WHERE o.id = t.operator_id",
            token_sha256,
            now
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    #[tracing::instrument(name = "db.session.end", skip_all, err(level = "debug"))]
    pub async fn end_session(&self, token_sha256: &[u8; 32], now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH ended AS (DELETE FROM sessions WHERE token_sha256 = $1 RETURNING operator_id)
             INSERT INTO audit_log (at, actor, action)
             SELECT $2, username, 'operator.sign_out' FROM operators JOIN ended ON ended.operator_id = operators.id",
            token_sha256,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }
}
