//! One order to many endpoints.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::{Command, CommandId, EndpointId, NetworkRestore};
use voltaxe_store::{CancelledBatch, CreateBatch, NewBatch};

use super::{
    Strike, action_of,
    request::{Draft, check_repeatable, invalid},
};
use crate::{
    StrikeError,
    authority::{Operator, Permit, may},
    model::{BatchId, BatchRecord, CommandRecord, ExcludedHost, StateCounts},
};

/// A batch is one transaction: it must end within the database's limit for a statement.
pub(super) const LARGEST_BATCH: usize = 20_000;
const AT_ONCE: i64 = 500;

#[derive(Clone, Debug)]
pub struct BatchRequest {
    pub command: Command,
    /// Names of active endpoints, ids, or both; at least one, each counts once.
    pub hostnames: Vec<String>,
    pub endpoint_ids: Vec<EndpointId>,
    pub reason: String,
    /// As in [`super::Request`].
    pub expires_at: Option<DateTime<Utc>>,
    pub idempotency_key: Option<Uuid>,
}

/// What a batch comes from, beside its order and its hosts.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) undo_of: Option<BatchId>,
    pub(super) idempotency_key: Option<Uuid>,
    pub(super) excluded: Vec<ExcludedHost>,
}

/// A batch, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchProgress {
    pub batch: BatchRecord,
    pub states: StateCounts,
}

impl Strike {
    /// Orders the same of many endpoints: on disk whole when this returns, or nothing of it.
    pub async fn create_batch(
        &self,
        operator: &Operator,
        request: BatchRequest,
        now: DateTime<Utc>,
    ) -> Result<BatchRecord, StrikeError> {
        operator.must(action_of(&request.command))?;
        check_repeatable(&request.command)?;
        let draft = self.draft(request.command, &request.reason, request.expires_at, now)?;
        let targets = self.targets(&request.hostnames, request.endpoint_ids).await?;
        let origin = Origin { idempotency_key: request.idempotency_key, ..Origin::default() };
        self.make_batch(&operator.username, &draft, targets, origin, now).await
    }

    pub async fn batch(
        &self,
        _permit: &Permit<may::View>,
        id: BatchId,
    ) -> Result<BatchProgress, StrikeError> {
        let batch = self.store().batch(id).await?.ok_or_else(|| no_such_batch(id))?;
        Ok(BatchProgress { batch, states: self.store().batch_states(id).await? })
    }

    /// Newest first, those made before `before`.
    pub async fn batches(
        &self,
        _permit: &Permit<may::View>,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<BatchRecord>, StrikeError> {
        Ok(self.store().batches(before, limit.clamp(1, AT_ONCE)).await?)
    }

    /// A batch's commands by id, those after `after`.
    pub async fn commands_of_batch(
        &self,
        _permit: &Permit<may::View>,
        id: BatchId,
        after: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StrikeError> {
        Ok(self.store().commands_of_batch(id, after, limit.clamp(1, AT_ONCE)).await?)
    }

    /// Cancels the rest: for certain what was not handed out, by asking the hosts for what was.
    pub async fn cancel_batch(
        &self,
        permit: &Permit<may::CancelCommand>,
        id: BatchId,
        now: DateTime<Utc>,
    ) -> Result<BatchProgress, StrikeError> {
        let by = &permit.operator().username;
        let CancelledBatch { batch, cancelled, requested } =
            self.store().cancel_batch(id, by, now).await?.ok_or_else(|| no_such_batch(id))?;
        for record in &cancelled {
            self.delivery().shared().announce(record);
        }
        for record in &requested {
            self.delivery().asked_back(record).await?;
        }
        Ok(BatchProgress { batch, states: self.store().batch_states(id).await? })
    }

    /// Releases exactly the endpoints that this batch isolated and that are isolated by it still.
    pub async fn undo_batch(
        &self,
        permit: &Permit<may::Restore>,
        id: BatchId,
        reason: &str,
        idempotency_key: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<BatchRecord, StrikeError> {
        let batch = self.store().batch(id).await?.ok_or_else(|| no_such_batch(id))?;
        if batch.command != "network_isolate" {
            return Err(StrikeError::Conflict(format!(
                "batch {id} is of {}; only network_isolate can be undone",
                batch.command
            )));
        }
        let targets = self.store().isolated_by_batch(id).await?;
        if targets.is_empty() {
            return Err(StrikeError::Conflict(format!(
                "no endpoint is isolated by batch {id} any more: there is nothing to undo"
            )));
        }
        let restore = Command::NetworkRestore(NetworkRestore { reason: String::new() });
        let draft = self.draft(restore, reason, None, now)?;
        let origin = Origin { undo_of: Some(id), idempotency_key, ..Origin::default() };
        self.make_batch(&permit.operator().username, &draft, targets, origin, now).await
    }

    pub(super) async fn targets(
        &self,
        hostnames: &[String],
        endpoint_ids: Vec<EndpointId>,
    ) -> Result<Vec<EndpointId>, StrikeError> {
        if hostnames.is_empty() && endpoint_ids.is_empty() {
            return Err(invalid("hostnames", "is empty: name at least one endpoint"));
        }
        if hostnames.len() + endpoint_ids.len() > LARGEST_BATCH {
            return Err(invalid("hostnames", format!("holds more than {LARGEST_BATCH} endpoints; split it")));
        }
        let mut targets: BTreeSet<EndpointId> = endpoint_ids.into_iter().collect();
        let known = self.store().endpoints_named(hostnames).await?;
        let names: BTreeSet<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let unknown: Vec<&str> =
            hostnames.iter().map(String::as_str).filter(|name| !names.contains(name)).collect();
        if !unknown.is_empty() {
            return Err(StrikeError::UnknownHosts(some_of(&unknown)));
        }
        targets.extend(known.into_iter().map(|(_, id)| id));
        Ok(targets.into_iter().collect())
    }

    pub(super) async fn make_batch(
        &self,
        by: &str,
        draft: &Draft,
        targets: Vec<EndpointId>,
        origin: Origin,
        now: DateTime<Utc>,
    ) -> Result<BatchRecord, StrikeError> {
        let id = BatchId(Uuid::now_v7());
        let kind = draft.command().kind();
        let commands = targets
            .into_iter()
            .map(|endpoint| {
                let mut new = draft.in_batch(endpoint, by, id);
                new.leased_until = self.delivery().lease_for(&new.endpoint_id, kind, now);
                new
            })
            .collect();
        let Origin { undo_of, idempotency_key, excluded } = origin;
        let new = NewBatch { id, undo_of, idempotency_key, excluded, commands };
        match self.store().create_batch(&new, now).await? {
            CreateBatch::New(batch, commands) => {
                self.delivery().send_out(commands, now);
                Ok(batch)
            }
            CreateBatch::Repeated(batch) => Ok(batch),
            CreateBatch::NoSuchEndpoints(missing) => {
                let missing: Vec<&str> = missing.iter().map(EndpointId::as_str).collect();
                Err(StrikeError::UnknownHosts(some_of(&missing)))
            }
        }
    }
}

/// The first few by name, and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    const NAMED: usize = 5;
    let named = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

pub(super) fn no_such_batch(id: BatchId) -> StrikeError {
    StrikeError::NotFound(format!("there is no batch {id}"))
}
