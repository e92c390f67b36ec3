//! Which processes an order means.

use std::{collections::HashSet, sync::atomic::AtomicBool};

use procfs_core::process::Stat;
use voltaxe_protocol::{ProcessId, ProcessTarget};

use super::{executable::Digests, host::ProcDir};

const MOST_PROCESSES: usize = 100;
/// `TASK_COMM_LEN` without its end.
const LONGEST_NAME_BYTES: usize = 15;

/// The order cannot be carried out as it is written; the operator corrects the field that is named.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Invalid(pub(super) String);

/// A target that makes sense.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Meant {
    Exact(Vec<ProcessId>),
    Name(String),
    Executable(String),
    Sha256([u8; 32]),
}

impl Meant {
    pub(super) fn check(target: &ProcessTarget) -> Result<Self, Invalid> {
        let invalid = |text: String| Err(Invalid(text));
        match target {
            ProcessTarget::Processes(ids) if ids.is_empty() => {
                invalid("target.processes is empty: name at least one process".to_owned())
            }
            ProcessTarget::Processes(ids) if ids.len() > MOST_PROCESSES => invalid(format!(
                "target.processes names {} processes; {MOST_PROCESSES} fit into one command",
                ids.len()
            )),
            ProcessTarget::Processes(ids) => {
                if let Some(id) = ids.iter().find(|id| id.pid == 0 || i32::try_from(id.pid).is_err()) {
                    return invalid(format!("target.processes: {} is not the number of a process", id.pid));
                }
                let mut seen = HashSet::new();
                Ok(Self::Exact(ids.iter().filter(|id| seen.insert(*id)).cloned().collect()))
            }
            ProcessTarget::Name(name) if name.is_empty() => {
                invalid("target.name is empty: it would mean every process".to_owned())
            }
            ProcessTarget::Name(name) if name.len() > LONGEST_NAME_BYTES => invalid(format!(
                "target.name is longer than the {LONGEST_NAME_BYTES} bytes that the kernel keeps of a name: \
                 give those, or target.executable"
            )),
            ProcessTarget::Name(name) => Ok(Self::Name(name.clone())),
            ProcessTarget::Executable(path) if !path.starts_with('/') || path.contains('\0') => {
                invalid("target.executable is not an absolute path".to_owned())
            }
            ProcessTarget::Executable(path) => Ok(Self::Executable(path.clone())),
            ProcessTarget::Sha256(digits) => {
                let mut digest = [0; 32];
                match hex::decode_to_slice(digits, &mut digest) {
                    Ok(()) => Ok(Self::Sha256(digest)),
                    Err(_) => invalid("target.sha256 is not a SHA-256: 64 hexadecimal digits are".to_owned()),
                }
            }
        }
    }

    /// Whatever matches when it is carried out; otherwise exactly those that are named.
    pub(super) fn is_wish(&self) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Name(_) | Self::Executable(_) | Self::Sha256(_) => true,
        }
    }

    pub(super) fn matches(
        &self,
        directory: &ProcDir,
        stat: &Stat,
        digests: &mut Digests,
        cancelled: &AtomicBool,
    ) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Name(name) => stat.comm == *name,
            Self::Executable(path) => {
                directory.executable().is_some_and(|executable| executable.path == *path)
            }
            Self::Sha256(digest) => directory
                .executable()
                .is_some_and(|executable| digests.of(directory, &executable, cancelled) == Ok(*digest)),
        }
    }

    /// Why nothing was found, for people.
    pub(super) fn none_found(&self) -> String {
        match self {
            Self::Exact(_) => "No process was named".to_owned(),
            Self::Name(name) => format!("No process is called {name:?}"),
            Self::Executable(path) => format!("No process runs {path:?}"),
            Self::Sha256(digest) => {
                format!("No process runs a file with the SHA-256 {}", hex::encode(digest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: &ProcessTarget) -> String {
        Meant::check(target).unwrap_err().to_string()
    }

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start_ticks: 1, boot_id: "b".to_owned() }
    }

    #[test]
    fn a_refusal_names_the_field() {
        assert!(refusal(&ProcessTarget::Processes(vec![])).starts_with("target.processes is empty"));
        let many = (1..=101).map(id).collect();
        assert!(refusal(&ProcessTarget::Processes(many)).starts_with("target.processes names 101"));
        for pid in [0, u32::MAX] {
            assert!(refusal(&ProcessTarget::Processes(vec![id(pid)])).starts_with("target.processes: "));
        }
        assert!(refusal(&ProcessTarget::Name(String::new())).starts_with("target.name is empty"));
        assert!(refusal(&ProcessTarget::Name("a".repeat(16))).starts_with("target.name is longer"));
        for path in ["", "nginx", "./nginx", "/a\0b"] {
            assert!(refusal(&ProcessTarget::Executable(path.to_owned())).starts_with("target.executable"));
        }
        for digits in [String::new(), "a".repeat(63), "a".repeat(65), "g".repeat(64)] {
            assert!(refusal(&ProcessTarget::Sha256(digits)).starts_with("target.sha256"));
        }
    }

    #[test]
    fn what_makes_sense_is_taken() {
        let target = ProcessTarget::Processes(vec![id(7), id(8), id(7)]);
        assert_eq!(Meant::check(&target), Ok(Meant::Exact(vec![id(7), id(8)])));
        let target = ProcessTarget::Sha256("AB".repeat(32));
        assert_eq!(Meant::check(&target), Ok(Meant::Sha256([0xab; 32])));
    }
}
