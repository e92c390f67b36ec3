//! What operators ask for.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{
    Command, CommandId, CommandState, EndpointId, EnrolString, NetworkIsolate, NetworkRestore,
};
use voltaxe_store::{AuditEntry, Enqueue, NewCommand};

use super::{Request, Strike, Target};
use crate::{
    StrikeError,
    authority::{Permit, may},
    enrolment,
    events::Change,
    model::{
        Accepted, CommandRecord, EndpointRecord, EndpointView, EnrolmentTokenRecord, IsolationDirection,
        Method,
    },
};

const REASON_CHARS: std::ops::RangeInclusive<usize> = 3..=500;
const LABEL_CHARS: usize = 100;
const TOKEN_USES: std::ops::RangeInclusive<i32> = 1..=1000;
const COMMANDS_AT_ONCE: i64 = 500;

impl Strike {
    /// All endpoints but revoked ones, by name.
    pub async fn endpoints(
        &self,
        _permit: &Permit<may::View>,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointView>, StrikeError> {
        let records = self.inner.store.endpoints().await?;
        Ok(records.into_iter().map(|record| self.view(record, now)).collect())
    }

    pub async fn endpoint(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        now: DateTime<Utc>,
    ) -> Result<Option<EndpointView>, StrikeError> {
        Ok(self.inner.store.endpoint(id).await?.map(|record| self.view(record, now)))
    }

    /// The newest `limit` commands of an endpoint, newest first; at most 500.
    pub async fn commands_of(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        limit: i64,
    ) -> Result<Vec<CommandRecord>, StrikeError> {
        Ok(self.inner.store.commands_of(id, limit.clamp(1, COMMANDS_AT_ONCE)).await?)
    }

    pub async fn command(
        &self,
        _permit: &Permit<may::View>,
        id: CommandId,
    ) -> Result<CommandRecord, StrikeError> {
        self.inner.store.command(id).await?.ok_or(StrikeError::UnknownCommand(id))
    }

    /// Cuts a host off the network. Answered when the command is on disk; a host that is isolated or isolating answers
    /// with the command that did it.
    pub async fn isolate(
        &self,
        permit: &Permit<may::Isolate>,
        request: Request,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        let reason = checked_reason(&request.reason)?;
        let command = Command::NetworkIsolate(NetworkIsolate { reason: reason.clone() });
        self.order(&permit.operator().username, IsolationDirection::Isolate, &command, request, reason, now)
            .await
    }

    /// Gives a host its network back.
    pub async fn restore(
        &self,
        permit: &Permit<may::Restore>,
        request: Request,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        let reason = checked_reason(&request.reason)?;
        let command = Command::NetworkRestore(NetworkRestore { reason: reason.clone() });
        self.order(&permit.operator().username, IsolationDirection::Restore, &command, request, reason, now)
            .await
    }

    /// Takes back a command that no agent can have: one that was never handed out.
    pub async fn cancel(
        &self,
        permit: &Permit<may::CancelCommand>,
        id: CommandId,
        now: DateTime<Utc>,
    ) -> Result<CommandRecord, StrikeError> {
        let by = &permit.operator().username;
        if let Some(record) = self.inner.store.cancel(id, by, now).await? {
            self.announce(&record);
            return Ok(record);
        }
        match self.inner.store.command(id).await? {
            None => Err(StrikeError::UnknownCommand(id)),
            Some(record) if record.status.is_final() => {
                Err(StrikeError::Conflict(format!("command {id} is {} already", record.status)))
            }
            Some(_) => Err(StrikeError::Conflict(format!(
                "command {id} was handed to the host and may be running; undo it with the opposite command"
            ))),
        }
    }

    /// A string that lets `uses` hosts enrol within the hour. It is shown once: only its hash is kept.
    pub async fn create_enrolment_token(
        &self,
        permit: &Permit<may::CreateEnrolmentToken>,
        label: String,
        uses: i32,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        self.make_enrolment_token(&permit.operator().username, label, uses, now).await
    }

    /// For the server's own console, where being able to run the program is the permission.
    pub async fn create_enrolment_token_at_console(
        &self,
        label: String,
        uses: i32,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        self.make_enrolment_token("console", label, uses, now).await
    }

    async fn make_enrolment_token(
        &self,
        by: &str,
        label: String,
        uses: i32,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        let label = label.trim();
        if label.chars().count() > LABEL_CHARS {
            return Err(StrikeError::Invalid {
                field: "label",
                problem: format!("must be at most {LABEL_CHARS} characters"),
            });
        }
        if !TOKEN_USES.contains(&uses) {
            return Err(StrikeError::Invalid { field: "uses", problem: "must be 1 to 1000".to_owned() });
        }
        let token = enrolment::new_secret();
        let expires_at = now + self.inner.config.enrolment_token_lifetime;
        let record = self
            .inner
            .store
            .create_enrolment_token(&enrolment::hash(&token), label, uses, by, now, expires_at)
            .await?;
        let string = EnrolString {
            token,
            server_key: self.inner.key.public().fingerprint(),
            server_url: self.inner.config.agent_url.clone(),
        };
        Ok((string, record))
    }

    async fn order(
        &self,
        by: &str,
        direction: IsolationDirection,
        command: &Command,
        request: Request,
        reason: String,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        let endpoint = self.resolve(request.target).await?;
        let params = serde_json::to_value(command)
            .ok()
            .and_then(|mut value| value.get_mut("params").map(serde_json::Value::take))
            .unwrap_or_default();
        let new = NewCommand {
            endpoint_id: &endpoint,
            direction,
            command: command.kind(),
            params,
            priority: command.priority(),
            created_by: by,
            reason: &reason,
            expires_at: now + self.inner.config.command_lifetime,
            leased_until: self.inner.registry.has_stream(&endpoint).then(|| now + self.inner.config.lease),
            idempotency_key: request.idempotency_key,
        };
        match self.inner.store.enqueue(&new, now).await? {
            Enqueue::New(record) => {
                self.announce(&record);
                let method = self.dispatch(&record);
                Ok(Accepted { command_id: record.id, status: record.status, method, existing: false })
            }
            Enqueue::Repeated(record) | Enqueue::AlreadyWanted(record) => Ok(Accepted {
                command_id: record.id,
                status: record.status,
                method: self.method_of(&record),
                existing: true,
            }),
            Enqueue::KeyReused => Err(StrikeError::Invalid {
                field: "idempotency_key",
                problem: "was used for another command; make a new one for a new click".to_owned(),
            }),
            Enqueue::NoSuchEndpoint => self.explain_missing(&endpoint).await,
        }
    }

    async fn resolve(&self, target: Target) -> Result<EndpointId, StrikeError> {
        match target {
            Target::Endpoint(id) => Ok(id),
            Target::Hostname(name) => {
                self.inner.store.endpoint_named(&name).await?.ok_or(StrikeError::UnknownHost(name))
            }
        }
    }

    async fn explain_missing(&self, endpoint: &EndpointId) -> Result<Accepted, StrikeError> {
        match self.inner.store.endpoint(endpoint).await? {
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
            Some(crate::model::Channel::Stream) => Method::Stream,
            Some(crate::model::Channel::Polling) => Method::Polling,
            None if record.status == CommandState::Pending
                && self.inner.registry.has_stream(&record.endpoint_id) =>
            {
                Method::Stream
            }
            None => Method::Polling,
        }
    }

    pub(super) fn view(&self, mut record: EndpointRecord, now: DateTime<Utc>) -> EndpointView {
        let live = self.inner.registry.is_reachable(&record.id, now);
        record.last_seen_at = record.last_seen_at.max(self.inner.registry.seen_at(&record.id));
        EndpointView { record, live }
    }

    /// Tells everybody who watches of a command, and that its endpoint's state has changed.
    pub(super) fn announce(&self, record: &CommandRecord) {
        self.inner.events.publish(Change::Command(std::sync::Arc::new(record.clone())));
        self.changed(&record.endpoint_id);
    }

    /// Writes an audit row for something that is not a command.
    pub async fn audit(&self, entry: AuditEntry<'_>, now: DateTime<Utc>) -> Result<(), StrikeError> {
        Ok(self.inner.store.audit(entry, now).await?)
    }
}

fn checked_reason(reason: &str) -> Result<String, StrikeError> {
    let reason = reason.trim();
    let problem = if !REASON_CHARS.contains(&reason.chars().count()) {
        "must be 3 to 500 characters: it is kept with the command"
    } else if reason.chars().any(|c| c.is_control() && c != '\n') {
        "must not contain control characters"
    } else {
        return Ok(reason.to_owned());
    };
    Err(StrikeError::Invalid { field: "reason", problem: problem.to_owned() })
}
