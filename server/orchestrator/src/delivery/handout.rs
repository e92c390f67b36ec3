//! Getting commands to their agents: pushed over the stream, by a call, or with the agent's next poll.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use voltaxe_protocol::{
    Cancellation, Command, CommandId, CommandOrder, EndpointId, Envelope, OfferedCommand, PayloadType,
    PollResponse, ServerFrame,
};
use voltaxe_store::{Lease, StoreError};

use super::{Delivery, Queue, Shared, lock};
use crate::{
    StrikeError,
    model::{Channel, CommandRecord},
    registry::Outgoing,
};

impl<Q: Queue> Delivery<Q> {
    /// Offers what is due on the endpoint's stream. `renew`: also what is on offer already, for a new stream.
    pub async fn offer_on_stream(
        &self,
        endpoint: &EndpointId,
        renew: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StrikeError> {
        Ok(self.shared.offer_on_stream(endpoint, renew, now).await?)
    }

    /// Asks the agent what became of the commands it has acknowledged and not answered, and for those that are wanted back.
    pub async fn ask_on_stream(&self, endpoint: &EndpointId) -> Result<(), StrikeError> {
        for command_id in self.shared.queue.unanswered(endpoint).await? {
            self.shared.registry.push(endpoint, ServerFrame::Query { command_id });
        }
        Ok(self.shared.ask_back_on_stream(endpoint).await?)
    }

    /// What is due for an agent that polls; it is leased to this answer. Answered from memory when nothing can be due. With
    /// `wait` it is answered when something comes, at the latest after that time. `clock` is read again then.
    pub async fn poll(
        &self,
        endpoint: &EndpointId,
        wait: Duration,
        clock: impl Fn() -> DateTime<Utc>,
    ) -> Result<PollResponse, StrikeError> {
        if self.shared.registry.saw_poll(endpoint, clock()) {
            self.shared.changed(endpoint);
        }
        if wait.is_zero() {
            return Ok(self.shared.poll_once(endpoint, clock()).await?);
        }
        // Listened to before looking: what comes in between is not missed.
        let came = self.shared.registry.work_came(endpoint);
        let came = came.notified();
        tokio::pin!(came);
        came.as_mut().enable();
        let answer = self.shared.poll_once(endpoint, clock()).await?;
        if !is_empty(&answer) || timeout(wait, came).await.is_err() {
            return Ok(answer);
        }
        Ok(self.shared.poll_once(endpoint, clock()).await?)
    }

    /// Offers what waits for a rate limit, in turn, until a bucket is empty.
    pub async fn release_deferred(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.shared.release_deferred(now).await?)
    }
}

fn is_empty(answer: &PollResponse) -> bool {
    answer.commands.is_empty() && answer.cancellations.is_empty() && answer.queries.is_empty()
}

impl<Q: Queue> Shared<Q> {
    /// Sends out a command that has just been committed. `None`: it waits for the agent's poll or stream.
    pub(super) fn send(
        self: &Arc<Self>,
        record: &CommandRecord,
        awaited: Option<oneshot::Sender<Channel>>,
        commit_began: Option<Instant>,
        now: DateTime<Utc>,
    ) -> Option<Channel> {
        self.registry.note_work(&record.endpoint_id);
        if record.attempt == 0 {
            if self.is_limited(&record.command) {
                lock(&self.deferred).push_back(record.endpoint_id.clone());
            } else if !self.registry.has_stream(&record.endpoint_id) {
                lock(&self.hints).insert(record.endpoint_id.clone());
            }
            return None;
        }
        let envelope = self.sealed(record)?;
        if let Some(awaited) = awaited {
            lock(&self.awaited).insert(record.id, awaited);
        }
        let frame = ServerFrame::Command { attempt: record.attempt, envelope: envelope.clone() };
        if self.registry.push(&record.endpoint_id, Outgoing { frame, commit_began }) {
            self.note_lease(record, now + self.config.lease);
            return Some(Channel::Stream);
        }
        if let Some(address) = self.registry.direct_address(&record.endpoint_id)
            && self.call(record, address, envelope, now)
        {
            self.note_lease(record, now + self.config.lease);
            return Some(Channel::Direct);
        }
        // The stream ended in between. Not waited for: losing this only makes the poll wait for the lease.
        lock(&self.awaited).remove(&record.id);
        self.end_lease_later(record.id, record.endpoint_id.clone());
        None
    }

