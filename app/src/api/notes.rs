use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::log::{Annotated, EndpointLog},
};

/// What is written about an endpoint, and what happened to it besides its commands; of that a part, `before` is its `next`.
#[server(name = LoadLog, prefix = "/rpc", endpoint = "endpoint_log", protocol = Rpc)]
pub async fn endpoint_log(endpoint_id: String, before: Option<i64>) -> Result<EndpointLog, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let id = endpoint_id.parse().map_err(|_| ApiError::NotFound)?;
            ssr::log(&Caller::expect()?, &id, before).await
        }
        .await,
    )
}

/// Writes labels and note of an endpoint unless somebody else did since `revision`. `form`: as a browser encodes it.
#[server(prefix = "/rpc", endpoint = "annotate", protocol = Rpc)]
pub async fn annotate(endpoint_id: String, form: String, revision: i32) -> Result<Annotated, ApiError> {
    super::caller::answer(ssr::annotate(&endpoint_id, &form, revision).await)
}

#[cfg(feature = "ssr")]
pub(super) mod ssr {
    use serde_json::Value;
    use voltaxe_orchestrator::{
        model::{EndpointEvent, EndpointNotes},
        strike::{self, NotesChange},
    };
    use voltaxe_protocol::EndpointId;

    use super::{
        super::{caller::Caller, of_host, parse::Form},
        Annotated, ApiError, EndpointLog,
    };
    use crate::model::{
        Listed,
        log::{Event, Notes},
        time,
    };

    const AT_ONCE: i64 = 50;
    const QUOTED_CHARS: usize = 200;

    pub async fn log(caller: &Caller, id: &EndpointId, before: Option<i64>) -> Result<EndpointLog, ApiError> {
        let permit = caller.permit()?;
        let notes = caller.strike.notes(&permit, id).await?;
        let events = caller.strike.endpoint_events(&permit, id, before, AT_ONCE).await?;
        let is_full = i64::try_from(events.len()).is_ok_and(|count| count >= AT_ONCE);
        let next = events.last().filter(|_| is_full).map(|event| event.id);
        Ok(EndpointLog {
            notes: notes.into(),
            events: Listed { rows: events.into_iter().map(Event::from).collect(), next },
        })
    }

    pub async fn annotate(id: &str, form: &str, revision: i32) -> Result<Annotated, ApiError> {
        let (caller, form) = (Caller::expect()?, Form::of(form));
        let id = id.parse().map_err(|_| ApiError::NotFound)?;
        let labels = form.get("labels").split([' ', ',', '\n', '\t', '\r']).filter(|label| !label.is_empty());
        let change = NotesChange {
            labels: Some(labels.map(str::to_owned).collect()),
            note: Some(form.get("note").to_owned()),
            revision: Some(revision),
        };
        let annotated = caller.strike.annotate(&caller.permit()?, &id, change, caller.now).await?;
        Ok(match annotated {
            strike::Annotated::Saved(notes) => Annotated::Saved(notes.into()),
            strike::Annotated::ChangedMeanwhile(notes) => Annotated::ChangedMeanwhile(notes.into()),
        })
    }

    impl From<EndpointNotes> for Notes {
        fn from(notes: EndpointNotes) -> Self {
            Self {
                labels: notes.labels,
                note: notes.note,
                revision: notes.revision,
                changed_at: notes.changed_at.map(|at| at.timestamp_millis()),
                changed_by: notes.changed_by,
            }
        }
    }

    impl From<EndpointEvent> for Event {
        fn from(event: EndpointEvent) -> Self {
            Self {
                words: words(&event),
                id: event.id,
                at: event.at.timestamp_millis(),
                action: event.action,
                by: event.actor,
                command_id: event.command_id,
            }
        }
    }

    /// What a host wrote stands in some of them.
    fn words(event: &EndpointEvent) -> String {
        let detail = event.detail.as_ref();
        let said = |name: &str| detail.and_then(|detail| detail.get(name)?.as_str()).unwrap_or_default();
        let words = match event.action.as_str() {
            "isolation.drift" => {
                let outcome = match detail.and_then(|detail| detail.get("put_back")) {
                    Some(Value::Bool(true)) => "The rules were put back.",
                    _ => "The rules could not be put back.",
                };
                format!("{}. {outcome}", said("found").trim_end_matches('.'))
            }
            "endpoint.enrol" => match event.reason.as_deref().unwrap_or_default() {
                "" => format!("With a token of {}.", said("token_by")),
                label => format!("With the token {label:?} of {}.", said("token_by")),
            },
            "endpoint.annotate" => {
                let labels = detail.and_then(|detail| detail.get("labels")?.as_array());
                let labels: Vec<&str> = labels.into_iter().flatten().filter_map(Value::as_str).collect();
                let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
                match said("note") {
                    "" => format!("Labels: {labels}. No note."),
                    note => format!("Labels: {labels}. Note: {}", cut(note)),
                }
            }
            "schedule.extend" => match said("next_run_at").parse::<chrono::DateTime<chrono::Utc>>() {
                Ok(at) => format!("To {}.", time::utc_words(at.timestamp_millis())),
                Err(_) => String::new(),
            },
            _ => event.reason.clone().unwrap_or_default(),
        };
        of_host(&words)
    }

    fn cut(text: &str) -> String {
        let line = text.replace('\n', " ");
        match line.char_indices().nth(QUOTED_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    #[cfg(test)]
    mod tests {
        use serde_json::json;

        use super::*;

        fn event(action: &str, detail: Value) -> EndpointEvent {
            EndpointEvent {
                id: 1,
                at: chrono::DateTime::UNIX_EPOCH,
                actor: "agent".to_owned(),
                action: action.to_owned(),
                command_id: None,
                reason: None,
                detail: Some(detail),
            }
        }

        #[test]
        fn events_are_told_in_words_that_a_host_cannot_draw_with() {
            let drift = event("isolation.drift", json!({ "found": "gone\u{202e}.", "put_back": true }));
            assert_eq!(words(&drift), r"gone\u{202e}. The rules were put back.");
            let notes = event("endpoint.annotate", json!({ "labels": ["prod", "db"], "note": "two\nlines" }));
            assert_eq!(words(&notes), "Labels: prod, db. Note: two lines");
            let moved = event("schedule.extend", json!({ "next_run_at": "2026-01-31T14:30:00+00:00" }));
            assert_eq!(words(&moved), "To 2026-01-31 14:30:00 UTC.");
            assert_eq!(words(&event("endpoint.cloned_key", Value::Null)), "");
            assert_eq!(cut(&"ü".repeat(300)).chars().count(), QUOTED_CHARS + 1);
        }
    }
}
