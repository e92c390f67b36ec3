//! What operators see of evidence. Every look is in the bundle's custody before it is answered.

use std::ops::Range;

use bytes::Bytes;
use serde_json::{Value, json};
use voltaxe_protocol::{CommandId, Manifest};
use voltaxe_store::custody::{Actor, ActorKind, CustodyAction, CustodyEntry, CustodyEvent};

use super::{
    Discarded, EvidenceFile, EvidenceFiles, EvidenceFilter, EvidenceRecord, EvidenceStatus, EvidenceText,
    LARGEST_TEXT_BYTES, Visit,
    archive::{Archive, ArchiveError},
    custody::{CustodyExport, HeadClaims},
};
use crate::{
    Strike, StrikeError,
    authority::{Operator, Permit, may},
};

const BUNDLES_AT_ONCE: i64 = 500;
const FILES_AT_ONCE: u32 = 500;
const ENTRIES_AT_ONCE: i64 = 200;
const MOST_ERRORS: usize = 500;
/// A download's pieces.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Bytes of a bundle on their way to an operator.
pub struct Download {
    pub record: EvidenceRecord,
    /// Safe as a file's name anywhere.
    pub file_name: String,
    /// Of the bundle's bytes.
    pub range: Range<u64>,
    strike: Strike,
}

impl Download {
    /// The next piece; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StrikeError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let end = self.range.end.min(self.range.start + PIECE_BYTES);
        let objects = &self.strike.evidence_parts()?.config.objects;
        let piece = objects.read(&self.record.sha256, self.range.start..end).await?;
        self.range.start = end;
        Ok(Some(piece))
    }
}

impl Strike {
    /// Newest first, those of commands before `before`; at most 500.
    pub async fn evidence_list(
        &self,
        _permit: &Permit<may::ViewEvidence>,
        filter: &EvidenceFilter,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<EvidenceRecord>, StrikeError> {
        Ok(self.store().evidence_list(filter, before, limit.clamp(1, BUNDLES_AT_ONCE)).await?)
    }

    pub async fn evidence(
        &self,
        _permit: &Permit<may::ViewEvidence>,
        id: CommandId,
    ) -> Result<EvidenceRecord, StrikeError> {
        self.evidence_record(id).await
    }

    /// The bundle's files from number `from` on; at most 500.
    pub async fn evidence_files(
        &self,
        permit: &Permit<may::ViewEvidence>,
        id: CommandId,
        from: u32,
        limit: u32,
        visit: Visit,
    ) -> Result<EvidenceFiles, StrikeError> {
        let record = self.stored_evidence(id).await?;
        let limit = limit.clamp(1, FILES_AT_ONCE);
        self.note_visit(
            permit.operator(),
            id,
            CustodyAction::Listed,
            json!({ "from": from, "limit": limit }),
            visit,
        )
        .await?;
        let manifest = self.read_archive(&record, |archive| archive.manifest()).await?;
        let total = u32::try_from(manifest.entries.len()).unwrap_or(u32::MAX);
        let Manifest { agent_version, started_at, finished_at, partial, mut errors, entries, .. } = manifest;
        errors.truncate(MOST_ERRORS);
        let files = (0..)
            .zip(entries)
            .skip(usize::try_from(from).unwrap_or(usize::MAX))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|(index, entry)| EvidenceFile { index, entry })
            .collect();
        Ok(EvidenceFiles {
            command_id: id,
            endpoint_id: record.endpoint_id,
            hostname: record.hostname,
            agent_version,
            started_at,
            finished_at,
            partial,
            errors,
            total,
            files,
        })
    }

    /// The beginning of one file, by its number in the manifest.
    pub async fn evidence_text(
        &self,
        permit: &Permit<may::ViewEvidence>,
        id: CommandId,
        index: u32,
        visit: Visit,
    ) -> Result<EvidenceText, StrikeError> {
        let record = self.stored_evidence(id).await?;
        let (entry, mut content) = self
            .read_archive(&record, move |archive| {
                let entry =
                    archive.manifest()?.entries.into_iter().nth(usize::try_from(index).unwrap_or(usize::MAX));
                let entry = entry.ok_or(ArchiveError::NoSuchFile(index))?;
                let content = archive.beginning(&entry, LARGEST_TEXT_BYTES + 1)?;
                Ok((entry, content))
            })
            .await?;
        let most = usize::try_from(LARGEST_TEXT_BYTES).unwrap_or(usize::MAX);
        let is_cut = content.len() > most;
        content.truncate(most);
        let detail = json!({
            "index": index, "path": entry.path, "sha256": entry.sha256, "bytes": content.len(),
        });
        self.note_visit(permit.operator(), id, CustodyAction::Viewed, detail, visit).await?;
        if is_cut {
            // A character that was cut in two is not what makes it binary.
            let whole = std::str::from_utf8(&content)
                .err()
                .filter(|error| error.error_len().is_none())
                .map(|error| error.valid_up_to());
            content.truncate(whole.unwrap_or(content.len()));
        }
        let is_binary = content.contains(&0) || std::str::from_utf8(&content).is_err();
        let text = String::from_utf8_lossy(&content).into_owned();
        Ok(EvidenceText { file: EvidenceFile { index, entry }, text, is_cut, is_binary })
    }

