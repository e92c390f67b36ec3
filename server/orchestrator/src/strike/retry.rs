//! Giving a command again that came to nothing.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;
use voltaxe_protocol::{Command, CommandId, CommandState};

use super::{
    Request, Strike, Target,
    request::{REASON_CHARS, action_of_kind},
};
use crate::{
    StrikeError,
    authority::Operator,
    model::{Accepted, CommandRecord},
};

impl Strike {
    /// Gives the same command to the same endpoint as a new one, whose reason names the old one.
    pub async fn retry(
        &self,
        operator: &Operator,
        id: CommandId,
        key: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Accepted, StrikeError> {
        let record = self.store().command(id).await?.ok_or(StrikeError::UnknownCommand(id))?;
        let unknown_kind =
            || StrikeError::Conflict(format!("command {id} is of a kind that this server does not give"));
        operator.must(action_of_kind(&record.command).ok_or_else(unknown_kind)?)?;
        match record.status {
            CommandState::Failed | CommandState::Expired | CommandState::Cancelled => {}
            CommandState::Executed
            | CommandState::Pending
            | CommandState::Delivered
            | CommandState::Unknown => {
                return Err(StrikeError::Conflict(format!(
                    "command {id} is {}; only what failed, expired or was cancelled is given again",
                    record.status
                )));
            }
        }
        let command: Command =
            serde_json::from_value(json!({ "command": record.command, "params": record.params }))
                .map_err(|_| unknown_kind())?;
        let request = Request {
            reason: reason_of(&record),
            target: Target::Endpoint(record.endpoint_id),
            idempotency_key: Some(key),
            expires_at: None,
        };
        self.order(operator, command, request, now).await
    }
}

/// A retry of a retry keeps the first one's words.
fn reason_of(record: &CommandRecord) -> String {
    let reason = match record.reason.strip_prefix("Retry of #").and_then(|rest| rest.split_once(": ")) {
        Some((number, words)) if number.bytes().all(|byte| byte.is_ascii_digit()) => words,
        _ => &record.reason,
    };
    format!("Retry of #{}: {reason}", record.id).chars().take(*REASON_CHARS.end()).collect()
}
