use serde::{Deserialize, Serialize};

use super::Accepted;

/// Which way an order moves a host's isolation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Isolate,
    Restore,
}

/// What a host can be told to do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Isolate,
    Restore,
    /// Report and change nothing: shows that commands arrive.
    Check,
}

/// What became of an order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    Command(Accepted),
    /// In words.
    Schedule(String),
    /// By its id.
    Batch(String),
}

impl Order {
    pub const ALL: [Self; 3] = [Self::Isolate, Self::Restore, Self::Check];

    /// The word for it in a command's record.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Isolate => "network_isolate",
            Self::Restore => "network_restore",
            Self::Check => "agent_check",
        }
    }

    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.kind() == kind)
    }

    /// By its verb, as an address names it.
    #[must_use]
    pub fn of_verb(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.verb().eq_ignore_ascii_case(word))
    }

    /// The class of its buttons, after `button--`.
    #[must_use]
    pub fn tone(self) -> &'static str {
        match self {
            Self::Isolate => "danger",
            Self::Restore | Self::Check => "primary",
        }
    }

    /// The verb on buttons.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Isolate => "Isolate",
            Self::Restore => "Release",
            Self::Check => "Check",
        }
    }
}

impl Direction {
    #[must_use]
    pub fn verb(self) -> &'static str {
        Order::from(self).verb()
    }
}

impl From<Direction> for Order {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Isolate => Self::Isolate,
            Direction::Restore => Self::Restore,
        }
    }
}

/// The verb for a command's kind; the kind itself where this page does not know it.
#[must_use]
pub fn title(kind: &str) -> &str {
    match kind {
        "isolation_change" => "Change isolation",
        "isolation_preview" => "Preview isolation",
        "list_processes" => "List processes",
        "kill_process" => "Kill",
        "suspend_process" => "Suspend",
        "resume_process" => "Resume",
        "collect_forensics" => "Collect evidence",
        _ => match Order::of_kind(kind) {
            Some(order) => order.verb(),
            None => kind,
        },
    }
}

/// `web-01`, `3 hosts`.
#[must_use]
pub fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}
