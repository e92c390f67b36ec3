//! The messages in which an agent tells what it has done.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde_json::json;
use voltaxe_protocol::{
    AgentCheckOutcome, AgentFacts, CANCELLED, CommandId, CommandOrder, CommandResult, Disk, Envelope,
    HostFacts, IsolationObservation, IsolationOutcome, LoadAverage, Memory, ObservedIsolation, Telemetry,
};

use super::{AGENT_VERSION, Outcome};

pub(super) fn result(id: CommandId, outcome: Outcome) -> CommandResult {
    let (success, message, data) = match outcome {
        Outcome::Isolated(at) => (true, "Network isolated successfully", isolation(Some(id), at)),
        Outcome::Restored(at) => (true, "Network restored", isolation(None, at)),
        Outcome::Checked(at, generation) => (true, "The agent is well", check(generation, at)),
        Outcome::Refused(CANCELLED) => {
            (false, "The command was cancelled before it started", json!({ "refused": CANCELLED }))
        }
        Outcome::Refused(word) => (false, "The command was not carried out", json!({ "refused": word })),
    };
    CommandResult { command_id: id, success, message: message.to_owned(), data: Some(data) }
}

pub(super) struct Report<'a> {
    pub(super) hostname: &'a str,
    pub(super) index: usize,
    pub(super) generation: Option<CommandId>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) direct_port: Option<u16>,
    pub(super) unreported: u32,
}

pub(super) fn telemetry(report: &Report<'_>, now: DateTime<Utc>) -> Telemetry {
    Telemetry {
        hostname: report.hostname.to_owned(),
        isolated: report.generation.is_some(),
        observed_at: now,
        isolation: observation(report.generation, now),
        agent: AgentFacts {
            version: AGENT_VERSION.to_owned(),
            started_at: report.started_at,
            unreported_results: report.unreported,
            direct_port: report.direct_port,
        },
        host: HostFacts { addresses: vec![address(report.index)], ..host() },
        load: LoadAverage { one: 0.25, five: 0.2, fifteen: 0.15 },
        memory: Memory { total_bytes: 8 << 30, available_bytes: 5 << 30 },
        disks: vec![Disk { mount: "/".to_owned(), total_bytes: 64 << 30, available_bytes: 40 << 30 }],
        uptime_seconds: u64::try_from((now - report.started_at).num_seconds()).unwrap_or_default(),
    }
}

pub(super) fn host() -> HostFacts {
    HostFacts {
        os: "Simulated GNU/Linux 1".to_owned(),
        kernel: "6.1.0-sim".to_owned(),
        arch: "x86_64".to_owned(),
        cpus: 2,
        boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        addresses: vec![],
    }
}

/// The order as it stands, whoever signed it.
pub(super) fn unverified(envelope: &Envelope) -> Result<CommandOrder, String> {
    let payload = STANDARD.decode(&envelope.payload).map_err(|error| error.to_string())?;
    serde_json::from_slice(&payload).map_err(|error| error.to_string())
}

fn isolation(generation: Option<CommandId>, at: DateTime<Utc>) -> serde_json::Value {
    let isolated = generation.is_some();
    json!(IsolationOutcome { isolated, timestamp: at, observation: observation(generation, at) })
}

fn check(generation: Option<CommandId>, at: DateTime<Utc>) -> serde_json::Value {
    json!(AgentCheckOutcome {
        observation: observation(generation, at),
        timestamp: at,
        agent_version: AGENT_VERSION.to_owned(),
        unreported_results: 0,
        journal_used_bytes: 4 << 10,
        journal_limit_bytes: 64 << 20,
    })
}

fn observation(generation: Option<CommandId>, at: DateTime<Utc>) -> IsolationObservation {
    let state = match generation {
        Some(_) => ObservedIsolation::Isolated,
        None => ObservedIsolation::NotIsolated,
    };
    IsolationObservation { state, generation, observed_at: at, detail: None, ..Default::default() }
}

/// From the block that is reserved for benchmarks (RFC 2544).
fn address(index: usize) -> String {
    format!("198.18.{}.{}", index / 256 % 256, index % 256)
}
