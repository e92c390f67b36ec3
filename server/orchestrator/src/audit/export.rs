//! Rows of the log as other programs read them.

use std::{fmt::Write as _, str::FromStr};

use serde_json::{Value, json};
use voltaxe_protocol::CommandState;

use super::AuditLine;

/// How an export is written: a line a row in each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// A JSON object a line.
    Json,
    /// Events of OCSF 1.3, class 7001 (Remediation Activity), one a line.
    Ocsf,
}

pub const CSV_HEAD: &str =
    "id,at,actor,action,hostname,endpoint_id,command_id,command,result,message,reason,detail\r\n";

const OCSF_VERSION: &str = "1.3.0";

impl Format {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ocsf => "ocsf",
        }
    }

    #[must_use]
    pub fn line(self, line: &AuditLine) -> String {
        match self {
            Self::Csv => csv(line),
            Self::Json => format!("{}\n", line.json()),
            Self::Ocsf => format!("{}\n", ocsf(line)),
        }
    }

    /// The last line of an export that was cut after `rows` rows; the rest is below the id `next`.
    #[must_use]
    pub fn cut(self, rows: usize, next: i64) -> String {
        let words = format!("Cut after {rows} rows; the older ones follow with before={next}");
        match self {
            Self::Csv => format!("cut,,,,,,,,,,{words},\r\n"),
            Self::Json => format!("{}\n", json!({ "cut": words, "before": next })),
            Self::Ocsf => {
                let event = json!({
                    "class_uid": 0, "class_name": "Base Event", "category_uid": 0, "category_name": "Uncategorized",
                    "activity_id": 0, "activity_name": "Unknown", "type_uid": 0, "severity_id": 1, "time": 0,
                    "message": words, "metadata": metadata(None), "unmapped": { "before": next },
                });
                format!("{event}\n")
            }
        }
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Csv, Self::Json, Self::Ocsf].into_iter().find(|format| format.as_str() == word).ok_or(())
    }
}

impl AuditLine {
    /// As the API answers it.
    #[must_use]
    pub fn json(&self) -> Value {
        let (record, outcome) = (&self.record, self.outcome.as_ref());
        json!({
            "id": record.id,
            "at": record.at,
            "actor": record.actor,
            "action": record.action,
            "endpoint_id": record.endpoint_id,
            "hostname": record.hostname,
            "command_id": record.command_id,
            "command": outcome.map(|outcome| &outcome.command),
            "result": outcome.map(|outcome| outcome.status),
            "message": outcome.map(|outcome| &outcome.message),
            "reason": record.reason,
            "detail": record.detail,
        })
    }
}

fn csv(line: &AuditLine) -> String {
    let (record, outcome) = (&line.record, line.outcome.as_ref());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        record.id.to_string(),
        record.at.to_rfc3339(),
        record.actor.clone(),
        record.action.clone(),
        text(&record.hostname),
        text(&record.endpoint_id),
        record.command_id.map(|id| id.to_string()).unwrap_or_default(),
        outcome.map(|outcome| outcome.command.clone()).unwrap_or_default(),
        outcome.map(|outcome| outcome.status.to_string()).unwrap_or_default(),
        outcome.and_then(|outcome| outcome.message.clone()).unwrap_or_default(),
        text(&record.reason),
        record.detail.as_ref().map(Value::to_string).unwrap_or_default(),
    ];
    cells.map(|text| cell(&text)).join(",") + "\r\n"
}

