pub mod series;

use chrono::{DateTime, Utc};
use serde_json::Value;
use voltaxe_protocol::{EndpointId, Telemetry};

use crate::{Store, StoreError, commands::endpoint_id, endpoints::facts_of};

/// A telemetry message, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTelemetry {
    pub endpoint_id: EndpointId,
    pub telemetry: Telemetry,
    pub at: DateTime<Utc>,
}

impl Store {
    /// Keeps the newest message of each endpoint and adds samples to their time series. At most one message an endpoint.
    /// Answers with the ids and names of the endpoints that tell of a drift for the first time; the audit log then has what
    /// they found.
    #[tracing::instrument(name = "db.telemetry.record", skip_all, fields(messages = messages.len()), err(level = "debug"))]
    pub async fn record_telemetry(
        &self,
        messages: &[NewTelemetry],
    ) -> Result<Vec<(EndpointId, String)>, StoreError> {
        let columns = Columns::of(messages);
        let drifted = sqlx::query!(
            r#"WITH input AS MATERIALIZED (
               SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::bigint[],
                                    $6::text[], $7::timestamptz[], $8::jsonb[], $9::text[], $10::text[], $11::real[],
                                    $12::bigint[], $13::bigint[], $14::real[], $15::boolean[], $16::jsonb[],
                                    $17::timestamptz[], $18::bigint[], $19::text[])
                 AS i(endpoint_id, observed_at, at, state, generation, detail, isolation_observed_at, body, version, os,
                      load_one, memory_total, memory_available, fullest, isolated, facts, drift_found_at, drift_count,
                      addresses)
               ORDER BY endpoint_id
             ), drifted AS MATERIALIZED (
               SELECT i.*, (SELECT e.hostname FROM endpoints e WHERE e.id = i.endpoint_id) AS hostname FROM input i
               WHERE i.drift_found_at IS NOT NULL
                 AND (SELECT t.drift_found_at = i.drift_found_at AND t.drift_count = i.drift_count
                      FROM telemetry_latest t WHERE t.endpoint_id = i.endpoint_id) IS NOT TRUE
             ), audited AS (
               INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, command_id, reason, detail)
               SELECT at, 'agent', 'isolation.drift', endpoint_id, hostname, generation, facts->'drift'->>'found',
                      facts->'drift'
               FROM drifted
             ), latest AS (
               INSERT INTO telemetry_latest AS t
                 (endpoint_id, observed_at, received_at, isolation_state, isolation_generation, isolation_detail,
                  isolation_observed_at, isolation_received_at, body, isolation_facts, drift_found_at, drift_count)
               SELECT endpoint_id, observed_at, at, state, generation, detail, isolation_observed_at, at, body, facts,
                      drift_found_at, drift_count
               FROM input
               ON CONFLICT (endpoint_id) DO UPDATE SET
                 observed_at = excluded.observed_at, received_at = excluded.received_at, body = excluded.body,
                 drift_found_at = coalesce(excluded.drift_found_at, t.drift_found_at),
                 drift_count = coalesce(excluded.drift_count, t.drift_count),
                 (isolation_state, isolation_generation, isolation_detail, isolation_observed_at,
                  isolation_received_at, isolation_facts) = (
                   SELECT x.* FROM (VALUES
                     (true, excluded.isolation_state, excluded.isolation_generation, excluded.isolation_detail,
                      excluded.isolation_observed_at, excluded.isolation_received_at, excluded.isolation_facts),
                     (false, t.isolation_state, t.isolation_generation, t.isolation_detail, t.isolation_observed_at,
                      t.isolation_received_at, t.isolation_facts)) AS v(is_newer, a, b, c, d, e, f)
                   CROSS JOIN LATERAL (SELECT v.a, v.b, v.c, v.d, v.e, v.f) AS x
                   WHERE v.is_newer = (t.isolation_observed_at <= excluded.isolation_observed_at
                     OR t.isolation_received_at < excluded.received_at - interval '10 seconds'))
             ), known AS (
               UPDATE endpoints e SET agent_version = i.version, os = i.os, addresses = i.addresses
               FROM input i
               WHERE e.id = i.endpoint_id AND (e.agent_version, e.os, e.addresses) <> (i.version, i.os, i.addresses)
             ), sampled AS (
               INSERT INTO telemetry_samples
                 (endpoint_id, received_at, load_one, memory_total_bytes, memory_available_bytes, disk_fullest_percent,
                  isolated)
               SELECT endpoint_id, at, load_one, memory_total, memory_available, fullest, isolated FROM input
             )
             SELECT endpoint_id AS "endpoint_id!", hostname AS "hostname!" FROM drifted"#,
            &columns.endpoints,
            &columns.observed_at,
            &columns.at,
            &columns.states,
            &columns.generations as &[Option<i64>],
            &columns.details as &[Option<String>],
            &columns.isolation_observed_at,
            &columns.bodies,
            &columns.versions,
            &columns.os,
            &columns.loads,
            &columns.memory_total,
            &columns.memory_available,
            &columns.fullest as &[Option<f32>],
            &columns.isolated,
            &columns.facts as &[Option<Value>],
            &columns.drift_found_at as &[Option<DateTime<Utc>>],
            &columns.drift_count as &[Option<i64>],
            &columns.addresses,
        )
        .fetch_all(&self.relaxed)
        .await?;
        drifted
            .into_iter()
            .map(|row| Ok((endpoint_id("telemetry_latest", row.endpoint_id)?, row.hostname)))
            .collect()
    }
}

