//! Evidence that nobody is to keep any more: the bytes go, the record stays.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use voltaxe_protocol::{CommandId, Envelope};

use super::{
    Discard, EvidenceRow,
    change::{append, locked},
    evidence_rows,
};
use crate::{
    Store, StoreError,
    custody::CustodyEvent,
    model::{Discarded, EvidenceStatus},
};

impl Store {
    /// From now on the bundle is nobody's to read or to send; [`Store::unremoved_evidence`] names it until its bytes are gone.
    #[tracing::instrument(name = "db.evidence.discard", skip_all, err(level = "debug"))]
    pub async fn discard_evidence(
        &self,
        id: CommandId,
        by: &Discarded,
        event: &CustodyEvent,
    ) -> Result<Discard, StoreError> {
        let mut tx = self.durable.begin().await?;
        let Some(known) = locked(&mut tx, id).await? else { return Ok(Discard::Unknown) };
        if known.state == EvidenceStatus::Discarded {
            return Ok(Discard::Already(known));
        }
        let row = evidence_rows!(
            "WITH gone AS (
               UPDATE evidence SET state = 'discarded', received_bytes = 0, discarded_by = $2, discarded_at = $3,
                 discard_reason = $4
               WHERE command_id = $1 RETURNING *
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason, detail)
               SELECT $3, $2, 'evidence.discard', endpoint_id, hostname, command_id, $4,
                      jsonb_build_object('sha256', encode(sha256, 'hex'), 'size_bytes', size_bytes)
               FROM gone
             )",
            "FROM gone",
            id.0,
            by.by,
            by.at,
            by.reason
        )
        .fetch_one(&mut *tx)
        .await?;
        append(&mut tx, id, event, by.at).await?;
        tx.commit().await?;
        row.try_into().map(Discard::Done)
    }

    /// Its bytes are in the evidence store no more, or are kept for another bundle.
    #[tracing::instrument(name = "db.evidence.removed", skip_all, err(level = "debug"))]
    pub async fn record_evidence_removed(&self, id: CommandId, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE evidence SET removed_at = $2 WHERE command_id = $1 AND state = 'discarded' AND removed_at IS NULL",
            id.0,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(())
    }
}
