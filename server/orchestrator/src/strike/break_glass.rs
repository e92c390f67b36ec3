//! What holds when the server cannot be reached by an isolated host, and how the host finds out that it can.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{
    CommandId, EndpointId, Envelope, ObservedIsolation, PayloadType, ProbeAnswer, ProbeClaims, ReleaseClaims,
    ReleaseTicket,
};
use voltaxe_store::AuditEntry;

use super::{Strike, isolation::is_wanted_isolated, request::checked_reason};
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::EndpointRecord,
};

/// A ticket that ends one isolation of one host, at its own console. `Debug` hides it.
#[derive(Clone, Debug)]
pub struct IssuedTicket {
    pub ticket: ReleaseTicket,
    pub hostname: String,
    /// The command whose rules it is good for.
    pub generation: CommandId,
}

impl IssuedTicket {
    /// What an administrator types on the host. It holds the secret.
    #[must_use]
    pub fn command_line(&self) -> String {
        format!("voltaxe-sentinel isolation release --ticket {}", self.ticket.reveal())
    }
}

impl Strike {
    /// Answers an isolated agent's question whether it still reaches its server. From memory. `arrived_at`: the server's address
    /// that the request came to, when that is known; said when no addresses are configured.
    #[must_use]
    pub fn probe(
        &self,
        endpoint: &EndpointId,
        nonce: String,
        arrived_at: Option<SocketAddr>,
        now: DateTime<Utc>,
    ) -> ProbeAnswer {
        self.saw(endpoint, now);
        let announced = &self.config().announce;
        let addresses =
            if announced.is_empty() { arrived_at.into_iter().collect() } else { announced.clone() };
        let claims = ProbeClaims { nonce, endpoint_id: endpoint.clone(), server_time: now, addresses };
        ProbeAnswer { answer: Envelope::seal(PayloadType::Probe, &claims, self.key()) }
    }

    /// Signs a release ticket for the isolation that the host is in, or on its way to. The audit log keeps who asked and why,
    /// not the ticket.
    pub async fn release_ticket(
        &self,
        permit: &Permit<may::ReleaseTicket>,
        id: &EndpointId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedTicket, StrikeError> {
        let record =
            self.store().endpoint(id).await?.ok_or_else(|| StrikeError::UnknownHost(id.to_string()))?;
        self.issue(&record, &permit.operator().username, reason, now).await
    }

    /// For the server's own console, where being able to run the program is the permission.
    pub async fn release_ticket_at_console(
        &self,
        hostname: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedTicket, StrikeError> {
        let unknown = || StrikeError::UnknownHost(hostname.to_owned());
        let id = self.store().endpoint_named(hostname).await?.ok_or_else(unknown)?;
        let record = self.store().endpoint(&id).await?.ok_or_else(unknown)?;
        self.issue(&record, "console", reason, now).await
    }

    async fn issue(
        &self,
        record: &EndpointRecord,
        by: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedTicket, StrikeError> {
        let reason = checked_reason(reason)?;
        let hostname = record.hostname.clone();
        let generation = generation_of(record).ok_or_else(|| {
            StrikeError::Conflict(format!(
                "{hostname} is not isolated as far as this server knows, so there is nothing that a ticket would end"
            ))
        })?;
        let claims = ReleaseClaims { endpoint_id: record.id.clone(), epoch: record.epoch, generation };
        let entry = AuditEntry {
            actor: by,
            action: "release_ticket.issue",
            endpoint: Some((&record.id, &hostname)),
            command_id: Some(generation),
            reason: Some(&reason),
            detail: None,
        };
        // On disk before it is out: no ticket without a row.
        self.store().audit(entry, now).await?;
        tracing::warn!(endpoint = %record.id, by, "a release ticket for {hostname} was issued to {by}");
        Ok(IssuedTicket { ticket: ReleaseTicket::sign(&claims, self.key()), hostname, generation })
    }
}

/// Whose rules are in the host's kernel, as it said; before it has said so, whose will be.
fn generation_of(record: &EndpointRecord) -> Option<CommandId> {
    let observed = record.observed.as_ref().map(|observed| &observed.isolation);
    let in_force = observed
        .filter(|isolation| match isolation.state {
            ObservedIsolation::Isolated | ObservedIsolation::Partial | ObservedIsolation::Unknown => true,
            ObservedIsolation::NotIsolated => false,
        })
        .and_then(|isolation| isolation.generation);
    let desired = record.desired.as_ref();
    let wanted = desired
        .filter(|_| is_wanted_isolated(desired))
        .map(|desired| desired.change_id.unwrap_or(desired.command_id));
    in_force.or(wanted)
}
