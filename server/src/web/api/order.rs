//! From the JSON of a request to the command that it orders; what is wrong is named by its field.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use voltaxe_protocol::Command;

use crate::problem::ApiError;

/// A command's parameters as they stand in the body: `params`.
pub(super) type Params = Map<String, Value>;

/// What may stand beside the host's name instead of in `params`: an isolate's options.
#[derive(Default)]
pub(super) struct Beside(pub(super) Vec<(&'static str, Option<Value>)>);

/// `beside` goes with `network_isolate` alone. A reason is the request's own field and never in `params`.
pub(super) fn command_of(
    kind: &str,
    params: Option<Params>,
    Beside(beside): Beside,
) -> Result<Command, ApiError> {
    let mut params = params.unwrap_or_default();
    for (name, value) in beside {
        let Some(value) = value else { continue };
        if kind != "network_isolate" {
            return Err(ApiError::invalid(name, "goes with network_isolate only"));
        }
        if params.insert(name.to_owned(), value).is_some() {
            return Err(ApiError::invalid(name, "stands in params already; say it once"));
        }
    }
    if params.contains_key("reason") {
        return Err(ApiError::invalid(
            "params.reason",
            "does not belong there: the reason stands beside params",
        ));
    }
    let reasoned = |mut params: Params| {
        params.insert("reason".to_owned(), Value::String(String::new()));
        params
    };
    Ok(match kind {
        "network_isolate" => Command::NetworkIsolate(read(reasoned(params))?),
        "network_restore" => Command::NetworkRestore(read(reasoned(params))?),
        "isolation_change" => Command::IsolationChange(read(reasoned(params))?),
        "isolation_preview" => Command::IsolationPreview(read(params)?),
        "agent_check" => Command::AgentCheck(read(params)?),
        "list_processes" => Command::ListProcesses(read(params)?),
        "kill_process" => Command::KillProcess(read(params)?),
        "suspend_process" => Command::SuspendProcess(read(params)?),
        "resume_process" => Command::ResumeProcess(read(params)?),
        "collect_forensics" => Command::CollectForensics(read(params)?),
        _ => {
            let known = Command::KINDS.join(", ");
            return Err(ApiError::invalid("command", format!("must be one of {known}")));
        }
    })
}

fn read<T: DeserializeOwned>(params: Params) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(Value::Object(params)).map_err(|error| {
        let field = match error.path().to_string() {
            path if path == "." => "params".to_owned(),
            path => path,
        };
        ApiError::invalid(&field, format!("is not valid: {}", error.inner()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(value: Value) -> Option<Params> {
        value.as_object().cloned()
    }

    #[test]
    fn every_kind_is_read_as_itself() {
        let target = json!({ "target": { "name": "nc" } });
        for kind in Command::KINDS {
            let params = match kind {
                "kill_process" | "suspend_process" | "resume_process" => target.clone(),
                "collect_forensics" => json!({ "profile": "quick" }),
                _ => json!({}),
            };
            let command = command_of(kind, self::params(params), Beside::default()).unwrap();
            assert_eq!(command.kind(), kind);
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        for kind in Command::KINDS {
            let params = params(json!({ "profile": "quick", "target": { "name": "nc" }, "frobnicate": 1 }));
            assert!(command_of(kind, params, Beside::default()).is_err(), "{kind}");
        }
    }
}
