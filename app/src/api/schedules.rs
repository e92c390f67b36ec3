use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Listed, NewSchedule, Rollback, Schedule, SchedulesPage},
};

/// The newest that wait and the newest that have ended, so many of each at most.
#[server(prefix = "/rpc", endpoint = "schedules", protocol = Rpc)]
pub async fn schedules(waiting: i64, ended: i64) -> Result<SchedulesPage, ApiError> {
    use super::caller::answer;

    answer(
        async {
            Ok(SchedulesPage {
                waiting: ssr::waiting(None, waiting).await?,
                ended: ssr::ended(None, ended).await?,
            })
        }
        .await,
    )
}

/// Older ones of one of the two lists; `before` is its `next`.
#[server(prefix = "/rpc", endpoint = "older_schedules", protocol = Rpc)]
pub async fn older_schedules(ended: bool, before: i64) -> Result<Listed<Schedule>, ApiError> {
    const AT_ONCE: i64 = 50;

    super::caller::answer(if ended {
        ssr::ended(Some(before), AT_ONCE).await
    } else {
        ssr::waiting(Some(before), AT_ONCE).await
    })
}

/// When a cron expression comes due next: in its zone, and in UTC.
#[server(prefix = "/rpc", endpoint = "preview_cron", protocol = Rpc)]
pub async fn preview_cron(cron: String, time_zone: String) -> Result<Vec<(String, String)>, ApiError> {
    const RUNS: usize = 5;
    use super::caller::{Caller, answer};

    let preview = || {
        let caller = Caller::expect()?;
        let (cron, zone) = (cron.trim(), time_zone.trim());
        let runs = caller.strike.preview_cron(&caller.permit()?, cron, zone, RUNS, caller.now)?;
        let words = |(at, there): (chrono::DateTime<chrono::Utc>, String)| {
            (there, crate::model::time::utc_words(at.timestamp_millis()))
        };
        Ok(runs.into_iter().map(words).collect())
    };
    answer(preview())
}

/// Answers what was made in words.
#[server(prefix = "/rpc", endpoint = "create_schedule", protocol = Rpc)]
pub async fn create_schedule(new: NewSchedule) -> Result<String, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let request = ssr::request(new)?;
            let made = caller.strike.create_schedule(caller.operator()?, request, caller.now).await?;
            let made = ssr::named(&[made]).await?.remove(0);
            Ok(format!("{}, {}", made.title(), made.next_words(None)))
        }
        .await,
    )
}

/// Ends a schedule that waits; of a rollback that is: the host stays isolated.
#[server(prefix = "/rpc", endpoint = "cancel_schedule", protocol = Rpc)]
pub async fn cancel_schedule(id: String) -> Result<(), ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            caller.strike.cancel_schedule(&permit, ssr::id(&id)?, caller.now).await?;
            Ok(())
        }
        .await,
    )
}

/// What ends this endpoint's isolation by itself.
#[server(prefix = "/rpc", endpoint = "rollback_of", protocol = Rpc)]
pub async fn rollback_of(endpoint_id: String) -> Result<Option<Rollback>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let id = endpoint_id.parse().map_err(|_| ApiError::NotFound)?;
            ssr::rollback_of(&caller, &id).await
        }
        .await,
    )
}

/// Has an isolation end by itself so much later.
#[server(prefix = "/rpc", endpoint = "extend_rollback", protocol = Rpc)]
pub async fn extend_rollback(schedule_id: String, seconds: i64) -> Result<Option<Rollback>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let id = ssr::id(&schedule_id)?;
            Ok(Rollback::of(&caller.strike.extend_rollback(&permit, id, seconds, caller.now).await?))
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
pub(super) mod ssr {
    use std::collections::BTreeMap;

    use voltaxe_orchestrator::{
        model::{ScheduleId, ScheduleRecord},
        strike::{ScheduleRequest, When},
    };
    use voltaxe_protocol::EndpointId;