    pub(super) fn lease_for(
        &self,
        endpoint: &EndpointId,
        kind: &str,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let goes_out = self.registry.has_stream(endpoint)
            || (self.caller.is_some() && self.registry.direct_address(endpoint).is_some());
        (goes_out && !self.is_limited(kind)).then(|| now + self.config.lease)
    }

    pub(super) fn end_lease_later(self: &Arc<Self>, id: CommandId, endpoint: EndpointId) {
        lock(&self.leases).remove(&id);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = shared.queue.end_leases(&[id]).await {
                tracing::warn!(command_id = id.0, %error, "the lease of command {id} could not be ended: {error}");
            }
            shared.registry.note_work(&endpoint);
        });
    }

    pub(super) async fn offer_on_stream(
        &self,
        endpoint: &EndpointId,
        renew: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        if !self.registry.has_stream(endpoint) {
            return Ok(0);
        }
        let due = self.take_due(endpoint, renew, now).await?;
        let mut offered = 0;
        for record in &due {
            let Some(envelope) = self.sealed(record) else {
                offered += 1;
                continue;
            };
            if record.attempt > 1 {
                self.meters.offered_again();
            }
            let frame = ServerFrame::Command { attempt: record.attempt, envelope };
            if !self.registry.push(endpoint, frame) {
                // The stream ended in between: the rest is for the next poll.
                let left: Vec<CommandId> = due[offered..].iter().map(|record| record.id).collect();
                self.queue.end_leases(&left).await?;
                break;
            }
            offered += 1;
        }
        Ok(offered)
    }

    pub(super) async fn ask_back_on_stream(&self, endpoint: &EndpointId) -> Result<(), StoreError> {
        for record in self.queue.asked_back(endpoint).await? {
            if let Some(envelope) = self.sealed_cancellation(&record) {
                self.registry.push(endpoint, ServerFrame::Cancel { envelope });
            }
        }
        Ok(())
    }

    async fn poll_once(&self, endpoint: &EndpointId, now: DateTime<Utc>) -> Result<PollResponse, StoreError> {
        let Some(generation) = self.registry.may_have_work(endpoint) else {
            return Ok(PollResponse::default());
        };
        let due = self.take_due(endpoint, false, now).await?;
        let queries = self.queue.unanswered(endpoint).await?;
        let asked_back = self.queue.asked_back(endpoint).await?;
        let answer = PollResponse {
            commands: due.into_iter().filter_map(|record| self.offered(record)).collect(),
            cancellations: asked_back.iter().filter_map(|record| self.sealed_cancellation(record)).collect(),
            queries,
        };
        if is_empty(&answer) && !self.is_deferred(endpoint) {
            self.registry.note_idle(endpoint, generation);
        }
        Ok(answer)
    }

    fn offered(&self, record: CommandRecord) -> Option<OfferedCommand> {
        if record.attempt > 1 {
            self.meters.offered_again();
        }
        Some(OfferedCommand {
            envelope: self.sealed(&record)?,
            id: record.id,
            command: record.command,
            params: record.params,
            attempt: record.attempt,
        })
    }

    /// Leases what is due, as far as the rate limits let it go.
    async fn take_due(
        &self,
        endpoint: &EndpointId,
        renew: bool,
        now: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let fifo = self.config.strategy == super::Strategy::Fifo;
        let until = now + self.config.lease;
        let lease = Lease { until, renew, fifo, only: None };
        let leased = if lock(&self.limited).is_empty() {
            self.queue.lease(endpoint, &lease, now).await?
        } else {
            self.take_within_limits(endpoint, &lease, now).await?
        };
        leased.iter().for_each(|record| self.note_lease(record, until));
        Ok(leased)
    }

    async fn take_within_limits(
        &self,
        endpoint: &EndpointId,
        lease: &Lease<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let due = self.queue.due(endpoint, lease, now).await?;
        // In the order in which they are due: what is urgent takes from the bucket for all kinds first.
        let mut wanted: Vec<(&str, i32)> = Vec::new();
        for (_, kind) in &due {
            match wanted.iter_mut().find(|(known, _)| known == kind) {
                Some((_, count)) => *count += 1,
                None => wanted.push((kind, 1)),
            }
        }
        let mut granted = HashMap::new();
        for (kind, count) in wanted {
            granted.insert(kind.to_owned(), self.queue.take_tokens(kind, count, now).await?);
        }
        let mut ids = Vec::with_capacity(due.len());
        for (id, kind) in &due {
            if let Some(left) = granted.get_mut(kind).filter(|left| **left > 0) {
                *left -= 1;
                ids.push(*id);
            }
        }
        if ids.len() < due.len() {
            lock(&self.deferred).push_back(endpoint.clone());
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.queue.lease(endpoint, &Lease { only: Some(&ids), ..*lease }, now).await
    }

    fn note_lease(&self, record: &CommandRecord, until: DateTime<Utc>) {
        lock(&self.leases).insert(record.id, (record.endpoint_id.clone(), until));
    }

    /// Endpoints with a command that this server handed out and that nobody has acknowledged in time.
    pub(super) fn take_run_out_leases(&self, now: DateTime<Utc>) -> BTreeSet<EndpointId> {
        let run_out = |_: &CommandId, (_, until): &mut (EndpointId, DateTime<Utc>)| *until <= now;
        lock(&self.leases).extract_if(run_out).map(|(_, (endpoint, _))| endpoint).collect()
    }

    async fn release_deferred(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let turns = lock(&self.deferred).len();
        for _ in 0..turns {
            let Some(endpoint) = lock(&self.deferred).pop_front() else { break };
            if !self.registry.has_stream(&endpoint) {
                // It asks by itself.
                self.registry.note_work(&endpoint);
                continue;
            }
            let before = lock(&self.deferred).len();
            self.offer_on_stream(&endpoint, false, now).await?;
            if lock(&self.deferred).len() > before {
                // Its bucket is empty: it stays first in turn.
                let mut deferred = lock(&self.deferred);
                if let Some(back) = deferred.pop_back() {
                    deferred.push_front(back);
                }
                break;
            }
        }
        Ok(())
    }

    fn is_limited(&self, kind: &str) -> bool {
        let limited = lock(&self.limited);
        !limited.is_empty() && (limited.contains("*") || limited.contains(kind))
    }

    fn is_deferred(&self, endpoint: &EndpointId) -> bool {
        lock(&self.deferred).contains(endpoint)
    }

    /// The signed order. Ed25519 is deterministic, so the same row gives the same envelope on every channel. `None` for
    /// a row that this version cannot express; it stays queued and expires.
    pub(super) fn sealed(&self, record: &CommandRecord) -> Option<Envelope> {
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
        Some(Envelope::seal(PayloadType::Command, &order, &self.key))
    }

    pub(super) fn sealed_cancellation(&self, record: &CommandRecord) -> Option<Envelope> {
        let cancellation = Cancellation {
            id: record.id,
            endpoint_id: record.endpoint_id.clone(),
            epoch: record.epoch,
            issued_at: record.cancel_requested_at?,
            expires_at: record.expires_at,
            cancelled_by: record.cancel_requested_by.clone()?,
        };
        Some(Envelope::seal(PayloadType::Cancellation, &cancellation, &self.key))
    }
}
