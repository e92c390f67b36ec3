//! The orchestrator's types as the page sees them.

mod about;
mod delivery;

use chrono::{DateTime, Utc};
use voltaxe_orchestrator::{
    authority,
    model::{
        Accepted as OrchestratorAccepted, Channel, CommandRecord, DesiredIsolation, EndpointStatus,
        EndpointView, IsolationDirection, ObservedRecord,
    },
};
use voltaxe_protocol::{
    CommandState, Drift, IsolationObservation, ObservedIsolation, Telemetry as HostTelemetry,
};

use crate::api::{exceptions::line, of_host};

use super::{
    Accepted, Command, Direction, Endpoint, Millis, Role, State,
    endpoint::{Admission, Desired, Disk, Observed, ObservedState, Telemetry},
    time,
};

impl From<&EndpointView> for Endpoint {
    fn from(view: &EndpointView) -> Self {
        let record = &view.record;
        Self {
            id: record.id.to_string(),
            hostname: record.hostname.clone(),
            admission: match record.status {
                EndpointStatus::Active => Admission::Active,
                EndpointStatus::AwaitingApproval => Admission::AwaitingApproval,
                EndpointStatus::Revoked => Admission::Revoked,
            },
            live: view.live,
            channels: (&view.channels).into(),
            enrolled_at: millis(record.enrolled_at),
            last_seen_at: record.last_seen_at.map(millis),
            agent_version: record.agent_version.clone(),
            os: of_host(&record.os),
            desired: record.desired.as_ref().map(Into::into),
            observed: record.observed.as_ref().map(Into::into),
            telemetry: record.telemetry.as_ref().map(Into::into),
        }
    }
}

impl From<&DesiredIsolation> for Desired {
    fn from(desired: &DesiredIsolation) -> Self {
        Self {
            command_id: desired.command_id.0,
            direction: match desired.direction {
                IsolationDirection::Isolate => Direction::Isolate,
                IsolationDirection::Restore => Direction::Restore,
            },
            state: desired.state.into(),
            created_by: desired.created_by.clone(),
            created_at: millis(desired.created_at),
            reason: desired.reason.clone(),
            expires_at: millis(desired.expires_at),
            message: desired.message.as_deref().map(of_host),
            exceptions: desired.terms.exceptions.iter().map(line).collect::<Vec<_>>().join("\n"),
            allow_dns: desired.terms.allow_dns,
            change_id: desired.change_id.map(|id| id.0),
            auto_restore_at: desired.auto_restore_at.map(millis),
        }
    }
}

impl From<&ObservedRecord> for Observed {
    fn from(record: &ObservedRecord) -> Self {
        let isolation = &record.isolation;
        Self {
            state: match isolation.state {
                ObservedIsolation::NotIsolated => ObservedState::NotIsolated,
                ObservedIsolation::Isolated => ObservedState::Isolated,
                ObservedIsolation::Partial => ObservedState::Partial,
                ObservedIsolation::Unknown => ObservedState::Unknown,
            },
            generation: isolation.generation.map(|id| id.0),
            observed_at: millis(isolation.observed_at),
            received_at: millis(record.received_at),
            detail: isolation.detail.as_deref().map(of_host),
            open: open(isolation),
            auto_restore_at: isolation.auto_restore_at.map(millis),
            is_provisional: isolation.is_provisional,
            drift: isolation.drift.as_ref().map(drift),
        }
    }
}

fn open(isolation: &IsolationObservation) -> Vec<String> {
    let dns =
        isolation.allows_dns.then(|| "DNS, to the resolvers that the host is configured with".to_owned());
    isolation.exceptions.iter().map(line).chain(dns).collect()
}

fn drift(drift: &Drift) -> String {
    let times = if drift.count == 1 { "once".to_owned() } else { format!("{} times", drift.count) };
    let outcome = if drift.put_back {
        "The rules were put back."
    } else {
        "They could not be put back: the host may not be isolated."
    };
    format!(
        "Somebody else changed the rules of this isolation {times}, last at {}: {}. {outcome}",
        time::utc_words(millis(drift.found_at)),
        of_host(drift.found.trim_end_matches('.'))
    )
}

impl From<&HostTelemetry> for Telemetry {
    fn from(now: &HostTelemetry) -> Self {
        Self {
            observed_at: millis(now.observed_at),
            kernel: of_host(&now.host.kernel),
            arch: of_host(&now.host.arch),
            cpus: now.host.cpus,
            addresses: now.host.addresses.iter().map(|address| of_host(address)).collect(),
            load: [now.load.one, now.load.five, now.load.fifteen].map(hundredths),
            memory_total: now.memory.total_bytes,
            memory_available: now.memory.available_bytes,
            disks: now
                .disks
                .iter()
                .map(|disk| Disk {
                    mount: of_host(&disk.mount),
                    total: disk.total_bytes,
                    available: disk.available_bytes,
                })
                .collect(),
            uptime_seconds: now.uptime_seconds,
            agent_started_at: millis(now.agent.started_at),
            unreported_results: now.agent.unreported_results,
        }
    }
}

impl From<&CommandRecord> for Command {
    fn from(record: &CommandRecord) -> Self {
        Self {
            id: record.id.0,
            endpoint_id: record.endpoint_id.to_string(),
            hostname: record.hostname.clone(),
            kind: record.command.clone(),
            about: about::about(&record.command, &record.params),
            state: record.status.into(),
            created_by: record.created_by.clone(),
            reason: record.reason.clone(),
            created_at: millis(record.created_at),
            delivered_at: record.delivered_at.map(millis),
            started_at: record.started_at.map(millis),
            executed_at: record.executed_at.map(millis),
            finished_at: record.finished_at.map(millis),
            expires_at: millis(record.expires_at),
            attempt: record.attempt,
            channel: record.channel.map(Channel::as_str).map(str::to_owned),
            message: record.result.as_ref().and_then(|result| result.get("message")?.as_str()).map(of_host),
            cancelled_by: record.cancelled_by.clone(),
            cancel_requested_by: record.cancel_requested_by.clone(),
            cancel_requested_at: record.cancel_requested_at.map(millis),
            batch_id: record.batch_id.map(|id| id.to_string()),
            schedule_id: record.schedule_id.map(|id| id.to_string()),
        }
    }
}

impl From<OrchestratorAccepted> for Accepted {
    fn from(accepted: OrchestratorAccepted) -> Self {
        Self {
            command_id: accepted.command_id.0,
            state: accepted.status.into(),
            method: accepted.method.as_str().to_owned(),
            existing: accepted.existing,
            also: String::new(),
        }
    }
}

impl From<CommandState> for State {
    fn from(state: CommandState) -> Self {
        match state {
            CommandState::Pending => Self::Pending,
            CommandState::Delivered => Self::Delivered,
            CommandState::Executed => Self::Executed,
            CommandState::Failed => Self::Failed,
            CommandState::Expired => Self::Expired,
            CommandState::Cancelled => Self::Cancelled,
            CommandState::Unknown => Self::Unknown,
        }
    }
}

impl From<authority::Role> for Role {
    fn from(role: authority::Role) -> Self {
        match role {
            authority::Role::Viewer => Self::Viewer,
            authority::Role::Responder => Self::Responder,
            authority::Role::Admin => Self::Admin,
        }
    }
}

fn millis(at: DateTime<Utc>) -> Millis {
    at.timestamp_millis()
}

/// A host may report anything; what is no load is shown as none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn hundredths(load: f64) -> u32 {
    (load * 100.0).round() as u32
}
