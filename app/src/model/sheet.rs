//! What a host answered, ready to be drawn: the server writes the words, so that the page needs no code for each kind of answer.

use serde::{Deserialize, Serialize};

use super::record::{Figure, Form};

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    pub title: String,
    /// Where it belongs: an address and its name.
    pub back: Option<(String, String)>,
    pub endpoint_id: String,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Heading(String),
    Text(String),
    Warning(String),
    Error(String),
    Table(Table),
    /// Text to be read as it is, folded up: what it is, and the text.
    Fold(String, String),
    /// Text to be read as it is.
    Plain(String),
    /// To be copied, and shown only now: what it is, and the line.
    Secret(String, String),
    /// An address and its name.
    Link(String, String),
    /// What is being waited for, and how far it is in percent.
    Progress(String, u8),
    /// Drawn by the pages of records alone.
    Form(Form),
    /// Likewise.
    Figures(Vec<Figure>),
}

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    /// The name of the rows' ticks in a form; empty when there are none.
    pub tick: String,
}

#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The first names the row.
    pub cells: Vec<String>,
    /// Where the first leads.
    pub href: Option<String>,
    /// What its tick stands for; without it there is none.
    pub value: Option<String>,
    pub is_ticked: bool,
}

impl Row {
    /// Whether any cell contains the needle, which must be in lower case.
    #[must_use]
    pub fn matches(&self, needle: &str) -> bool {
        needle.is_empty() || self.cells.iter().any(|cell| cell.to_ascii_lowercase().contains(needle))
    }
}

/// Which sheet a page starts with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SheetOf {
    /// An endpoint's id.
    Processes(String),
    /// An endpoint's id.
    EvidenceList(String),
    /// A bundle's id, and what its page's address asks for.
    Evidence(String, String),
    /// What the page's address asks for.
    Audit(String),
    AuditRow(String),
    Operators,
    /// An operator's id.
    Operator(String),
    Settings,
    Health,
    /// A command's id.
    Command(String),
}

/// How far a long command is, or a bundle on its way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub endpoint_id: String,
    pub command_id: i64,
    /// What is being done; empty for a bundle on its way.
    #[serde(default)]
    pub step: String,
    #[serde(default)]
    pub done: u32,
    #[serde(default)]
    pub total: u32,
    #[serde(default)]
    pub bytes: u64,
}

impl Progress {
    /// `sockets · 3 of 12 · 4.2 MiB`.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { step, done, total, bytes, .. } = self;
        format!("{step} · {done} of {total} · {}", super::time::bytes(*bytes))
    }

    #[must_use]
    pub fn percent(&self) -> u8 {
        crate::ui::percent(self.done.into(), self.total.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_any_of_its_cells() {
        let row = Row {
            cells: vec!["nc".into(), "4711".into(), "/usr/bin/NC.traditional".into()],
            ..Row::default()
        };
        assert!(row.matches("") && row.matches("47") && row.matches("nc.trad"));
        assert!(!row.matches("sshd"));
    }

    #[test]
    fn progress_is_said_in_words() {
        let progress = Progress {
            endpoint_id: "ep_0".into(),
            command_id: 1,
            step: "sockets".into(),
            done: 3,
            total: 12,
            bytes: 4_404_019,
        };
        assert_eq!(progress.words(), "sockets · 3 of 12 · 4.2 MiB");
        assert_eq!(progress.percent(), 25);
    }
}
