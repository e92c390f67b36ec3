//! All bytes are here: compared, moved into the evidence store, looked through.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::{EvidenceClaims, EvidenceState, PayloadType, PublicKey, evidence::verify};
use voltaxe_store::custody::{Actor, CustodyAction, CustodyEvent};

use super::{OpenPart, Upload, UploadError, blocking};
use crate::{
    Strike, StrikeError,
    evidence::{EvidenceRecord, EvidenceStatus, archive::ObjectReader, parts, parts::Part},
};

/// How long the last piece's answer waits for the evidence store. A service elsewhere may take longer: the agent asks again.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// More problems than so many tell nothing new.
const MOST_PROBLEMS: usize = 100;
const LONGEST_PROBLEM_CHARS: usize = 500;

impl Strike {
    /// Answers how far it is; when all is here, what becomes of it.
    pub(super) async fn go_on(
        &self,
        upload: &Arc<Upload>,
        part: OpenPart,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        if part.as_ref().map_or(0, Part::length) < upload.size_bytes {
            return Ok(upload.state());
        }
        let found = part.as_ref().map(Part::sha256).unwrap_or_default();
        if found != upload.sha256 {
            return self.reject(upload, part, found, now).await;
        }
        upload.is_settling.store(true, Ordering::Relaxed);
        let (strike, settled) = (self.clone(), Arc::clone(upload));
        let settling = tokio::spawn(async move {
            let outcome = strike.settle(&settled, part, now).await;
            settled.is_settling.store(false, Ordering::Relaxed);
            if let Err(error) = &outcome {
                tracing::warn!(command_id = settled.id.0, %error, source = ?std::error::Error::source(error),
                    "the bundle of command {} could not be moved into the evidence store: {error}", settled.id);
            }
            outcome
        });
        match tokio::time::timeout(SETTLED_WITHIN, settling).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(UploadError::Storage(panic.into())),
            Err(_) => Ok(upload.state()),
        }
    }

    async fn reject(
        &self,
        upload: &Upload,
        mut part: OpenPart,
        found: String,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        let part = blocking(move || {
            if let Some(open) = part.as_mut() {
                open.clear()?;
            }
            Ok(part)
        })
        .await?;
        upload.received_bytes.store(0, Ordering::Relaxed);
        upload.resumed_at.store(0, Ordering::Relaxed);
        let detail = json!({ "claimed": upload.sha256, "found": found, "size_bytes": upload.size_bytes });
        let event = CustodyEvent { at: now, actor: Actor::server(), action: CustodyAction::Rejected, detail };
        self.store().restart_evidence(upload.id, &upload.sha256, &event, now).await?;
        drop(part);
        self.tell_state(&self.evidence_record(upload.id).await?);
        Err(UploadError::DigestMismatch { found, size_bytes: upload.size_bytes })
    }

    async fn settle(
        &self,
        upload: &Upload,
        mut part: OpenPart,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        let evidence = self.evidence_parts()?;
        evidence
            .config
            .objects
            .take(&upload.path, &upload.sha256)
            .await
            .map_err(|error| UploadError::Storage(error.into()))?;
        let detail = json!({ "sha256": upload.sha256, "size_bytes": upload.size_bytes });
        let event = CustodyEvent { at: now, actor: Actor::server(), action: CustodyAction::Stored, detail };
        let stored = self.store().finish_evidence(upload.id, &upload.sha256, &event, now).await?;
        *part = None;
        evidence.uploads.forget(upload.id);
        if let Err(error) = parts::remove(&upload.path) {
            tracing::warn!(path = %upload.path.display(), %error, "an upload that is over could not be removed: {error}");
        }
        let Some(record) = stored else {
            // Another bundle is awaited by now, or this one was given up: only what the row says is complete.
            let record = self.evidence_record(upload.id).await?;
            if record.state == EvidenceStatus::Discarded
                && !self.store().is_evidence_kept(&upload.sha256).await?
            {
                let removed = evidence.config.objects.remove(&upload.sha256).await;
                removed.map_err(|error| UploadError::Storage(error.into()))?;
            }
            let complete = record.state == EvidenceStatus::Stored && record.sha256 == upload.sha256;
            let received_bytes = if complete { upload.size_bytes } else { 0 };
            return Ok(EvidenceState { received_bytes, complete });
        };
        self.tell_state(&record);
        let strike = self.clone();
        tokio::spawn(async move {
            if let Err(error) = strike.verify_stored(&record, now).await {
                tracing::warn!(command_id = record.command_id.0, %error,
                    "the bundle of command {} could not be looked through: {error}", record.command_id);
            }
        });
        Ok(EvidenceState { received_bytes: upload.size_bytes, complete: true })
    }

    /// Looks at every file of a stored bundle and writes down what is wrong.
    pub(in crate::evidence) async fn verify_stored(
        &self,
        record: &EvidenceRecord,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let evidence = self.evidence_parts()?;
        let _place = evidence.looking_through.acquire().await;
        let objects = Arc::clone(&evidence.config.objects);
        let (sha256, size) = (record.sha256.clone(), record.size_bytes);
        let runtime = tokio::runtime::Handle::current();
        let claims = claims_of(record);
        let reader = ObjectReader::new(objects, sha256, size, runtime);
        let has_failed = reader.has_failed();
        let looked = tokio::task::spawn_blocking(move || match claims {
            Some(claims) => verify(reader, &claims).problems,
            None => vec!["the agent's claims do not open with its key any more".to_owned()],
        });
        let mut problems = looked.await.map_err(|panic| StrikeError::Storage(Box::new(panic)))?;
        if has_failed.load(Ordering::Relaxed) {
            return Err(StrikeError::Storage(problems.join("; ").into()));
        }
        let count = problems.len();
        problems.truncate(MOST_PROBLEMS);
        for problem in &mut problems {
            *problem = problem.chars().filter(|c| *c != '\0').take(LONGEST_PROBLEM_CHARS).collect();
        }
        let first: Vec<&String> = problems.iter().take(10).collect();
        let detail = json!({ "problems": count, "first": first });
        let event = CustodyEvent { at: now, actor: Actor::server(), action: CustodyAction::Verified, detail };
        self.store().record_evidence_verified(record.command_id, &problems, &event, now).await?;
        if count > 0 {
            tracing::warn!(
                command_id = record.command_id.0,
                problems = count,
                "{count} things are wrong with the bundle of command {}",
                record.command_id
            );
        }
        self.tell_state(&self.evidence_record(record.command_id).await?);
        Ok(())
    }
}

fn claims_of(record: &EvidenceRecord) -> Option<EvidenceClaims> {
    let key = PublicKey::from_bytes(record.agent_key.as_ref()?).ok()?;
    record.claims.as_ref()?.open(PayloadType::Evidence, &key).ok()
}
