//! What agents say of their commands, and what time says.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use voltaxe_protocol::{CommandId, CommandResult, EndpointId, IsolationOutcome};
use voltaxe_store::{Cancel, NewReceipt, NewResult, NewStart, RecordedResult, StoreError};

use super::{ANSWER_GRACE, Delivery, Queue, Shared, lock};
use crate::{
    StrikeError, bounds,
    meters::Commit,
    model::{Channel, CommandRecord},
};

/// What became of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultOutcome {
    Recorded(CommandRecord),
    /// It was final before; the first result stands.
    AlreadyFinal(CommandRecord),
}

impl<Q: Queue> Delivery<Q> {
    /// The agent has the command on its disk.
    pub async fn receipt(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        self.shared.registry.saw_message(endpoint, now);
        let receipt = NewReceipt { endpoint_id: endpoint.clone(), id, channel, at: now };
        Ok(self.receipts.submit(receipt).await?)
    }

    /// The agent has begun. Noted in memory: most commands are over before it would be written.
    pub fn started(&self, endpoint: &EndpointId, id: CommandId, now: DateTime<Utc>) {
        self.shared.registry.saw_message(endpoint, now);
        lock(&self.shared.begun).entry(id).or_insert_with(|| (endpoint.clone(), now));
    }

    /// Writes down what has begun and not ended.
    pub async fn flush_started(&self) -> Result<(), StrikeError> {
        let begun = std::mem::take(&mut *lock(&self.shared.begun));
        if begun.is_empty() {
            return Ok(());
        }
        let starts: Vec<NewStart> =
            begun.into_iter().map(|(id, (endpoint_id, at))| NewStart { endpoint_id, id, at }).collect();
        for record in self.shared.queue.record_starts(&starts).await? {
            self.shared.announce(&record);
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
    ) -> Result<ResultOutcome, StrikeError> {
        self.shared.registry.saw_message(endpoint, now);
        let observed = result
            .data
            .as_ref()
            .and_then(|data| serde_json::from_value::<IsolationOutcome>(data.clone()).ok())
            .map(|outcome| {
                let mut observation = outcome.observation;
                bounds::observation(&mut observation);
                observation
            });
        bounds::result(&mut result);
        let id = result.command_id;
        let begun = lock(&self.shared.begun).remove(&id);
        let started_at = begun.filter(|(by, _)| by == endpoint).map(|(_, at)| at);
        let new = NewResult { endpoint_id: endpoint.clone(), result, observed, channel, started_at, at: now };
        match self.results.submit(new.clone()).await? {
            RecordedResult::Recorded(record) => Ok(ResultOutcome::Recorded(record)),
            RecordedResult::AlreadyFinal(record) => {
                let stood = record.result.as_ref().and_then(|kept| kept.get("success")?.as_bool());
                if stood != Some(new.result.success) {
                    self.shared.queue.record_late_result(&new, &record).await?;
                }
                Ok(ResultOutcome::AlreadyFinal(record))
            }
            RecordedResult::Unknown => Err(StrikeError::UnknownCommand(id)),
        }
    }

    /// The agent does not have a command that it once acknowledged (its journal was damaged): it is offered again.
    pub async fn not_known(
        &self,
        endpoint: &EndpointId,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        self.shared.registry.saw_message(endpoint, now);
        if let Some(record) = self.shared.queue.take_receipt_back(endpoint, id).await? {
            tracing::warn!(%endpoint, command_id = id.0, "{endpoint} has lost command {id}; it is offered again");
            self.shared.announce(&record);
            self.shared.registry.note_work(endpoint);
            self.shared.offer_on_stream(endpoint, false, now).await?;
        }
        Ok(())
    }

    /// Takes a command back: for certain when nobody can have it, by asking the host when it was handed out.
    pub async fn cancel(&self, id: CommandId, by: &str, now: DateTime<Utc>) -> Result<Cancel, StrikeError> {
        let outcome = self.shared.queue.cancel(id, by, now).await?;
        match &outcome {
            Cancel::Cancelled(record) => self.shared.announce(record),
            Cancel::Requested(record) => self.asked_back(record).await?,
            Cancel::AlreadyFinal(_) | Cancel::Unknown => {}
        }
        Ok(outcome)
    }

    /// Has the host asked for a command that is wanted back.
    pub async fn asked_back(&self, record: &CommandRecord) -> Result<(), StrikeError> {
        self.shared.announce(record);
        self.shared.registry.note_work(&record.endpoint_id);
        Ok(self.shared.ask_back_on_stream(&record.endpoint_id).await?)
    }

    /// Ends what ran out and offers again what this server handed out and nobody has confirmed: from memory, so that it costs
    /// nothing when nothing is wrong. Safe to run at any time.
    pub async fn look_after(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        let shared = &self.shared;
        shared.set_limited(shared.queue.limited_kinds(now).await?);
        for record in shared.queue.expire(now, now - ANSWER_GRACE).await? {
            let (id, hostname) = (record.id, &record.hostname);
            tracing::info!(command_id = id.0, "command {id} for {hostname} expired without an answer");
            shared.meters.expired();
            lock(&shared.begun).remove(&id);
            lock(&shared.leases).remove(&id);
            shared.announce(&record);
        }
        for endpoint in shared.take_run_out_leases(now) {
            shared.registry.note_work(&endpoint);
            shared.offer_on_stream(&endpoint, false, now).await?;
        }
        for endpoint in shared.registry.take_lapsed_polls(now) {
            shared.changed(&endpoint);
        }
        lock(&shared.awaited).retain(|_, caller| !caller.is_closed());
        Ok(())
    }

    /// [`Delivery::look_after`], and asks the database what else waits for the agents that are there: what a lost hint was
    /// about, what a server that is gone had handed out, what somebody changed by hand. It reads the whole queue.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        self.look_after(now).await?;
        let shared = &self.shared;
        let recent = shared.registry.recent(now);
        for endpoint in shared.queue.overdue_endpoints(&recent, now).await? {
            shared.registry.note_work(&endpoint);
            if shared.registry.has_stream(&endpoint) {
                shared.ask_back_on_stream(&endpoint).await?;
                shared.offer_on_stream(&endpoint, false, now).await?;
            }
        }
        Ok(())
    }

