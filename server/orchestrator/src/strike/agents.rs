//! What agents say.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{
    CommandId, CommandResult, EndpointId, EnrolRequest, EnrolResponse, EnrolmentGrant, EnrolmentProof,
    Envelope, HelloClaims, IsolationOutcome, PayloadType, PublicKey, RefusalReason, ServerFrame, Telemetry,
};
use voltaxe_store::{AuditEntry, EnrolOutcome, NewEndpoint, RecordedResult};

use super::{StreamHandle, Strike};
use crate::{
    StrikeError, bounds, enrolment,
    model::{Channel, CommandRecord, EndpointStatus},
};

/// Why an agent is turned away. Its key stays good: it keeps it and tries again later.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("{detail}")]
    Refused { reason: RefusalReason, detail: &'static str },
    #[error("the enrolment token is unknown, used up or expired; make a new one on the console")]
    EnrolmentTokenInvalid,
    /// A repeated request: nothing was changed, and the token was not used.
    #[error("this key is enrolled already; enrol with a new one (--replace)")]
    KeyKnown,
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error(transparent)]
    Strike(#[from] StrikeError),
}

impl From<voltaxe_store::StoreError> for AgentError {
    fn from(error: voltaxe_store::StoreError) -> Self {
        Self::Strike(error.into())
    }
}

/// What became of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultOutcome {
    Recorded(CommandRecord),
    /// It was final before; the first result stands.
    AlreadyFinal(CommandRecord),
}

impl Strike {
    /// Lets a host in that holds an enrolment token and the key it names.
    pub async fn enrol(
        &self,
        request: &EnrolRequest,
        now: DateTime<Utc>,
    ) -> Result<EnrolResponse, AgentError> {
        let invalid = |field, problem: String| AgentError::Invalid { field, problem };
        let key = PublicKey::from_base64(&request.public_key)
            .map_err(|error| invalid("public_key", error.to_string()))?;
        let proof: EnrolmentProof = request
            .envelope
            .open(PayloadType::EnrolmentProof, &key)
            .map_err(|error| invalid("envelope", error.to_string()))?;
        enrolment::check_hostname(&proof.hostname).map_err(|problem| invalid("hostname", problem))?;
        if proof.machine_id.is_empty() || proof.machine_id.len() > 128 {
            return Err(invalid("machine_id", "must be 1 to 128 characters".to_owned()));
        }
        let id = EndpointId::of_key(&key);
        let new = NewEndpoint {
            id: &id,
            public_key: key.as_bytes(),
            hostname: &proof.hostname,
            machine_id: &proof.machine_id,
            agent_version: &proof.agent_version,
            host: &proof.host,
        };
        let (epoch, status) = match self.inner.store.enrol(&enrolment::hash(&proof.token), &new, now).await? {
            EnrolOutcome::Enrolled { epoch, status } => (epoch, status),
            EnrolOutcome::TokenInvalid => return Err(AgentError::EnrolmentTokenInvalid),
            EnrolOutcome::KeyKnown => return Err(AgentError::KeyKnown),
        };
        self.changed(&id);
        let grant = EnrolmentGrant {
            endpoint_id: id,
            epoch,
            hostname: proof.hostname,
            nonce: proof.nonce,
            issued_at: now,
            awaiting_approval: status == EndpointStatus::AwaitingApproval,
        };
        Ok(EnrolResponse {
            server_key: self.inner.key.public().to_base64(),
            envelope: Envelope::seal(PayloadType::EnrolmentGrant, &grant, &self.inner.key),
        })
    }

    /// The key of an endpoint that may speak, by its id.
    pub async fn agent_key(&self, id: &EndpointId) -> Result<PublicKey, AgentError> {
        let known =
            self.inner.store.endpoint_key(id).await?.ok_or_else(|| refused(RefusalReason::NotEnrolled))?;
        match known.status {
            EndpointStatus::Active => {}
            EndpointStatus::AwaitingApproval => return Err(refused(RefusalReason::AwaitingApproval)),
            EndpointStatus::Revoked => return Err(refused(RefusalReason::Revoked)),
        }
        PublicKey::from_bytes(&known.public_key).map_err(|_| refused(RefusalReason::NotEnrolled))
    }

    /// Answers a stream's hello. `claimed`: who the agent says it is, from the payload before it is verified.
    pub async fn open_stream(
        &self,
        hello: &Envelope,
        claimed: &EndpointId,
        nonce: &str,
        now: DateTime<Utc>,
    ) -> Result<StreamHandle, AgentError> {
        let key = self.agent_key(claimed).await?;
        let claims: HelloClaims =
            hello.open(PayloadType::Hello, &key).map_err(|_| refused(RefusalReason::BadSignature))?;
        let is_for_us = claims.nonce == nonce
            && &claims.endpoint_id == claimed
            && claims.server_key == self.inner.key.public().fingerprint();
        if !is_for_us {
            return Err(refused(RefusalReason::BadSignature));
        }
        let known = self.inner.store.endpoint_key(claimed).await?;
        let known = known.ok_or_else(|| refused(RefusalReason::NotEnrolled))?;
        if known.epoch != claims.epoch {
            return Err(refused(RefusalReason::WrongEpoch));
        }
        let version: String = claims.agent_version.chars().take(64).collect();
        if !self.inner.store.join(claimed, claims.join_counter, &version, now).await? {
            let hostname = &known.hostname;
            tracing::error!(
                endpoint = %claimed,
                join_counter = claims.join_counter,
                "{hostname} joined with a counter that was used before: two agents hold the same key"
            );
            let entry = AuditEntry {
                actor: "agent",
                action: "endpoint.cloned_key",
                endpoint: Some((claimed, hostname)),
                ..AuditEntry::default()
            };
            self.inner.store.audit(entry, now).await?;
            return Err(refused(RefusalReason::ClonedKey));
        }
        let number = u64::try_from(claims.join_counter).unwrap_or_default();
        let handle = self.inner.registry.connect(claimed, number, now);
        let interval = self.inner.config.telemetry_interval_seconds;
        self.inner.registry.push(claimed, ServerFrame::Welcome { telemetry_interval_seconds: interval });
        self.changed(claimed);
        Ok(handle)
    }

