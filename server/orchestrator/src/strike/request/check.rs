//! What of a command's parameters is right. The agent checks again what it acts on; here an operator learns of it at once.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{
    Command, EvidenceLimits, Exception, IsolationChange, ProcessId, ProcessTarget, check_exceptions,
};

use super::invalid;
use crate::StrikeError;

/// An isolation may take itself back after this at the earliest and the latest.
const ROLLBACK_SECONDS: RangeInclusive<u32> = 60..=90 * 24 * 3600;
const LONGEST_MESSAGE_CHARS: usize = 500;
const LONGEST_GRACE_SECONDS: u8 = 60;
const MOST_PROCESSES: usize = 100;
/// `TASK_COMM_LEN` of the kernel, without the NUL.
const LONGEST_NAME_BYTES: usize = 15;
/// `PATH_MAX` of the kernel.
const LONGEST_PATH_BYTES: usize = 4096;
const EVIDENCE_BYTES: RangeInclusive<u64> = 1024 * 1024..=4 * 1024 * 1024 * 1024;
const EVIDENCE_SECONDS: RangeInclusive<u32> = 10..=14_400;
const CPU_PERCENT: RangeInclusive<u8> = 1..=100;

/// The command as it is sent: what can be written in several ways is written in one.
pub(super) fn checked(mut command: Command, now: DateTime<Utc>) -> Result<Command, StrikeError> {
    match &mut command {
        Command::NetworkIsolate(isolate) => {
            exceptions(&isolate.exceptions, now)?;
            rollback(isolate.auto_restore_after_seconds)?;
            isolate.notify_users = message(isolate.notify_users.take())?;
        }
        Command::IsolationChange(change) => {
            exceptions(&change.exceptions, now)?;
            end(change, now)?;
        }
        Command::IsolationPreview(preview) => {
            exceptions(&preview.exceptions, now)?;
            rollback(preview.auto_restore_after_seconds)?;
        }
        Command::KillProcess(kill) => {
            target(&mut kill.target)?;
            if kill.grace_seconds > LONGEST_GRACE_SECONDS {
                return Err(invalid("grace_seconds", "must be at most 60; 0 kills at once"));
            }
        }
        Command::SuspendProcess(suspend) => target(&mut suspend.target)?,
        Command::ResumeProcess(resume) => target(&mut resume.target)?,
        Command::CollectForensics(collect) => limits(collect.limits)?,
        Command::NetworkRestore(_) | Command::AgentCheck(_) | Command::ListProcesses(_) => {}
    }
    Ok(command)
}

fn exceptions(exceptions: &[Exception], now: DateTime<Utc>) -> Result<(), StrikeError> {
    check_exceptions(exceptions, now).map_err(|error| invalid("exceptions", format!("do not do: {error}")))
}

fn rollback(seconds: Option<u32>) -> Result<(), StrikeError> {
    match seconds {
        Some(seconds) if !ROLLBACK_SECONDS.contains(&seconds) => {
            Err(invalid("auto_restore_after_seconds", "must be 60 (a minute) to 7776000 (90 days)"))
        }
        _ => Ok(()),
    }
}

fn end(change: &IsolationChange, now: DateTime<Utc>) -> Result<(), StrikeError> {
    let after = |seconds: u32| now + TimeDelta::seconds(seconds.into());
    match change.auto_restore_at {
        Some(at) if at < after(*ROLLBACK_SECONDS.start()) || at > after(*ROLLBACK_SECONDS.end()) => {
            Err(invalid("auto_restore_at", "must be a minute to 90 days ahead"))
        }
        _ => Ok(()),
    }
}

/// It goes to terminals: nothing that moves a cursor or changes a colour.
fn message(message: Option<String>) -> Result<Option<String>, StrikeError> {
    let Some(message) = message.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if message.chars().count() > LONGEST_MESSAGE_CHARS {
        return Err(invalid("notify_users", "must be at most 500 characters"));
    }
    if message.chars().any(|c| c.is_control() && c != '\n') {
        return Err(invalid("notify_users", "must not contain control characters"));
    }
    Ok(Some(message))
}

