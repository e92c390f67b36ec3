use chrono::{DateTime, Utc};
use voltaxe_protocol::{EndpointId, Epoch, HostFacts};

use crate::{
    Store, StoreError,
    endpoints::{os_of, parse_status},
    model::{AwaitingEndpoint, EndpointStatus, EnrolmentTokenRecord, KeyHolder},
};

/// An agent that asks to be enrolled; its signature has been checked.
#[derive(Clone, Debug)]
pub struct NewEndpoint<'a> {
    pub id: &'a EndpointId,
    pub public_key: &'a [u8; 32],
    pub hostname: &'a str,
    pub machine_id: &'a str,
    pub agent_version: &'a str,
    pub host: &'a HostFacts,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EnrolOutcome {
    Enrolled {
        epoch: Epoch,
        status: EndpointStatus,
    },
    /// Unknown, used up or expired; nothing was changed.
    TokenInvalid,
    /// This key was enrolled before. An agent makes a new key for every enrolment, so this is a repeated request, by
    /// whomever; nothing was changed.
    KeyKnown,
}

impl Store {
    /// Keeps a token's SHA-256.
    #[tracing::instrument(name = "db.enrolment_token.create", skip_all, err(level = "debug"))]
    pub async fn create_enrolment_token(
        &self,
        token_sha256: &[u8; 32],
        label: &str,
        uses: i32,
        by: &str,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<EnrolmentTokenRecord, StoreError> {
        let id = sqlx::query_scalar!(
            "WITH token AS (
               INSERT INTO enrolment_tokens (token_sha256, label, created_by, created_at, expires_at, uses_left)
               VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, reason) VALUES ($4, $3, 'enrolment_token.create', $2)
             )
             SELECT id FROM token",
            token_sha256,
            label,
            by,
            now,
            expires_at,
            uses
        )
        .fetch_one(&self.durable)
        .await?;
        Ok(EnrolmentTokenRecord {
            id,
            label: label.to_owned(),
            created_by: by.to_owned(),
            created_at: now,
            expires_at,
            uses_left: uses,
        })
    }

    /// Tokens that may still be used, and those that ended within `since`; newest first, at most `limit`. Never the token itself.
    #[tracing::instrument(name = "db.enrolment_token.list", skip_all, err(level = "debug"))]
    pub async fn enrolment_tokens(
        &self,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<EnrolmentTokenRecord>, StoreError> {
        Ok(sqlx::query_as!(
            EnrolmentTokenRecord,
            "SELECT id, label, created_by, created_at, expires_at, uses_left FROM enrolment_tokens
             WHERE expires_at > $1 ORDER BY id DESC LIMIT $2",
            since,
            limit
        )
        .fetch_all(&self.durable)
        .await?)
    }

    /// Takes what is left of a token's uses. Whether there was a use left.
    #[tracing::instrument(name = "db.enrolment_token.revoke", skip_all, err(level = "debug"))]
    pub async fn revoke_enrolment_token(
        &self,
        id: i64,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH revoked AS (
               UPDATE enrolment_tokens SET uses_left = 0 WHERE id = $1 AND uses_left > 0 AND expires_at > $3 RETURNING id, label
             )
             INSERT INTO audit_log (at, actor, action, reason, detail)
             SELECT $3, $2, 'enrolment_token.revoke', label, jsonb_build_object('token_id', id) FROM revoked",
            id,
            by,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Endpoints that wait for approval, oldest first, at most `limit`.
    #[tracing::instrument(name = "db.endpoint.awaiting", skip_all, err(level = "debug"))]
    pub async fn awaiting_endpoints(&self, limit: i64) -> Result<Vec<AwaitingEndpoint>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT w.id, w.hostname, w.label, w.os, w.enrolled_at, w.public_key,
                      h.id AS "holder_id?", h.hostname AS "holder_hostname?", h.public_key AS "holder_key?",
                      s.last_seen_at AS "holder_seen_at?"
               FROM (SELECT * FROM endpoints WHERE status = 'awaiting_approval' ORDER BY enrolled_at, id LIMIT $1) AS w
               LEFT JOIN endpoints h ON h.status = 'active' AND h.id <> w.id
                 AND (h.hostname = w.hostname OR h.machine_id = w.machine_id)
               LEFT JOIN endpoint_seen s ON s.endpoint_id = h.id
               ORDER BY w.enrolled_at, w.id, h.id"#,
            limit
        )
        .fetch_all(&self.durable)
        .await?;
        let mut awaiting: Vec<AwaitingEndpoint> = Vec::new();
        for row in rows {
            let id = crate::commands::endpoint_id("endpoints", row.id)?;
            if awaiting.last().is_none_or(|last| last.id != id) {
                awaiting.push(AwaitingEndpoint {
                    id,
                    hostname: row.hostname,
                    label: row.label,
                    os: row.os,
                    enrolled_at: row.enrolled_at,
                    public_key: row.public_key,
                    holders: Vec::new(),
                });
            }
            if let (Some(last), Some(id), Some(hostname), Some(public_key)) =
                (awaiting.last_mut(), row.holder_id, row.holder_hostname, row.holder_key)
            {
                let id = crate::commands::endpoint_id("endpoints", id)?;
                last.holders.push(KeyHolder { id, hostname, public_key, last_seen_at: row.holder_seen_at });
            }
        }
        Ok(awaiting)
    }

    /// Uses up one use of the token and writes the endpoint, in one transaction. A machine or name that another key
    /// holds waits for approval.
    #[tracing::instrument(name = "db.endpoint.enrol", skip_all, err(level = "debug"))]
    pub async fn enrol(
        &self,
        token_sha256: &[u8; 32],
        new: &NewEndpoint<'_>,
        now: DateTime<Utc>,
    ) -> Result<EnrolOutcome, StoreError> {
        let mut tx = self.durable.begin().await?;
        let token = sqlx::query!(
            "UPDATE enrolment_tokens SET uses_left = uses_left - 1
             WHERE token_sha256 = $1 AND uses_left > 0 AND expires_at > $2
             RETURNING label, created_by",
            token_sha256,
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(token) = token else { return Ok(EnrolOutcome::TokenInvalid) };
        // One enrolment at a time: two of the same name must not both find it free.
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('voltaxe.enrol'))").execute(&mut *tx).await?;
        let taken = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM endpoints WHERE status = 'active' AND id <> $1
                              AND (hostname = $2 OR machine_id = $3)) AS "taken!""#,
            new.id.as_str(),
            new.hostname,
            new.machine_id
        )
        .fetch_one(&mut *tx)
        .await?;
        let status = if taken { EndpointStatus::AwaitingApproval } else { EndpointStatus::Active };
        let row = sqlx::query!(
            "INSERT INTO endpoints
               (id, hostname, epoch, public_key, machine_id, status, label, agent_version, os, enrolled_at)
             VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO NOTHING
             RETURNING epoch, status",
            new.id.as_str(),
            new.hostname,
            new.public_key,
            new.machine_id,
            status.to_string(),
            token.label,
            new.agent_version,
            os_of(new.host),
            now
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(EnrolOutcome::KeyKnown) };
        sqlx::query!(
            "INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, reason, detail)
             VALUES ($1, 'agent', 'endpoint.enrol', $2, $3, $4, $5)",
            now,
            new.id.as_str(),
            new.hostname,
            token.label,
            serde_json::json!({ "token_by": token.created_by, "status": row.status, "epoch": row.epoch })
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(EnrolOutcome::Enrolled {
            epoch: Epoch(row.epoch),
            status: parse_status(&row.status, new.id.as_str())?,
        })
    }
}
