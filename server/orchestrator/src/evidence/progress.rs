use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use voltaxe_protocol::{CommandId, EndpointId};

use crate::{
    Strike, StrikeError,
    events::Change,
    model::{EvidenceRecord, EvidenceStatus},
};

/// How far a bundle is, for those who watch. It tells nothing of what is in it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct EvidenceProgress {
    pub command_id: CommandId,
    pub endpoint_id: EndpointId,
    pub state: EvidenceStatus,
    pub received_bytes: u64,
    pub size_bytes: u64,
}

/// Uploads that went on since they were last told of.
pub(super) type Changed = HashMap<CommandId, EvidenceProgress>;

impl From<&EvidenceRecord> for EvidenceProgress {
    fn from(record: &EvidenceRecord) -> Self {
        Self {
            command_id: record.command_id,
            endpoint_id: record.endpoint_id.clone(),
            state: record.state,
            received_bytes: record.received_bytes,
            size_bytes: record.size_bytes,
        }
    }
}

impl Strike {
    /// Writes down how far uploads have come and tells it: twice a second, so that a fast one is not told of more often.
    pub async fn flush_evidence(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let Some(evidence) = self.evidence_store() else { return Ok(()) };
        let changed = std::mem::take(&mut *super::lock(&evidence.changed));
        if changed.is_empty() {
            return Ok(());
        }
        let received: Vec<(CommandId, u64)> =
            changed.iter().map(|(id, progress)| (*id, progress.received_bytes)).collect();
        self.store().record_evidence_received(&received, now).await?;
        changed.into_values().for_each(|progress| self.tell_progress(progress));
        Ok(())
    }

    /// A bundle's state has changed: told at once, and nothing older after it.
    pub(super) fn tell_state(&self, record: &EvidenceRecord) {
        if let Some(evidence) = self.evidence_store() {
            super::lock(&evidence.changed).remove(&record.command_id);
        }
        self.tell_progress(record.into());
    }

    fn tell_progress(&self, progress: EvidenceProgress) {
        if self.events().is_watched() {
            self.events().publish(Change::Evidence(Arc::new(progress)));
        } else {
            // Who looks later loads everything.
            self.events().skip();
        }
    }
}
