pub mod search;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{CommandId, EndpointId, Epoch, HostFacts, IsolationObservation, ObservedIsolation};

use crate::{
    Store, StoreError,
    model::{DesiredIsolation, EndpointRecord, EndpointStatus, IsolationDirection, ObservedRecord},
};

/// What it takes to check an agent's signature.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointKey {
    pub id: EndpointId,
    pub hostname: String,
    pub epoch: Epoch,
    pub status: EndpointStatus,
    /// Ed25519, 32 bytes.
    pub public_key: Vec<u8>,
}

/// That an endpoint was heard of.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub endpoint_id: EndpointId,
    pub at: DateTime<Utc>,
    /// Over the last minute, not below zero. `None`: as before.
    pub load_hundredths: Option<i32>,
}

macro_rules! endpoint_rows {
    ($where:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            EndpointRow,
            r#"SELECT e.id AS "id!", e.hostname AS "hostname!", e.epoch AS "epoch!", e.status AS "status!",
                      e.enrolled_at AS "enrolled_at!", seen.last_seen_at AS "last_seen_at?",
                      e.agent_version AS "agent_version!", e.os AS "os!",
                      d.command_id AS "command_id?", d.direction AS "direction?", d.state AS "state?",
                      d.created_by AS "created_by?", d.created_at AS "created_at?", d.reason AS "reason?",
                      d.expires_at AS "expires_at?", d.message AS "message?", d.terms AS "terms?",
                      d.change_id AS "change_id?",
                      (SELECT s.next_run_at FROM schedules s
                       WHERE s.rollback_of = d.command_id AND s.state = 'waiting' LIMIT 1) AS "auto_restore_at?",
                      t.isolation_state AS "isolation_state?", t.isolation_generation AS "isolation_generation?",
                      t.isolation_detail AS "isolation_detail?",
                      t.isolation_observed_at AS "isolation_observed_at?",
                      t.isolation_received_at AS "isolation_received_at?",
                      t.isolation_facts AS "isolation_facts?", t.body AS "body?"
               FROM endpoints e
               JOIN endpoint_seen seen ON seen.endpoint_id = e.id
               LEFT JOIN desired_isolation d ON d.endpoint_id = e.id
               LEFT JOIN telemetry_latest t ON t.endpoint_id = e.id "#
                + $where
            $(, $arg)*
        )
    };
}

impl Store {
    /// All but revoked ones, by name.
    #[tracing::instrument(name = "db.endpoint.list", skip_all, err(level = "debug"))]
    pub async fn endpoints(&self) -> Result<Vec<EndpointRecord>, StoreError> {
        endpoint_rows!("WHERE e.status <> 'revoked' ORDER BY e.hostname, e.id LIMIT 5000")
            .fetch_all(&self.durable)
            .await?
            .into_iter()
            .map(EndpointRecord::try_from)
            .collect()
    }

    #[tracing::instrument(name = "db.endpoint.get", skip_all, err(level = "debug"))]
    pub async fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointRecord>, StoreError> {
        endpoint_rows!("WHERE e.id = $1", id.as_str())
            .fetch_optional(&self.durable)
            .await?
            .map(EndpointRecord::try_from)
            .transpose()
    }