/// What a spreadsheet would take for a formula stands behind an apostrophe (OWASP, CSV Injection).
fn cell(text: &str) -> String {
    let apostrophe = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let needs_quotes = text.contains(['"', ',', '\n', '\r']) || !apostrophe.is_empty();
    if needs_quotes { format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// An activity of class 7001, and the D3FEND technique behind it: tactic, id, name.
struct Activity {
    id: u16,
    name: &'static str,
    technique: Option<(&'static str, &'static str, &'static str)>,
}

fn activity(command: Option<&str>) -> Activity {
    let of = |id, name, technique| Activity { id, name, technique };
    match command {
        Some("network_isolate" | "isolation_change") => {
            of(1, "Isolate", Some(("Isolate", "D3-NI", "Network Isolation")))
        }
        Some("kill_process") => of(2, "Evict", Some(("Evict", "D3-PT", "Process Termination"))),
        Some("suspend_process") => of(2, "Evict", Some(("Evict", "D3-PS", "Process Suspension"))),
        Some("network_restore") => of(3, "Restore", Some(("Restore", "D3-RNA", "Restore Network Access"))),
        Some("resume_process") => of(3, "Restore", None),
        Some(_) | None => of(99, "Other", None),
    }
}

fn ocsf(line: &AuditLine) -> Value {
    let (record, outcome) = (&line.record, line.outcome.as_ref());
    let kind = outcome.map(|outcome| outcome.command.as_str());
    let activity = activity(kind.or_else(|| record.action.strip_prefix("command.")));
    let name = if activity.id == 99 { record.action.as_str() } else { activity.name };
    let (status_id, status) = match outcome.map(|outcome| outcome.status) {
        // What is about no command was done when it was written.
        None | Some(CommandState::Executed) => (1, "Success"),
        Some(CommandState::Failed) => (2, "Failure"),
        Some(CommandState::Expired) => (99, "Expired"),
        Some(CommandState::Cancelled) => (99, "Cancelled"),
        Some(CommandState::Pending | CommandState::Delivered | CommandState::Unknown) => (0, "Unknown"),
    };
    // Required by the class; what is about no command is named by its own row.
    let command_uid = record.command_id.map_or_else(|| format!("audit:{}", record.id), |id| id.to_string());
    let mut message = format!("{} by {}", record.action, record.actor);
    for (word, text) in [("on", &record.hostname), ("because:", &record.reason)] {
        if let Some(text) = text {
            let _ = write!(message, " {word} {text}");
        }
    }
    let mut event = json!({
        "category_uid": 7,
        "category_name": "Remediation",
        "class_uid": 7001,
        "class_name": "Remediation Activity",
        "activity_id": activity.id,
        "activity_name": name,
        "type_uid": 700_100 + u32::from(activity.id),
        "type_name": format!("Remediation Activity: {name}"),
        "severity_id": 1,
        "severity": "Informational",
        "status_id": status_id,
        "status": status,
        "time": record.at.timestamp_millis(),
        "message": message,
        "command_uid": command_uid,
        "actor": { "user": { "name": record.actor } },
        "metadata": metadata(Some(record.id)),
        "unmapped": { "action": record.action, "command": kind, "reason": record.reason, "detail": record.detail },
    });
    if let Some(message) = outcome.and_then(|outcome| outcome.message.as_ref()) {
        event["status_detail"] = json!(message);
    }
    if let Some(id) = &record.endpoint_id {
        event["device"] = json!({ "type_id": 0, "uid": id, "hostname": record.hostname });
    }
    if let Some((tactic, id, technique)) = activity.technique {
        event["countermeasures"] =
            json!([{ "d3f_tactic": { "name": tactic }, "d3f_technique": { "uid": id, "name": technique } }]);
    }
    event
}

fn metadata(row: Option<i64>) -> Value {
    json!({
        "version": OCSF_VERSION,
        "profiles": ["host"],
        "product": { "name": "Voltaxe Sentinel", "vendor_name": "Voltaxe", "version": env!("CARGO_PKG_VERSION") },
        "log_name": "audit_log",
        "uid": row.map(|row| row.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use voltaxe_protocol::CommandId;
    use voltaxe_store::{AuditRecord, CommandOutcome};

    use super::*;

    fn line() -> AuditLine {
        AuditLine {
            record: AuditRecord {
                id: 7,
                at: DateTime::from_timestamp_millis(1_700_000_000_000).unwrap(),
                actor: "ada".into(),
                action: "command.network_isolate".into(),
                endpoint_id: Some("ep_1".into()),
                hostname: Some("web-01".into()),
                command_id: Some(CommandId(41)),
                reason: Some("=cmd|'/C calc'!A0, \"really\"".into()),
                detail: None,
            },
            outcome: Some(CommandOutcome {
                id: CommandId(41),
                command: "network_isolate".into(),
                status: CommandState::Executed,
                message: Some("-1 things".into()),
            }),
        }
    }

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        let written = Format::Csv.line(&line());
        assert_eq!(
            written,
            "7,2023-11-14T22:13:20+00:00,ada,command.network_isolate,web-01,ep_1,41,network_isolate,executed,\"'-1 things\",\
             \"'=cmd|'/C calc'!A0, \"\"really\"\"\",\r\n"
        );
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            assert!(cell(&format!("{start}1")).starts_with("\"'"), "{start:?}");
        }
        assert_eq!(cell("web-01"), "web-01");
        assert_eq!(CSV_HEAD.split(',').count(), written.trim_end().matches("web-01").count() + 11);
    }

    #[test]
    fn an_isolation_is_a_remediation_activity() {
        let event: Value = serde_json::from_str(&Format::Ocsf.line(&line())).unwrap();
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(7001), &json!(700_101)));
        assert_eq!(event["command_uid"], "41");
        assert_eq!(event["countermeasures"][0]["d3f_technique"]["uid"], "D3-NI");
        assert_eq!((&event["status_id"], &event["time"]), (&json!(1), &json!(1_700_000_000_000_i64)));
    }

    #[test]
    fn what_is_about_no_command_is_an_activity_of_another_kind() {
        let mut line = line();
        line.outcome = None;
        line.record = AuditRecord { action: "operator.sign_in".into(), command_id: None, ..line.record };
        let event: Value = serde_json::from_str(&Format::Ocsf.line(&line)).unwrap();
        assert_eq!(
            (&event["activity_id"], &event["activity_name"]),
            (&json!(99), &json!("operator.sign_in"))
        );
        assert_eq!(event["command_uid"], "audit:7");
    }

    #[test]
    fn a_cut_export_says_so_in_its_own_format() {
        assert!(Format::Csv.cut(100_000, 5).starts_with("cut,"));
        assert_eq!(Format::Csv.cut(1, 5).matches(',').count(), CSV_HEAD.matches(',').count());
        for format in [Format::Json, Format::Ocsf] {
            let line: Value = serde_json::from_str(&format.cut(100_000, 5)).unwrap();
            assert!(line.to_string().contains("before=5"));
        }
    }
}
