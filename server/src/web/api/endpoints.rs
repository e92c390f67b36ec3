//! `/api/endpoints/{id}`: what is done about one endpoint that is no command to it.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voltaxe_orchestrator::{Strike, authority::may};
use voltaxe_protocol::CommandId;

use super::parse_id;
use crate::{clock, problem::ApiError, web::session::Permitted};

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    #[schema(min_length = 3, max_length = 500)]
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
