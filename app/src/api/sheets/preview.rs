//! What an isolation would do.

use serde_json::Value;
use voltaxe_protocol::{IsolationPreviewOutcome, PreflightKind, PreflightWarning};

use super::text;
use crate::model::sheet::{Part, Row, Table};

const MOST_ROWS: usize = 100;
const LONGEST_RULESET_CHARS: usize = 64 * 1024;

pub(in crate::api) fn parts(data: &Value) -> Option<Vec<Part>> {
    let preview: IsolationPreviewOutcome = serde_json::from_value(data.clone()).ok()?;
    let warnings = preview.warnings.iter().take(MOST_ROWS).map(warning);
    let cut = format!(
        "{} open TCP connections and {} logins from elsewhere will drop, {} connections stay. The server is reached at {}.",
        preview.connections_cut,
        preview.sessions.len(),
        preview.connections_kept,
        text::of_host(&preview.servers.join(", "))
    );
    let sessions = (!preview.sessions.is_empty()).then(|| {
        let rows = preview.sessions.iter().take(MOST_ROWS).map(|session| Row {
            cells: vec![
                text::of_host(&session.user),
                text::of_host(&session.from),
                text::of_host(&session.terminal),
                session.since.map_or_else(|| "–".to_owned(), text::at),
            ],
            ..Row::default()
        });
        Part::Table(Table {
            caption: "Logins that will drop".to_owned(),
            columns: ["Login that will drop", "From", "Terminal", "Since"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
            tick: String::new(),
        })
    });
    let ruleset = text::lines_of_host(&preview.ruleset, LONGEST_RULESET_CHARS);
    let last = [Part::Text(cut)].into_iter().chain(sessions);
    Some(warnings.chain(last).chain([Part::Fold("The exact rules".to_owned(), ruleset)]).collect())
}

fn warning(warning: &PreflightWarning) -> Part {
    let message = text::of_host(&warning.message);
    match warning.kind {
        PreflightKind::Blocked => Part::Error(message),
        PreflightKind::Tunnel
        | PreflightKind::Proxy
        | PreflightKind::Containers
        | PreflightKind::Hypervisor
        | PreflightKind::Router
        | PreflightKind::FirewallManager
        | PreflightKind::NetworkStorage
        | PreflightKind::NotCovered
        | PreflightKind::Unknown => Part::Warning(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn warnings_come_first_and_the_rules_last() {
        let data = json!({
            "timestamp": "2026-01-31T17:00:00Z", "ruleset": "add table inet x\n", "servers": ["10.0.0.1:8080"],
            "warnings": [{ "kind": "tunnel", "message": "wg0 leads to the server" },
                         { "kind": "blocked", "message": "nft is missing" },
                         { "kind": "quantum", "message": "of a later version" }],
            "sessions": [{ "user": "ann\u{202e}", "terminal": "pts/0", "from": "10.0.0.9" }],
            "connections_cut": 3, "connections_kept": 1,
        });
        let parts = parts(&data).unwrap();
        assert_eq!(parts[0], Part::Warning("wg0 leads to the server".into()));
        assert_eq!(parts[1], Part::Error("nft is missing".into()));
        assert_eq!(parts[2], Part::Warning("of a later version".into()));
        assert!(
            matches!(&parts[3], Part::Text(words) if words.starts_with("3 open TCP connections and 1 logins from elsewhere will drop, 1 connections stay"))
        );
        let Part::Table(table) = &parts[4] else { panic!("{parts:?}") };
        assert_eq!(table.rows[0].cells[0], r"ann\u{202e}");
        assert_eq!(parts[5], Part::Fold("The exact rules".into(), "add table inet x\n".into()));
        assert_eq!(super::parts(&json!({})), None);
    }
}
