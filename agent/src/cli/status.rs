use chrono::{DateTime, Utc};
use serde::Serialize;
use voltaxe_protocol::{EndpointId, IsolationObservation, ObservedIsolation};

use super::Places;
use crate::{
    clock,
    event_loop::Contact,
    identity::{self, Grant},
    isolation::{Applied, Kernel},
    journal::{Journal, Record},
    state_dir::StateDir,
};

/// What `status --json` prints.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    /// Whether an agent works on the state directory right now.
    running: bool,
    enrolment: Option<Enrolment>,
    /// Where the configuration sends the agent.
    api_url: Option<String>,
    last_contact: Option<Contact>,
    isolation: IsolationObservation,
    journal: JournalSummary,
}

#[derive(Serialize)]
struct Enrolment {
    endpoint_id: EndpointId,
    hostname: String,
    epoch: i32,
    server_url: String,
    enrolled_at: DateTime<Utc>,
}

#[derive(Default, Serialize)]
struct JournalSummary {
    /// Received and not finished.
    unfinished: usize,
    /// Finished, and the server does not have the result.
    unreported: usize,
    /// Finished and reported, remembered against duplicates.
    reported: usize,
    torn_bytes: usize,
    error: Option<String>,
}

pub(super) fn status(places: &Places, json: bool) -> anyhow::Result<()> {
    let config = places.load_or_default()?;
    let state = StateDir::look_at(&config.state_dir);
    let acting = StateDir::look_at(config.acting_state_dir());
    let grant = identity::read_grant(&state)?;
    let mut kernel = Kernel::new(acting.clone(), Applied::read(&acting).unwrap_or_default());
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        running: state.is_locked(),
        enrolment: grant.map(enrolment),
        api_url: config.api_url.as_ref().map(ToString::to_string),
        last_contact: Contact::read(&state),
        isolation: kernel.observe(clock::wall()),
        journal: summary(&state),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status, clock::wall());
    }
    Ok(())
}

fn enrolment(grant: Grant) -> Enrolment {
    Enrolment {
        endpoint_id: grant.endpoint_id,
        hostname: grant.hostname,
        epoch: grant.epoch.0,
        server_url: grant.server_url,
        enrolled_at: grant.enrolled_at,
    }
}

fn summary(state: &StateDir) -> JournalSummary {
    let (records, damage) = match Journal::read(state) {
        Ok(read) => read,
        Err(error) => return JournalSummary { error: Some(error.to_string()), ..JournalSummary::default() },
    };
    let mut stages = std::collections::BTreeMap::new();
    for record in &records {
        let stage = match record {
            Record::Received { .. } | Record::Started { .. } => 0,
            Record::Finished { .. } => 1,
            Record::Reported { .. } | Record::Known { .. } => 2,
        };
        let reached = stages.entry(record.command_id()).or_insert(0);
        *reached = stage.max(*reached);
    }
    let count = |stage| stages.values().filter(|reached| **reached == stage).count();
    JournalSummary {
        unfinished: count(0),
        unreported: count(1),
        reported: count(2),
        torn_bytes: damage.torn_bytes,
        error: None,
    }
}

fn print(status: &Status, now: DateTime<Utc>) {
    println!("Agent:        {} ({})", status.version, if status.running { "running" } else { "not running" });
    match &status.enrolment {
        None => println!("Enrolment:    none; run voltaxe-sentinel enroll --token-file FILE"),
        Some(enrolment) => {
            println!(
                "Enrolment:    {} ({}, epoch {})",
                enrolment.hostname, enrolment.endpoint_id, enrolment.epoch
            );
            println!("Enrolled at:  {} on {}", enrolment.server_url, time(enrolment.enrolled_at));
        }
    }
    println!("Server:       {}", status.api_url.as_deref().unwrap_or("none configured"));
    match &status.last_contact {
        None => println!("Last contact: never"),
        Some(contact) => {
            let seconds = (now - contact.at).num_seconds();
            println!("Last contact: {} ({seconds} s ago, by {})", time(contact.at), contact.channel);
        }
    }
    let IsolationObservation { state, generation, detail, .. } = &status.isolation;
    let word = match state {
        ObservedIsolation::NotIsolated => "not isolated",
        ObservedIsolation::Isolated => "ISOLATED",
        ObservedIsolation::Partial => "PARTLY ISOLATED",
        ObservedIsolation::Unknown => "unknown",
    };
    let by = generation.map(|id| format!(" by command {id}")).unwrap_or_default();
    println!("Isolation:    {word}{by}, read from the kernel now");
    if let Some(detail) = detail {
        println!("              {detail}");
    }
    let JournalSummary { unfinished, unreported, reported, error, .. } = &status.journal;
    match error {
        Some(error) => println!("Journal:      cannot be read ({error}); run as root"),
        None => {
            println!("Journal:      {unfinished} unfinished, {unreported} unreported, {reported} reported")
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
