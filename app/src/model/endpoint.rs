use serde::{Deserialize, Serialize};

use super::{Channels, Command, Direction, EndpointLog, Listed, Millis, Rollback, State, time};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub hostname: String,
    pub admission: Admission,
    /// Takes commands right now: holds a stream, or polled lately.
    pub live: bool,
    pub channels: Channels,
    pub enrolled_at: Millis,
    pub last_seen_at: Option<Millis>,
    pub agent_version: String,
    pub os: String,
    pub desired: Option<Desired>,
    pub observed: Option<Observed>,
    pub telemetry: Option<Telemetry>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    Active,
    /// The same machine or name is enrolled with another key; an administrator must approve.
    AwaitingApproval,
    Revoked,
}

/// What the console asked of the host last.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub command_id: i64,
    pub direction: Direction,
    pub state: State,
    pub created_by: String,
    pub created_at: Millis,
    pub reason: String,
    pub expires_at: Millis,
    /// The agent's words on a final state.
    pub message: Option<String>,
    /// What an isolation leaves open, one a line.
    pub exceptions: String,
    pub allow_dns: bool,
    /// The command that set these, when that was not the isolate itself.
    pub change_id: Option<i64>,
    /// When this server ends the isolation by itself.
    pub auto_restore_at: Option<Millis>,
}

impl Desired {
    /// What the console wants of the host, in the words of what the host observes.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.state, self.direction) {
            (State::Cancelled | State::Expired, _) => "No order in force",
            (_, Direction::Isolate) => "Isolated",
            (_, Direction::Restore) => "Not isolated",
        }
    }

    /// Whether the order stands: it was not withdrawn, and did not fail.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.state.is_open() || self.state == State::Executed
    }

    /// Whether the isolation was to end by itself by then. The kernel may be a little early by the server's clock.
    #[must_use]
    pub fn has_ended(&self, at: Millis) -> bool {
        self.auto_restore_at.is_some_and(|end| at >= end - 5 * time::SECOND)
    }

    /// The order, for the line below it.
    #[must_use]
    pub fn order(&self) -> String {
        format!("{} by {}, ", self.direction.verb(), self.created_by)
    }
}

/// What the agent read back from the kernel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub state: ObservedState,
    /// The isolate command whose rules are in the kernel.
    pub generation: Option<i64>,
    /// By the host's clock.
    pub observed_at: Millis,
    /// By the server's clock; ages count from here.
    pub received_at: Millis,
    pub detail: Option<String>,
    /// What is open although the host is isolated, in words.
    pub open: Vec<String>,
    /// When the kernel ends the isolation by itself.
    pub auto_restore_at: Option<Millis>,
    /// The rules are there, and the server has not been reached through them yet.
    pub is_provisional: bool,
    /// What somebody else did to the rules, in words.
    pub drift: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservedState {
    NotIsolated,
    Isolated,
    Partial,
    #[serde(other)]
    Unknown,
}

impl ObservedState {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotIsolated => "Not isolated",
            Self::Isolated => "Isolated",
            Self::Partial => "Partly isolated",
            Self::Unknown => "Unknown",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// By the host's clock.
    pub observed_at: Millis,
    pub kernel: String,
    pub arch: String,
    pub cpus: u32,
    pub addresses: Vec<String>,
    /// Over 1, 5 and 15 minutes, in hundredths.
    pub load: [u32; 3],
    pub memory_total: u64,
    pub memory_available: u64,
    pub disks: Vec<Disk>,
    pub uptime_seconds: u64,
    pub agent_started_at: Millis,
    /// Results the server has not acknowledged.
    pub unreported_results: u32,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    pub mount: String,
    pub total: u64,
    pub available: u64,
}

/// Whether the host takes commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    Online,
    Offline,
    AwaitingApproval,
    Revoked,
}

impl Connection {
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        match (endpoint.admission, endpoint.live) {
            (Admission::AwaitingApproval, _) => Self::AwaitingApproval,
            (Admission::Revoked, _) => Self::Revoked,
            (Admission::Active, true) => Self::Online,
            (Admission::Active, false) => Self::Offline,
        }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::Offline => "Offline",
            Self::AwaitingApproval => "Awaiting approval",
            Self::Revoked => "Revoked",
        }
    }
}

impl Endpoint {
    /// Whether any visible fact of the row contains the needle, which must be in lower case.
    #[must_use]
    pub fn matches(&self, needle: &str) -> bool {
        let has = |text: &str| text.to_ascii_lowercase().contains(needle);
        has(&self.hostname)
            || has(&self.os)
            || has(&self.id)
            || has(&self.agent_version)
            || self.telemetry.as_ref().is_some_and(|now| now.addresses.iter().any(|address| has(address)))
    }
}

/// All that the endpoint page starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointPage {
    pub endpoint: Endpoint,
    /// Newest first.
    pub commands: Listed<Command>,
    pub rollback: Option<Rollback>,
    pub log: EndpointLog,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn endpoint() -> Endpoint {
        Endpoint {
            id: "ep_00112233445566778899aabbccddeeff".into(),
            hostname: "web-01".into(),
            admission: Admission::Active,
            live: true,
            channels: Channels::default(),
            enrolled_at: 0,
            last_seen_at: Some(100_000),
            agent_version: "0.1.0".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            desired: None,
            observed: None,
            telemetry: Some(Telemetry { addresses: vec!["10.77.0.11".into()], ..Telemetry::default() }),
        }
    }

    #[test]
    fn only_an_admitted_endpoint_is_online() {
        let mut host = endpoint();
        assert_eq!(Connection::of(&host), Connection::Online);
        host.live = false;
        assert_eq!(Connection::of(&host), Connection::Offline);
        host.live = true;
        host.admission = Admission::AwaitingApproval;
        assert_eq!(Connection::of(&host), Connection::AwaitingApproval);
    }

    #[test]
    fn the_filter_looks_at_names_systems_and_addresses() {
        let host = endpoint();
        assert!(host.matches("web") && host.matches("bookworm") && host.matches("77.0.11"));
        assert!(!host.matches("db-01"));
    }
}