impl Store {
    /// Load over one minute in hundredths, the mean of each of `parts` equal parts of the hour before `now`, the oldest
    /// first. A part without a message has none.
    #[tracing::instrument(name = "db.telemetry.loads", skip_all, err(level = "debug"))]
    pub async fn loads_of(
        &self,
        ids: &[EndpointId],
        parts: i32,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, i32, i32)>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let rows = sqlx::query!(
            r#"SELECT endpoint_id,
                      floor(extract(epoch FROM received_at - ($3::timestamptz - interval '1 hour')) * $2::integer / 3600)::integer
                        AS "part!",
                      least(avg(load_one) * 100, 1000000)::integer AS "load!"
               FROM telemetry_samples
               WHERE endpoint_id = ANY($1) AND received_at > $3::timestamptz - interval '1 hour' AND received_at < $3
               GROUP BY 1, 2 ORDER BY 1, 2"#,
            &ids,
            parts,
            now
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(rows.into_iter().map(|row| (row.endpoint_id, row.part, row.load)).collect())
    }
}

/// One array a column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    endpoints: Vec<String>,
    observed_at: Vec<DateTime<Utc>>,
    at: Vec<DateTime<Utc>>,
    states: Vec<String>,
    generations: Vec<Option<i64>>,
    details: Vec<Option<String>>,
    isolation_observed_at: Vec<DateTime<Utc>>,
    bodies: Vec<Value>,
    versions: Vec<String>,
    os: Vec<String>,
    loads: Vec<f32>,
    memory_total: Vec<i64>,
    memory_available: Vec<i64>,
    fullest: Vec<Option<f32>>,
    isolated: Vec<bool>,
    facts: Vec<Option<Value>>,
    drift_found_at: Vec<Option<DateTime<Utc>>>,
    drift_count: Vec<Option<i64>>,
    addresses: Vec<String>,
}

impl Columns {
    #[expect(clippy::cast_possible_truncation, reason = "a sample is drawn, not reckoned with")]
    fn of(messages: &[NewTelemetry]) -> Self {
        let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut columns = Self::default();
        for NewTelemetry { endpoint_id, telemetry, at } in messages {
            let isolation = &telemetry.isolation;
            columns.endpoints.push(endpoint_id.as_str().to_owned());
            columns.observed_at.push(telemetry.observed_at);
            columns.at.push(*at);
            columns.states.push(isolation.state.as_str().to_owned());
            columns.generations.push(isolation.generation.map(|id| id.0));
            columns.details.push(isolation.detail.clone());
            columns.isolation_observed_at.push(isolation.observed_at);
            columns.bodies.push(serde_json::to_value(telemetry).unwrap_or_default());
            columns.versions.push(telemetry.agent.version.clone());
            columns.os.push(crate::endpoints::os_of(&telemetry.host));
            columns.loads.push(telemetry.load.one as f32);
            columns.memory_total.push(bytes(telemetry.memory.total_bytes));
            columns.memory_available.push(bytes(telemetry.memory.available_bytes));
            columns.fullest.push(fullest_percent(telemetry).map(|percent| percent as f32));
            columns.isolated.push(telemetry.isolated);
            columns.facts.push(facts_of(isolation));
            let drift = isolation.drift.as_ref();
            columns.drift_found_at.push(drift.map(|drift| drift.found_at));
            columns.drift_count.push(drift.map(|drift| drift.count.into()));
            columns.addresses.push(telemetry.host.addresses.join(" "));
        }
        columns
    }
}

fn fullest_percent(telemetry: &Telemetry) -> Option<f64> {
    let percents = telemetry
        .disks
        .iter()
        .filter(|disk| disk.total_bytes > 0)
        .map(|disk| 100.0 * (1.0 - disk.available_bytes as f64 / disk.total_bytes as f64));
    percents.reduce(f64::max)
}