fn target(target: &mut ProcessTarget) -> Result<(), StrikeError> {
    let problem = match target {
        ProcessTarget::Processes(processes) => match processes.as_slice() {
            [] => "is empty: name at least one process",
            processes if processes.len() > MOST_PROCESSES => "holds more than 100 processes; split it",
            processes if !processes.iter().all(is_process) => {
                "needs a pid from 1, and the boot_id that list_processes answered"
            }
            _ => return Ok(()),
        },
        ProcessTarget::Name(name) if name.len() > LONGEST_NAME_BYTES => {
            "is longer than 15 bytes, which is all that the kernel keeps of a name; use its first 15, or the executable"
        }
        ProcessTarget::Name(name) if name.is_empty() || has_controls(name) => {
            "must be a process's name, without control characters"
        }
        ProcessTarget::Executable(path)
            if !path.starts_with('/') || path.len() > LONGEST_PATH_BYTES || has_controls(path) =>
        {
            "must be an absolute path, as in /usr/bin/nc"
        }
        ProcessTarget::Sha256(digest)
            if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            "must be a SHA-256: 64 hexadecimal digits"
        }
        ProcessTarget::Sha256(digest) => {
            digest.make_ascii_lowercase();
            return Ok(());
        }
        ProcessTarget::Name(_) | ProcessTarget::Executable(_) => return Ok(()),
    };
    Err(invalid("target", problem))
}

fn is_process(process: &ProcessId) -> bool {
    let is_boot = process.boot_id.len() == 36
        && process.boot_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    process.pid > 0 && is_boot
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn limits(limits: EvidenceLimits) -> Result<(), StrikeError> {
    let EvidenceLimits { max_bytes, max_seconds, cpu_percent } = limits;
    if !EVIDENCE_BYTES.contains(&max_bytes) {
        return Err(invalid("limits.max_bytes", "must be 1048576 (1 MiB) to 4294967296 (4 GiB)"));
    }
    if !EVIDENCE_SECONDS.contains(&max_seconds) {
        return Err(invalid("limits.max_seconds", "must be 10 to 14400 (4 hours)"));
    }
    if !CPU_PERCENT.contains(&cpu_percent) {
        return Err(invalid("limits.cpu_percent", "must be 1 to 100: the share of one CPU"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use voltaxe_protocol::{KillProcess, NetworkIsolate};

    use super::*;

    fn kill(target: ProcessTarget) -> Command {
        Command::KillProcess(KillProcess {
            target,
            grace_seconds: 5,
            tree: false,
            force: false,
            preview: false,
        })
    }

    fn field(command: Command) -> &'static str {
        match checked(command, DateTime::UNIX_EPOCH) {
            Err(StrikeError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_that_cannot_be_meant_are_refused() {
        let process = |pid, boot_id: &str| ProcessId { pid, start_ticks: 1, boot_id: boot_id.to_owned() };
        let boot = "0f8fad5b-d9cb-469f-a165-70867728950e";
        for target in [
            ProcessTarget::Processes(vec![]),
            ProcessTarget::Processes(vec![process(0, boot)]),
            ProcessTarget::Processes(vec![process(7, "")]),
            ProcessTarget::Processes(vec![process(7, boot); 101]),
            ProcessTarget::Name(String::new()),
            ProcessTarget::Name("a-name-of-16-byt".to_owned()),
            ProcessTarget::Executable("bin/nc".to_owned()),
            ProcessTarget::Executable("/bin/n\u{0}c".to_owned()),
            ProcessTarget::Sha256("abc".to_owned()),
        ] {
            assert_eq!(field(kill(target.clone())), "target", "{target:?}");
        }
        assert!(
            checked(kill(ProcessTarget::Processes(vec![process(7, boot)])), DateTime::UNIX_EPOCH).is_ok()
        );
    }

    #[test]
    fn a_digest_is_written_in_one_way() {
        let Ok(Command::KillProcess(kill)) =
            checked(kill(ProcessTarget::Sha256("AB".repeat(32))), DateTime::UNIX_EPOCH)
        else {
            panic!("it is a digest");
        };
        assert_eq!(kill.target, ProcessTarget::Sha256("ab".repeat(32)));
    }

    #[test]
    fn a_message_to_users_moves_no_cursor() {
        let isolate = |text: &str| {
            Command::NetworkIsolate(NetworkIsolate {
                notify_users: Some(text.to_owned()),
                ..NetworkIsolate::default()
            })
        };
        assert_eq!(field(isolate("\u{1b}[2J")), "notify_users");
        assert_eq!(field(isolate(&"x".repeat(501))), "notify_users");
        let Ok(Command::NetworkIsolate(isolate)) = checked(isolate("  "), DateTime::UNIX_EPOCH) else {
            panic!("nothing is to be said");
        };
        assert_eq!(isolate.notify_users, None);
    }
}
