//! What a command is about besides its kind, in words.

use serde_json::Value;
use voltaxe_protocol::{Command, Exception, ProcessTarget};

use super::millis;
use crate::{
    api::{exceptions::line, of_host},
    model::time,
};

/// Empty where there is nothing to add, or nothing that this version understands.
pub(super) fn about(kind: &str, params: &Value) -> String {
    let words = match serde_json::from_value(serde_json::json!({ "command": kind, "params": params })) {
        Ok(Command::NetworkIsolate(isolate)) => {
            let end = isolate.auto_restore_after_seconds.map(|seconds| {
                format!("ends after {}", time::span(time::SECOND * time::Millis::from(seconds)))
            });
            open(&isolate.exceptions, isolate.allow_dns).into_iter().chain(end).collect()
        }
        Ok(Command::IsolationChange(change)) => {
            let end = match change.auto_restore_at {
                Some(at) => format!("ends at {}", time::utc_words(millis(at))),
                None => "no automatic release".to_owned(),
            };
            let open = open(&change.exceptions, change.allow_dns);
            let open = if open.is_empty() { vec!["nothing else open".to_owned()] } else { open };
            open.into_iter().chain([end]).collect()
        }
        Ok(Command::KillProcess(kill)) => vec![target(&kill.target)],
        Ok(Command::SuspendProcess(suspend)) => vec![target(&suspend.target)],
        Ok(Command::ResumeProcess(resume)) => vec![target(&resume.target)],
        Ok(Command::CollectForensics(_)) => {
            vec![params.get("profile").and_then(Value::as_str).unwrap_or_default().to_owned()]
        }
        Ok(
            Command::NetworkRestore(_)
            | Command::IsolationPreview(_)
            | Command::AgentCheck(_)
            | Command::ListProcesses(_),
        )
        | Err(_) => Vec::new(),
    };
    of_host(&words.join(" · "))
}

fn open(exceptions: &[Exception], allow_dns: bool) -> Vec<String> {
    let lines = exceptions.iter().map(|exception| format!("open: {}", line(exception)));
    lines.chain(allow_dns.then(|| "open: DNS".to_owned())).collect()
}

fn target(target: &ProcessTarget) -> String {
    match target {
        ProcessTarget::Processes(processes) => {
            let numbers: Vec<_> = processes.iter().map(|process| process.pid.to_string()).collect();
            format!("processes {}", numbers.join(", "))
        }
        ProcessTarget::Name(name) => format!("all called {name}"),
        ProcessTarget::Executable(path) => format!("all that run {path}"),
        ProcessTarget::Sha256(digest) => format!("all with SHA-256 {digest}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_says_what_it_is_about() {
        let exception =
            json!({ "network": "10.0.0.5", "protocol": "tcp", "port": 22, "direction": "inbound" });
        let isolate = json!({ "reason": "x", "exceptions": [exception], "auto_restore_after_seconds": 3600 });
        assert_eq!(about("network_isolate", &isolate), "open: tcp 10.0.0.5:22 in · ends after 1 h");
        assert_eq!(about("network_isolate", &json!({ "reason": "x" })), "");
        let change = json!({ "reason": "x", "allow_dns": true });
        assert_eq!(about("isolation_change", &change), "open: DNS · no automatic release");
        let kill = json!({ "target": { "name": "x\u{202e}" } });
        assert_eq!(about("kill_process", &kill), r"all called x\u{202e}");
        assert_eq!(about("collect_forensics", &json!({ "profile": "quick" })), "quick");
        assert_eq!(about("agent_check", &json!({})), "");
        assert_eq!(about("of_a_later_version", &json!({ "a": 1 })), "");
    }
}
