use serde::{Deserialize, Serialize};

use super::{Millis, time};

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Isolate,
    Restore,
}

impl Direction {
    /// The class of its buttons, after `button--`.
    #[must_use]
    pub fn tone(self) -> &'static str {
        match self {
            Self::Isolate => "danger",
            Self::Restore => "primary",
        }
    }

    /// The verb on buttons.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Isolate => "Isolate",
            Self::Restore => "Release",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    /// The agent has it on disk.
    Delivered,
    Executed,
    Failed,
    Expired,
    Cancelled,
    #[serde(other)]
    Unknown,
}

impl State {
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Delivered | Self::Unknown => true,
            Self::Executed | Self::Failed | Self::Expired | Self::Cancelled => false,
        }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Delivered => "Delivered",
            Self::Executed => "Executed",
            Self::Failed => "Failed",
            Self::Expired => "Expired",
            Self::Cancelled => "Cancelled",
            Self::Unknown => "Unknown",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub id: i64,
    pub endpoint_id: String,
    pub hostname: String,
    /// `network_isolate`, `network_restore`.
    pub kind: String,
    pub state: State,
    pub created_by: String,
    pub reason: String,
    pub created_at: Millis,
    pub delivered_at: Option<Millis>,
    pub started_at: Option<Millis>,
    /// When the result, whichever it was, arrived.
    pub executed_at: Option<Millis>,
    pub finished_at: Option<Millis>,
    pub expires_at: Millis,
    pub attempt: i32,
    /// `stream`, `polling`.
    pub channel: Option<String>,
    /// The agent's words.
    pub message: Option<String>,
    pub cancelled_by: Option<String>,
}

impl Command {
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match self.kind.as_str() {
            "network_isolate" => Some(Direction::Isolate),
            "network_restore" => Some(Direction::Restore),
            _ => None,
        }
    }

    #[must_use]
    pub fn title(&self) -> String {
        match self.direction() {
            Some(direction) => direction.verb().to_owned(),
            None => self.kind.clone(),
        }
    }

    /// What happened, in order; the last may be what is being waited for.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::new("Created", Some(self.created_at), None)];
        let mut before = self.created_at;
        let mut happened = |name, at: Option<Millis>| {
            if let Some(at) = at {
                steps.push(Step::new(name, Some(at), Some(time::short_span(at - before))));
                before = at;
            }
        };
        happened("Delivered", self.delivered_at);
        happened("Started", self.started_at);
        match self.state {
            State::Executed => happened("Executed", self.executed_at.or(self.finished_at)),
            State::Failed => happened("Failed", self.executed_at.or(self.finished_at)),
            State::Expired => happened("Expired", self.finished_at),
            State::Cancelled => happened("Cancelled", self.finished_at),
            State::Pending => steps.push(Step::new("Waiting for the host", None, None)),
            State::Delivered if self.started_at.is_some() => {
                steps.push(Step::new("Running on the host", None, None));
            }
            State::Delivered => steps.push(Step::new("On the host's disk, not started", None, None)),
            State::Unknown => {}
        }
        steps
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    pub name: &'static str,
    /// None while waiting.
    pub at: Option<Millis>,
    /// Since the step before.
    pub took: Option<String>,
}

impl Step {
    fn new(name: &'static str, at: Option<Millis>, took: Option<String>) -> Self {
        Self { name, at, took }
    }
}

/// The answer to a click: the command is on the server's disk.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    pub command_id: i64,
    pub state: State,
    /// `stream`, `polling`.
    pub method: String,
    /// It existed already: a repeated click, or the host is on its way there.
    pub existing: bool,
}

impl Accepted {
    #[must_use]
    pub fn sentence(&self, direction: Direction, hostname: &str) -> String {
        let id = self.command_id;
        if self.existing {
            return format!("{hostname} has this order already: command {id}. Nothing new was sent.");
        }
        let verb = direction.verb();
        match self.method.as_str() {
            "polling" => {
                format!("{verb}: command {id} accepted, method polling. It waits for {hostname}'s next poll.")
            }
            method => format!("{verb}: command {id} accepted, method {method}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(state: State) -> Command {
        Command {
            id: 41,
            endpoint_id: "ep_0".into(),
            hostname: "web-01".into(),
            kind: "network_isolate".into(),
            state,
            created_by: "alice".into(),
            reason: "beacon".into(),
            created_at: 1_000,
            delivered_at: None,
            started_at: None,
            executed_at: None,
            finished_at: None,
            expires_at: 9_000,
            attempt: 1,
            channel: None,
            message: None,
            cancelled_by: None,
        }
    }

    fn names(command: &Command) -> Vec<&'static str> {
        command.steps().into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_tell_what_is_waited_for() {
        assert_eq!(names(&command(State::Pending)), ["Created", "Waiting for the host"]);
        let delivered = Command { delivered_at: Some(1_003), ..command(State::Delivered) };
        assert_eq!(names(&delivered), ["Created", "Delivered", "On the host's disk, not started"]);
        let running = Command { started_at: Some(1_004), ..delivered };
        assert_eq!(names(&running), ["Created", "Delivered", "Started", "Running on the host"]);
    }

    #[test]
    fn steps_of_a_finished_command_have_times() {
        let done = Command {
            delivered_at: Some(1_003),
            started_at: Some(1_004),
            executed_at: Some(1_049),
            ..command(State::Executed)
        };
        let steps = done.steps();
        assert_eq!(
            steps.iter().map(|step| step.name).collect::<Vec<_>>(),
            ["Created", "Delivered", "Started", "Executed"]
        );
        assert_eq!(steps[3].took.as_deref(), Some("45 ms"));
        assert_eq!(
            names(&Command { finished_at: Some(2_000), ..command(State::Cancelled) }),
            ["Created", "Cancelled"]
        );
    }

    #[test]
    fn an_unknown_state_decodes() {
        assert_eq!(serde_json::from_str::<State>("\"frozen\"").unwrap(), State::Unknown);
    }
}