    /// Of a bundle that can be downloaded, in bytes.
    pub async fn evidence_size(
        &self,
        _permit: &Permit<may::DownloadEvidence>,
        id: CommandId,
    ) -> Result<u64, StrikeError> {
        Ok(self.stored_evidence(id).await?.size_bytes)
    }

    /// The whole bundle, or these bytes of it (cut to its size).
    pub async fn download_evidence(
        &self,
        permit: &Permit<may::DownloadEvidence>,
        id: CommandId,
        range: Option<Range<u64>>,
        visit: Visit,
    ) -> Result<Download, StrikeError> {
        let record = self.stored_evidence(id).await?;
        let range = range.unwrap_or(0..record.size_bytes);
        let range = range.start.min(record.size_bytes)..range.end.min(record.size_bytes);
        let detail = json!({ "first_byte": range.start, "bytes": range.end.saturating_sub(range.start) });
        self.note_visit(permit.operator(), id, CustodyAction::Downloaded, detail, visit).await?;
        Ok(Download { file_name: file_name(&record), record, range, strike: self.clone() })
    }

    /// The newest entries of the chain of custody before number `before`, oldest first; at most 200.
    pub async fn evidence_custody(
        &self,
        _permit: &Permit<may::ViewEvidence>,
        id: CommandId,
        before: Option<i32>,
    ) -> Result<Vec<CustodyEntry>, StrikeError> {
        self.evidence_record(id).await?;
        let entries = self.store().custody_page(id, before, ENTRIES_AT_ONCE).await?;
        Ok(entries.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// The chain of custody with what it takes to check it without this server; its end is signed.
    pub async fn export_custody(
        &self,
        permit: &Permit<may::ViewEvidence>,
        id: CommandId,
        visit: Visit,
    ) -> Result<CustodyExport, StrikeError> {
        self.evidence_record(id).await?;
        self.note_visit(permit.operator(), id, CustodyAction::Exported, json!({}), visit).await?;
        let record = self.evidence_record(id).await?;
        let rows = self.store().custody(id).await?;
        let claims = HeadClaims::of(&record, &rows, &permit.operator().username, visit.at);
        Ok(CustodyExport::new(&record, &rows, &claims, self.key()))
    }

    pub(super) async fn evidence_record(&self, id: CommandId) -> Result<EvidenceRecord, StrikeError> {
        let found = self.store().evidence(id).await?;
        found.ok_or_else(|| StrikeError::NotFound(format!("command {id} has no evidence")))
    }

    async fn stored_evidence(&self, id: CommandId) -> Result<EvidenceRecord, StrikeError> {
        let record = self.evidence_record(id).await?;
        match record.state {
            EvidenceStatus::Stored => Ok(record),
            EvidenceStatus::Announced | EvidenceStatus::Uploading => Err(StrikeError::Conflict(format!(
                "{} of {} bytes of this bundle are here; it can be read when the host has sent all of it",
                record.received_bytes, record.size_bytes
            ))),
            EvidenceStatus::Abandoned => Err(StrikeError::Conflict(
                "the host has not sent this bundle: when it is back, it offers it again or can collect anew"
                    .to_owned(),
            )),
            EvidenceStatus::Discarded => Err(StrikeError::Conflict(discarded(&record))),
        }
    }

    async fn read_archive<T: Send + 'static>(
        &self,
        record: &EvidenceRecord,
        work: impl FnOnce(&mut Archive) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, StrikeError> {
        let evidence = self.evidence_parts()?;
        // Dropped when the work is over, and not when nobody waits for it any more.
        let place = evidence.archives.clone().acquire_owned().await;
        let objects = evidence.config.objects.clone();
        let (sha256, size) = (record.sha256.clone(), record.size_bytes);
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&mut Archive::open(objects, sha256, size, runtime)?)
        });
        match done.await {
            Ok(outcome) => Ok(outcome?),
            Err(panic) => Err(StrikeError::Storage(Box::new(panic))),
        }
    }

    async fn note_visit(
        &self,
        operator: &Operator,
        id: CommandId,
        action: CustodyAction,
        mut detail: Value,
        visit: Visit,
    ) -> Result<(), StrikeError> {
        detail["from"] = json!(visit.from);
        let actor = Actor { kind: ActorKind::Operator, name: operator.username.clone() };
        let event = CustodyEvent { at: visit.at, actor, action, detail };
        Ok(self.store().append_custody(id, &event, visit.at).await?)
    }
}

pub(super) fn discarded(record: &EvidenceRecord) -> String {
    match &record.discarded {
        Some(Discarded { by, at, reason }) => {
            format!("{by} discarded this bundle at {}: {reason}", at.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        None => "this bundle was discarded".to_owned(),
    }
}

fn file_name(record: &EvidenceRecord) -> String {
    let host: String = record
        .hostname
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .collect();
    format!("evidence-{host}-{}.zip", record.command_id)
}
