use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
};
use voltaxe_orchestrator::Strike;
use voltaxe_protocol::{EnrolRequest, EnrolResponse};

use crate::{clock, problem::ApiError};

/// `POST /agent/enroll`: a host with an enrolment token becomes an endpoint.
pub async fn enroll(
    State(strike): State<Strike>,
    body: Result<Json<EnrolRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<EnrolResponse>), ApiError> {
    let Json(request) = body?;
    let response = strike.enrol(&request, clock::now()).await?;
    Ok((StatusCode::CREATED, Json(response)))
}
