//! What operators ask for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout},
};
use voltaxe_protocol::{Command, CommandId, CommandState, EndpointId};
use voltaxe_store::{AuditEntry, Cancel, Enqueue, NewCommand};

use super::{
    Request, Strike, Target, action_of,
    request::{Draft, action_of_kind},
};
use crate::{
    StrikeError,
    authority::{Operator, Permit, may},
    delivery::Enqueued,
    events::{Change, Event},
    model::{Accepted, CommandRecord, EndpointRecord, EndpointView, Method, RateLimit},
};

/// How long a click's answer waits for the receipt, so that it can name the channel that got it. A call may take longer:
/// the page then learns of it as it learns of everything.
const RECEIPT_WITHIN: Duration = Duration::from_millis(750);
/// Looked for in the database while an event is waited for.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
pub(super) const COMMANDS_AT_ONCE: i64 = 500;

impl Strike {
    /// All endpoints but revoked ones, by name.
    pub async fn endpoints(
        &self,
        _permit: &Permit<may::View>,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointView>, StrikeError> {
        let records = self.store().endpoints().await?;
        Ok(records.into_iter().map(|record| self.view(record, now)).collect())
    }

    pub async fn endpoint(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        now: DateTime<Utc>,
    ) -> Result<Option<EndpointView>, StrikeError> {
        Ok(self.store().endpoint(id).await?.map(|record| self.view(record, now)))
    }

    /// An endpoint's commands, newest first, those older than `before`; at most 500.
    pub async fn commands_of(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StrikeError> {
        Ok(self.store().commands_of(id, before, limit.clamp(1, COMMANDS_AT_ONCE)).await?)
    }

    /// Everybody's commands, newest first, those older than `before`; at most 500.
    pub async fn commands(
        &self,
        _permit: &Permit<may::View>,
        before: Option<CommandId>,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StrikeError> {
        Ok(self.store().commands(before, limit.clamp(1, COMMANDS_AT_ONCE)).await?)
    }

    /// With its result's `data`, if the operator may give such commands: what runs on a host is not for every viewer.
    pub async fn command(
        &self,
        permit: &Permit<may::View>,
        id: CommandId,
    ) -> Result<CommandRecord, StrikeError> {
        let record = self.store().command(id).await?.ok_or(StrikeError::UnknownCommand(id))?;
        let action = action_of_kind(&record.command);
        match action.map(|action| permit.operator().must(action)) {
            Some(Ok(())) => Ok(record),
            Some(Err(_)) | None => Ok(record.without_data()),
        }
    }

    /// As [`Strike::command`], once the command is final or after `within`, whichever is first.
    pub async fn command_when_final(
        &self,
        permit: &Permit<may::View>,
        id: CommandId,
        within: Duration,
    ) -> Result<CommandRecord, StrikeError> {
        let deadline = Instant::now() + within;
        // Listened to before looking: what comes in between is not missed.
        let mut events = self.events().subscribe(None).live;
        loop {
            let record = self.command(permit, id).await?;
            if record.status.is_final() || Instant::now() >= deadline {
                return Ok(record);
            }
            let is_told = async {
                loop {
                    match events.recv().await {
                        Ok(Event { change: Change::Command(told), .. }) if told.id == id => return,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                    }
                }
            };
            // Another server on this database may have got the result: then no event tells of it here.
            let pause = LOOK_AGAIN_AFTER.min(deadline.saturating_duration_since(Instant::now()));
            let _ = timeout(pause, is_told).await;
        }
    }

    /// Tells one host to do something. Answered when the command is on disk and, if it went out at once, when its receipt
    /// is there or a moment has passed. A host that is isolated or isolating answers a second isolate with the command
    /// that did it.
    pub async fn order(
        &self,
        operator: &Operator,
        command: Command,
        request: Request,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        operator.must(action_of(&command))?;
        let draft = self.draft(command, &request.reason, request.expires_at, now)?;
        if let Command::IsolationChange(change) = draft.command() {
            return self.change_isolation(operator, &draft, change, &request, now).await;
        }
        let mut endpoint = self.resolve(&request.target).await?;
        let mut new = self.one(&draft, endpoint.clone(), operator, &request);
        let mut enqueued = self.delivery().enqueue(new.clone(), now).await?;
        if let (Enqueue::NoSuchEndpoint, Target::Hostname(name)) = (&enqueued.outcome, &request.target) {
            // The name was remembered from before the host was enrolled anew.
            self.names().remove(name);
            endpoint = self.resolve(&request.target).await?;
            new.endpoint_id = endpoint.clone();
            enqueued = self.delivery().enqueue(new, now).await?;
        }
        let Enqueued { outcome, receipt, pushed } = enqueued;
        match outcome {
            Enqueue::New(record) => {
                let received = match receipt {
                    Some(receipt) => timeout(RECEIPT_WITHIN, receipt).await.ok().and_then(Result::ok),
                    None => None,
                };
                Ok(Accepted {
                    command_id: record.id,
                    status: if received.is_some() { CommandState::Delivered } else { record.status },
                    method: received.or(pushed).map_or(Method::Polling, Method::from),
                    existing: false,
                })
            }
            Enqueue::Repeated(record) | Enqueue::AlreadyWanted(record) => Ok(self.accepted(&record, true)),
            Enqueue::KeyReused => Err(key_reused()),
            Enqueue::NoSuchEndpoint => self.explain_missing(&endpoint).await,
        }
    }

    pub(super) fn one(
        &self,
        draft: &Draft,
        endpoint: EndpointId,
        operator: &Operator,
        request: &Request,
    ) -> NewCommand {
        NewCommand {
            idempotency_key: request.idempotency_key,
            ..draft.for_endpoint(endpoint, &operator.username)
        }
    }

    pub(super) fn accepted(&self, record: &CommandRecord, existing: bool) -> Accepted {
        Accepted { command_id: record.id, status: record.status, method: self.method_of(record), existing }
    }

    /// Takes a command back. Final at once when nobody can have it; else the host is asked, and the record says so until it
    /// has answered.
    pub async fn cancel(
        &self,
        permit: &Permit<may::CancelCommand>,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<CommandRecord, StrikeError> {
        match self.delivery().cancel(id, &permit.operator().username, now).await? {
            Cancel::Cancelled(record) | Cancel::Requested(record) => Ok(record),
            Cancel::AlreadyFinal(record) => {
                Err(StrikeError::Conflict(format!("command {id} is {} already", record.status)))
            }
            Cancel::Unknown => Err(StrikeError::UnknownCommand(id)),
        }
    }

    /// All rate limits, with what is in their buckets.
    pub async fn rate_limits(
        &self,
        _permit: &Permit<may::View>,
        now: DateTime<Utc>,
    ) -> Result<Vec<RateLimit>, StrikeError> {
        Ok(self.store().rate_limits(now).await?)
    }

    /// Sets how many commands of a kind (`*`: of all kinds together) go out a minute, and how many at once.
    pub async fn set_rate_limit(
        &self,
        permit: &Permit<may::ManageRateLimits>,
        kind: &str,
        per_minute: f64,
        burst: i32,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        check_rate_limit(kind, per_minute, burst)?;
        self.store().set_rate_limit(kind, per_minute, burst, &permit.operator().username, now).await?;
        self.delivery().sweep(now).await
    }

    pub async fn remove_rate_limit(
        &self,
        permit: &Permit<may::ManageRateLimits>,
        kind: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        if !self.store().remove_rate_limit(kind, &permit.operator().username, now).await? {
            return Err(StrikeError::NotFound(format!("there is no rate limit for {kind:?}")));
        }
        self.delivery().sweep(now).await
    }

    pub(super) async fn resolve(&self, target: &Target) -> Result<EndpointId, StrikeError> {
        let name = match target {
            Target::Endpoint(id) => return Ok(id.clone()),
            Target::Hostname(name) => name,
        };
        if let Some(id) = self.names().get(name) {
            return Ok(id.clone());
        }
        let id = self.store().endpoint_named(name).await?;
        let id = id.ok_or_else(|| StrikeError::UnknownHost(name.clone()))?;
        self.names().insert(name.clone(), id.clone());
        Ok(id)
    }

    pub(super) async fn explain_missing(&self, endpoint: &EndpointId) -> Result<Accepted, StrikeError> {
        match self.store().endpoint(endpoint).await? {
            None => Err(StrikeError::UnknownHost(endpoint.to_string())),
            Some(record) => Err(StrikeError::Conflict(format!(
                "{} is {}; only an active endpoint takes commands",
                record.hostname,
                record.status.to_string().replace('_', " ")
            ))),
        }
    }

    fn method_of(&self, record: &CommandRecord) -> Method {
        match record.channel {
            Some(channel) => channel.into(),
            None if record.status == CommandState::Pending
                && self.delivery().shared().registry.has_stream(&record.endpoint_id) =>
            {
                Method::Stream
            }
            None => Method::Polling,
        }
    }

    pub(super) fn view(&self, mut record: EndpointRecord, now: DateTime<Utc>) -> EndpointView {
        let registry = &self.delivery().shared().registry;
        record.last_seen_at = record.last_seen_at.max(registry.seen_at(&record.id));
        EndpointView {
            live: registry.is_reachable(&record.id, now),
            channels: registry.health(&record.id),
            record,
        }
    }

    /// Writes an audit row for something that is not a command.
    pub async fn audit(&self, entry: AuditEntry<'_>, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.store().audit(entry, now).await?)
    }
}

pub(super) fn key_reused() -> StrikeError {
    StrikeError::Invalid {
        field: "idempotency_key",
        problem: "was used for another command; make a new one for a new click".to_owned(),
    }
}

/// Also for the server's own console.
pub fn check_rate_limit(kind: &str, per_minute: f64, burst: i32) -> Result<(), StrikeError> {
    let invalid = |field, problem: &str| Err(StrikeError::Invalid { field, problem: problem.to_owned() });
    if kind != "*" && !Command::KINDS.contains(&kind) {
        let problem = format!("must be * for all together, or one of {}", Command::KINDS.join(", "));
        return invalid("kind", &problem);
    }
    if !(0.1..=1_000_000.0).contains(&per_minute) {
        return invalid("per_minute", "must be 0.1 to 1000000");
    }
    if !(1..=1_000_000).contains(&burst) {
        return invalid("burst", "must be 1 to 1000000");
    }
    Ok(())
}
