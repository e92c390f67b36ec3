//! What became of processes, or would.

use serde_json::Value;
use voltaxe_protocol::{ProcessOutcome, ProcessVerdict};

use super::{processes, text};
use crate::model::sheet::{Part, Row, Table};

/// What an order would be about: each that can be acted on has a tick that is set.
pub(in crate::api) fn review(data: &Value) -> Option<Vec<Part>> {
    drawn(data, "process")
}

/// What happened to each.
pub(in crate::api) fn parts(data: &Value) -> Option<Vec<Part>> {
    drawn(data, "")
}

fn drawn(data: &Value, tick: &str) -> Option<Vec<Part>> {
    let outcome: ProcessOutcome = serde_json::from_value(data.clone()).ok()?;
    if outcome.processes.is_empty() {
        return Some(vec![Part::Warning("No process matches.".to_owned())]);
    }
    let rows = outcome.processes.iter().map(|effect| {
        let matches = effect.verdict == ProcessVerdict::Matches;
        let verdict = match &effect.detail {
            Some(detail) => format!("{}: {}", word(effect.verdict), text::of_host(detail)),
            None => word(effect.verdict).to_owned(),
        };
        Row {
            cells: vec![
                text::of_host(&effect.process.name),
                effect.process.pid.to_string(),
                text::of_host(&effect.process.user),
                verdict,
                processes::program(&effect.process),
            ],
            value: matches.then(|| processes::value(&effect.process, &outcome.boot_id)),
            is_ticked: matches,
            ..Row::default()
        }
    });
    let mut parts = vec![Part::Table(Table {
        caption: "Processes".to_owned(),
        columns: ["Process", "PID", "User", "Outcome", "Program"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
        tick: tick.to_owned(),
    })];
    if outcome.left_out > 0 {
        parts.push(Part::Warning(format!("And {} more, which this answer cannot name.", outcome.left_out)));
    }
    Some(parts)
}

fn word(verdict: ProcessVerdict) -> &'static str {
    match verdict {
        ProcessVerdict::Matches => "Is meant",
        ProcessVerdict::Terminated => "Ended",
        ProcessVerdict::Killed => "Killed",
        ProcessVerdict::Suspended => "Suspended",
        ProcessVerdict::Resumed => "Resumed",
        ProcessVerdict::Gone => "Was gone",
        ProcessVerdict::Protected => "Protected, not touched",
        ProcessVerdict::Survived => "Still there",
        ProcessVerdict::Failed => "Failed",
        ProcessVerdict::Unknown => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(verdict: &str) -> Value {
        let process = json!({ "pid": 9, "ppid": 1, "start_ticks": 7, "name": "nc", "user": "root", "state": "S",
                              "rss_kib": 1, "cpu_seconds": 1 });
        json!({ "timestamp": "2026-01-31T17:00:00Z", "boot_id": "b", "preview": true,
                "processes": [{ "process": process, "verdict": verdict, "detail": "by hand" }] })
    }

    #[test]
    fn only_what_is_meant_can_be_acted_on() {
        for (verdict, value) in
            [("matches", Some("9 7 b")), ("protected", None), ("gone", None), ("new", None)]
        {
            let Part::Table(table) = review(&data(verdict)).unwrap().remove(0) else { panic!("{verdict}") };
            assert_eq!(table.tick, "process");
            assert_eq!((table.rows[0].value.as_deref(), table.rows[0].is_ticked), (value, value.is_some()));
        }
        let Part::Table(table) = parts(&data("killed")).unwrap().remove(0) else { panic!("it is a table") };
        assert_eq!((table.tick.as_str(), table.rows[0].cells[3].as_str()), ("", "Killed: by hand"));
    }
}
