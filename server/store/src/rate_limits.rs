//! Token buckets in the database, shared by every server on it.

use chrono::{DateTime, Utc};

use crate::{Store, StoreError, model::RateLimit};

impl Store {
    /// All limits, with what is in their buckets at `now`.
    #[tracing::instrument(name = "db.rate_limit.list", skip_all, err(level = "debug"))]
    pub async fn rate_limits(&self, now: DateTime<Utc>) -> Result<Vec<RateLimit>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT kind, per_minute, burst,
                      least(burst, tokens + per_minute * greatest(0, extract(epoch FROM $1 - refilled_at)::float8) / 60)
                        AS "tokens!"
               FROM rate_limits ORDER BY kind"#,
            now
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| RateLimit {
                kind: row.kind,
                per_minute: row.per_minute,
                burst: row.burst,
                tokens: row.tokens,
            })
            .collect())
    }

    /// Sets a limit; its bucket starts full.
    #[tracing::instrument(name = "db.rate_limit.set", skip_all, err(level = "debug"))]
    pub async fn set_rate_limit(
        &self,
        kind: &str,
        per_minute: f64,
        burst: i32,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "WITH made AS (
               INSERT INTO rate_limits (kind, per_minute, burst, tokens, refilled_at) VALUES ($1, $2, $3::integer, $3::integer, $5)
               ON CONFLICT (kind) DO UPDATE SET per_minute = excluded.per_minute, burst = excluded.burst,
                 tokens = excluded.tokens, refilled_at = excluded.refilled_at
             )
             INSERT INTO audit_log (at, actor, action, detail)
             VALUES ($5, $4, 'rate_limit.set', jsonb_build_object('kind', $1::text, 'per_minute', $2::float8,
                     'burst', $3::integer))",
            kind,
            per_minute,
            burst,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }

    /// Whether there was one.
    #[tracing::instrument(name = "db.rate_limit.remove", skip_all, err(level = "debug"))]
    pub async fn remove_rate_limit(
        &self,
        kind: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH gone AS (DELETE FROM rate_limits WHERE kind = $1 RETURNING kind)
             INSERT INTO audit_log (at, actor, action, detail)
             SELECT $3, $2, 'rate_limit.remove', jsonb_build_object('kind', kind) FROM gone",
            kind,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes up to `wanted` tokens out of a kind's bucket and out of the one for all; answers how many. Without a limit that
    /// is `wanted`. Relaxed: a crash may give back what was taken in the last moments.
    #[tracing::instrument(name = "db.rate_limit.take", skip_all, err(level = "debug"))]
    pub async fn take_tokens(&self, kind: &str, wanted: i32, now: DateTime<Utc>) -> Result<i32, StoreError> {
        let granted = sqlx::query_scalar!(
            r#"WITH bucket AS (
                 SELECT kind, burst,
                        least(burst, tokens + per_minute * greatest(0, extract(epoch FROM $3 - refilled_at)::float8) / 60)
                          AS level
                 FROM rate_limits WHERE kind IN ($1, '*') ORDER BY kind FOR UPDATE
               ), grant_ AS (
                 SELECT least($2, coalesce(min(floor(level))::integer, $2)) AS n FROM bucket
               ), taken AS (
                 UPDATE rate_limits r SET tokens = b.level - g.n, refilled_at = greatest($3, r.refilled_at)
                 FROM bucket b, grant_ g WHERE r.kind = b.kind
               )
               SELECT n AS "n!" FROM grant_"#,
            kind,
            wanted,
            now
        )
        .fetch_one(&self.relaxed)
        .await?;
        Ok(granted)
    }
}
