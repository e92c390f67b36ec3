//! What the browser sends as text.

use chrono::{DateTime, NaiveDateTime, Utc};
use uuid::Uuid;
use voltaxe_protocol::EndpointId;

use crate::error::ApiError;

/// The fields of a form, as a browser encodes them.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn of(encoded: &str) -> Self {
        Self(url::form_urlencoded::parse(encoded.as_bytes()).into_owned().collect())
    }

    /// Trimmed; empty when it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// As it was written, for passwords.
    pub(super) fn raw(&self, name: &str) -> String {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// A tick: there only when it is set.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| invalid(name, "is no number that is possible here")),
        }
    }
}

pub(super) fn key(text: &str) -> Result<Uuid, ApiError> {
    text.parse().map_err(|_| invalid("idempotency_key", "it is not a UUID"))
}

/// What is no id is no endpoint's id either.
pub(super) fn endpoint_ids(texts: Vec<String>) -> Result<Vec<EndpointId>, ApiError> {
    texts.iter().map(|text| text.parse().map_err(|_| ApiError::NotFound)).collect()
}

/// The value of an input of type `datetime-local`, which has no zone and is taken as UTC. None: it is empty.
pub(super) fn utc(field: &str, text: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| Some(time.and_utc()))
        .ok_or_else(|| invalid(field, "is no time; as in 2026-01-31T14:30"))
}

/// Names, one a line; commas do as well.
pub(super) fn names(text: &str) -> Vec<String> {
    text.split(['\n', ',']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Cursors are microseconds, the database's own grain: with less, a row could be skipped.
pub(super) fn cursor(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

pub(super) fn before(cursor: Option<i64>) -> Option<DateTime<Utc>> {
    cursor.and_then(DateTime::from_timestamp_micros)
}

pub(super) fn invalid(field: &str, problem: &str) -> ApiError {
    ApiError::Invalid { field: field.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::of("reason=let+me+in&process=1&process=2&tree=on&grace=7&note=%20a%26b%20");
        assert_eq!((form.get("reason"), form.get("note"), form.get("none")), ("let me in", "a&b", ""));
        assert_eq!(form.all("process").collect::<Vec<_>>(), ["1", "2"]);
        assert!(form.is_on("tree") && !form.is_on("force"));
        assert_eq!(form.number::<u8>("grace").unwrap(), Some(7));
        assert_eq!(form.number::<u8>("none").unwrap(), None);
        assert!(form.number::<u8>("reason").unwrap_err().of_field("reason").is_some());
    }

    #[test]
    fn a_local_time_means_utc() {
        let at = |text| utc("not_before", text).unwrap().map(|at| at.to_rfc3339());
        assert_eq!(at("2026-01-31T14:30").as_deref(), Some("2026-01-31T14:30:00+00:00"));
        assert_eq!(at("2026-01-31T14:30:05").as_deref(), Some("2026-01-31T14:30:05+00:00"));
        assert_eq!(at("  "), None);
        assert_eq!(
            utc("ends_at", "tomorrow").unwrap_err().of_field("ends_at").unwrap().split(';').next(),
            Some("is no time")
        );
    }

    #[test]
    fn hosts_are_named_one_a_line() {
        assert_eq!(names(" web-01\r\n\nweb-02, db-01\n"), ["web-01", "web-02", "db-01"]);
        assert!(names("\n , ").is_empty());
    }

    #[test]
    fn a_cursor_comes_back_as_the_time_it_was_made_of() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        assert_eq!(before(Some(cursor(at))), Some(at));
        assert_eq!(before(None), None);
    }
}
