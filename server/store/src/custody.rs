//! The chain of custody: entries, each with the hash of the one before it. No SQL here: an exported chain is checked by the
//! same code.

use std::{borrow::Cow, cmp::Ordering};

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::CommandId;

/// Something that happened to a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct CustodyEvent {
    /// When it happened, which may be before it is written down.
    pub at: DateTime<Utc>,
    pub actor: Actor,
    pub action: CustodyAction,
    /// An object without fractions in its numbers.
    pub detail: Value,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// An operator's name, an endpoint's id, or `voltaxe-server`.
    pub name: String,
}

impl Actor {
    #[must_use]
    pub fn server() -> Self {
        Self { kind: ActorKind::Server, name: "voltaxe-server".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Operator,
    Agent,
    Server,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustodyAction {
    /// An operator ordered the collection.
    Requested,
    /// The agent's result: what it has collected.
    Collected,
    /// The agent's signed claims were accepted.
    Offered,
    /// The agent went on with an upload that was begun before.
    Resumed,
    /// What had arrived is not what was claimed: the upload began anew.
    Rejected,
    /// Whole, with the claimed digest, in the evidence store.
    Stored,
    /// The server looked at every file in it.
    Verified,
    /// The upload was given up.
    Abandoned,
    /// Somebody read the list of files.
    Listed,
    /// Somebody read a file.
    Viewed,
    /// Somebody took the bundle, or a part of it.
    Downloaded,
    /// Somebody took this record.
    Exported,
    /// Somebody had the bundle's bytes removed.
    Discarded,
    /// The agent has caused so many entries that its further ones are not written down.
    LeftOut,
}

/// Entries that its agent can cause for one bundle: an honest one needs a few.
pub const MOST_AGENT_ENTRIES: i32 = 100;

impl CustodyAction {
    /// An agent can cause any number of them.
    #[must_use]
    pub fn is_at_the_agents_will(self) -> bool {
        match self {
            Self::Offered | Self::Resumed | Self::Rejected => true,
            Self::Requested
            | Self::Collected
            | Self::Stored
            | Self::Verified
            | Self::Abandoned
            | Self::Listed
            | Self::Viewed
            | Self::Downloaded
            | Self::Exported
            | Self::Discarded
            | Self::LeftOut => false,
        }
    }
}

impl CustodyEvent {
    /// What of it is written down, after `last` and after `so_far` entries that were at the agent's will. An upload that goes
    /// on again and again is one entry.
    pub(crate) fn admitted(&self, last: Option<CustodyAction>, so_far: i32) -> Option<Cow<'_, Self>> {
        if !self.action.is_at_the_agents_will() {
            return Some(Cow::Borrowed(self));
        }
        let is_repeated = self.action == CustodyAction::Resumed && last == Some(CustodyAction::Resumed);
        match so_far.cmp(&MOST_AGENT_ENTRIES) {
            _ if is_repeated => None,
            Ordering::Less => Some(Cow::Borrowed(self)),
            Ordering::Equal => Some(Cow::Owned(Self {
                at: self.at,
                actor: Actor::server(),
                action: CustodyAction::LeftOut,
                detail: json!({ "entries_of_the_agent": MOST_AGENT_ENTRIES }),
            })),
            Ordering::Greater => None,
        }
    }
}

/// A link of the chain, as it is hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustodyEntry {
    pub command_id: CommandId,
    /// From 1, without a gap.
    pub sequence: i32,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    pub actor: Actor,
    pub action: CustodyAction,
    pub detail: Value,
    /// SHA-256 of the entry before this one, hexadecimal; empty for the first.
    pub previous: String,
}

/// The newest entry's place and hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CustodyHead {
    pub sequence: i32,
    pub sha256: [u8; 32],
}

impl CustodyEntry {
    #[must_use]
    pub fn following(
        head: Option<CustodyHead>,
        command_id: CommandId,
        event: &CustodyEvent,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            command_id,
            sequence: head.map_or(1, |head| head.sequence + 1),
            at: event.at.trunc_subsecs(6),
            recorded_at: now.trunc_subsecs(6),
            actor: event.actor.clone(),
            action: event.action,
            detail: without_nul(&event.detail),
            previous: head.map_or_else(String::new, |head| hex::encode(head.sha256)),
        }
    }

    /// The text that is hashed and kept, and its SHA-256.
    #[must_use]
    pub fn sealed(&self) -> (String, [u8; 32]) {
        let text = canonical(&serde_json::to_value(self).unwrap_or_default());
        let sha256 = Sha256::digest(&text).into();
        (text, sha256)
    }
}

/// JSON in the one form that is hashed: keys in order, no blanks (RFC 8785, which for texts and whole numbers is what
/// `serde_json` writes).
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (index, (key, value)) in pairs.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(value, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

/// Postgres keeps none, and hosts choose some of the words.
fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), without_nul(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_can_cause_ends_with_a_word_that_it_does() {
        let event = |action| CustodyEvent {
            at: DateTime::from_timestamp_nanos(1_800_000_000_000_000_000),
            actor: Actor::server(),
            action,
            detail: json!({}),
        };
        let written =
            |action, last, so_far| event(action).admitted(last, so_far).map(|admitted| admitted.action);
        let (offered, resumed) = (CustodyAction::Offered, CustodyAction::Resumed);
        assert_eq!(written(offered, None, MOST_AGENT_ENTRIES - 1), Some(offered));
        assert_eq!(written(offered, None, MOST_AGENT_ENTRIES), Some(CustodyAction::LeftOut));
        assert_eq!(written(offered, None, MOST_AGENT_ENTRIES + 1), None);
        assert_eq!(written(resumed, Some(offered), 1), Some(resumed));
        assert_eq!(written(resumed, Some(resumed), 2), None, "it was going on already");
        let stored = CustodyAction::Stored;
        assert_eq!(written(stored, Some(CustodyAction::LeftOut), MOST_AGENT_ENTRIES + 1), Some(stored));
    }

    #[test]
    fn the_hashed_form_does_not_depend_on_how_the_json_was_written() {
        let one: Value =
            serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "\u00e9\n"}], "a": true }"#).unwrap();
        assert_eq!(canonical(&one), "{\"a\":true,\"b\":[1,{\"a\":\"é\\n\",\"z\":null}]}");
    }

    #[test]
    fn an_entry_reads_back_to_the_text_that_was_hashed() {
        let event = CustodyEvent {
            at: DateTime::from_timestamp_nanos(1_800_000_000_123_456_789),
            actor: Actor { kind: ActorKind::Operator, name: "ann".to_owned() },
            action: CustodyAction::Viewed,
            detail: json!({ "path": "a\u{0}b\"", "bytes": 3 }),
        };
        let head = CustodyHead { sequence: 4, sha256: [7; 32] };
        let entry = CustodyEntry::following(Some(head), CommandId(9), &event, event.at);
        let (text, _) = entry.sealed();
        assert!(!text.contains("\\u0000"));
        let read: CustodyEntry = serde_json::from_str(&text).unwrap();
        assert_eq!(read.sequence, 5);
        assert_eq!(read.sealed().0, text);
    }
}