    /// The socket is gone.
    pub fn close_stream(&self, handle: &StreamHandle) {
        if self.inner.registry.disconnect(handle) {
            self.changed(&handle.endpoint);
        }
    }

    /// The agent has the command on its disk.
    pub async fn receipt(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        self.inner.registry.saw_message(endpoint, now);
        if let Some(record) = self.inner.store.record_receipt(endpoint, id, channel, now).await? {
            self.announce(&record);
        }
        Ok(())
    }

    /// The agent does not have a command that it once acknowledged (its journal was damaged): it is offered again.
    pub async fn not_known(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        self.inner.registry.saw_message(endpoint, now);
        if let Some(record) = self.inner.store.take_receipt_back(endpoint, id).await? {
            tracing::warn!(%endpoint, command_id = id.0, "{endpoint} has lost command {id}; it is offered again");
            self.announce(&record);
            self.offer_on_stream(endpoint, false, now).await?;
        }
        Ok(())
    }

    /// The agent has begun with it.
    pub async fn started(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        self.inner.registry.saw_message(endpoint, now);
        if let Some(record) = self.inner.store.record_started(endpoint, id, now).await? {
            self.announce(&record);
        }
        Ok(())
    }

    /// Puts a result on disk. After this answer the agent may forget it.
    pub async fn result(
        &self,
        endpoint: &EndpointId,
        mut result: CommandResult,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<ResultOutcome, AgentError> {
        self.inner.registry.saw_message(endpoint, now);
        let observed = result
            .data
            .as_ref()
            .and_then(|data| serde_json::from_value::<IsolationOutcome>(data.clone()).ok())
            .map(|outcome| outcome.observation);
        bounds::result(&mut result);
        let recorded =
            self.inner.store.record_result(endpoint, &result, observed.as_ref(), channel, now).await?;
        match recorded {
            RecordedResult::Recorded(record) => {
                self.announce(&record);
                Ok(ResultOutcome::Recorded(record))
            }
            RecordedResult::AlreadyFinal(record) => {
                self.note_late_result(&record, &result, now).await?;
                Ok(ResultOutcome::AlreadyFinal(record))
            }
            RecordedResult::Unknown => Err(StrikeError::UnknownCommand(result.command_id).into()),
        }
    }

    /// A second result that says something else is kept in the audit log.
    async fn note_late_result(
        &self,
        record: &CommandRecord,
        result: &CommandResult,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        let stood = record.result.as_ref().and_then(|kept| kept.get("success")).and_then(|s| s.as_bool());
        if stood == Some(result.success) {
            return Ok(());
        }
        let entry = AuditEntry {
            actor: "agent",
            action: "command.late_result",
            endpoint: Some((&record.endpoint_id, &record.hostname)),
            command_id: Some(record.id),
            reason: Some(&result.message),
            detail: Some(serde_json::json!({ "success": result.success, "stands": record.status.as_str() })),
        };
        Ok(self.inner.store.audit(entry, now).await?)
    }

    pub async fn telemetry(
        &self,
        endpoint: &EndpointId,
        mut telemetry: Telemetry,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        self.inner.registry.saw_message(endpoint, now);
        bounds::telemetry(&mut telemetry);
        self.inner.store.record_telemetry(endpoint, &telemetry, now).await?;
        self.changed(endpoint);
        Ok(())
    }

    /// Any other sign of life.
    pub fn saw(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        self.inner.registry.saw_message(endpoint, now);
    }
}

fn refused(reason: RefusalReason) -> AgentError {
    let detail = match reason {
        RefusalReason::NotEnrolled => {
            "this server does not know the agent's key; enrol the host with a string from the console"
        }
        RefusalReason::BadSignature => {
            "the signature does not verify with the enrolled key, or is for another server"
        }
        RefusalReason::WrongEpoch => {
            "the host was enrolled again since; restart the agent that was enrolled last"
        }
        RefusalReason::ClonedKey => {
            "this join counter was used before: two agents hold the same key; enrol one of them anew with --replace"
        }
        RefusalReason::AwaitingApproval => {
            "this machine or name is enrolled with another key; an administrator must approve: voltaxe-server admin approve-endpoint"
        }
        RefusalReason::Revoked => "this endpoint was revoked; enrol the host anew with --replace",
        RefusalReason::Busy => "too many streams at once; try again later",
        RefusalReason::Unknown => "refused",
    };
    AgentError::Refused { reason, detail }
}
