use serde::{Deserialize, Serialize};

/// An error as RFC 9457 `application/problem+json`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:voltaxe:problem:` and a stable word; what a program matches on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same sentence for every problem of this type.
    pub title: String,
    pub status: u16,
    /// What happened this time and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The part of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The request's id in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    pub const MEDIA_TYPE: &'static str = "application/problem+json";
    const PREFIX: &'static str = "urn:voltaxe:problem:";

    #[must_use]
    pub fn new(status: u16, word: &str, title: &str) -> Self {
        Self {
            kind: format!("{}{word}", Self::PREFIX),
            title: title.to_owned(),
            status,
            detail: None,
            field: None,
            request_id: None,
        }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The stable word of the type.
    #[must_use]
    pub fn word(&self) -> &str {
        self.kind.strip_prefix(Self::PREFIX).unwrap_or(&self.kind)
    }
}
