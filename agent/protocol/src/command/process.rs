use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which processes run: answered by [`ProcessList`].
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListProcesses {}

/// End processes: SIGTERM, and SIGKILL to those that are still there after the grace. Answered by [`ProcessOutcome`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillProcess {
    pub target: ProcessTarget,
    /// Between SIGTERM and SIGKILL, at most 60; zero: SIGKILL at once.
    #[serde(default = "KillProcess::default_grace")]
    pub grace_seconds: u8,
    /// Also all that descend from them.
    #[serde(default)]
    pub tree: bool,
    /// Also sshd, by which people may be logged in. Init and the agent are never touched.
    #[serde(default)]
    pub force: bool,
    /// Only says which processes it would be about.
    #[serde(default)]
    pub preview: bool,
}

/// Stop processes where they are (SIGSTOP). Answered by [`ProcessOutcome`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspendProcess {
    pub target: ProcessTarget,
    #[serde(default)]
    pub tree: bool,
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub preview: bool,
}

/// Let stopped processes go on (SIGCONT). Answered by [`ProcessOutcome`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeProcess {
    pub target: ProcessTarget,
    #[serde(default)]
    pub tree: bool,
    #[serde(default)]
    pub preview: bool,
}

/// Which processes are meant, when the command is carried out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProcessTarget {
    /// These and no others: a process that took over a number is not meant. At most 100.
    Processes(Vec<ProcessId>),
    /// Every process of this name (`comm`, cut to 15 bytes by the kernel).
    Name(String),
    /// Every process that runs this file: an absolute path.
    Executable(String),
    /// Every process whose executable has this SHA-256: 64 hexadecimal digits.
    Sha256(String),
}

/// One process, unmistakably: numbers are used again, also after a reboot.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot.
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// `data` of a list's result. Without the kernel's own threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessList {
    pub boot_id: String,
    pub timestamp: DateTime<Utc>,
    pub processes: Vec<Process>,
    /// Processes that did not fit into a result: those that used the least CPU time.
    pub left_out: u32,
}

/// Texts are the host's: cut to a length, otherwise as they are, and hostile until shown otherwise.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    #[serde(rename = "ppid")]
    pub parent: u32,
    pub start_ticks: u64,
    pub name: String,
    /// The file it runs; absent when it cannot be read. `is_deleted` when that file is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_deleted: bool,
    /// The first bytes of the command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    pub user: String,
    /// As `/proc/PID/stat` has it: `R`, `S`, `D`, `T`, `Z`.
    pub state: char,
    pub rss_kib: u64,
    pub cpu_seconds: u64,
}

/// `data` of the result of a kill, suspend or resume: what happened to each, and to nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessOutcome {
    pub timestamp: DateTime<Utc>,
    pub boot_id: String,
    pub preview: bool,
    pub processes: Vec<ProcessEffect>,
    /// More processes than a result can name.
    #[serde(default)]
    pub left_out: u32,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProcessEffect {
    pub process: Process,
    pub verdict: ProcessVerdict,
    /// Why, when the verdict alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessVerdict {
    /// It would be ended, stopped or resumed: the answer of a preview.
    Matches,
    /// It ended after SIGTERM.
    Terminated,
    /// It ended after SIGKILL.
    Killed,
    Suspended,
    Resumed,
    /// It was gone, or its number belongs to another process by now: nothing was sent.
    Gone,
    /// Init, the agent, or sshd without `force`: nothing was sent.
    Protected,
    /// It is still there.
    Survived,
    /// The kernel refused.
    Failed,
    #[serde(other)]
    Unknown,
}

impl KillProcess {
    fn default_grace() -> u8 {
        5
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
