use serde::{Deserialize, Serialize};

use super::{Millis, Secret, time};

/// Another system that is told what happens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: String,
    pub name: String,
    pub url: String,
    pub preset: String,
    pub events: Vec<String>,
    /// Of events of commands, only those of these kinds; empty: of all.
    pub kinds: Vec<String>,
    /// `active`, `paused` or `gone`.
    pub state: String,
    /// Until then messages are signed with the secret from before the last rotation, too.
    pub both_until: Option<Millis>,
    pub created_by: String,
    pub created_at: Millis,
}

impl Webhook {
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }

    #[must_use]
    pub fn state_words(&self) -> String {
        match self.state.as_str() {
            "active" => "Active".to_owned(),
            "paused" => "Paused: what happens meanwhile is not told later".to_owned(),
            _ => "Stopped: the receiver answered 410, it wants no more".to_owned(),
        }
    }

    #[must_use]
    pub fn told_words(&self) -> String {
        let events = self.events.join(", ");
        if self.kinds.is_empty() {
            events
        } else {
            format!("{events}; of commands only {}", self.kinds.join(", "))
        }
    }
}

/// What was sent to a webhook, or will be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub event: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
    pub created_at: Millis,
    pub attempts: i32,
    pub next_attempt_at: Option<Millis>,
    pub last_status: Option<i32>,
    pub last_answer: String,
}

impl Delivery {
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.state == "delivered"
    }

    /// `Waiting, attempt 3 at 2026-01-31 14:30:00 UTC`.
    #[must_use]
    pub fn state_words(&self) -> String {
        let attempts = self.attempts;
        match (self.state.as_str(), self.next_attempt_at) {
            ("waiting", Some(at)) => {
                format!("Waiting: attempt {} at {}", attempts.saturating_add(1), time::utc_words(at))
            }
            ("delivered", _) => format!("Delivered by attempt {attempts}"),
            _ => format!("Given up after {attempts} attempts"),
        }
    }

    /// `500: out of order`.
    #[must_use]
    pub fn answer_words(&self) -> String {
        match (self.last_status, self.last_answer.as_str()) {
            (None, "") => "–".to_owned(),
            (None, why) => why.to_owned(),
            (Some(status), "") => status.to_string(),
            (Some(status), text) => format!("{status}: {text}"),
        }
    }
}

/// What a change led to.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct WebhookChange {
    /// Of the webhook that was made or whose secret was renewed: shown this once.
    pub secret: Option<Secret>,
    pub webhooks: Vec<Webhook>,
}
