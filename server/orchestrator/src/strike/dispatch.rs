//! Signing a queued command and getting it to its agent.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{
    Command, CommandOrder, EndpointId, Envelope, OfferedCommand, PayloadType, PollResponse, ServerFrame,
};

use super::Strike;
use crate::{
    StrikeError,
    model::{CommandRecord, Method},
};

impl Strike {
    /// Pushes a command that has just been committed, from memory. Without a stream it waits for the agent's poll.
    pub(super) fn dispatch(&self, record: &CommandRecord) -> Method {
        let pushed = record.attempt > 0
            && self.sealed(record).is_some_and(|envelope| {
                let frame = ServerFrame::Command { attempt: record.attempt, envelope };
                self.inner.registry.push(&record.endpoint_id, frame)
            });
        if pushed {
            return Method::Stream;
        }
        if record.attempt > 0 {
            // The stream ended in between. Not waited for: losing this only makes the poll wait for the lease.
            let (strike, id) = (self.clone(), record.id);
            tokio::spawn(async move {
                if let Err(error) = strike.inner.store.end_lease(id).await {
                    tracing::warn!(command_id = id.0, %error, "the lease of command {id} could not be ended: {error}");
                }
            });
        }
        Method::Polling
    }

    /// Asks the agent what became of the commands it has acknowledged and not answered.
    pub async fn ask_on_stream(&self, endpoint: &EndpointId) -> Result<(), StrikeError> {
        for command_id in self.inner.store.unanswered(endpoint).await? {
            self.inner.registry.push(endpoint, ServerFrame::Query { command_id });
        }
        Ok(())
    }

    /// Offers what is due on the endpoint's stream. `renew`: also what is on offer already, for a new stream.
    pub async fn offer_on_stream(
        &self,
        endpoint: &EndpointId,
        renew: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StrikeError> {
        let due = self.inner.store.lease(endpoint, renew, now, now + self.inner.config.lease).await?;
        let mut offered = 0;
        for record in &due {
            let Some(envelope) = self.sealed(record) else { continue };
            let frame = ServerFrame::Command { attempt: record.attempt, envelope };
            if !self.inner.registry.push(endpoint, frame) {
                break;
            }
            offered += 1;
        }
        Ok(offered)
    }

    /// What is due for an agent that polls; it is leased to this answer.
    pub async fn poll(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> Result<PollResponse, StrikeError> {
        if self.inner.registry.saw_poll(endpoint, now) {
            self.changed(endpoint);
        }
        let due = self.inner.store.lease(endpoint, false, now, now + self.inner.config.lease).await?;
        let commands = due
            .into_iter()
            .filter_map(|record| {
                Some(OfferedCommand {
                    envelope: self.sealed(&record)?,
                    id: record.id,
                    command: record.command,
                    params: record.params,
                    attempt: record.attempt,
                })
            })
            .collect();
        Ok(PollResponse { commands })
    }

    /// The signed order. Ed25519 is deterministic, so the same row gives the same envelope on every channel. `None` for
    /// a row that this version cannot express; it stays queued and expires.
    fn sealed(&self, record: &CommandRecord) -> Option<Envelope> {
        let action = serde_json::json!({ "command": record.command, "params": record.params });
        let action: Command = match serde_json::from_value(action) {
            Ok(action) => action,
            Err(error) => {
                let id = record.id;
                tracing::error!(command_id = id.0, %error, "command {id} cannot be sent: {error}");
                return None;
            }
        };
        let order = CommandOrder {
            id: record.id,
            endpoint_id: record.endpoint_id.clone(),
            epoch: record.epoch,
            action,
            issued_at: record.created_at,
            not_before: record.not_before,
            expires_at: record.expires_at,
            created_by: record.created_by.clone(),
            reason: record.reason.clone(),
        };
        Some(Envelope::seal(PayloadType::Command, &order, &self.inner.key))
    }
}
