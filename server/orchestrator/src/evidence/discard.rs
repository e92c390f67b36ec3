//! What an administrator does with a bundle that must not be kept: its bytes go, its record and its custody stay.

use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::CommandId;
use voltaxe_store::{
    Discard,
    custody::{Actor, ActorKind, CustodyAction, CustodyEvent},
};

use super::{Discarded, EvidenceRecord, Visit, browse::discarded};
use crate::{
    Strike, StrikeError,
    authority::{Permit, may},
    strike::checked_reason,
};

/// Bundles whose bytes are removed in one run.
const REMOVED_AT_ONCE: i64 = 100;

impl Strike {
    /// On disk when it returns. Bytes that cannot be removed now are removed later: nobody gets them meanwhile.
    pub async fn discard_evidence(
        &self,
        permit: &Permit<may::DiscardEvidence>,
        id: CommandId,
        reason: &str,
        visit: Visit,
    ) -> Result<EvidenceRecord, StrikeError> {
        let by = Discarded {
            by: permit.operator().username.clone(),
            at: visit.at,
            reason: checked_reason(reason)?,
        };
        let before = self.evidence_record(id).await?;
        let detail = json!({
            "reason": by.reason, "sha256": before.sha256, "size_bytes": before.size_bytes, "from": visit.from,
        });
        let actor = Actor { kind: ActorKind::Operator, name: by.by.clone() };
        let event = CustodyEvent { at: visit.at, actor, action: CustodyAction::Discarded, detail };
        let record = match self.store().discard_evidence(id, &by, &event).await? {
            Discard::Done(record) => record,
            Discard::Already(record) => return Err(StrikeError::Conflict(discarded(&record))),
            Discard::Unknown => return Err(StrikeError::NotFound(format!("command {id} has no evidence"))),
        };
        tracing::warn!(command_id = id.0, operator = by.by, "the bundle of command {id} was discarded");
        self.tell_state(&record);
        self.remove_discarded(&record, visit.at).await;
        Ok(record)
    }

    /// Removes what could not be removed when it was discarded.
    pub(super) async fn remove_all_discarded(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        for record in self.store().unremoved_evidence(REMOVED_AT_ONCE).await? {
            self.remove_discarded(&record, now).await;
        }
        Ok(())
    }

    async fn remove_discarded(&self, record: &EvidenceRecord, now: DateTime<Utc>) {
        if let Err(error) = self.try_remove(record, now).await {
            let id = record.command_id;
            tracing::warn!(command_id = id.0, %error, source = ?std::error::Error::source(&error),
                "the bytes of the discarded bundle of command {id} could not be removed: {error}");
        }
    }

    async fn try_remove(&self, record: &EvidenceRecord, now: DateTime<Utc>) -> Result<(), StrikeError> {
        // Waits for whoever moves the upload into the evidence store.
        self.drop_upload(record).await.map_err(|error| StrikeError::Storage(Box::new(error)))?;
        if !self.store().is_evidence_kept(&record.sha256).await? {
            let objects = &self.evidence_parts()?.config.objects;
            objects.remove(&record.sha256).await?;
        }
        Ok(self.store().record_evidence_removed(record.command_id, now).await?)
    }
}
