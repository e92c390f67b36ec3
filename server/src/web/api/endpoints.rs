//! `/api/endpoints/{id}`: what is done about one endpoint that is no command to it.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;
use voltaxe_orchestrator::{Strike, authority::may};

use super::parse_id;
use crate::{clock, problem::ApiError, web::session::Permitted};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    reason: String,
}

/// `POST /api/endpoints/{id}/release-ticket {"reason": ".."}`: a ticket that ends the host's isolation at its own console,
/// without this server. It is shown this once; the audit log keeps who asked and why.
pub async fn release_ticket(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ReleaseTicket>,
    Path(id): Path<String>,
    body: Result<Json<TicketRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let id = parse_id(&id, "an endpoint id is ep_ and 32 lower-case hexadecimal digits")?;
    let Json(TicketRequest { reason }) = body?;
    let issued = strike.release_ticket(&permit, &id, &reason, clock::now()).await?;
    let body = json!({
        "ticket": issued.ticket.reveal(),
        "generation": issued.generation,
        "hostname": issued.hostname,
        "command_line": issued.command_line(),
    });
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
}
