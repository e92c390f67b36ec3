//! Commands at a later time: once, by cron, and the way back from an isolation.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use voltaxe_protocol::{Command, EndpointId};
use voltaxe_store::{NewBatch, NewSchedule, Run};

use super::{
    Strike, action_of,
    request::{check_repeatable, invalid},
};
use crate::{
    StrikeError,
    authority::{Operator, Permit, may},
    cron::Recurrence,
    model::{
        BatchId, IsolationDirection, IsolationTerms, ScheduleId, ScheduleKind, ScheduleRecord, ScheduleState,
    },
};

/// A repeating schedule ends by itself after this, unless an earlier end was set.
const LONGEST_SCHEDULE: TimeDelta = TimeDelta::days(366);
/// An isolation ends by itself within this, however often it is extended: later ends are none that an agent takes.
const LATEST_END: TimeDelta = TimeDelta::days(90);
const AT_ONCE: i64 = 500;
/// A run that is later than this is skipped by a repeating schedule: the server was away, and the next time is near.
const LATE: TimeDelta = TimeDelta::minutes(10);

#[derive(Clone, Debug)]
pub struct ScheduleRequest {
    pub command: Command,
    pub hostnames: Vec<String>,
    pub endpoint_ids: Vec<EndpointId>,
    pub reason: String,
    pub when: When,
    /// Once: when the command is given up. Repeating: after this there is no run any more.
    pub expires_at: Option<DateTime<Utc>>,
    pub idempotency_key: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub enum When {
    /// Not before this time.
    Once(DateTime<Utc>),
    /// Five fields as in crontab(5), in an IANA time zone.
    Cron { expression: String, time_zone: String },
}

impl Strike {
    pub async fn create_schedule(
        &self,
        operator: &Operator,
        request: ScheduleRequest,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StrikeError> {
        operator.must(action_of(&request.command))?;
        check_repeatable(&request.command)?;
        let draft = self.draft(request.command, &request.reason, None, now)?;
        let lifetime = self.lifetime_of(draft.command());
        let (kind, next_run_at, ends_at, lifetime, cron) = match request.when {
            When::Once(at) => {
                if at <= now {
                    return Err(invalid(
                        "not_before",
                        format!("is in the past: it is {} now", now.format("%Y-%m-%dT%H:%M:%SZ")),
                    ));
                }
                if at > now + LONGEST_SCHEDULE {
                    return Err(invalid("not_before", "must be within a year"));
                }
                let expires_at = request.expires_at.unwrap_or(at + lifetime);
                if expires_at <= at {
                    return Err(invalid("expires_at", "must be after not_before"));
                }
                (ScheduleKind::Once, at, expires_at, expires_at - at, None)
            }
            When::Cron { expression, time_zone } => {
                let recurrence = Recurrence::parse(&expression, &time_zone)
                    .map_err(|(field, problem)| invalid(field, problem))?;
                let ends_at = request.expires_at.unwrap_or(now + LONGEST_SCHEDULE);
                if ends_at > now + LONGEST_SCHEDULE {
                    return Err(invalid(
                        "expires_at",
                        "must be within a year: a repeating schedule must end",
                    ));
                }
                let Some(first) = recurrence.next(now).filter(|first| *first < ends_at) else {
                    return Err(invalid("cron", "never comes due before the schedule ends"));
                };
                (ScheduleKind::Cron, first, ends_at, lifetime, Some((expression, time_zone)))
            }
        };
        let endpoint_ids = self.targets(&request.hostnames, request.endpoint_ids).await?;
        let (cron, time_zone) = cron.unzip();
        let new = NewSchedule {
            id: ScheduleId(Uuid::now_v7()),
            kind,
            command: draft.command().kind(),
            params: draft.params().clone(),
            reason: draft.reason.clone(),
            endpoint_ids,
            created_by: operator.username.clone(),
            next_run_at,
            ends_at,
            lifetime_seconds: i32::try_from(lifetime.num_seconds().max(1)).unwrap_or(i32::MAX),
            cron,
            time_zone,
            idempotency_key: request.idempotency_key,
        };
        Ok(self.store().create_schedule(&new, now).await?)
    }

    pub async fn schedule(
        &self,
        _permit: &Permit<may::View>,
        id: ScheduleId,
    ) -> Result<ScheduleRecord, StrikeError> {
        self.store().schedule(id).await?.ok_or_else(|| no_such_schedule(id))
    }

    /// Newest first, those made before `before`; with `waiting` only those that have not ended.
    pub async fn schedules(
        &self,
        _permit: &Permit<may::View>,
        waiting: bool,
        before: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<ScheduleRecord>, StrikeError> {
        Ok(self.store().schedules(waiting, before, limit.clamp(1, AT_ONCE)).await?)
    }

    /// What takes this endpoint's isolation back by itself, newest first.
    pub async fn rollbacks_of(
        &self,
        _permit: &Permit<may::View>,
        endpoint: &EndpointId,
    ) -> Result<Vec<ScheduleRecord>, StrikeError> {
        Ok(self.store().rollbacks_of(endpoint).await?)
    }

    /// Ends a schedule. Of an isolation's way back: the host's own timer is taken back as well.
    pub async fn cancel_schedule(
        &self,
        permit: &Permit<may::CancelCommand>,
        id: ScheduleId,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StrikeError> {
        let by = &permit.operator().username;
        let terms = self.terms_behind(id).await?;
        let change = |ended: &ScheduleRecord| {
            let terms = terms.filter(|_| ended.kind == ScheduleKind::Rollback)?;
            self.change_of_end(ended, terms, None, "Automatic release cancelled", by, now)
        };
        match self.store().cancel_schedule(id, by, change, now).await? {
            Some((record, commands)) => {
                self.delivery().send_out(commands, now);
                self.schedule_changed(&record);
                Ok(record)
            }
            None => Err(self.ended_schedule(id).await?),
        }
    }

    /// Moves an isolation's way back on by so many seconds, and the host's own timer with it.
    pub async fn extend_rollback(
        &self,
        permit: &Permit<may::Isolate>,
        id: ScheduleId,
        seconds: i64,
        now: DateTime<Utc>,
    ) -> Result<ScheduleRecord, StrikeError> {
        let seconds = i32::try_from(seconds).ok().filter(|seconds| (60..=30 * 24 * 3600).contains(seconds));
        let Some(seconds) = seconds else {
            return Err(invalid("seconds", "must be 60 (a minute) to 2592000 (30 days)"));
        };
        let by = &permit.operator().username;
        let terms = self.terms_behind(id).await?;
        if let Some(waiting) =
            self.store().schedule(id).await?.filter(|one| one.state == ScheduleState::Waiting)
        {
            if waiting.next_run_at.is_none() {
                // The host's own timer is in the order that it has not carried out: only a new order can have another one.
                return Err(StrikeError::Conflict(
                    "the isolation is not in force yet; extend it once it is, or cancel it and isolate anew"
                        .to_owned(),
                ));
            }
            if waiting
                .next_run_at
                .is_some_and(|due| due + TimeDelta::seconds(seconds.into()) > now + LATEST_END)
            {
                return Err(invalid("seconds", "would end the isolation later than 90 days from now"));
            }
        }
        let change = |moved: &ScheduleRecord| {
            let at = moved.next_run_at?;
            self.change_of_end(moved, terms?, Some(at), "Automatic release moved", by, now)
        };
        match self.store().extend_rollback(id, seconds, by, change, now).await? {
            Some((record, commands)) => {
                self.delivery().send_out(commands, now);
                self.schedule_changed(&record);
                Ok(record)
            }
            None => Err(self.ended_schedule(id).await?),
        }
    }

    /// Makes the commands of every schedule whose time has come. Safe to run at any time and by several servers at once.
    pub async fn run_schedules(&self, now: DateTime<Utc>) -> Result<(), StrikeError> {
        for schedule in self.store().due_schedules(now).await? {
            let run = self.plan_run(&schedule, now).await?;
            if let Some(commands) = self.store().run_schedule(&schedule, &run, now).await? {
                let (id, count) = (schedule.id, commands.len());
                tracing::info!(schedule = %id, commands = count, note = run.note, "schedule {id} made {count} command(s)");
                self.delivery().send_out(commands, now);
                self.schedule_changed(&schedule);
            }
        }
        Ok(())
    }

    async fn plan_run(&self, schedule: &ScheduleRecord, now: DateTime<Utc>) -> Result<Run, StrikeError> {
        let next_run_at = self.next_run(schedule, now);
        let nothing = |note: &str| Run { batch: None, note: Some(note.to_owned()), next_run_at };
        let Some(due) = schedule.next_run_at.filter(|due| *due <= now) else {
            return Ok(Run { next_run_at: None, ..nothing("it ended before its time came") });
        };
        if schedule.kind == ScheduleKind::Cron && now - due > LATE {
            return Ok(nothing("the run was skipped: the server was away when it was due"));
        }
        if schedule.kind == ScheduleKind::Once && schedule.ends_at <= now {
            return Ok(nothing("it expired before it could run"));
        }
        if schedule.kind == ScheduleKind::Rollback && !self.is_still_isolated_by(schedule).await? {
            return Ok(nothing("another order was given to the host since"));
        }
        let Some(command) = command_of(schedule, now) else {
            return Ok(nothing("this version does not know the command"));
        };
        let expires_at = match schedule.kind {
            ScheduleKind::Once => schedule.ends_at,
            ScheduleKind::Cron | ScheduleKind::Rollback => {
                now + TimeDelta::seconds(schedule.lifetime_seconds.into())
            }
        };
        // Not less than a command may live: a schedule that fires just before its end still gets through.
        let expires_at = expires_at.max(now + TimeDelta::seconds(30));
        let draft = match self.draft(command, &schedule.reason, Some(expires_at), now) {
            Ok(draft) => draft,
            Err(error) => return Ok(nothing(&format!("its command is not valid any more: {error}"))),
        };
        let active = self.store().active_of(&schedule.endpoint_ids).await?;
        if active.is_empty() {
            return Ok(nothing("none of its endpoints is active"));
        }
        let left_out = schedule.endpoint_ids.len() - active.len();
        let batch_id = BatchId(Uuid::now_v7());
        let commands = active
            .into_iter()
            .map(|endpoint| {
                let mut new = draft.in_schedule(endpoint, &schedule.created_by, batch_id, schedule.id);
                new.leased_until = self.delivery().lease_for(&new.endpoint_id, new.command, now);
                new
            })
            .collect();
        Ok(Run {
            batch: Some(NewBatch {
                id: batch_id,
                undo_of: None,
                idempotency_key: None,
                excluded: Vec::new(),
                commands,
            }),
            note: (left_out > 0).then(|| format!("{left_out} endpoint(s) were left out: not active")),
            next_run_at,
        })
    }

    fn next_run(&self, schedule: &ScheduleRecord, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (Some(cron), Some(zone)) = (&schedule.cron, &schedule.time_zone) else { return None };
        let recurrence = Recurrence::parse(cron, zone).ok()?;
        recurrence.next(now).filter(|next| *next < schedule.ends_at)
    }

    /// The terms of the isolation that a rollback would end, if that is still the one that is wanted.
    async fn terms_behind(&self, id: ScheduleId) -> Result<Option<IsolationTerms>, StrikeError> {
        let Some(schedule) = self.store().schedule(id).await? else { return Ok(None) };
        if schedule.kind != ScheduleKind::Rollback || !self.is_still_isolated_by(&schedule).await? {
            return Ok(None);
        }
        let Some(endpoint) = schedule.endpoint_ids.first() else { return Ok(None) };
        let record = self.store().endpoint(endpoint).await?;
        Ok(record.and_then(|record| record.desired).map(|desired| desired.terms))
    }

    async fn is_still_isolated_by(&self, schedule: &ScheduleRecord) -> Result<bool, StrikeError> {
        let Some(endpoint) = schedule.endpoint_ids.first() else { return Ok(false) };
        let desired = self.store().endpoint(endpoint).await?.and_then(|record| record.desired);
        Ok(desired.is_some_and(|desired| {
            desired.direction == IsolationDirection::Isolate
                && Some(desired.command_id) == schedule.rollback_of
        }))
    }

    fn schedule_changed(&self, schedule: &ScheduleRecord) {
        if schedule.kind == ScheduleKind::Rollback {
            schedule.endpoint_ids.iter().for_each(|endpoint| self.changed(endpoint));
        }
    }

    async fn ended_schedule(&self, id: ScheduleId) -> Result<StrikeError, StrikeError> {
        Ok(match self.store().schedule(id).await? {
            None => no_such_schedule(id),
            Some(record) => StrikeError::Conflict(format!(
                "schedule {id} is {} of kind {}; only a waiting one can be changed",
                record.state.as_str(),
                record.kind.as_str()
            )),
        })
    }
}

/// What a run orders; exceptions that are over by then are left out.
fn command_of(schedule: &ScheduleRecord, now: DateTime<Utc>) -> Option<Command> {
    let command = serde_json::json!({ "command": schedule.command, "params": schedule.params });
    let mut command = serde_json::from_value(command).ok()?;
    if let Command::NetworkIsolate(isolate) = &mut command {
        isolate.exceptions.retain(|exception| exception.until.is_none_or(|until| until > now));
    }
    Some(command)
}

fn no_such_schedule(id: ScheduleId) -> StrikeError {
    StrikeError::NotFound(format!("there is no schedule {id}"))
}
