use chrono::{DateTime, Utc};
use sqlx::types::Json;
use voltaxe_protocol::{EndpointId, Telemetry};

use crate::{Store, StoreError};

impl Store {
    /// Keeps the newest message of the endpoint and adds a sample to its time series.
    #[tracing::instrument(name = "db.telemetry.record", skip_all, err(level = "debug"))]
    pub async fn record_telemetry(
        &self,
        endpoint: &EndpointId,
        telemetry: &Telemetry,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let isolation = &telemetry.isolation;
        let fullest = telemetry
            .disks
            .iter()
            .filter(|disk| disk.total_bytes > 0)
            .map(|disk| 100.0 * (1.0 - disk.available_bytes as f64 / disk.total_bytes as f64))
            .fold(None, |fullest: Option<f64>, percent| Some(fullest.map_or(percent, |f| f.max(percent))));
        let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        sqlx::query!(
            "WITH latest AS (
               INSERT INTO telemetry_latest AS t
                 (endpoint_id, observed_at, received_at, isolation_state, isolation_generation, isolation_detail,
                  isolation_observed_at, isolation_received_at, body)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $3, $8)
               ON CONFLICT (endpoint_id) DO UPDATE SET
                 observed_at = excluded.observed_at, received_at = excluded.received_at, body = excluded.body,
                 isolation_state = CASE WHEN t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < $3::timestamptz - interval '10 seconds'
                   THEN excluded.isolation_state ELSE t.isolation_state END,
                 isolation_generation = CASE WHEN t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < $3::timestamptz - interval '10 seconds'
                   THEN excluded.isolation_generation ELSE t.isolation_generation END,
                 isolation_detail = CASE WHEN t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < $3::timestamptz - interval '10 seconds'
                   THEN excluded.isolation_detail ELSE t.isolation_detail END,
                 isolation_received_at = CASE WHEN t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < $3::timestamptz - interval '10 seconds'
                   THEN excluded.isolation_received_at ELSE t.isolation_received_at END,
                 isolation_observed_at = CASE WHEN t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < $3::timestamptz - interval '10 seconds'
                   THEN excluded.isolation_observed_at ELSE t.isolation_observed_at END
             ), seen AS (
               UPDATE endpoints SET last_seen_at = $3, agent_version = $9, os = $10 WHERE id = $1
             )
             INSERT INTO telemetry_samples
               (endpoint_id, received_at, load_one, memory_total_bytes, memory_available_bytes, disk_fullest_percent,
                isolated)
             VALUES ($1, $3, $11, $12, $13, $14, $15)",
            endpoint.as_str(),
            telemetry.observed_at,
            now,
            isolation.state.as_str(),
            isolation.generation.map(|id| id.0),
            isolation.detail,
            isolation.observed_at,
            Json(telemetry) as _,
            telemetry.agent.version,
            crate::endpoints::os_of(&telemetry.host),
            telemetry.load.one as f32,
            bytes(telemetry.memory.total_bytes),
            bytes(telemetry.memory.available_bytes),
            fullest.map(|percent| percent as f32),
            telemetry.isolated,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }
}
