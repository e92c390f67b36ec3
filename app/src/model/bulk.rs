//! One order to many chosen hosts.

use serde::{Deserialize, Serialize};

use super::{Order, State, order};

/// What many hosts can be told at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkOrder {
    Isolate,
    Restore,
    Collect,
    Check,
}

/// Which hosts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// By their ids.
    Hosts(Vec<String>),
    /// All that the list of this address shows when the order is given.
    Matching(String),
}

/// A host that is left out, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Excluded {
    pub hostname: String,
    pub reason: String,
}

/// What a choice comes to now.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    pub hosts: i64,
    pub offline: i64,
    /// The first few.
    pub names: Vec<String>,
}

/// One of a batch's hosts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BatchHost {
    pub command_id: i64,
    pub endpoint_id: String,
    pub hostname: String,
    pub state: State,
}

/// An order to more hosts than this is confirmed by typing how many.
pub const CONFIRMED_ABOVE: i64 = 10;

impl BulkOrder {
    pub const ALL: [Self; 4] = [Self::Isolate, Self::Restore, Self::Collect, Self::Check];

    /// The verb on buttons.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Isolate => Order::Isolate.verb(),
            Self::Restore => Order::Restore.verb(),
            Self::Collect => "Collect from",
            Self::Check => Order::Check.verb(),
        }
    }

    /// The class of its button, after `button--`.
    #[must_use]
    pub fn tone(self) -> &'static str {
        match self {
            Self::Isolate => "danger",
            Self::Restore | Self::Collect | Self::Check => "primary",
        }
    }

    /// What it does to each host.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Isolate => {
                "Drops every connection of these hosts, those open now too, but the one to this server, the host's loopback, and the exceptions below."
            }
            Self::Restore => {
                "These hosts get their network back exactly as it was: the isolation rules are deleted, their own firewalls were never touched."
            }
            Self::Collect => "Each host collects evidence and sends it here. Nothing changes on the hosts.",
            Self::Check => {
                "The agents report how they are, which shows that commands arrive. Nothing changes on the hosts."
            }
        }
    }
}

impl Resolved {
    /// By name, and how many more there are.
    #[must_use]
    pub fn words(&self) -> String {
        let named = self.names.join(", ");
        match usize::try_from(self.hosts).unwrap_or(0).saturating_sub(self.names.len()) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }

    #[must_use]
    pub fn offline_words(&self) -> Option<String> {
        match usize::try_from(self.offline).unwrap_or(0) {
            0 => None,
            1 => Some("1 host is offline. ".to_owned()),
            more => Some(format!("{} are offline. ", order::hosts(more))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_says_who_is_in_it_and_who_is_away() {
        let some = Resolved { hosts: 2, offline: 1, names: vec!["web-01".into(), "web-02".into()] };
        assert_eq!(some.words(), "web-01, web-02");
        assert_eq!(some.offline_words().as_deref(), Some("1 host is offline. "));
        let many = Resolved { hosts: 25, offline: 0, names: vec!["web-01".into()] };
        assert_eq!((many.words().as_str(), many.offline_words()), ("web-01 and 24 more", None));
    }
}
