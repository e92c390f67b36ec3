//! What holds on an isolated host while changes of it are on their way, and what the record says once they have ended.
//!
//! Whoever moves an isolation's end holds its row of `desired_isolation` before its rollback's row of `schedules`: a click, a
//! run and a result never wait for each other.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgTransaction;
use voltaxe_protocol::{CommandState, EndpointId};

use crate::{
    StoreError,
    model::{CommandRecord, IsolationTerms, ScheduleId},
};

pub(crate) const CHANGE: &str = "isolation_change";

/// An isolation that is wanted, locked until the transaction ends.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The isolate's command.
    pub isolate: i64,
    terms: Option<Value>,
    /// When it ends by itself. `None` also for one that is not in force yet.
    end: Option<DateTime<Utc>>,
}

impl Held {
    /// Of this endpoint, if it is in force.
    pub async fn lock_executed(
        tx: &mut PgTransaction<'_>,
        endpoint: &EndpointId,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query!(
            "SELECT command_id, terms FROM desired_isolation
             WHERE endpoint_id = $1 AND direction = 'isolate' AND state = 'executed' FOR UPDATE",
            endpoint.as_str()
        )
        .fetch_optional(&mut **tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Self::with_end(tx, row.command_id, row.terms).await.map(Some)
    }

    /// The one that this rollback would end, if that is still the one that is wanted.
    pub async fn lock_behind(
        tx: &mut PgTransaction<'_>,
        rollback: ScheduleId,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query!(
            "SELECT d.command_id, d.terms FROM schedules s
             JOIN desired_isolation d ON d.endpoint_id = s.endpoint_ids[1] AND d.command_id = s.rollback_of
             WHERE s.id = $1 AND d.direction = 'isolate' FOR UPDATE OF d",
            rollback.0
        )
        .fetch_optional(&mut **tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Self::with_end(tx, row.command_id, row.terms).await.map(Some)
    }

    /// A statement of its own: the one that waited for the lock sees schedules as they were before.
    async fn with_end(
        tx: &mut PgTransaction<'_>,
        isolate: i64,
        terms: Option<Value>,
    ) -> Result<Self, StoreError> {
        let end = sqlx::query_scalar!(
            "SELECT next_run_at FROM schedules WHERE rollback_of = $1 AND state = 'waiting'",
            isolate
        )
        .fetch_optional(&mut **tx)
        .await?;
        Ok(Self { isolate, terms, end: end.flatten() })
    }

    pub fn terms(&self) -> IsolationTerms {
        self.terms.clone().and_then(|terms| serde_json::from_value(terms).ok()).unwrap_or_default()
    }
}

/// `change` is on its way: its terms are those that are wanted, and what holds until it is carried out is kept.
pub(crate) async fn begin_change(
    tx: &mut PgTransaction<'_>,
    held: &Held,
    change: &CommandRecord,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE desired_isolation SET
           earlier_terms = coalesce(earlier_terms, terms, '{}'),
           earlier_change_id = CASE WHEN earlier_terms IS NULL THEN change_id ELSE earlier_change_id END,
           earlier_end = CASE WHEN earlier_terms IS NULL THEN $4 ELSE earlier_end END,
           terms = $5, change_id = $3
         WHERE endpoint_id = $1 AND command_id = $2",
        change.endpoint_id.as_str(),
        held.isolate,
        change.id.0,
        held.end,
        terms_of(change),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// `ended` has become final: if it is a change of the isolation that is wanted, the record says what holds from now on.
pub(crate) async fn settle_change(
    tx: &mut PgTransaction<'_>,
    ended: &CommandRecord,
) -> Result<(), StoreError> {
    if ended.command != CHANGE {
        return Ok(());
    }
    let row = sqlx::query!(
        "SELECT command_id, state, change_id, earlier_terms, earlier_change_id, earlier_end FROM desired_isolation
           WHERE endpoint_id = $1 AND direction = 'isolate' AND command_id < $2 FOR UPDATE",
        ended.endpoint_id.as_str(),
        ended.id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let earlier = row.earlier_terms.map(|terms| Known {
        terms,
        change_id: row.earlier_change_id,
        end: row.earlier_end,
    });
    match settled(row.change_id, earlier, ended) {
        Settled::AsItWas => Ok(()),
        Settled::Stands => keep(tx, &ended.endpoint_id, None).await,
        Settled::Behind(known) => keep(tx, &ended.endpoint_id, Some(known)).await,
        Settled::Holds(known) => {
            say(tx, &ended.endpoint_id, &known).await?;
            let is_in_force = row.state == CommandState::Executed.as_str();
            let is_on_its_way = matches!(&*row.state, "pending" | "delivered");
            match known.end {
                Some(end) if is_in_force => end_at(tx, row.command_id, end, ended).await,
                None if is_in_force => end_never(tx, row.command_id, ended).await,
                // Its end counts from its effect; only the cancelling of its rollback can have been a change of it.
                Some(_) | None if is_on_its_way => wait_for_effect(tx, row.command_id, ended).await,
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// What a host's isolation is known to be.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    terms: Value,
    change_id: Option<i64>,
    end: Option<DateTime<Utc>>,
}

/// What a change that has ended makes of the record.
#[derive(Clone, Debug, PartialEq)]
enum Settled {
    AsItWas,
    /// What the record says holds by now.
    Stands,
    /// The record says what a newer change wants; this holds until then.
    Behind(Known),
    /// The record must say this.
    Holds(Known),
}

/// `newest`: the change that the record is of; `earlier`: what holds until that one is carried out.
fn settled(newest: Option<i64>, earlier: Option<Known>, ended: &CommandRecord) -> Settled {
    let id = ended.id.0;
    if ended.status == CommandState::Executed {
        return match newest {
            Some(newest) if newest == id => Settled::Stands,
            Some(newest) if newest > id => {
                earlier.map_or(Settled::AsItWas, |_| Settled::Behind(known_of(ended)))
            }
            // A newer one came to nothing before this one was carried out.
            Some(_) | None => Settled::Holds(known_of(ended)),
        };
    }
    match earlier {
        Some(earlier) if newest == Some(id) => Settled::Holds(earlier),
        Some(_) | None => Settled::AsItWas,
    }
}

fn known_of(change: &CommandRecord) -> Known {
    let end = change.params.get("auto_restore_at").cloned();
    Known {
        terms: terms_of(change),
        change_id: Some(change.id.0),
        end: end.and_then(|end| serde_json::from_value(end).ok()),
    }
}

/// What of a change stays once it is carried out.
fn terms_of(change: &CommandRecord) -> Value {
    let mut terms = change.params.clone();
    if let Some(terms) = terms.as_object_mut() {
        terms.retain(|name, _| name != "reason" && name != "auto_restore_at");
    }
    terms
}

async fn keep(
    tx: &mut PgTransaction<'_>,
    endpoint: &EndpointId,
    earlier: Option<Known>,
) -> Result<(), StoreError> {
    let (terms, change_id, end) =
        earlier.map_or((None, None, None), |earlier| (Some(earlier.terms), earlier.change_id, earlier.end));
    sqlx::query!(
        "UPDATE desired_isolation SET earlier_terms = $2, earlier_change_id = $3, earlier_end = $4 WHERE endpoint_id = $1",
        endpoint.as_str(),
        terms,
        change_id,
        end
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn say(tx: &mut PgTransaction<'_>, endpoint: &EndpointId, known: &Known) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE desired_isolation SET terms = $2, change_id = $3,
           earlier_terms = NULL, earlier_change_id = NULL, earlier_end = NULL
         WHERE endpoint_id = $1",
        endpoint.as_str(),
        known.terms,
        known.change_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The isolation's rollback is due then: the one that waits, or the newest, which waits again.
async fn end_at(
    tx: &mut PgTransaction<'_>,
    isolate: i64,
    end: DateTime<Utc>,
    ended: &CommandRecord,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE schedules SET state = 'waiting', next_run_at = $2, ended_by = NULL, ended_at = NULL,
           ends_at = $2::timestamptz + interval '8 days', note = $3
         WHERE id = (SELECT id FROM schedules WHERE rollback_of = $1 AND state <> 'done'
                     ORDER BY state = 'waiting' DESC, created_at DESC LIMIT 1)",
        isolate,
        end,
        note(ended),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn end_never(
    tx: &mut PgTransaction<'_>,
    isolate: i64,
    ended: &CommandRecord,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE schedules SET state = 'cancelled', next_run_at = NULL, ended_by = 'server', ended_at = $2, note = $3
         WHERE rollback_of = $1 AND state = 'waiting'",
        isolate,
        ended.finished_at.unwrap_or(ended.created_at),
        note(ended),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn wait_for_effect(
    tx: &mut PgTransaction<'_>,
    isolate: i64,
    ended: &CommandRecord,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE schedules SET state = 'waiting', next_run_at = NULL, ended_by = NULL, ended_at = NULL, note = $2
         WHERE id = (SELECT id FROM schedules WHERE rollback_of = $1 ORDER BY created_at DESC LIMIT 1)
           AND state = 'cancelled'",
        isolate,
        note(ended),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn note(ended: &CommandRecord) -> String {
    let (id, status) = (ended.id, ended.status.as_str());
    format!("command {id}, which changes the isolation's end, is {status}")
}

#[cfg(test)]
mod tests;
