//! Answers as JSON for programs, or as a table for people.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// Each column's head and the pointer to its value.
pub(super) type Columns = &'static [(&'static str, &'static str)];

pub(super) const ENDPOINTS: Columns = &[
    ("HOST", "/hostname"),
    ("CONNECTED", "/connected"),
    ("ISOLATED", "/isolated"),
    ("LAST SEEN (UTC)", "/last_seen_at"),
    ("ID", "/endpoint_id"),
];

pub(super) const COMMANDS: Columns = &[
    ("ID", "/id"),
    ("HOST", "/hostname"),
    ("COMMAND", "/command"),
    ("STATUS", "/status"),
    ("CREATED (UTC)", "/created_at"),
    ("BY", "/created_by"),
    ("RESULT", "/result/message"),
];

pub(super) const BATCHES: Columns = &[
    ("ID", "/batch_id"),
    ("COMMAND", "/command"),
    ("HOSTS", "/total"),
    ("PENDING", "/states/pending"),
    ("DELIVERED", "/states/delivered"),
    ("EXECUTED", "/states/executed"),
    ("FAILED", "/states/failed"),
    ("CREATED (UTC)", "/created_at"),
    ("BY", "/created_by"),
];

const WIDEST: usize = 60;

pub(super) fn write(to: &mut impl Write, output: Output, answer: &Value, columns: Columns) -> io::Result<()> {
    if output == Output::Json {
        return writeln!(to, "{answer:#}");
    }
    let one = std::slice::from_ref(answer);
    let rows = answer.as_array().map_or(one, Vec::as_slice);
    let mut table: Vec<Vec<String>> = vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect()];
    table.extend(
        rows.iter().map(|row| columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))).collect()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &table {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line += &format!("{text:<width$}  ");
        }
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::String(text)) => moment(text).unwrap_or_else(|| plain(text)),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// To the second.
fn moment(text: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.to_utc().format("%Y-%m-%d %H:%M:%S").to_string())
}

/// What hosts say goes to a terminal: nothing in it may move the cursor, change a colour or turn the writing round.
pub(super) fn plain(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(output: Output, answer: &Value) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes, output, answer, COMMANDS).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_is_plain_text_whatever_hosts_say() {
        let answer = json!([{ "id": 7, "hostname": "web-01", "command": "agent_check", "status": "failed",
            "created_at": "2026-01-02T03:04:05.678Z", "created_by": "token:soar",
            "result": { "message": "\u{1b}[31mno\n\u{202e}" } }]);
        let text = written(Output::Table, &answer);
        assert!(text.contains("7   web-01  agent_check  failed  2026-01-02 03:04:05  token:soar"), "{text}");
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn one_answer_is_a_table_of_one_row_and_json_is_as_it_came() {
        let answer = json!({ "id": 7 });
        assert_eq!(written(Output::Table, &answer).lines().count(), 2);
        assert_eq!(serde_json::from_str::<Value>(&written(Output::Json, &answer)).unwrap(), answer);
    }
}
