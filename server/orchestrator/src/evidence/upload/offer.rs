//! What an agent says of a bundle before it sends it: in its result, and in the claims that it has signed.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::{
    CollectForensics, CollectionOutcome, CommandResult, EndpointId, EvidenceClaims, EvidenceOffer,
    EvidenceState, PayloadType,
};
use voltaxe_store::{
    EvidenceOfCommand, Offer, OfferedEvidence, ReportedEvidence,
    custody::{Actor, ActorKind, CustodyAction, CustodyEvent},
};

use super::{UploadError, agent_event, blocking};
use crate::{
    Strike, StrikeError,
    delivery::ResultOutcome,
    evidence::{EvidenceRecord, EvidenceStatus, LARGEST_BUNDLE_BYTES, parts},
    model::{Channel, CommandRecord},
    strike::AgentError,
};

const COLLECT: &str = "collect_forensics";
const LONGEST_PARTIAL_CHARS: usize = 500;

impl Strike {
    /// Puts a result on disk; when it is a collection's, its bundle is announced.
    pub async fn result(
        &self,
        endpoint: &EndpointId,
        result: CommandResult,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<ResultOutcome, StrikeError> {
        let collected = collected(&result);
        let outcome = self.delivery().result(endpoint, result, channel, now).await?;
        let (ResultOutcome::Recorded(record) | ResultOutcome::AlreadyFinal(record)) = &outcome;
        if let Some(collected) = collected
            && self.evidence_store().is_some()
            && record.command == COLLECT
            && reported(record).is_none_or(|stands| stands.sha256 == collected.sha256)
            && let Err(error) = self.announce(record, &collected, now).await
        {
            // The result stands. The agent's offer, or its result once more, makes up for it.
            tracing::warn!(command_id = record.id.0, %error, "the bundle of command {} could not be announced: {error}", record.id);
        }
        Ok(outcome)
    }

    async fn announce(
        &self,
        record: &CommandRecord,
        collected: &CollectionOutcome,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let (Some(sha256), Some(of)) = (collected.sha256.as_deref().and_then(digest), of_command(record))
        else {
            return Ok(());
        };
        if collected.size_bytes == 0 {
            return Ok(());
        }
        let partial =
            collected.partial.as_ref().map(|why| why.chars().take(LONGEST_PARTIAL_CHARS).collect::<String>());
        let errors = u32::try_from(collected.errors.len()).unwrap_or(u32::MAX);
        let detail = json!({
            "sha256": hex::encode(sha256), "size_bytes": collected.size_bytes, "files": collected.files,
            "errors": errors, "partial": partial,
        });
        let reported = ReportedEvidence {
            sha256,
            size_bytes: collected.size_bytes,
            files: collected.files,
            errors,
            partial: partial.map(|why| why.replace('\0', "")),
            collected: agent_event(
                &record.endpoint_id,
                CustodyAction::Collected,
                detail,
                collected.timestamp,
            ),
        };
        let record = self.store().announce_evidence(&of, &reported, now).await?;
        self.tell_state(&record);
        Ok(())
    }

    /// A bundle wants to be taken. `from`: where the request came from, if that is known to be the agent itself.
    pub async fn offer_evidence(
        &self,
        endpoint: &EndpointId,
        offer: &EvidenceOffer,
        from: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<EvidenceState, UploadError> {
        let evidence = self.evidence_parts()?;
        let key = self.agent_key(endpoint).await.map_err(agent_problem)?;
        let claims: EvidenceClaims = offer
            .claims
            .open(PayloadType::Evidence, &key)
            .map_err(|error| invalid("claims", format!("do not open with this agent's key: {error}")))?;
        if claims.endpoint_id != *endpoint {
            return Err(invalid("claims.endpoint_id", "must be the agent's own"));
        }
        let sha256 = digest(&claims.sha256)
            .ok_or_else(|| invalid("claims.sha256", "must be 64 lower-case hexadecimal digits"))?;
        let of = self.expected(endpoint, &claims).await?;
        let offered = OfferedEvidence {
            sha256,
            size_bytes: claims.size_bytes,
            claims: offer.claims.clone(),
            agent_key: *key.as_bytes(),
            offered: agent_event(
                endpoint,
                CustodyAction::Offered,
                json!({
                    "sha256": claims.sha256, "size_bytes": claims.size_bytes, "manifest_sha256": claims.manifest_sha256,
                    "finished_at": claims.finished_at, "from": from,
                }),
                now,
            ),
        };
        if evidence.uploads.get(claims.command_id).is_none() {
            let here = parts::length_of(&parts::path_of(&evidence.config.parts, claims.command_id));
            let to_come = claims.size_bytes.saturating_sub(here);
            self.check_disk(to_come.saturating_add(evidence.uploads.awaited_bytes(claims.command_id)))?;
        }
        let quota = evidence.config.quota_bytes;
        let (record, is_new) = match self.store().offer_evidence(&of, &offered, quota, now).await? {
            Offer::Accepted { record, is_new } => (record, is_new),
            Offer::Discarded => return Err(UploadError::Discarded(claims.command_id)),
            Offer::Differs(_) => return Err(UploadError::Differs(claims.command_id)),
            Offer::Full { used_bytes } => {
                return Err(UploadError::Full(format!(
                    "the server keeps at most {quota} bytes of evidence and holds {used_bytes}; this bundle has {}: raise \
                     evidence-quota-gib, or order a smaller collection (max_bytes)",
                    claims.size_bytes
                )));
            }
        };
        if record.state == EvidenceStatus::Stored {
            return Ok(EvidenceState { received_bytes: record.size_bytes, complete: true });
        }
        if is_new {
            self.drop_upload(&record).await?;
            self.tell_state(&record);
        }
        let upload = evidence.uploads.enter(&record, evidence);
        let state = self.look_at(&upload, now).await?;
        if !state.complete && state.received_bytes > 0 {
            self.note_resumed(&upload, now).await?;
        }
        Ok(state)
    }

    /// Whatever had arrived is of no use.
    pub(in crate::evidence) async fn drop_upload(&self, record: &EvidenceRecord) -> Result<(), UploadError> {
        let evidence = self.evidence_parts()?;
        let path = parts::path_of(&evidence.config.parts, record.command_id);
        let old = evidence.uploads.get(record.command_id);
        let held = match &old {
            Some(old) => Some(Arc::clone(&old.part).lock_owned().await),
            None => None,
        };
        evidence.uploads.forget(record.command_id);
        blocking(move || {
            if let Some(mut part) = held {
                *part = None;
            }
            parts::remove(&path)
        })
        .await
    }

    /// The collection that the claims are of, when it is this host's and they may be about it.
    async fn expected(
        &self,
        endpoint: &EndpointId,
        claims: &EvidenceClaims,
    ) -> Result<EvidenceOfCommand, UploadError> {
        let id = claims.command_id;
        let record = self.store().command(id).await?;
        let Some(record) = record else {
            // The history forgets commands; what was announced of them stays.
            let kept = self.store().evidence(id).await?.filter(|kept| kept.endpoint_id == *endpoint);
            let kept = kept.filter(|kept| kept.epoch == claims.epoch).ok_or(UploadError::NotExpected(id))?;
            return Ok(of_evidence(&kept));
        };
        if record.endpoint_id != *endpoint || record.command != COLLECT || record.epoch != claims.epoch {
            return Err(UploadError::NotExpected(id));
        }
        let order: CollectForensics =
            serde_json::from_value(record.params.clone()).map_err(|_| UploadError::NotExpected(id))?;
        let largest = order.limits.max_bytes.min(LARGEST_BUNDLE_BYTES);
        if claims.size_bytes == 0 || claims.size_bytes > largest {
            return Err(invalid("claims.size_bytes", format!("must be 1 to {largest}, as ordered")));
        }
        if let Some(reported) = reported(&record) {
            let is_the_same = reported.sha256.as_deref() == Some(&claims.sha256)
                && reported.size_bytes == claims.size_bytes;
            if !is_the_same {
                return Err(UploadError::Differs(id));
            }
        }
        of_command(&record).ok_or(UploadError::NotExpected(id))
    }
}

/// What the result says of a bundle, if there is one.
fn collected(result: &CommandResult) -> Option<CollectionOutcome> {
    let data = result.data.as_ref()?;
    data.get("sha256")?;
    serde_json::from_value(data.clone()).ok()
}

/// The same of a command whose result is on disk.
fn reported(record: &CommandRecord) -> Option<CollectionOutcome> {
    let data = record.result.as_ref()?.get("data")?;
    data.get("sha256")?;
    serde_json::from_value(data.clone()).ok()
}

fn of_command(record: &CommandRecord) -> Option<EvidenceOfCommand> {
    let order: CollectForensics = serde_json::from_value(record.params.clone()).ok()?;
    let profile = serde_json::to_value(order.profile).ok()?.as_str()?.to_owned();
    Some(EvidenceOfCommand {
        command_id: record.id,
        endpoint_id: record.endpoint_id.clone(),
        epoch: record.epoch,
        hostname: record.hostname.clone(),
        requested_by: record.created_by.clone(),
        requested_at: record.created_at,
        reason: record.reason.clone(),
        requested: CustodyEvent {
            at: record.created_at,
            actor: Actor { kind: ActorKind::Operator, name: record.created_by.clone() },
            action: CustodyAction::Requested,
            detail: json!({
                "reason": record.reason, "hostname": record.hostname, "endpoint_id": record.endpoint_id,
                "epoch": record.epoch, "profile": profile, "max_bytes": order.limits.max_bytes,
                "max_seconds": order.limits.max_seconds, "cpu_percent": order.limits.cpu_percent,
                "batch_id": record.batch_id, "schedule_id": record.schedule_id,
            }),
        },
        profile,
    })
}

/// For a bundle whose row there is: its chain is open already.
fn of_evidence(kept: &EvidenceRecord) -> EvidenceOfCommand {
    EvidenceOfCommand {
        command_id: kept.command_id,
        endpoint_id: kept.endpoint_id.clone(),
        epoch: kept.epoch,
        hostname: kept.hostname.clone(),
        requested_by: kept.requested_by.clone(),
        requested_at: kept.requested_at,
        reason: kept.reason.clone(),
        profile: kept.profile.clone(),
        requested: CustodyEvent {
            at: kept.requested_at,
            actor: Actor { kind: ActorKind::Operator, name: kept.requested_by.clone() },
            action: CustodyAction::Requested,
            detail: json!({ "reason": kept.reason, "profile": kept.profile }),
        },
    }
}

/// 64 lower-case hexadecimal digits: one digest has one name.
fn digest(text: &str) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

fn invalid(field: &'static str, problem: impl Into<String>) -> UploadError {
    UploadError::Invalid { field, problem: problem.into() }
}

/// The request was signed by it a moment ago: what is left is the database.
fn agent_problem(error: AgentError) -> UploadError {
    match error {
        AgentError::Strike(error) => error.into(),
        AgentError::Refused { .. }
        | AgentError::EnrolmentTokenInvalid
        | AgentError::KeyKnown
        | AgentError::Invalid { .. } => invalid("claims", error.to_string()),
    }
}
