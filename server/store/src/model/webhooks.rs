//! Webhooks as the store keeps them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WebhookId(pub Uuid);

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeliveryId(pub Uuid);

/// In which form events are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebhookPreset {
    /// `{"type", "timestamp", "data"}`.
    Generic,
    /// The text of a Slack incoming webhook.
    Slack,
}

impl WebhookPreset {
    pub const ALL: [Self; 2] = [Self::Generic, Self::Slack];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Slack => "slack",
        }
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == word)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebhookState {
    Active,
    Paused,
    /// The receiver answered 410.
    Gone,
}

impl WebhookState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookRecord {
    pub id: WebhookId,
    pub name: String,
    pub url: String,
    pub preset: WebhookPreset,
    pub events: Vec<String>,
    /// Of events of commands, only those of these kinds; empty: of all.
    pub kinds: Vec<String>,
    pub state: WebhookState,
    /// Nothing from before is told.
    pub active_since: DateTime<Utc>,
    pub secret_number: i32,
    pub rotated_at: Option<DateTime<Utc>>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    /// For good, unless somebody has it tried again.
    Failed,
}

impl DeliveryState {
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event: String,
    pub state: DeliveryState,
    pub created_at: DateTime<Utc>,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// `None`: there was no answer.
    pub last_status: Option<i32>,
    pub last_answer: Option<String>,
}
