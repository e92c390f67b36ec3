//! `/api/endpoints`: the list, and what is done about one endpoint that is no command to it.

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voltaxe_app::model::endpoint_query::EndpointQuery;
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::EndpointNotes,
    strike::{Annotated, NotesChange},
};
use voltaxe_protocol::CommandId;

use super::parse_id;
use crate::{
    clock,
    problem::ApiError,
    web::{records::Listed, session::Permitted},
};

const FORM_OF_IDS: &str = "an endpoint id is ep_ and 32 lower-case hexadecimal digits";

/// What is to be kept; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnotateRequest {
    /// Each 1 to 50 of a-z, 0-9 and . _ : = / -, beginning with a letter or digit.
    #[schema(max_items = 20)]
    labels: Option<Vec<String>>,
    #[schema(max_length = 4000)]
    note: Option<String>,
    /// The revision that was read: 409 when there is a newer one. Without it what is there is written over.
    revision: Option<i32>,
}

/// `PATCH /api/endpoints/{id} {"labels": [..]?, "note": ".."?, "revision": N?}`: what is not named stays. Answers with what is
/// kept from then on.
pub async fn annotate(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::AnnotateEndpoint>,
    Path(id): Path<String>,
    body: Result<Json<AnnotateRequest>, JsonRejection>,
) -> Result<Json<Notes>, ApiError> {
    let id = parse_id(&id, FORM_OF_IDS)?;
    let Json(AnnotateRequest { labels, note, revision }) = body?;
    let change = NotesChange { labels, note, revision };
    match strike.annotate(&permit, &id, change, clock::now()).await? {
        Annotated::Saved(notes) => Ok(Json(notes.into())),
        Annotated::ChangedMeanwhile(notes) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "changed-meanwhile",
            "Somebody else has changed the labels or the note",
        )
        .field("revision")
        .detail(format!(
            "the revision is {} now, by {}; GET /api/endpoints/{id}/notes has it, write with its revision",
            notes.revision,
            notes.changed_by.as_deref().unwrap_or("nobody")
        ))),
    }
}

/// `GET /api/endpoints/{id}/notes`: its labels and the note about it, and their revision.
pub async fn notes(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Notes>, ApiError> {
    Ok(Json(strike.notes(&permit, &parse_id(&id, FORM_OF_IDS)?).await?.into()))
}

/// The labels of an endpoint and the note about it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointNotes)]
pub struct Notes {
    labels: Vec<String>,
    note: String,
    revision: i32,
    changed_at: Option<DateTime<Utc>>,
    changed_by: Option<String>,
}

impl From<EndpointNotes> for Notes {
    fn from(notes: EndpointNotes) -> Self {
        let EndpointNotes { labels, note, revision, changed_at, changed_by } = notes;
        Self { labels, note, revision, changed_at, changed_by }
    }
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// `GET /api/endpoints?q=&label=&os=&version=&status=&isolation=&seen=&sort=&cursor=&limit=`: a page of the list. The query
/// is that of the dashboard's list; a filter may be given several times. `next` and `previous` are cursors; `null`: there is no more.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    RawQuery(query): RawQuery,
) -> Result<Json<EndpointPage>, ApiError> {
    let text = query.unwrap_or_default();
    let (limit, rest): (Vec<&str>, Vec<&str>) = text.split('&').partition(|pair| pair.starts_with("limit="));
    let limit = match limit.as_slice() {
        [] => None,
        [one] => Some(
            one.trim_start_matches("limit=")
                .parse()
                .map_err(|_| ApiError::invalid("limit", "must be a number from 1 to 500"))?,
        ),
        _ => return Err(ApiError::invalid("limit", "must be given once")),
    };
    let query = understood(&rest.join("&"))?;
    let page = strike.list_endpoints(&permit, &query.list(limit), clock::now()).await?;
    Ok(Json(EndpointPage {
        endpoints: page.rows.into_iter().map(|(view, labels)| Listed::new(view, labels)).collect(),
        next: page.next,
        previous: page.previous,
    }))
}

/// A page of the list of endpoints, and the cursors of the pages beside it.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointPage {
    endpoints: Vec<Listed>,
    next: Option<String>,
    previous: Option<String>,
}

/// A list's query, whole: what is not understood is named.
pub fn understood(text: &str) -> Result<EndpointQuery, ApiError> {
    match EndpointQuery::read(text) {
        (query, None) => Ok(query),
        (_, Some(unclear)) => Err(ApiError::invalid(&unclear.field, unclear.problem)),
    }
}

/// `POST /api/endpoints/{id}/release-ticket {"reason": ".."}`: a ticket that ends the host's isolation at its own console,
/// without this server. It is shown this once; the audit log keeps who asked and why.
pub async fn release_ticket(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ReleaseTicket>,
    Path(id): Path<String>,
    body: Result<Json<TicketRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let id = parse_id(&id, FORM_OF_IDS)?;
    let Json(TicketRequest { reason }) = body?;
    let issued = strike.release_ticket(&permit, &id, &reason, clock::now()).await?;
    let body = ReleaseTicket {
        ticket: issued.ticket.reveal().to_string(),
        generation: issued.generation,
        command_line: issued.command_line(),
        hostname: issued.hostname,
    };
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
}

/// Ends one isolation of one host.
#[derive(Serialize, ToSchema)]
pub struct ReleaseTicket {
    ticket: String,
    /// The isolate that it ends.
    #[schema(value_type = i64)]
    generation: CommandId,
    hostname: String,
    /// For root on that host.
    command_line: String,
}