    use super::{
        super::{caller::Caller, parse},
        ApiError, Listed, NewSchedule, Rollback, Schedule,
    };

    /// The store lists those that have ended among all others: so many of these are looked at for one part of a list.
    const LOOKED_AT: i64 = 500;
    const LOOKS: usize = 4;

    /// What is no id is no schedule's id either.
    pub fn id(text: &str) -> Result<ScheduleId, ApiError> {
        text.parse().map_err(|_| ApiError::NotFound)
    }

    pub fn request(new: NewSchedule) -> Result<ScheduleRequest, ApiError> {
        let not_before = parse::utc("not_before", &new.not_before)?;
        let when = match (not_before, new.cron.trim()) {
            (Some(at), "") => When::Once(at),
            (None, cron) if !cron.is_empty() => {
                When::Cron { expression: cron.to_owned(), time_zone: new.time_zone.trim().to_owned() }
            }
            _ => return Err(parse::invalid("not_before", "or a repetition must be given, and not both")),
        };
        Ok(ScheduleRequest {
            command: new.order.into(),
            hostnames: parse::names(&new.hostnames),
            endpoint_ids: parse::endpoint_ids(new.endpoint_ids)?,
            reason: new.reason,
            when,
            expires_at: parse::utc("expires_at", &new.ends_at)?,
            idempotency_key: Some(parse::key(&new.idempotency_key)?),
        })
    }

    pub async fn waiting(before: Option<i64>, limit: i64) -> Result<Listed<Schedule>, ApiError> {
        let caller = Caller::expect()?;
        let found = caller.strike.schedules(&caller.permit()?, true, parse::before(before), limit).await?;
        let next = found.last().filter(|_| is_full(&found, limit));
        Ok(Listed { next: next.map(|last| parse::cursor(last.created_at)), rows: named(&found).await? })
    }

    pub async fn ended(before: Option<i64>, limit: i64) -> Result<Listed<Schedule>, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        let (mut rows, mut next) = (Vec::new(), before);
        for _ in 0..LOOKS {
            let found = caller.strike.schedules(&permit, false, parse::before(next), LOOKED_AT).await?;
            next = found
                .last()
                .filter(|_| is_full(&found, LOOKED_AT))
                .map(|last| parse::cursor(last.created_at));
            rows.extend(found.into_iter().filter(|schedule| schedule.ended_at.is_some()));
            if next.is_none() || is_full(&rows, limit) {
                break;
            }
        }
        if let Ok(limit) = usize::try_from(limit)
            && rows.len() > limit
        {
            rows.truncate(limit);
            next = rows.last().map(|last| parse::cursor(last.created_at));
        }
        Ok(Listed { rows: named(&rows).await?, next })
    }

    pub async fn rollback_of(caller: &Caller, endpoint: &EndpointId) -> Result<Option<Rollback>, ApiError> {
        let waiting = caller.strike.rollbacks_of(&caller.permit()?, endpoint).await?;
        Ok(waiting.first().and_then(Rollback::of))
    }

    pub async fn named(schedules: &[ScheduleRecord]) -> Result<Vec<Schedule>, ApiError> {
        let caller = Caller::expect()?;
        let permit = caller.permit()?;
        let mut names = BTreeMap::new();
        for id in schedules.iter().flat_map(|schedule| schedule.endpoint_ids.iter().take(Schedule::NAMED)) {
            if !names.contains_key(id)
                && let Some(endpoint) = caller.strike.endpoint(&permit, id, caller.now).await?
            {
                names.insert(id.clone(), endpoint.record.hostname);
            }
        }
        Ok(schedules.iter().map(|schedule| Schedule::named(schedule, &names)).collect())
    }

    fn is_full<T>(rows: &[T], limit: i64) -> bool {
        i64::try_from(rows.len()).is_ok_and(|count| count >= limit)
    }
}
