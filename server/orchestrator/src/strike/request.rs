//! What operators may ask for, and what of it is right.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voltaxe_protocol::{AgentCheck, Command, EndpointId, NetworkIsolate, NetworkRestore};
use voltaxe_store::NewCommand;

use super::Strike;
use crate::{
    StrikeError,
    authority::Action,
    model::{BatchId, IsolationDirection, ScheduleId},
};

const REASON_CHARS: std::ops::RangeInclusive<usize> = 3..=500;
/// A command may wait this long at most.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(90);
const SHORTEST_LIFE: TimeDelta = TimeDelta::seconds(10);
/// An isolation may take itself back after this at the earliest and the latest.
const ROLLBACK_SECONDS: std::ops::RangeInclusive<i64> = 60..=90 * 24 * 3600;

/// What a host is told to do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    Isolate,
    Restore,
    AgentCheck,
}

impl Order {
    pub const ALL: [Self; 3] = [Self::Isolate, Self::Restore, Self::AgentCheck];

    /// The word in the `command` column.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Isolate => "network_isolate",
            Self::Restore => "network_restore",
            Self::AgentCheck => "agent_check",
        }
    }

    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.kind() == kind)
    }

    /// What an operator must be allowed to do to give it.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Isolate => Action::Isolate,
            Self::Restore => Action::Restore,
            Self::AgentCheck => Action::CheckAgent,
        }
    }

    fn direction(self) -> Option<IsolationDirection> {
        match self {
            Self::Isolate => Some(IsolationDirection::Isolate),
            Self::Restore => Some(IsolationDirection::Restore),
            Self::AgentCheck => None,
        }
    }

    fn command(self, reason: &str) -> Command {
        let reason = reason.to_owned();
        match self {
            Self::Isolate => Command::NetworkIsolate(NetworkIsolate { reason, ..NetworkIsolate::default() }),
            Self::Restore => Command::NetworkRestore(NetworkRestore { reason }),
            Self::AgentCheck => Command::AgentCheck(AgentCheck {}),
        }
    }
}

/// An order to one endpoint, as an operator gives it.
#[derive(Clone, Debug)]
pub struct Request {
    pub target: Target,
    pub reason: String,
    /// Made where the click was made: the same key is the same command.
    pub idempotency_key: Option<Uuid>,
    pub options: Options,
}

/// What may be set on an order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// When the command is given up if its host has not taken it; a week when not set.
    pub expires_at: Option<DateTime<Utc>>,
    /// For an isolate: give the host its network back so many seconds after it was cut off.
    pub auto_restore_after_seconds: Option<i64>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Endpoint(EndpointId),
    /// The name of an active endpoint.
    Hostname(String),
}

/// A checked order that lacks only its endpoint.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    order: Order,
    params: serde_json::Value,
    priority: i16,
    pub(super) reason: String,
    expires_at: DateTime<Utc>,
    rollback_after_seconds: Option<i32>,
}

impl Strike {
    pub(super) fn draft(
        &self,
        order: Order,
        reason: &str,
        options: Options,
        now: DateTime<Utc>,
    ) -> Result<Draft, StrikeError> {
        let reason = checked_reason(reason)?;
        let command = order.command(&reason);
        let params = serde_json::to_value(&command)
            .ok()
            .and_then(|mut value| value.get_mut("params").map(serde_json::Value::take))
            .unwrap_or_default();
        let expires_at = match options.expires_at {
            None => now + self.inner.config.command_lifetime,
            Some(at) => checked_expiry(at, now)?,
        };
        let rollback_after_seconds = match options.auto_restore_after_seconds {
            None => None,
            Some(_) if order != Order::Isolate => {
                return Err(invalid("auto_restore_after_seconds", "goes with network_isolate only"));
            }
            Some(seconds) if ROLLBACK_SECONDS.contains(&seconds) => i32::try_from(seconds).ok(),
            Some(_) => {
                return Err(invalid(
                    "auto_restore_after_seconds",
                    "must be 60 (a minute) to 7776000 (90 days)",
                ));
            }
        };
        Ok(Draft { order, params, priority: command.priority(), reason, expires_at, rollback_after_seconds })
    }
}

impl Draft {
    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn params(&self) -> &serde_json::Value {
        &self.params
    }

    pub(super) fn for_endpoint(&self, endpoint: EndpointId, by: &str) -> NewCommand {
        NewCommand {
            endpoint_id: endpoint,
            direction: self.order.direction(),
            command: self.order.kind(),
            params: self.params.clone(),
            priority: self.priority,
            created_by: by.to_owned(),
            reason: self.reason.clone(),
            expires_at: self.expires_at,
            leased_until: None,
            idempotency_key: None,
            batch_id: None,
            schedule_id: None,
            rollback_after_seconds: self.rollback_after_seconds,
        }
    }

    pub(super) fn in_batch(&self, endpoint: EndpointId, by: &str, batch: BatchId) -> NewCommand {
        NewCommand { batch_id: Some(batch), ..self.for_endpoint(endpoint, by) }
    }

    pub(super) fn in_schedule(
        &self,
        endpoint: EndpointId,
        by: &str,
        batch: BatchId,
        schedule: ScheduleId,
    ) -> NewCommand {
        NewCommand { schedule_id: Some(schedule), ..self.in_batch(endpoint, by, batch) }
    }
}

pub(super) fn checked_reason(reason: &str) -> Result<String, StrikeError> {
    let reason = reason.trim();
    if !REASON_CHARS.contains(&reason.chars().count()) {
        return Err(invalid("reason", "must be 3 to 500 characters: it is kept with the command"));
    }
    if reason.chars().any(|c| c.is_control() && c != '\n') {
        return Err(invalid("reason", "must not contain control characters"));
    }
    Ok(reason.to_owned())
}

pub(super) fn checked_expiry(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, StrikeError> {
    if at < now + SHORTEST_LIFE {
        return Err(invalid("expires_at", "must be at least 10 s ahead"));
    }
    if at > now + LONGEST_LIFE {
        return Err(invalid("expires_at", "must be at most 90 days ahead"));
    }
    Ok(at)
}

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> StrikeError {
    StrikeError::Invalid { field, problem: problem.into() }
}
