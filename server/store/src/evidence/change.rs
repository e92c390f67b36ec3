//! What changes a bundle's row, and with it its custody.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use voltaxe_protocol::{CommandId, Envelope};

use super::{EvidenceOfCommand, EvidenceRow, Offer, OfferedEvidence, ReportedEvidence, bad, evidence_rows};
use crate::{
    Store, StoreError,
    custody::{CustodyAction, CustodyEntry, CustodyEvent, CustodyHead},
    model::{EvidenceRecord, EvidenceStatus},
};

/// Serialises what takes room in the evidence store, so that two offers never share the last of it. Any number that nothing
/// else locks.
const QUOTA_LOCK: i64 = 0x0076_6f6c_7465_7669;

impl Store {
    /// The agent's result names a bundle. Repeated, it changes nothing; one that was offered before is marked as reported.
    #[tracing::instrument(name = "db.evidence.announce", skip_all, err(level = "debug"))]
    pub async fn announce_evidence(
        &self,
        of: &EvidenceOfCommand,
        reported: &ReportedEvidence,
        now: DateTime<Utc>,
    ) -> Result<EvidenceRecord, StoreError> {
        let mut tx = self.durable.begin().await?;
        let known = locked(&mut tx, of.command_id).await?;
        let is_new = known.is_none();
        if let Some(known) = known.filter(|known| known.is_reported) {
            return Ok(known);
        }
        if is_new {
            insert(&mut tx, of, EvidenceStatus::Announced, &reported.sha256, reported.size_bytes, now)
                .await?;
            append(&mut tx, of.command_id, &of.requested, now).await?;
        }
        let record: EvidenceRecord = evidence_rows!(
            "WITH told AS (
               UPDATE evidence SET is_reported = true, files = $2, errors = $3, partial = $4
               WHERE command_id = $1 RETURNING *
             )",
            "FROM told",
            of.command_id.0,
            saturated(reported.files),
            saturated(reported.errors),
            reported.partial
        )
        .fetch_one(&mut *tx)
        .await?
        .try_into()?;
        append(&mut tx, of.command_id, &reported.collected, now).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// The agent wants to upload a bundle. What is stored or under way never takes more than `quota_bytes` together; one
    /// digest counts once.
    #[tracing::instrument(name = "db.evidence.offer", skip_all, err(level = "debug"))]
    pub async fn offer_evidence(
        &self,
        of: &EvidenceOfCommand,
        offered: &OfferedEvidence,
        quota_bytes: u64,
        now: DateTime<Utc>,
    ) -> Result<Offer, StoreError> {
        let mut tx = self.durable.begin().await?;
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", QUOTA_LOCK).fetch_one(&mut *tx).await?;
        let known = locked(&mut tx, of.command_id).await?;
        let is_as_known = known.as_ref().is_some_and(|known| {
            known.sha256 == hex::encode(offered.sha256) && known.size_bytes == offered.size_bytes
        });
        if let Some(known) = &known {
            if known.state == EvidenceStatus::Discarded {
                return Ok(Offer::Discarded);
            }
            let is_settled = known.is_reported || known.state == EvidenceStatus::Stored;
            if is_settled && !is_as_known {
                return Ok(Offer::Differs(known.clone()));
            }
            let goes_on = matches!(known.state, EvidenceStatus::Uploading | EvidenceStatus::Stored);
            if goes_on && is_as_known {
                return Ok(Offer::Accepted { record: known.clone(), is_new: false });
            }
        }
        let used_bytes = used_beside(&mut tx, of.command_id, &offered.sha256).await?;
        if used_bytes.saturating_add(offered.size_bytes) > quota_bytes {
            return Ok(Offer::Full { used_bytes });
        }
        if known.is_none() {
            insert(&mut tx, of, EvidenceStatus::Announced, &offered.sha256, offered.size_bytes, now).await?;
            append(&mut tx, of.command_id, &of.requested, now).await?;
        }
        let record = evidence_rows!(
            "WITH begun AS (
               UPDATE evidence SET state = 'uploading', sha256 = $2, size_bytes = $3, received_bytes = 0, claims = $4,
                 agent_key = $5, touched_at = $6
               WHERE command_id = $1 RETURNING *
             )",
            "FROM begun",
            of.command_id.0,
            &offered.sha256,
            stored_size(offered.size_bytes),
            Json(&offered.claims) as _,
            &offered.agent_key,
            now
        )
        .fetch_one(&mut *tx)
        .await?
        .try_into()?;
        append(&mut tx, of.command_id, &offered.offered, now).await?;
        tx.commit().await?;
        Ok(Offer::Accepted { record, is_new: true })
    }

    /// How far uploads have come, for those who look. A crash loses the last of it: the files say it anyway.
    #[tracing::instrument(name = "db.evidence.received", skip_all, fields(bundles = received.len()), err(level = "debug"))]
    pub async fn record_evidence_received(
        &self,
        received: &[(CommandId, u64)],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (ids, bytes): (Vec<i64>, Vec<i64>) =
            received.iter().map(|(id, bytes)| (id.0, stored_size(*bytes))).unzip();
        sqlx::query!(
            "UPDATE evidence e SET received_bytes = least(i.bytes, e.size_bytes), touched_at = $3
             FROM unnest($1::bigint[], $2::bigint[]) AS i(id, bytes)
             WHERE e.command_id = i.id AND e.state = 'uploading'",
            &ids,
            &bytes,
            now
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// What had arrived of the bundle with this digest (hexadecimal) is of no use: its upload begins anew. For another than is
    /// awaited by now it changes nothing.
    #[tracing::instrument(name = "db.evidence.restart", skip_all, err(level = "debug"))]
    pub async fn restart_evidence(
        &self,
        id: CommandId,
        sha256: &str,
        rejected: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.durable.begin().await?;
        let restarted = sqlx::query!(
            "UPDATE evidence SET received_bytes = 0, touched_at = $2
             WHERE command_id = $1 AND encode(sha256, 'hex') = $3 AND state = 'uploading'",
            id.0,
            now,
            sha256
        )
        .execute(&mut *tx)
        .await?;
        if restarted.rows_affected() == 0 {
            return Ok(());
        }
        append(&mut tx, id, rejected, now).await?;
        Ok(tx.commit().await?)
    }

    /// The bundle with this digest (hexadecimal) is whole and in the evidence store. Repeated, or for another than is awaited by now, it
    /// changes nothing.
    #[tracing::instrument(name = "db.evidence.finish", skip_all, err(level = "debug"))]
    pub async fn finish_evidence(
        &self,
        id: CommandId,
        sha256: &str,
        stored: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Result<Option<EvidenceRecord>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let row = evidence_rows!(
            "WITH whole AS (
               UPDATE evidence SET state = 'stored', received_bytes = size_bytes, touched_at = $2, stored_at = $2
               WHERE command_id = $1 AND encode(sha256, 'hex') = $3 AND state = 'uploading' RETURNING *
             )",
            "FROM whole",
            id.0,
            now,
            sha256
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        append(&mut tx, id, stored, now).await?;
        tx.commit().await?;
        row.try_into().map(Some)
    }

    /// What a look at every file of a stored bundle has found.
    #[tracing::instrument(name = "db.evidence.verified", skip_all, err(level = "debug"))]
    pub async fn record_evidence_verified(
        &self,
        id: CommandId,
        problems: &[String],
        verified: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.durable.begin().await?;
        let looked_through = sqlx::query!(
            "UPDATE evidence SET problems = $2 WHERE command_id = $1 AND state = 'stored'",
            id.0,
            Json(problems) as _
        )
        .execute(&mut *tx)
        .await?;
        if looked_through.rows_affected() == 0 {
            return Ok(());
        }
        append(&mut tx, id, verified, now).await?;
        Ok(tx.commit().await?)
    }

    /// A stored bundle could not be looked through: others come first now.
    #[tracing::instrument(name = "db.evidence.looked_at", skip_all, err(level = "debug"))]
    pub async fn record_evidence_unreadable(
        &self,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!("UPDATE evidence SET looked_at = $2 WHERE command_id = $1", id.0, now)
            .execute(&self.durable)
            .await?;
        Ok(())
    }

    /// Gives up what no agent has said a word about since `silent_since`.
    #[tracing::instrument(name = "db.evidence.abandon", skip_all, err(level = "debug"))]
    pub async fn abandon_evidence(
        &self,
        silent_since: DateTime<Utc>,
        abandoned: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Result<Vec<EvidenceRecord>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let rows = evidence_rows!(
            "WITH given_up AS (
               UPDATE evidence SET state = 'abandoned', received_bytes = 0
               WHERE state IN ('announced', 'uploading') AND touched_at < $1 RETURNING *
             )",
            "FROM given_up",
            silent_since
        )
        .fetch_all(&mut *tx)
        .await?;
        for row in &rows {
            append(&mut tx, CommandId(row.command_id), abandoned, now).await?;
        }
        tx.commit().await?;
        rows.into_iter().map(EvidenceRecord::try_from).collect()
    }

    /// Writes down what somebody did with a bundle that there is.
    #[tracing::instrument(name = "db.evidence_custody.append", skip_all, err(level = "debug"))]
    pub async fn append_custody(
        &self,
        id: CommandId,
        event: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.durable.begin().await?;
        append(&mut tx, id, event, now).await?;
        Ok(tx.commit().await?)
    }
}

