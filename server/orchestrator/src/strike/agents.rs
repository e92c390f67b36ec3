//! What agents say.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, MutexGuard, OnceLock, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{
    EndpointId, EnrolRequest, EnrolResponse, EnrolmentGrant, EnrolmentProof, Envelope, Epoch, HelloClaims,
    PayloadType, PollKey, PublicKey, RefusalReason, ServerFrame, Telemetry,
};
use voltaxe_store::{AuditEntry, EnrolOutcome, NewEndpoint, NewTelemetry};

use super::{StreamHandle, Strike};
use crate::{
    StrikeError, bounds, enrolment,
    events::Change,
    model::{EndpointStatus, ProgressNote},
};

const PROGRESS_PAUSE: TimeDelta = TimeDelta::milliseconds(500);
const PROGRESS_REMEMBERED: usize = 1024;

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

/// What is remembered of an active endpoint, so that its messages are checked without the database. The key is kept
/// unpacked: that is a fifth of what a check costs.
pub(super) struct KnownAgent {
    key: PublicKey,
    /// Derived at the first poll, in 50 us.
    poll_key: OnceLock<PollKey>,
    hostname: String,
    epoch: Epoch,
}

impl From<voltaxe_store::StoreError> for AgentError {
    fn from(error: voltaxe_store::StoreError) -> Self {
        Self::Strike(error.into())
    }
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
        let (epoch, status) = match self.store().enrol(&enrolment::hash(&proof.token), &new, now).await? {
            EnrolOutcome::Enrolled { epoch, status } => (epoch, status),
            EnrolOutcome::TokenInvalid => return Err(AgentError::EnrolmentTokenInvalid),
            EnrolOutcome::KeyKnown => return Err(AgentError::KeyKnown),
        };
        // The name may have been another's.
        self.names().remove(&proof.hostname);
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
            server_key: self.public_key().to_base64(),
            envelope: Envelope::seal(PayloadType::EnrolmentGrant, &grant, self.key()),
        })
    }

    /// The key of an endpoint that may speak, by its id. From memory; [`Strike::recheck_agents`] keeps that true.
    pub async fn agent_key(&self, id: &EndpointId) -> Result<PublicKey, AgentError> {
        Ok(self.known_agent(id).await?.key.clone())
    }

    /// The key of an agent's polls, for as long as [`Strike::agent_key`] is remembered.
    pub async fn poll_key(&self, id: &EndpointId) -> Result<PollKey, AgentError> {
        let known = self.known_agent(id).await?;
        Ok(known.poll_key.get_or_init(|| PollKey::of_server(self.key(), &known.key)).clone())
    }

    async fn known_agent(&self, id: &EndpointId) -> Result<Arc<KnownAgent>, AgentError> {
        if let Some(known) = self.keys().get(id) {
            return Ok(Arc::clone(known));
        }
        let known =
            self.store().endpoint_key(id).await?.ok_or_else(|| refused(RefusalReason::NotEnrolled))?;
        match known.status {
            EndpointStatus::Active => {}
            EndpointStatus::AwaitingApproval => return Err(refused(RefusalReason::AwaitingApproval)),
            EndpointStatus::Revoked => return Err(refused(RefusalReason::Revoked)),
        }
        let key =
            PublicKey::from_bytes(&known.public_key).map_err(|_| refused(RefusalReason::NotEnrolled))?;
        let known = Arc::new(KnownAgent {
            key,
            poll_key: OnceLock::new(),
            hostname: known.hostname,
            epoch: known.epoch,
        });
        self.keys().insert(id.clone(), Arc::clone(&known));
        Ok(known)
    }

    /// Forgets the keys of endpoints that may not speak any more, and ends their streams. Another process may have revoked
    /// them: call it every few seconds.
    pub(super) async fn recheck_agents(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let known: Vec<EndpointId> = self.keys().keys().cloned().collect();
        for endpoint in self.store().inactive_of(&known).await? {
            self.keys().remove(&endpoint);
            self.names().retain(|_, id| *id != endpoint);
            self.delivery().forget(&endpoint, now);
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, HashMap<EndpointId, Arc<KnownAgent>>> {
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> MutexGuard<'_, HashMap<String, EndpointId>> {
        self.inner.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a stream's hello. `claimed`: who the agent says it is, from the payload before it is verified.
    pub async fn open_stream(
        &self,
        hello: &Envelope,
        claimed: &EndpointId,
        nonce: &str,
        now: DateTime<Utc>,
    ) -> Result<StreamHandle, AgentError> {
        let known = self.known_agent(claimed).await?;
        let claims: HelloClaims =
            hello.open(PayloadType::Hello, &known.key).map_err(|_| refused(RefusalReason::BadSignature))?;
        let is_for_us = claims.nonce == nonce
            && &claims.endpoint_id == claimed
            && claims.server_key == self.public_key().fingerprint();
        if !is_for_us {
            return Err(refused(RefusalReason::BadSignature));
        }
        if known.epoch != claims.epoch {
            return Err(refused(RefusalReason::WrongEpoch));
        }
        let version: String = claims.agent_version.chars().take(64).collect();
        if !self.store().join(claimed, claims.join_counter, &version, now).await? {
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
            self.store().audit(entry, now).await?;
            return Err(refused(RefusalReason::ClonedKey));
        }
        let number = u64::try_from(claims.join_counter).unwrap_or_default();
        let handle = self.delivery().connect(claimed, number, now);
        let interval = self.inner.config.telemetry_interval_seconds;
        self.delivery()
            .shared()
            .registry
            .push(claimed, ServerFrame::Welcome { telemetry_interval_seconds: interval });
        self.changed(claimed);
        Ok(handle)
    }

    /// The socket is gone.
    pub fn close_stream(&self, handle: &StreamHandle, now: DateTime<Utc>) {
        if self.delivery().shared().registry.disconnect(handle, now) {
            self.changed(&handle.endpoint);
        }
    }

    /// `peer`: where the message came from, when that is known to be the agent itself.
    pub async fn telemetry(
        &self,
        endpoint: &EndpointId,
        mut telemetry: Telemetry,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<(), AgentError> {
        self.saw(endpoint, now);
        if let Some(peer) = peer {
            self.delivery().shared().registry.advertise(endpoint, peer, telemetry.agent.direct_port);
        }
        bounds::telemetry(&mut telemetry);
        self.delivery().shared().registry.note_load(endpoint, hundredths(telemetry.load.one));
        let message = NewTelemetry { endpoint_id: endpoint.clone(), telemetry, at: now };
        self.inner.telemetry.submit(message).await?;
        self.changed(endpoint);
        Ok(())
    }

    /// How far a long command is: told to those who watch, at most twice a second a command. `progress.endpoint_id` is the
    /// verified sender, so a page that shows a command asks for both.
    pub fn progress(&self, mut progress: ProgressNote, now: DateTime<Utc>) {
        self.saw(&progress.endpoint_id, now);
        if !self.events().is_watched() || !self.may_tell(&progress, now) {
            return;
        }
        bounds::progress(&mut progress.step);
        self.events().publish(Change::Progress(Arc::new(progress)));
    }

    /// Each message replaces the one before, so one that comes too soon is left out. A command's number is only the agent's
    /// word: nobody takes another agent's turn.
    fn may_tell(&self, progress: &ProgressNote, now: DateTime<Utc>) -> bool {
        let mut told = self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (progress.endpoint_id.clone(), progress.command_id);
        if told.get(&key).is_some_and(|at| now - *at < PROGRESS_PAUSE) {
            return false;
        }
        if told.len() >= PROGRESS_REMEMBERED {
            told.retain(|_, at| now - *at < PROGRESS_PAUSE);
        }
        told.insert(key, now);
        true
    }

    /// Any other sign of life.
    pub fn saw(&self, endpoint: &EndpointId, now: DateTime<Utc>) {
        self.delivery().shared().registry.saw_message(endpoint, now);
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

/// A host may report anything: what is no load counts as none.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is meant")]
fn hundredths(load: f64) -> i32 {
    ((load * 100.0).round() as i32).max(0)
}
