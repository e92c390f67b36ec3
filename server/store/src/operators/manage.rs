//! Changing what an operator may do, and ending their sessions. Each change is audited with itself.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Store, StoreError};

/// An operator as others see them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorSummary {
    pub id: Uuid,
    pub username: String,
    pub role: String,
    pub created_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
    /// By the minute.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// That hold.
    pub sessions: i64,
}

/// A session that holds, without its token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnSession {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// Where it was opened from, when that is known.
    pub client: Option<String>,
    /// It is the one that was named as the asker's own.
    pub is_own: bool,
}

/// What came of a change of an operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangedOperator {
    Changed,
    /// It is so already.
    Same,
    /// Nobody else could administer the server.
    LastAdmin,
    Unknown,
}

impl Store {
    /// All of them, by name.
    #[tracing::instrument(name = "db.operator.list", skip_all, err(level = "debug"))]
    pub async fn operators(
        &self,
        now: DateTime<Utc>,
        idle_since: DateTime<Utc>,
    ) -> Result<Vec<OperatorSummary>, StoreError> {
        Ok(sqlx::query_as!(
            OperatorSummary,
            r#"SELECT o.id, o.username, o.role, o.created_at, o.disabled_at, o.last_seen_at,
                      (SELECT count(*) FROM sessions s WHERE s.operator_id = o.id AND s.expires_at > $1
                        AND s.last_seen_at > $2 AND o.disabled_at IS NULL) AS "sessions!"
               FROM operators o ORDER BY o.username LIMIT 1000"#,
            now,
            idle_since
        )
        .fetch_all(&self.durable)
        .await?)
    }

    /// The sessions of an operator that hold, newest first.
    #[tracing::instrument(name = "db.session.list", skip_all, err(level = "debug"))]
    pub async fn sessions_of(
        &self,
        operator: Uuid,
        own: Option<&[u8; 32]>,
        now: DateTime<Utc>,
        idle_since: DateTime<Utc>,
    ) -> Result<Vec<OwnSession>, StoreError> {
        Ok(sqlx::query_as!(
            OwnSession,
            r#"SELECT id, created_at, last_seen_at, expires_at, client,
                      coalesce(token_sha256 = $2, false) AS "is_own!"
               FROM sessions WHERE operator_id = $1 AND expires_at > $3 AND last_seen_at > $4
               ORDER BY created_at DESC LIMIT 200"#,
            operator,
            own.map(<[u8; 32]>::as_slice),
            now,
            idle_since
        )
        .fetch_all(&self.durable)
        .await?)
    }

    /// One transaction: the administrators' rows are held, so that two of them cannot put each other out at once.
    #[tracing::instrument(name = "db.operator.set_role", skip_all, err(level = "debug"))]
    pub async fn set_role(
        &self,
        operator: Uuid,
        role: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<ChangedOperator, StoreError> {
        let mut tx = self.durable.begin().await?;
        let admins = admins(&mut tx).await?;
        if role != "admin" && admins == [operator] {
            return Ok(ChangedOperator::LastAdmin);
        }
        let done = sqlx::query!(
            "WITH before AS (SELECT id, role FROM operators WHERE id = $1 AND role <> $2 FOR UPDATE), changed AS (
               UPDATE operators o SET role = $2 FROM before b WHERE o.id = b.id RETURNING o.username, b.role AS was
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $4, $3, 'operator.set_role', jsonb_build_object('username', username, 'role', $2::text, 'was', was)
             FROM changed",
            operator,
            role,
            by,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.changed(operator, done.rows_affected()).await
    }

    /// Disabling ends all of their sessions. One transaction, as [`Store::set_role`].
    #[tracing::instrument(name = "db.operator.set_disabled", skip_all, err(level = "debug"))]
    pub async fn set_disabled(
        &self,
        operator: Uuid,
        disabled: bool,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<ChangedOperator, StoreError> {
        let mut tx = self.durable.begin().await?;
        let admins = admins(&mut tx).await?;
        if disabled && admins == [operator] {
            return Ok(ChangedOperator::LastAdmin);
        }
        let action = if disabled { "operator.disable" } else { "operator.enable" };
        let done = sqlx::query!(
            "WITH changed AS (
               UPDATE operators SET disabled_at = CASE WHEN $2 THEN $5::timestamptz END
               WHERE id = $1 AND (disabled_at IS NOT NULL) <> $2 RETURNING id, username
             ), ended AS (
               DELETE FROM sessions USING changed WHERE $2 AND operator_id = changed.id
             )
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $5, $3, $4, jsonb_build_object('username', username) FROM changed",
            operator,
            disabled,
            by,
            action,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.changed(operator, done.rows_affected()).await
    }

    async fn changed(&self, operator: Uuid, rows: u64) -> Result<ChangedOperator, StoreError> {
        if rows == 1 {
            return Ok(ChangedOperator::Changed);
        }
        let known = self.username_of(operator).await?;
        Ok(if known.is_some() { ChangedOperator::Same } else { ChangedOperator::Unknown })
    }

    #[tracing::instrument(name = "db.operator.username", skip_all, err(level = "debug"))]
    pub async fn username_of(&self, operator: Uuid) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar!("SELECT username FROM operators WHERE id = $1", operator)
            .fetch_optional(&self.durable)
            .await?)
    }

    /// Somebody's own new password: their other sessions end, `kept` goes on. `false`: there is nobody of that id.
    #[tracing::instrument(name = "db.operator.change_password", skip_all, err(level = "debug"))]
    pub async fn change_password(
        &self,
        operator: Uuid,
        password_hash: &str,
        kept: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH changed AS (
               UPDATE operators SET password_hash = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING id, username
             ), ended AS (
               DELETE FROM sessions USING changed WHERE operator_id = changed.id AND token_sha256 <> $3
             )
             INSERT INTO audit_log (at, actor, action) SELECT $4, username, 'operator.change_password' FROM changed",
            operator,
            password_hash,
            kept,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends one session of an operator, or all, but never `kept`. Answers how many.
    #[tracing::instrument(name = "db.session.revoke", skip_all, err(level = "debug"))]
    pub async fn revoke_sessions(
        &self,
        operator: Uuid,
        session: Option<Uuid>,
        kept: &[u8; 32],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"WITH ended AS (
                 DELETE FROM sessions WHERE operator_id = $1 AND ($2::uuid IS NULL OR id = $2) AND token_sha256 <> $3
                 RETURNING operator_id
               ), count AS (SELECT operator_id, count(*) AS n FROM ended GROUP BY operator_id), audited AS (
                 INSERT INTO audit_log (at, actor, action, detail)
                 SELECT $5, $4, 'operator.revoke_sessions', jsonb_build_object('username', o.username, 'sessions', c.n)
                 FROM count c JOIN operators o ON o.id = c.operator_id
               )
               SELECT coalesce(sum(n), 0)::bigint AS "n!" FROM count"#,
            operator,
            session,
            kept,
            by,
            now
        )
        .fetch_one(&self.durable)
        .await?)
    }
}

/// Holds the rows of all who can administer the server until the transaction ends.
async fn admins(tx: &mut sqlx::PgTransaction<'_>) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT id FROM operators WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE"
    )
    .fetch_all(&mut **tx)
    .await?)
}
