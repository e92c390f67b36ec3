use serde::{Deserialize, Serialize};

use super::{Millis, Order, order, time};

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
    /// `network_isolate`, `network_restore`, `agent_check`.
    pub kind: String,
    /// What it is about besides, in words; may be empty.
    pub about: String,
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
    /// How often it was handed out.
    pub attempt: i32,
    /// On which the receipt came: `stream`, `direct`, `polling`.
    pub channel: Option<String>,
    /// The agent's words.
    pub message: Option<String>,
    pub cancelled_by: Option<String>,
    /// Asked back after it was handed out; the host answers.
    pub cancel_requested_by: Option<String>,
    pub cancel_requested_at: Option<Millis>,
    pub batch_id: Option<String>,
    pub schedule_id: Option<String>,
}

/// Whose commands are meant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    All,
    /// What the page of commands asks for in its address.
    Matching(String),
    Endpoint(String),
    Batch(String),
}

/// What taking a command back can still do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recall {
    /// It was not handed out: nobody can have it.
    Certain,
    /// The host may have it: it is asked, and answers what was first.
    Asked,
}

impl Command {
    #[must_use]
    pub fn title(&self) -> &str {
        order::title(&self.kind)
    }

    #[must_use]
    pub fn was_handed_out(&self) -> bool {
        self.attempt > 0 || self.state != State::Pending
    }

    /// None: it is final, or was asked back already.
    #[must_use]
    pub fn recall(&self) -> Option<Recall> {
        match (self.state.is_open() && self.cancel_requested_at.is_none(), self.was_handed_out()) {
            (false, _) => None,
            (true, false) => Some(Recall::Certain),
            (true, true) => Some(Recall::Asked),
        }
    }

    /// What became of asking the host to give it back.
    #[must_use]
    pub fn recall_answer(&self) -> Option<&'static str> {
        self.cancel_requested_at?;
        Some(match self.state {
            State::Pending | State::Delivered | State::Unknown => {
                "Cancel asked; the host has not answered. It may still carry the command out."
            }
            State::Cancelled => "The host gave it back: it was not carried out.",
            State::Executed | State::Failed => "The cancel came too late: the host had started it.",
            State::Expired => "The host never answered the cancel: whether it was carried out is not known.",
        })
    }

    /// By which way it went, how often, and who took it back.
    #[must_use]
    pub fn details(&self) -> String {
        let details = [
            self.channel.as_ref().map(|channel| format!("by {channel}")),
            (self.attempt > 1).then(|| format!("attempt {}", self.attempt)),
            self.cancel_requested_by.as_ref().map(|name| format!("asked back by {name}")),
            self.cancelled_by.as_ref().map(|name| format!("cancelled by {name}")),
        ];
        details.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// What happened, in order; the last may be what is being waited for.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let ended = match self.state {
            State::Executed => Some(("Executed", self.executed_at.or(self.finished_at))),
            State::Failed => Some(("Failed", self.executed_at.or(self.finished_at))),
            State::Expired => Some(("Expired", self.finished_at)),
            State::Cancelled => Some(("Cancelled", self.finished_at)),
            State::Pending | State::Delivered | State::Unknown => None,
        };
        let mut happened = vec![
            ("Delivered", self.delivered_at),
            ("Started", self.started_at),
            ("Cancel asked", self.cancel_requested_at),
        ];
        happened.sort_by_key(|(_, at)| *at);
        happened.extend(ended);
        let mut steps = vec![Step::new("Created", Some(self.created_at), None)];
        let mut before = self.created_at;
        for (name, at) in happened {
            if let Some(at) = at {
                steps.push(Step::new(name, Some(at), Some(time::short_span(at - before))));
                before = at;
            }
        }
        steps.extend(self.awaited().map(|name| Step::new(name, None, None)));
        steps
    }

    fn awaited(&self) -> Option<&'static str> {
        match self.state {
            State::Pending | State::Delivered if self.cancel_requested_at.is_some() => {
                Some("The host has not answered")
            }
            State::Pending => Some("Waiting for the host"),
            State::Delivered if self.started_at.is_some() => Some("Running on the host"),
            State::Delivered => Some("On the host's disk, not started"),
            State::Executed | State::Failed | State::Expired | State::Cancelled | State::Unknown => None,
        }
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
    /// `stream`, `direct`, `polling`.
    pub method: String,
    /// It existed already: a repeated click, or the host is on its way there.
    pub existing: bool,
    /// What was ordered with it, in words; empty when nothing was.
    pub also: String,
}

impl Accepted {
    #[must_use]
    pub fn sentence(&self, order: Order, hostname: &str) -> String {
        let (id, verb) = (self.command_id, order.verb());
        let mut sentence = match self.method.as_str() {
            _ if self.existing => {
                format!("{hostname} has this order already: command {id}. Nothing new was sent.")
            }
            "polling" => {
                format!("{verb}: command {id} accepted, method polling. It waits for {hostname}'s next poll.")
            }
            method => format!("{verb}: command {id} accepted, method {method}."),
        };
        if !self.also.is_empty() {
            sentence.push(' ');
            sentence.push_str(&self.also);
        }
        sentence
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn command(state: State) -> Command {
        Command {
            id: 41,
            endpoint_id: "ep_0".into(),
            hostname: "web-01".into(),
            kind: "network_isolate".into(),
            about: String::new(),
            state,
            created_by: "alice".into(),
            reason: "beacon".into(),
            created_at: 1_000,
            delivered_at: None,
            started_at: None,
            executed_at: None,
            finished_at: None,
            expires_at: 9_000,
            attempt: 0,
            channel: None,
            message: None,
            cancelled_by: None,
            cancel_requested_by: None,
            cancel_requested_at: None,
            batch_id: None,
            schedule_id: None,
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
    fn taking_back_is_certain_until_it_is_handed_out() {
        let waiting = command(State::Pending);
        assert_eq!(waiting.recall(), Some(Recall::Certain));
        let handed_out = Command { attempt: 1, ..waiting };
        assert_eq!(handed_out.recall(), Some(Recall::Asked));
        let asked = Command { cancel_requested_at: Some(1_500), ..handed_out.clone() };
        assert_eq!(asked.recall(), None);
        assert_eq!(names(&asked), ["Created", "Cancel asked", "The host has not answered"]);
        assert!(asked.recall_answer().unwrap().starts_with("Cancel asked; the host has not answered."));
        assert_eq!(handed_out.recall_answer(), None);
        assert_eq!(command(State::Executed).recall(), None);
    }

    #[test]
    fn a_cancel_ends_as_the_host_says() {
        let asked = Command { attempt: 1, cancel_requested_at: Some(1_500), ..command(State::Cancelled) };
        assert_eq!(asked.recall_answer(), Some("The host gave it back: it was not carried out."));
        let late = Command {
            delivered_at: Some(1_200),
            started_at: Some(1_600),
            executed_at: Some(1_700),
            state: State::Executed,
            ..asked
        };
        assert_eq!(names(&late), ["Created", "Delivered", "Cancel asked", "Started", "Executed"]);
        assert!(late.recall_answer().unwrap().contains("too late"));
    }

    #[test]
    fn an_unknown_state_decodes() {
        assert_eq!(serde_json::from_str::<State>("\"frozen\"").unwrap(), State::Unknown);
    }
}
