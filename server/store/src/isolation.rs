//! New terms for an isolation that is in force.

mod held;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use self::held::{CHANGE, Held, begin_change, settle_change};
use crate::{Enqueue, NewCommand, Store, StoreError, commands::insert, model::CommandRecord};

/// What came of [`Store::change_isolation`].
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeIsolation {
    /// On disk: the command, the terms, and the time at which the isolation ends by itself.
    Queued(CommandRecord),
    /// This key made this command before.
    Repeated(CommandRecord),
    KeyReused,
    /// No isolate of the host was carried out that still holds.
    NotIsolated,
    /// No active endpoint has this id.
    NoSuchEndpoint,
}

impl Store {
    /// Queues `command`, an isolation_change, and makes its terms those that are wanted of the host. `auto_restore_at` moves the
    /// isolation's rollback, or makes one; without it there is none any more. What holds until then is kept, for when the
    /// change comes to nothing. One transaction.
    #[tracing::instrument(name = "db.isolation.change", skip_all, err(level = "debug"))]
    pub async fn change_isolation(
        &self,
        command: &NewCommand,
        auto_restore_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<ChangeIsolation, StoreError> {
        // A repeated click is answered as before, whatever has become of the isolation since.
        match self.existing(command).await? {
            Some(Enqueue::Repeated(record)) => return Ok(ChangeIsolation::Repeated(record)),
            Some(Enqueue::KeyReused) => return Ok(ChangeIsolation::KeyReused),
            Some(Enqueue::New(_) | Enqueue::AlreadyWanted(_) | Enqueue::NoSuchEndpoint) | None => {}
        }
        let mut tx = self.durable.begin().await?;
        let Some(held) = Held::lock_executed(&mut tx, &command.endpoint_id).await? else {
            return Ok(ChangeIsolation::NotIsolated);
        };
        let Some(record) = insert(&mut *tx, std::slice::from_ref(command), now).await?.pop() else {
            return Ok(ChangeIsolation::NoSuchEndpoint);
        };
        begin_change(&mut tx, &held, &record).await?;
        move_rollback(&mut tx, held.isolate, &record, auto_restore_at, now).await?;
        tx.commit().await?;
        Ok(ChangeIsolation::Queued(record))
    }
}

async fn move_rollback(
    tx: &mut sqlx::PgTransaction<'_>,
    isolate: i64,
    change: &CommandRecord,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(at) = at else {
        sqlx::query!(
            "UPDATE schedules SET state = 'cancelled', next_run_at = NULL, ended_by = $2, ended_at = $3, note = $4
             WHERE rollback_of = $1 AND state = 'waiting'",
            isolate,
            change.created_by,
            now,
            format!("command {} lets the isolation last", change.id),
        )
        .execute(&mut **tx)
        .await?;
        return Ok(());
    };
    let after_seconds = i32::try_from((at - now).num_seconds()).unwrap_or(i32::MAX).max(1);
    let moved = sqlx::query!(
        "UPDATE schedules SET next_run_at = $2, rollback_after_seconds = $3, ends_at = $2::timestamptz + interval '8 days'
         WHERE rollback_of = $1 AND state = 'waiting'",
        isolate,
        at,
        after_seconds,
    )
    .execute(&mut **tx)
    .await?;
    if moved.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO schedules
           (id, kind, state, command, params, reason, endpoint_ids, created_by, created_at, next_run_at, ends_at,
            lifetime_seconds, rollback_of, rollback_after_seconds)
         VALUES ($1, 'rollback', 'waiting', 'network_restore', jsonb_build_object('reason', $2::text), $2, $3, $4, $5, $6,
                 $6::timestamptz + interval '8 days', 604800, $7, $8)",
        Uuid::now_v7(),
        change.reason,
        &[change.endpoint_id.as_str().to_owned()],
        change.created_by,
        now,
        at,
        isolate,
        after_seconds,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
