//! What is known of an endpoint besides its state and its commands.

use serde::{Deserialize, Serialize};

use super::{Listed, Millis};

/// What operators have written about it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    pub labels: Vec<String>,
    pub note: String,
    /// Rises with each change.
    pub revision: i32,
    pub changed_at: Option<Millis>,
    pub changed_by: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annotated {
    Saved(Notes),
    /// Nothing was written: these are somebody else's, and newer than the ones that were read.
    ChangedMeanwhile(Notes),
}

/// Something that happened to it and is no command.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: i64,
    pub at: Millis,
    /// What happened; a word of the audit log.
    pub action: String,
    pub by: String,
    /// The command that it is about.
    pub command_id: Option<i64>,
    /// What more there is to say.
    pub words: String,
}

impl Event {
    /// The audit log's own word where this page does not know it.
    #[must_use]
    pub fn title(&self) -> &str {
        match self.action.as_str() {
            "isolation.drift" => "Drift",
            "endpoint.enrol" => "Enrolled",
            "endpoint.approve" => "Approved",
            "endpoint.cloned_key" => "Copied key refused",
            "endpoint.annotate" => "Labels or note changed",
            "release_ticket.issue" => "Release ticket issued",
            "schedule.extend" => "Automatic release moved",
            "schedule.cancel" => "Schedule cancelled",
            other => other,
        }
    }

    #[must_use]
    pub fn is_alarming(&self) -> bool {
        matches!(self.action.as_str(), "isolation.drift" | "endpoint.cloned_key")
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EndpointLog {
    pub notes: Notes,
    /// Newest first.
    pub events: Listed<Event>,
}