    /// Those of `ids` that there are, in no order.
    #[tracing::instrument(name = "db.endpoint.get_many", skip_all, err(level = "debug"))]
    pub async fn endpoints_of(&self, ids: &[EndpointId]) -> Result<Vec<EndpointRecord>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        endpoint_rows!("WHERE e.id = ANY($1)", &ids)
            .fetch_all(&self.durable)
            .await?
            .into_iter()
            .map(EndpointRecord::try_from)
            .collect()
    }

    /// The active endpoint of this name.
    #[tracing::instrument(name = "db.endpoint.by_hostname", skip_all, err(level = "debug"))]
    pub async fn endpoint_named(&self, hostname: &str) -> Result<Option<EndpointId>, StoreError> {
        sqlx::query_scalar!("SELECT id FROM endpoints WHERE hostname = $1 AND status = 'active'", hostname)
            .fetch_optional(&self.durable)
            .await?
            .map(|id| crate::commands::endpoint_id("endpoints", id))
            .transpose()
    }

    #[tracing::instrument(name = "db.endpoint.key", skip_all, err(level = "debug"))]
    pub async fn endpoint_key(&self, id: &EndpointId) -> Result<Option<EndpointKey>, StoreError> {
        let row = sqlx::query!(
            "SELECT hostname, epoch, status, public_key FROM endpoints WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(&self.durable)
        .await?;
        row.map(|row| {
            Ok(EndpointKey {
                id: id.clone(),
                hostname: row.hostname,
                epoch: Epoch(row.epoch),
                status: parse_status(&row.status, id.as_str())?,
                public_key: row.public_key,
            })
        })
        .transpose()
    }

    /// Accepts a stream's join counter when it is greater than every one before. `false`: it is not, somebody holds a
    /// copy of the key.
    #[tracing::instrument(name = "db.endpoint.join", skip_all, err(level = "debug"))]
    pub async fn join(
        &self,
        id: &EndpointId,
        join_counter: i64,
        agent_version: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "WITH joined AS (
               UPDATE endpoints SET join_counter = $2, agent_version = $3 WHERE id = $1 AND join_counter < $2 RETURNING id
             )
             UPDATE endpoint_seen s SET last_seen_at = $4 FROM joined WHERE s.endpoint_id = joined.id",
            id.as_str(),
            join_counter,
            agent_version,
            now
        )
        .execute(&self.durable)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Those of `connected` that may not speak any more.
    #[tracing::instrument(name = "db.endpoint.inactive", skip_all, err(level = "debug"))]
    pub async fn inactive_of(&self, connected: &[EndpointId]) -> Result<Vec<EndpointId>, StoreError> {
        let connected: Vec<String> = connected.iter().map(|id| id.as_str().to_owned()).collect();
        sqlx::query_scalar!("SELECT id FROM endpoints WHERE id = ANY($1) AND status <> 'active'", &connected)
            .fetch_all(&self.durable)
            .await?
            .into_iter()
            .map(|id| crate::commands::endpoint_id("endpoints", id))
            .collect()
    }

    /// Writes the last-seen times that gathered in memory, in one statement.
    ///
    /// What somebody else holds is left out, and comes with the next message: nobody ever waits for this statement.
    #[tracing::instrument(name = "db.endpoint.seen", skip_all, err(level = "debug"))]
    pub async fn flush_seen(&self, seen: &[Seen]) -> Result<(), StoreError> {
        let ids: Vec<String> = seen.iter().map(|seen| seen.endpoint_id.as_str().to_owned()).collect();
        let times: Vec<_> = seen.iter().map(|seen| seen.at).collect();
        let loads: Vec<_> = seen.iter().map(|seen| seen.load_hundredths).collect();
        sqlx::query!(
            "WITH free AS (
               SELECT s.endpoint_id, n.at, n.load
               FROM unnest($1::text[], $2::timestamptz[], $3::integer[]) AS n(endpoint_id, at, load)
               JOIN endpoint_seen s ON s.endpoint_id = n.endpoint_id AND (s.last_seen_at IS NULL OR s.last_seen_at < n.at)
               FOR NO KEY UPDATE OF s SKIP LOCKED
             )
             UPDATE endpoint_seen s
             SET last_seen_at = free.at, load_hundredths = coalesce(free.load, s.load_hundredths)
             FROM free WHERE s.endpoint_id = free.endpoint_id",
            &ids,
            &times,
            &loads as &[Option<i32>]
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Makes a waiting endpoint the active one of its machine and name; those that held these are revoked, and their
    /// commands, which must never run on another key, are cancelled. One transaction.
    #[tracing::instrument(name = "db.endpoint.approve", skip_all, err(level = "debug"))]
    pub async fn approve_endpoint(
        &self,
        id: &EndpointId,
        by: &str,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<EndpointId>>, StoreError> {
        let mut tx = self.durable.begin().await?;
        let waiting = sqlx::query!(
            "SELECT hostname, machine_id FROM endpoints WHERE id = $1 AND status = 'awaiting_approval' FOR UPDATE",
            id.as_str()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(waiting) = waiting else { return Ok(None) };
        let revoked = sqlx::query_scalar!(
            "UPDATE endpoints SET status = 'revoked'
             WHERE status = 'active' AND (hostname = $1 OR machine_id = $2) RETURNING id",
            waiting.hostname,
            waiting.machine_id
        )
        .fetch_all(&mut *tx)
        .await?;
        sqlx::query!(
            "WITH gone AS (DELETE FROM pending_commands WHERE endpoint_id = ANY($1) RETURNING *)
             INSERT INTO command_history
               (id, hostname, command, params, status, created_at, delivered_at, created_by, priority, endpoint_id,
                epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
                cancelled_by, finished_at)
             SELECT id, hostname, command, params, 'cancelled', created_at, delivered_at, created_by, priority,
                    endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id,
                    idempotency_key, $2, $3
             FROM gone",
            &revoked,
            by,
            now
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE desired_isolation SET state = 'cancelled', message = 'the host was enrolled with another key'
             WHERE endpoint_id = ANY($1) AND state IN ('pending', 'delivered')",
            &revoked
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("UPDATE endpoints SET status = 'active' WHERE id = $1", id.as_str())
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO audit_log (at, actor, action, endpoint_id, hostname, reason, detail)
             VALUES ($1, $2, 'endpoint.approve', $3, $4, $5, $6)",
            now,
            by,
            id.as_str(),
            waiting.hostname,
            reason,
            serde_json::json!({ "revoked": revoked })
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        revoked
            .into_iter()
            .map(|id| crate::commands::endpoint_id("endpoints", id))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

pub(crate) fn parse_status(word: &str, id: &str) -> Result<EndpointStatus, StoreError> {
    word.parse().map_err(|()| StoreError::BadRow { table: "endpoints", column: "status", id: id.to_owned() })
}

struct EndpointRow {
    id: String,
    hostname: String,
    epoch: i32,
    status: String,
    enrolled_at: DateTime<Utc>,
    last_seen_at: Option<DateTime<Utc>>,
    agent_version: String,
    os: String,
    command_id: Option<i64>,
    direction: Option<String>,
    state: Option<String>,
    created_by: Option<String>,
    created_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    message: Option<String>,
    terms: Option<serde_json::Value>,
    change_id: Option<i64>,
    auto_restore_at: Option<DateTime<Utc>>,
    isolation_state: Option<String>,
    isolation_generation: Option<i64>,
    isolation_detail: Option<String>,
    isolation_observed_at: Option<DateTime<Utc>>,
    isolation_received_at: Option<DateTime<Utc>>,
    isolation_facts: Option<serde_json::Value>,
    body: Option<serde_json::Value>,
}

impl TryFrom<EndpointRow> for EndpointRecord {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let bad = |table, column| StoreError::BadRow { table, column, id: row.id.clone() };
        let id = EndpointId::try_from(row.id.clone()).map_err(|_| bad("endpoints", "id"))?;
        let desired = match (row.command_id, row.direction, row.state, row.created_by) {
            (Some(command_id), Some(direction), Some(state), Some(created_by)) => Some(DesiredIsolation {
                command_id: CommandId(command_id),
                direction: match direction.as_str() {
                    "isolate" => IsolationDirection::Isolate,
                    "restore" => IsolationDirection::Restore,
                    _ => return Err(bad("desired_isolation", "direction")),
                },
                state: state.parse().map_err(|_| bad("desired_isolation", "state"))?,
                created_by,
                created_at: row.created_at.ok_or_else(|| bad("desired_isolation", "created_at"))?,
                reason: row.reason.unwrap_or_default(),
                expires_at: row.expires_at.ok_or_else(|| bad("desired_isolation", "expires_at"))?,
                message: row.message,
                terms: row.terms.and_then(|terms| serde_json::from_value(terms).ok()).unwrap_or_default(),
                change_id: row.change_id.map(CommandId),
                auto_restore_at: row.auto_restore_at,
            }),
            _ => None,
        };
        let observed = match (row.isolation_state, row.isolation_observed_at, row.isolation_received_at) {
            (Some(state), Some(observed_at), Some(received_at)) => Some(ObservedRecord {
                isolation: IsolationObservation {
                    state: match state.as_str() {
                        "not_isolated" => ObservedIsolation::NotIsolated,
                        "isolated" => ObservedIsolation::Isolated,
                        "partial" => ObservedIsolation::Partial,
                        "unknown" => ObservedIsolation::Unknown,
                        _ => return Err(bad("telemetry_latest", "isolation_state")),
                    },
                    generation: row.isolation_generation.map(CommandId),
                    observed_at,
                    detail: row.isolation_detail,
                    ..said_besides(row.isolation_facts, observed_at)
                },
                received_at,
            }),
            _ => None,
        };
        Ok(Self {
            status: parse_status(&row.status, &row.id)?,
            id,
            hostname: row.hostname,
            epoch: Epoch(row.epoch),
            enrolled_at: row.enrolled_at,
            last_seen_at: row.last_seen_at,
            agent_version: row.agent_version,
            os: row.os,
            desired,
            observed,
            // Written by another version, perhaps: what cannot be read is not shown, and hides nothing else.
            telemetry: row.body.and_then(|body| serde_json::from_value(body).ok()),
        })
    }
}

/// What an observation says besides its state; `None` when that is nothing, as it is for most of a fleet.
pub(crate) fn facts_of(observation: &IsolationObservation) -> Option<serde_json::Value> {
    let IsolationObservation { auto_restore_at, is_provisional, exceptions, allows_dns, drift, .. } =
        observation;
    let says_more = auto_restore_at.is_some()
        || *is_provisional
        || !exceptions.is_empty()
        || *allows_dns
        || drift.is_some();
    says_more.then(|| serde_json::to_value(observation).unwrap_or_default())
}

/// `facts` of another observation than the one of `observed_at` say nothing: a server that knows of no facts renewed that.
fn said_besides(facts: Option<serde_json::Value>, observed_at: DateTime<Utc>) -> IsolationObservation {
    let facts: Option<IsolationObservation> = facts.and_then(|facts| serde_json::from_value(facts).ok());
    // The database keeps microseconds.
    facts
        .filter(|facts| (facts.observed_at - observed_at).abs() <= TimeDelta::microseconds(1))
        .unwrap_or_default()
}

/// The host's own words on its operating system, bounded.
pub(crate) fn os_of(host: &HostFacts) -> String {
    host.os.chars().take(200).collect()
}
