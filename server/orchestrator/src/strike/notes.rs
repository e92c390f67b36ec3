//! What operators write about an endpoint, and what else happened to it.

use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;
use voltaxe_store::{EndpointEvent, EndpointNotes};

use super::{Strike, request::invalid};
use crate::{
    StrikeError,
    authority::{Permit, may},
};

const MOST_LABELS: usize = 20;
const LABEL_BYTES: std::ops::RangeInclusive<usize> = 1..=50;
const NOTE_CHARS: usize = 4_000;
const EVENTS_AT_ONCE: i64 = 200;

/// What is to be written; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct NotesChange {
    pub labels: Option<Vec<String>>,
    pub note: Option<String>,
    /// The revision that was read. `None`: whatever it is by now.
    pub revision: Option<i32>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Annotated {
    Saved(EndpointNotes),
    /// Nothing was written: these are by somebody else, and newer than the ones that were read.
    ChangedMeanwhile(EndpointNotes),
}

impl Strike {
    pub async fn notes(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
    ) -> Result<EndpointNotes, StrikeError> {
        self.known_notes(id).await
    }

    pub async fn annotate(
        &self,
        permit: &Permit<may::AnnotateEndpoint>,
        id: &EndpointId,
        change: NotesChange,
        now: DateTime<Utc>,
    ) -> Result<Annotated, StrikeError> {
        let NotesChange { labels, note, revision } = change;
        if labels.is_none() && note.is_none() {
            return Err(invalid("labels", "is missing, and so is note: name what is to be written"));
        }
        let labels = labels.map(checked_labels).transpose()?;
        let note = note.as_deref().map(checked_note).transpose()?;
        let by = &permit.operator().username;
        let is_saved =
            self.store().annotate(id, labels.as_deref(), note.as_deref(), revision, by, now).await?;
        let notes = self.known_notes(id).await?;
        if !is_saved {
            return Ok(Annotated::ChangedMeanwhile(notes));
        }
        self.changed(id);
        Ok(Annotated::Saved(notes))
    }

    /// What the audit log has of an endpoint besides its commands, newest first, those with ids below `before`; at most 200.
    pub async fn endpoint_events(
        &self,
        _permit: &Permit<may::View>,
        id: &EndpointId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<EndpointEvent>, StrikeError> {
        Ok(self.store().events_of(id, before, limit.clamp(1, EVENTS_AT_ONCE)).await?)
    }

    async fn known_notes(&self, id: &EndpointId) -> Result<EndpointNotes, StrikeError> {
        self.store().endpoint_notes(id).await?.ok_or_else(|| StrikeError::UnknownHost(id.to_string()))
    }
}

/// As they were written, each once.
fn checked_labels(labels: Vec<String>) -> Result<Vec<String>, StrikeError> {
    let mut checked: Vec<String> = Vec::new();
    for label in labels {
        let label = label.trim();
        if !is_label(label) {
            return Err(invalid(
                "labels",
                format!(
                    "hold {label:?}: a label is 1 to 50 of a-z, 0-9 and . _ : = / -, and begins with a letter or digit"
                ),
            ));
        }
        if !checked.iter().any(|known| known == label) {
            checked.push(label.to_owned());
        }
    }
    if checked.len() > MOST_LABELS {
        return Err(invalid("labels", "must be at most 20"));
    }
    Ok(checked)
}

fn is_label(label: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    LABEL_BYTES.contains(&label.len())
        && label.bytes().next().is_some_and(is_plain)
        && label.bytes().all(|byte| is_plain(byte) || b"._:=/-".contains(&byte))
}

/// Browsers end lines with CR and LF.
fn checked_note(note: &str) -> Result<String, StrikeError> {
    let note = note.replace("\r\n", "\n").trim_end().to_owned();
    if note.chars().count() > NOTE_CHARS {
        return Err(invalid("note", "must be at most 4000 characters"));
    }
    if note.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(invalid("note", "must not contain control characters"));
    }
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_plain_words_each_once() {
        let labels = |list: &[&str]| checked_labels(list.iter().map(|one| (*one).to_owned()).collect());
        assert_eq!(labels(&[" prod", "role=db", "prod"]).unwrap(), ["prod", "role=db"]);
        for bad in ["", "Prod", "-x", "a b", "ü", &"x".repeat(51)] {
            assert!(labels(&[bad]).is_err(), "{bad:?}");
        }
        let many: Vec<String> = (0..21).map(|number| format!("l{number}")).collect();
        assert!(checked_labels(many).is_err());
    }

    #[test]
    fn a_note_is_text_of_some_lines() {
        assert_eq!(checked_note("a\r\n\tb\n\n").unwrap(), "a\n\tb");
        assert!(checked_note("a\u{1b}[2J").is_err());
        assert!(checked_note(&"ü".repeat(4_001)).is_err());
        assert!(checked_note(&"ü".repeat(4_000)).is_ok());
    }
}
