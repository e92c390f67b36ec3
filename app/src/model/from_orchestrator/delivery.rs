//! Channels, batches and schedules.

use std::collections::BTreeMap;

use voltaxe_orchestrator::{
    model::{BatchRecord, ChannelHealth, DirectHealth, ScheduleKind, ScheduleRecord, ScheduleState as Waits},
    strike::BatchProgress,
};
use voltaxe_protocol::{AgentCheck, Command, EndpointId, NetworkIsolate, NetworkRestore};

use super::millis;
use crate::{
    api::of_host,
    model::{
        Batch, Channels, Order, Progress, Rollback, Schedule, State,
        channels::Direct,
        schedule::{Kind, ScheduleState},
    },
};

impl From<&ChannelHealth> for Channels {
    fn from(health: &ChannelHealth) -> Self {
        Self {
            stream_since: health.stream_since.map(millis),
            stream_lost_at: health.stream_lost_at.map(millis),
            polled_at: health.polled_at.map(millis),
            direct: health.direct.as_ref().map(Into::into),
        }
    }
}

impl From<&DirectHealth> for Direct {
    fn from(health: &DirectHealth) -> Self {
        Self {
            address: health.address.to_string(),
            worked_at: health.worked_at.map(millis),
            failed_at: health.failed_at.map(millis),
            problem: health.problem.as_deref().map(of_host),
        }
    }
}

impl From<Order> for Command {
    /// Without a reason: the orchestrator puts the request's there.
    fn from(order: Order) -> Self {
        match order {
            Order::Isolate => Self::NetworkIsolate(NetworkIsolate::default()),
            Order::Restore => Self::NetworkRestore(NetworkRestore { reason: String::new() }),
            Order::Check => Self::AgentCheck(AgentCheck {}),
        }
    }
}

impl From<&BatchRecord> for Batch {
    fn from(record: &BatchRecord) -> Self {
        Self {
            id: record.id.to_string(),
            kind: record.command.clone(),
            reason: record.reason.clone(),
            created_by: record.created_by.clone(),
            created_at: millis(record.created_at),
            total: record.total,
            queued: record.queued,
            undo_of: record.undo_of.map(|id| id.to_string()),
            schedule_id: record.schedule_id.map(|id| id.to_string()),
            cancelled_by: record.cancelled_by.clone(),
            cancelled_at: record.cancelled_at.map(millis),
            excluded: record.excluded.iter().map(Into::into).collect(),
        }
    }
}

impl From<&BatchProgress> for Progress {
    fn from(progress: &BatchProgress) -> Self {
        let states = progress.states;
        let counts = Self::STATES.map(|state| match state {
            State::Pending => states.pending,
            State::Delivered => states.delivered,
            State::Executed => states.executed,
            State::Failed => states.failed,
            State::Expired => states.expired,
            State::Cancelled => states.cancelled,
            State::Unknown => 0,
        });
        Self { batch: (&progress.batch).into(), counts }
    }
}

impl Schedule {
    pub(crate) const NAMED: usize = 3;

    /// `names`: of its first endpoints; one that has no name any more goes by its id.
    pub(crate) fn named(record: &ScheduleRecord, names: &BTreeMap<EndpointId, String>) -> Self {
        let name = |id: &EndpointId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let mut hosts: Vec<_> = record.endpoint_ids.iter().take(Self::NAMED).map(name).collect();
        hosts.sort();
        Self {
            id: record.id.to_string(),
            kind: match record.kind {
                ScheduleKind::Once => Kind::Once,
                ScheduleKind::Cron => Kind::Cron,
                ScheduleKind::Rollback => Kind::Rollback,
            },
            state: match record.state {
                Waits::Waiting => ScheduleState::Waiting,
                Waits::Done => ScheduleState::Done,
                Waits::Cancelled => ScheduleState::Cancelled,
            },
            command: record.command.clone(),
            reason: record.reason.clone(),
            hosts,
            host_count: record.endpoint_ids.len(),
            created_by: record.created_by.clone(),
            created_at: millis(record.created_at),
            next_run_at: record.next_run_at.map(millis),
            ends_at: millis(record.ends_at),
            cron: record.cron.clone(),
            time_zone: record.time_zone.clone(),
            rollback_of: record.rollback_of.map(|id| id.0),
            rollback_after_seconds: record.rollback_after_seconds,
            runs: record.runs,
            last_run_at: record.last_run_at.map(millis),
            last_batch_id: record.last_batch_id.map(|id| id.to_string()),
            note: record.note.clone(),
            ended_by: record.ended_by.clone(),
            ended_at: record.ended_at.map(millis),
        }
    }
}

impl Rollback {
    /// None: the schedule takes nothing back.
    pub(crate) fn of(record: &ScheduleRecord) -> Option<Self> {
        Some(Self {
            schedule_id: record.id.to_string(),
            of_command: record.rollback_of?.0,
            due_at: record.next_run_at.map(millis),
            after_seconds: record.rollback_after_seconds?,
        })
    }
}
