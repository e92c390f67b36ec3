//! Partitions made ahead and dropped by age, and rows that time has made useless.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};

use crate::{Store, StoreError};

/// A table partitioned by time.
struct Series {
    table: &'static str,
    /// The column that it is partitioned by.
    time: &'static str,
    days_a_partition: u64,
}

const HISTORY: Series = Series { table: "command_history", time: "finished_at", days_a_partition: 7 };
const SAMPLES: Series = Series { table: "telemetry_samples", time: "received_at", days_a_partition: 1 };

/// How many partitions are made ahead of the current one.
const AHEAD: u64 = 3;

impl Store {
    /// Makes the partitions of the coming days, drops those older than their retention, and deletes batches,
    /// schedules, sessions, tokens and idempotency keys that have run out. Safe to run at any time and by several servers at once.
    #[tracing::instrument(name = "db.maintenance.run", skip_all, err(level = "debug"))]
    pub async fn maintain(
        &self,
        now: DateTime<Utc>,
        history_days: u64,
        samples_days: u64,
    ) -> Result<(), StoreError> {
        let today = now.date_naive();
        for (series, keep_days) in [(HISTORY, history_days), (SAMPLES, samples_days)] {
            for start in series.starts_from(today) {
                self.make_partition(&series, start).await?;
            }
            self.drop_partitions_before(&series, today - Days::new(keep_days)).await?;
        }
        // Few rows: one an order to many, not one a command. What still waits or runs is kept whatever its age.
        let oldest = now - Days::new(history_days);
        sqlx::query!("DELETE FROM schedules WHERE ended_at < $1", oldest).execute(&self.durable).await?;
        sqlx::query!(
            "DELETE FROM batches b WHERE created_at < $1
             AND NOT EXISTS (SELECT FROM pending_commands p WHERE p.batch_id = b.id)",
            oldest
        )
        .execute(&self.durable)
        .await?;
        sqlx::query!("DELETE FROM sessions WHERE expires_at <= $1", now).execute(&self.durable).await?;
        sqlx::query!("DELETE FROM setup_links WHERE expires_at <= $1", now).execute(&self.durable).await?;
        sqlx::query!("DELETE FROM enrolment_tokens WHERE expires_at <= $1", now - Days::new(30))
            .execute(&self.durable)
            .await?;
        sqlx::query!("DELETE FROM idempotency_keys WHERE created_at <= $1", now - Days::new(1))
            .execute(&self.durable)
            .await?;
        Ok(())
    }

    async fn make_partition(&self, series: &Series, start: NaiveDate) -> Result<(), StoreError> {
        let end = start + Days::new(series.days_a_partition);
        let name = series.partition_name(start);
        if self.partition_exists(&name).await? {
            return Ok(());
        }
        // Names and dates are our own, not input; DDL takes no parameters.
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {name} PARTITION OF {} FOR VALUES FROM ('{start}') TO ('{end}')",
            series.table
        );
        match sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.durable).await {
            Ok(_) => Ok(()),
            // Rows of these days came before their partition: they stand in the default one and would belong here.
            Err(sqlx::Error::Database(error)) if error.is_check_violation() => {
                self.take_over_partition(series, &name, start, end).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a partition of the rows that the default one holds for its days. One transaction.
    async fn take_over_partition(
        &self,
        series: &Series,
        name: &str,
        start: NaiveDate,
        end: NaiveDate,
    ) -> Result<(), StoreError> {
        let Series { table, time, .. } = series;
        let mut tx = self.durable.begin().await?;
        for sql in [
            format!("LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"),
            format!("CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"),
            format!(
                "WITH moved AS (DELETE FROM {table}_default WHERE {time} >= '{start}' AND {time} < '{end}' RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved"
            ),
            format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        tracing::info!(
            partition = name,
            "the partition {name} took over rows that had come before it was made"
        );
        Ok(())
    }

    async fn partition_exists(&self, name: &str) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT to_regclass($1) IS NOT NULL AS "exists!""#, name)
            .fetch_one(&self.durable)
            .await?)
    }

    async fn drop_partitions_before(&self, series: &Series, oldest: NaiveDate) -> Result<(), StoreError> {
        let names = sqlx::query_scalar!(
            r#"SELECT c.relname::text AS "name!" FROM pg_inherits i
               JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = $1::text::regclass ORDER BY 1"#,
            series.table
        )
        .fetch_all(&self.durable)
        .await?;
        for name in names {
            let Some(start) = series.start_of(&name) else { continue };
            if start + Days::new(series.days_a_partition) <= oldest {
                let sql = format!("DROP TABLE IF EXISTS {name}");
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.durable).await?;
                tracing::info!(partition = name, "dropped the partition {name}, which is past its retention");
            }
        }
        Ok(())
    }
}

impl Series {
    fn starts_from(&self, today: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let into = u64::try_from(today.num_days_from_ce()).unwrap_or_default() % self.days_a_partition;
        let current = today - Days::new(into);
        let step = self.days_a_partition;
        (0..=AHEAD).map(move |n| current + Days::new(n * step))
    }

    fn partition_name(&self, start: NaiveDate) -> String {
        format!("{}_{}", self.table, start.format("%Y%m%d"))
    }

    fn start_of(&self, partition: &str) -> Option<NaiveDate> {
        let date = partition.strip_prefix(self.table)?.strip_prefix('_')?;
        NaiveDate::parse_from_str(date, "%Y%m%d").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_join_without_gap_whatever_the_day() {
        for series in [HISTORY, SAMPLES] {
            for day in 0..30 {
                let today = NaiveDate::from_ymd_opt(2026, 2, 15).unwrap() + Days::new(day);
                let starts: Vec<_> = series.starts_from(today).collect();
                assert!(starts[0] <= today && today < starts[1]);
                for pair in starts.windows(2) {
                    assert_eq!(pair[0] + Days::new(series.days_a_partition), pair[1]);
                }
                assert_eq!(series.start_of(&series.partition_name(starts[0])), Some(starts[0]));
            }
        }
    }
}