/// The bundle's row, which nobody else changes until the transaction ends. For one that there is not, nobody else makes it.
pub(super) async fn locked(
    tx: &mut PgConnection,
    id: CommandId,
) -> Result<Option<EvidenceRecord>, StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1, $2)", 0x0065_7669, fold(id)).fetch_one(&mut *tx).await?;
    evidence_rows!("", "FROM evidence WHERE command_id = $1 FOR UPDATE", id.0)
        .fetch_optional(tx)
        .await?
        .map(EvidenceRecord::try_from)
        .transpose()
}

/// Two ids with the same lock only wait for each other.
fn fold(id: CommandId) -> i32 {
    let [a, b, c, d, ..] = id.0.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

async fn insert(
    tx: &mut PgConnection,
    of: &EvidenceOfCommand,
    state: EvidenceStatus,
    sha256: &[u8; 32],
    size_bytes: u64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO evidence
           (command_id, endpoint_id, epoch, hostname, requested_by, requested_at, reason, profile, state, sha256,
            size_bytes, is_reported, announced_at, touched_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, false, $12, $12)",
        of.command_id.0,
        of.endpoint_id.as_str(),
        of.epoch.0,
        of.hostname,
        of.requested_by,
        of.requested_at,
        of.reason,
        of.profile,
        state.as_str(),
        sha256,
        stored_size(size_bytes),
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn append(
    tx: &mut PgConnection,
    id: CommandId,
    event: &CustodyEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Whoever appends holds the bundle's row: the chain has one end.
    let so_far =
        sqlx::query_scalar!("SELECT agent_entries FROM evidence WHERE command_id = $1 FOR UPDATE", id.0)
            .fetch_optional(&mut *tx)
            .await?;
    let last = last_of(tx, id).await?;
    let (head, last) = last.map_or((None, None), |(head, action)| (Some(head), action));
    let Some(admitted) = event.admitted(last, so_far.unwrap_or_default()) else { return Ok(()) };
    if event.action.is_at_the_agents_will() {
        sqlx::query!("UPDATE evidence SET agent_entries = agent_entries + 1 WHERE command_id = $1", id.0)
            .execute(&mut *tx)
            .await?;
    }
    let entry = CustodyEntry::following(head, id, &admitted, now);
    let (text, sha256) = entry.sealed();
    sqlx::query!(
        "INSERT INTO evidence_custody (command_id, sequence, entry, sha256, previous_sha256)
         VALUES ($1, $2, $3, $4, $5)",
        id.0,
        entry.sequence,
        text,
        &sha256,
        head.as_ref().map(|head| &head.sha256[..])
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The chain's end, and what its last entry tells; none of an action that this version does not know.
async fn last_of(
    tx: &mut PgConnection,
    id: CommandId,
) -> Result<Option<(CustodyHead, Option<CustodyAction>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT sequence, sha256, entry::jsonb -> 'action' AS action FROM evidence_custody
         WHERE command_id = $1 ORDER BY sequence DESC LIMIT 1",
        id.0
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let sha256 = row.sha256.try_into().map_err(|_| bad("evidence_custody", "sha256", id))?;
    let action = row.action.and_then(|action| serde_json::from_value(action).ok());
    Ok(Some((CustodyHead { sequence: row.sequence, sha256 }, action)))
}

/// What the bundles that are kept or under way take, without this one, and nothing when its content is kept already.
async fn used_beside(tx: &mut PgConnection, id: CommandId, sha256: &[u8; 32]) -> Result<u64, StoreError> {
    let used = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(size_bytes), 0)::bigint AS "used!" FROM (
             SELECT DISTINCT ON (sha256) size_bytes FROM evidence
             WHERE state IN ('uploading', 'stored') AND command_id <> $1 AND sha256 <> $2
           ) AS kept"#,
        id.0,
        sha256
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(used).unwrap_or_default())
}

fn stored_size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn saturated(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
