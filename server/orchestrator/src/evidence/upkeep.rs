//! What time must drive.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use voltaxe_protocol::CommandId;
use voltaxe_store::custody::{Actor, CustodyAction, CustodyEvent};

use super::{Evidence, EvidenceStatus, parts};
use crate::{Strike, StrikeError};

/// An upload that its agent has said nothing about for so long is given up.
const SILENT_FOR: TimeDelta = TimeDelta::days(7);
/// Bundles that are looked through in one run.
const LOOKED_AT: i64 = 10;

impl Strike {
    /// Gives up what no agent goes on with, removes files that belong to no upload and what was discarded, and looks through
    /// what an earlier process stored and did not look through.
    pub async fn look_after_evidence(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let Some(evidence) = self.evidence_store() else { return Ok(()) };
        let detail = json!({ "silent_days": SILENT_FOR.num_days() });
        let event =
            CustodyEvent { at: now, actor: Actor::server(), action: CustodyAction::Abandoned, detail };
        for record in self.store().abandon_evidence(now - SILENT_FOR, &event, now).await? {
            let (id, hostname) = (record.command_id, &record.hostname);
            tracing::info!(command_id = id.0, "the bundle of command {id} from {hostname} did not come");
            evidence.uploads.forget(id);
            self.tell_state(&record);
        }
        for id in left_behind(&evidence.config.parts) {
            let record = self.store().evidence(id).await?;
            if record.is_none_or(|record| record.state != EvidenceStatus::Uploading)
                && let Err(error) = parts::remove(&parts::path_of(&evidence.config.parts, id))
            {
                tracing::warn!(command_id = id.0, %error, "what is left of the upload of command {id} could not be removed: {error}");
            }
        }
        self.remove_all_discarded(now).await?;
        for record in self.store().unverified_evidence(LOOKED_AT).await? {
            if let Err(error) = self.verify_stored(&record, now).await {
                let id = record.command_id;
                self.store().record_evidence_unreadable(id, now).await?;
                tracing::warn!(command_id = id.0, %error, "the bundle of command {id} could not be looked through: {error}");
            }
        }
        Ok(())
    }

    pub(crate) async fn measure_evidence(&self) -> Result<(), StrikeError> {
        if let Some(evidence) = self.evidence_store() {
            self.meters().evidence(self.store().evidence_bytes().await?, evidence.config.quota_bytes);
        }
        Ok(())
    }
}

impl Evidence {
    pub(crate) fn quota_bytes(&self) -> u64 {
        self.config.quota_bytes
    }
}

/// Uploads with a file here.
fn left_behind(directory: &Path) -> Vec<CommandId> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let id_of = |name: &str| name.strip_suffix(".part")?.parse().ok();
    entries.flatten().filter_map(|entry| id_of(entry.file_name().to_str()?)).collect()
}