    /// Asks agents about commands that they acknowledged before `delivered_before` and have not answered. They tell by
    /// themselves; this is for what one of them lost.
    pub async fn ask_about_silent(
        &self,
        delivered_before: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let recent = self.shared.registry.recent(now);
        for endpoint in self.shared.queue.silent_endpoints(&recent, delivered_before).await? {
            // One that polls is asked in the answer to its next poll.
            self.shared.registry.note_work(&endpoint);
            if self.shared.registry.has_stream(&endpoint) {
                self.ask_on_stream(&endpoint).await?;
            }
        }
        Ok(())
    }
}

impl<Q: Queue> Shared<Q> {
    fn end_waits(&self, ids: impl Iterator<Item = CommandId>) {
        let mut leases = lock(&self.leases);
        for id in ids {
            leases.remove(&id);
        }
    }

    pub(super) async fn commit_receipts(
        self: Arc<Self>,
        group: Vec<NewReceipt>,
    ) -> Result<Vec<()>, StoreError> {
        let received =
            self.meters.time(Commit::Receipt, group.len(), self.queue.record_receipts(&group)).await?;
        self.end_waits(group.iter().map(|receipt| receipt.id));
        for record in &received {
            let awaited = lock(&self.awaited).remove(&record.id);
            if let (Some(awaited), Some(channel)) = (awaited, record.channel) {
                // Nobody may wait any more.
                let _ = awaited.send(channel);
            }
            self.announce(record);
        }
        Ok(vec![(); group.len()])
    }

    pub(super) async fn commit_results(
        self: Arc<Self>,
        group: Vec<NewResult>,
    ) -> Result<Vec<RecordedResult>, StoreError> {
        let recorded =
            self.meters.time(Commit::Result, group.len(), self.queue.record_results(&group)).await?;
        self.end_waits(group.iter().map(|new| new.result.command_id));
        for outcome in &recorded {
            if let RecordedResult::Recorded(record) = outcome {
                // Its receipt may have been overtaken.
                let awaited = lock(&self.awaited).remove(&record.id);
                if let (Some(awaited), Some(channel)) = (awaited, record.channel) {
                    let _ = awaited.send(channel);
                }
                self.announce(record);
            }
        }
        Ok(recorded)
    }
}
