//! How much waits, for the metrics. Reads the hot table alone.

use chrono::{DateTime, Utc};

use crate::{Store, StoreError};

/// Commands that are not final, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueDepth {
    pub pending: i64,
    pub delivered: i64,
    /// Seconds since the oldest of each was made; 0 when there is none.
    pub oldest_pending_seconds: f64,
    pub oldest_delivered_seconds: f64,
    pub asked_back: i64,
    pub schedules_waiting: i64,
    /// Seconds by which the most overdue schedule is late; 0 when none is.
    pub schedule_lag_seconds: f64,
}

impl Store {
    #[tracing::instrument(name = "db.queue.depth", skip_all, err(level = "debug"))]
    pub async fn queue_depth(&self, now: DateTime<Utc>) -> Result<QueueDepth, StoreError> {
        let mut tx = self.relaxed.begin().await?;
        // All of it is read, which the index only makes slower.
        sqlx::query!("SET LOCAL enable_seqscan = on").execute(&mut *tx).await?;
        let row = sqlx::query!(
            r#"SELECT count(*) FILTER (WHERE status = 'pending') AS "pending!",
                      count(*) FILTER (WHERE status = 'delivered') AS "delivered!",
                      count(*) FILTER (WHERE cancel_requested_at IS NOT NULL) AS "asked_back!",
                      min(created_at) FILTER (WHERE status = 'pending') AS oldest_pending,
                      min(created_at) FILTER (WHERE status = 'delivered') AS oldest_delivered
               FROM pending_commands"#
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        let schedules = sqlx::query!(
            r#"SELECT count(*) AS "waiting!", min(next_run_at) AS next FROM schedules WHERE state = 'waiting'"#
        )
        .fetch_one(&self.relaxed)
        .await?;
        let age = |at: Option<DateTime<Utc>>| at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0));
        Ok(QueueDepth {
            pending: row.pending,
            delivered: row.delivered,
            oldest_pending_seconds: age(row.oldest_pending),
            oldest_delivered_seconds: age(row.oldest_delivered),
            asked_back: row.asked_back,
            schedules_waiting: schedules.waiting,
            schedule_lag_seconds: age(schedules.next),
        })
    }
}
