//! The JSON of commands and of telemetry in the HTTP API: the seed's words, and ours beside them.

use serde_json::{Value, json};
use voltaxe_app::model::{Endpoint, endpoint_query::Group};
use voltaxe_orchestrator::model::{ChannelHealth, CommandRecord, EndpointView};

#[must_use]
pub fn command_json(record: &CommandRecord) -> Value {
    json!({
        "id": record.id,
        "hostname": record.hostname,
        "endpoint_id": record.endpoint_id,
        "command": record.command,
        "params": record.params,
        "status": record.status,
        "created_at": record.created_at,
        "delivered_at": record.delivered_at,
        "started_at": record.started_at,
        "executed_at": record.executed_at,
        "finished_at": record.finished_at,
        "expires_at": record.expires_at,
        "result": record.result,
        "created_by": record.created_by,
        "cancelled_by": record.cancelled_by,
        "cancel_requested_by": record.cancel_requested_by,
        "cancel_requested_at": record.cancel_requested_at,
        "not_before": record.not_before,
        "batch_id": record.batch_id,
        "schedule_id": record.schedule_id,
        "reason": record.reason,
        "priority": record.priority,
        "attempt": record.attempt,
        "channel": record.channel.map(|channel| channel.as_str()),
    })
}

/// The newest telemetry of an endpoint. `isolated` is what the host reported; `null` while it has not.
#[must_use]
pub fn telemetry_json(view: &EndpointView) -> Value {
    let record = &view.record;
    let observed = record.observed.as_ref();
    let telemetry = record.telemetry.as_ref();
    json!({
        "hostname": record.hostname,
        "endpoint_id": record.id,
        "connected": view.live,
        "channels": channels_json(&view.channels),
        "last_seen_at": record.last_seen_at,
        "isolated": observed.map(|o| o.isolation.state == voltaxe_protocol::ObservedIsolation::Isolated),
        "isolation": observed.map(|o| &o.isolation),
        "isolation_received_at": observed.map(|o| o.received_at),
        "observed_at": telemetry.map(|t| t.observed_at),
        "agent": telemetry.map(|t| &t.agent),
        "host": telemetry.map(|t| &t.host),
        "load": telemetry.map(|t| &t.load),
        "memory": telemetry.map(|t| &t.memory),
        "disks": telemetry.map(|t| &t.disks),
        "uptime_seconds": telemetry.map(|t| t.uptime_seconds),
    })
}

/// A row of the list of endpoints: who it is, how it is reached, what is wanted of it, and what it reported.
#[must_use]
pub fn endpoint_json(view: &EndpointView, labels: &[String]) -> Value {
    let record = &view.record;
    let mut value = telemetry_json(view);
    value["status"] = json!(record.status.to_string());
    value["labels"] = json!(labels);
    value["os"] = json!(record.os);
    value["agent_version"] = json!(record.agent_version);
    value["enrolled_at"] = json!(record.enrolled_at);
    value["isolation_group"] = json!(Group::of(&Endpoint::from(view)).word());
    value
}

fn channels_json(channels: &ChannelHealth) -> Value {
    json!({
        "stream_since": channels.stream_since,
        "stream_lost_at": channels.stream_lost_at,
        "polled_at": channels.polled_at,
        "direct": channels.direct.as_ref().map(|direct| json!({
            "address": direct.address.to_string(),
            "worked_at": direct.worked_at,
            "failed_at": direct.failed_at,
            "problem": direct.problem,
        })),
    })
}
