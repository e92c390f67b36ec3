//! What operators may ask for, and what of it is right.

mod check;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voltaxe_protocol::{Command, EndpointId};
use voltaxe_store::NewCommand;

use self::check::checked;
use super::Strike;
use crate::{
    StrikeError,
    authority::Action,
    model::{BatchId, IsolationDirection, ScheduleId},
};

pub(super) const REASON_CHARS: std::ops::RangeInclusive<usize> = 3..=500;
/// A command may wait this long at most.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(90);
const SHORTEST_LIFE: TimeDelta = TimeDelta::seconds(10);
/// Somebody waits for the answer: later it is of no use.
const LIFE_OF_A_LOOK: TimeDelta = TimeDelta::minutes(1);
/// What a name or a file meant when the order was given it may not mean much later.
const LIFE_OF_A_KILL: TimeDelta = TimeDelta::hours(1);

/// What an operator must be allowed to do to give this command.
#[must_use]
pub fn action_of(command: &Command) -> Action {
    match command {
        Command::NetworkIsolate(_) => Action::Isolate,
        Command::NetworkRestore(_) => Action::Restore,
        Command::IsolationChange(_) => Action::ChangeIsolation,
        Command::IsolationPreview(_) => Action::PreviewIsolation,
        Command::AgentCheck(_) => Action::CheckAgent,
        Command::ListProcesses(_) => Action::ListProcesses,
        Command::KillProcess(_) => Action::KillProcess,
        Command::SuspendProcess(_) | Command::ResumeProcess(_) => Action::SuspendProcess,
        Command::CollectForensics(_) => Action::CollectForensics,
    }
}

/// [`action_of`], by the word in the `command` column. `None`: this version does not know it.
#[must_use]
pub(crate) fn action_of_kind(kind: &str) -> Option<Action> {
    Some(match kind {
        "network_isolate" => Action::Isolate,
        "network_restore" => Action::Restore,
        "isolation_change" => Action::ChangeIsolation,
        "isolation_preview" => Action::PreviewIsolation,
        "agent_check" => Action::CheckAgent,
        "list_processes" => Action::ListProcesses,
        "kill_process" => Action::KillProcess,
        "suspend_process" | "resume_process" => Action::SuspendProcess,
        "collect_forensics" => Action::CollectForensics,
        _ => return None,
    })
}

/// An order to one endpoint, as an operator gives it.
#[derive(Clone, Debug)]
pub struct Request {
    pub target: Target,
    /// Goes into the command as well, where that has one.
    pub reason: String,
    /// Made where the click was made: the same key is the same command.
    pub idempotency_key: Option<Uuid>,
    /// When the command is given up if its host has not taken it. When not set: a week, an hour for what ends or stops
    /// processes, a minute for a look.
    pub expires_at: Option<DateTime<Utc>>,
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
    command: Command,
    params: serde_json::Value,
    pub(super) reason: String,
    expires_at: DateTime<Utc>,
}

impl Strike {
    pub(super) fn draft(
        &self,
        command: Command,
        reason: &str,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Draft, StrikeError> {
        let reason = checked_reason(reason)?;
        let command = checked(with_reason(command, &reason), now)?;
        let params = serde_json::to_value(&command)
            .ok()
            .and_then(|mut value| value.get_mut("params").map(serde_json::Value::take))
            .unwrap_or_default();
        let expires_at = match expires_at {
            None => now + self.lifetime_of(&command),
            Some(at) => checked_expiry(at, now)?,
        };
        Ok(Draft { command, params, reason, expires_at })
    }

    pub(super) fn lifetime_of(&self, command: &Command) -> TimeDelta {
        let longest = self.config().command_lifetime;
        match command {
            Command::IsolationPreview(_) | Command::ListProcesses(_) => longest.min(LIFE_OF_A_LOOK),
            Command::KillProcess(_) | Command::SuspendProcess(_) | Command::ResumeProcess(_) => {
                longest.min(LIFE_OF_A_KILL)
            }
            Command::NetworkIsolate(_)
            | Command::NetworkRestore(_)
            | Command::IsolationChange(_)
            | Command::AgentCheck(_)
            | Command::CollectForensics(_) => longest,
        }
    }
}

impl Draft {
    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    pub(super) fn params(&self) -> &serde_json::Value {
        &self.params
    }

    pub(super) fn for_endpoint(&self, endpoint: EndpointId, by: &str) -> NewCommand {
        NewCommand {
            endpoint_id: endpoint,
            direction: direction_of(&self.command),
            command: self.command.kind(),
            params: self.params.clone(),
            priority: self.command.priority(),
            created_by: by.to_owned(),
            reason: self.reason.clone(),
            expires_at: self.expires_at,
            leased_until: None,
            idempotency_key: None,
            batch_id: None,
            schedule_id: None,
            rollback_after_seconds: rollback_of(&self.command),
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

/// Refuses for many hosts, or for later, what is about one host now.
pub(super) fn check_repeatable(command: &Command) -> Result<(), StrikeError> {
    use voltaxe_protocol::ProcessTarget;

    let target = match command {
        Command::KillProcess(kill) => &kill.target,
        Command::SuspendProcess(suspend) => &suspend.target,
        Command::ResumeProcess(resume) => &resume.target,
        Command::IsolationChange(_) | Command::IsolationPreview(_) | Command::ListProcesses(_) => {
            let problem =
                format!("{} is for one host at once: order it of each with /api/commands", command.kind());
            return Err(invalid("command", problem));
        }
        Command::NetworkIsolate(_)
        | Command::NetworkRestore(_)
        | Command::AgentCheck(_)
        | Command::CollectForensics(_) => return Ok(()),
    };
    match target {
        ProcessTarget::Processes(_) => Err(invalid(
            "target",
            "names processes of one host by their numbers; name them by name, executable or sha256 instead",
        )),
        ProcessTarget::Name(_) | ProcessTarget::Executable(_) | ProcessTarget::Sha256(_) => Ok(()),
    }
}

fn direction_of(command: &Command) -> Option<IsolationDirection> {
    match command {
        Command::NetworkIsolate(_) => Some(IsolationDirection::Isolate),
        Command::NetworkRestore(_) => Some(IsolationDirection::Restore),
        // Goes on isolating: what is wanted of the host stays what the isolate made it.
        Command::IsolationChange(_)
        | Command::IsolationPreview(_)
        | Command::AgentCheck(_)
        | Command::ListProcesses(_)
        | Command::KillProcess(_)
        | Command::SuspendProcess(_)
        | Command::ResumeProcess(_)
        | Command::CollectForensics(_) => None,
    }
}

fn rollback_of(command: &Command) -> Option<i32> {
    match command {
        Command::NetworkIsolate(isolate) => i32::try_from(isolate.auto_restore_after_seconds?).ok(),
        _ => None,
    }
}

fn with_reason(mut command: Command, text: &str) -> Command {
    match &mut command {
        Command::NetworkIsolate(isolate) => text.clone_into(&mut isolate.reason),
        Command::NetworkRestore(restore) => text.clone_into(&mut restore.reason),
        Command::IsolationChange(change) => text.clone_into(&mut change.reason),
        _ => {}
    }
    command
}

pub(crate) fn checked_reason(reason: &str) -> Result<String, StrikeError> {
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
