use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;

use crate::{Store, StoreError};

/// What the samples of one stretch of time say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeriesPoint {
    /// Which stretch, counted from the first.
    pub bucket: i64,
    /// In hundredths.
    pub load: Spread,
    /// Used, in thousandths of the whole.
    pub memory: Option<Spread>,
    /// Used of the fullest disk, in thousandths of the whole.
    pub disk: Option<Spread>,
    /// In any of the samples.
    pub isolated: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    pub least: i32,
    pub mean: i32,
    pub most: i32,
}

impl Store {
    /// An endpoint's samples from `start` on and before `end`, in stretches of `step_seconds`; those without a sample are left
    /// out. What a host reports may be anything: it is brought within its scale.
    #[tracing::instrument(name = "db.telemetry.series", skip_all, err(level = "debug"))]
    pub async fn series(
        &self,
        id: &EndpointId,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        step_seconds: i32,
    ) -> Result<Vec<SeriesPoint>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT bucket AS "bucket!",
                      round(min(load))::int AS "load_least!", round(avg(load))::int AS "load_mean!",
                      round(max(load))::int AS "load_most!",
                      round(min(memory))::int AS "memory_least?", round(avg(memory))::int AS "memory_mean?",
                      round(max(memory))::int AS "memory_most?",
                      round(min(disk))::int AS "disk_least?", round(avg(disk))::int AS "disk_mean?",
                      round(max(disk))::int AS "disk_most?", bool_or(isolated) AS "isolated!"
               FROM (SELECT floor(extract(epoch FROM received_at - $2::timestamptz)::float8 / $4::int)::bigint AS bucket,
                            100 * least(greatest(load_one, 0), 100000)::float8 AS load,
                            CASE WHEN memory_total_bytes > 0 THEN
                              1000 * least(greatest(1 - memory_available_bytes::float8 / memory_total_bytes, 0), 1)
                            END AS memory,
                            CASE WHEN disk_fullest_percent IS NOT NULL THEN
                              10 * least(greatest(disk_fullest_percent, 0), 100)::float8
                            END AS disk, isolated
                     FROM telemetry_samples
                     WHERE endpoint_id = $1 AND received_at >= $2 AND received_at < $3) AS s
               GROUP BY bucket ORDER BY bucket"#,
            id.as_str(),
            start,
            end,
            step_seconds
        )
        .fetch_all(&self.durable)
        .await?;
        let spread = |least: Option<i32>, mean: Option<i32>, most: Option<i32>| {
            Some(Spread { least: least?, mean: mean?, most: most? })
        };
        Ok(rows
            .into_iter()
            .map(|row| SeriesPoint {
                bucket: row.bucket,
                load: Spread { least: row.load_least, mean: row.load_mean, most: row.load_most },
                memory: spread(row.memory_least, row.memory_mean, row.memory_most),
                disk: spread(row.disk_least, row.disk_mean, row.disk_most),
                isolated: row.isolated,
            })
            .collect())
    }
}
