//! What agents report over HTTP: receipts, results, telemetry.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use voltaxe_orchestrator::{Strike, model::Channel, strike::ResultOutcome};
use voltaxe_protocol::{CommandReceipt, CommandResult, NotKnown, ResultReceipt, Telemetry};

use super::signed::Signed;
use crate::{clock, problem::ApiError, web::records::Command};

/// `POST /command/receipt`: the command is on the agent's disk.
pub async fn receipt(State(strike): State<Strike>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let receipt: CommandReceipt = signed.json()?;
    strike.delivery().receipt(&signed.endpoint, receipt.command_id, Channel::Polling, clock::now()).await?;
    Ok(recorded())
}

/// `POST /command/not-known`: the agent does not have a command that it was asked about.
pub async fn not_known(State(strike): State<Strike>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let NotKnown { command_id } = signed.json()?;
    strike.delivery().not_known(&signed.endpoint, command_id, clock::now()).await?;
    Ok(recorded())
}

/// `POST /command/result`: answered when the result is on disk. The first result of a command stands.
pub async fn result(State(strike): State<Strike>, signed: Signed) -> Result<Json<ResultReceipt>, ApiError> {
    let result: CommandResult = signed.json()?;
    let outcome = strike.result(&signed.endpoint, result, Channel::Polling, clock::now()).await?;
    let (ResultOutcome::Recorded(record) | ResultOutcome::AlreadyFinal(record)) = outcome;
    let command = json!(Command::from(record.without_data()));
    Ok(Json(ResultReceipt { status: "recorded".to_owned(), command }))
}

/// `POST /telemetry`
pub async fn telemetry(State(strike): State<Strike>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let telemetry: Telemetry = signed.json()?;
    strike.telemetry(&signed.endpoint, telemetry, signed.peer, clock::now()).await?;
    Ok(recorded())
}

fn recorded() -> Json<Value> {
    Json(json!({ "status": "recorded" }))
}
