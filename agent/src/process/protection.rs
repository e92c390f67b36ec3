//! Whom no order touches.

use std::{collections::HashSet, path::Path};

use procfs_core::process::Stat;
use rustix::process::getpid;

use super::{
    executable::{self, FileId},
    host::{ProcDir, is_kernel_thread, number},
};

/// The listener, and its parts since OpenSSH 9.8.
const SSHD: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];

pub(super) enum Protection {
    /// Kernel threads only: to let a process go on harms nobody.
    Nobody,
    Important {
        sshd: bool,
        agent: Option<FileId>,
        under: HashSet<u32>,
    },
}

impl Protection {
    pub(super) fn important(force: bool) -> Self {
        Self::Important { sshd: !force, agent: executable::own(), under: own_line() }
    }

    /// Why this one is not touched, for people.
    pub(super) fn reason(&self, directory: &ProcDir, stat: &Stat) -> Option<&'static str> {
        if is_kernel_thread(stat) {
            return Some("a thread of the kernel");
        }
        let Self::Important { sshd, agent, under } = self else { return None };
        let executable = directory.executable();
        let name = executable.as_ref().map_or(stat.comm.as_str(), |executable| {
            Path::new(&executable.path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
        });
        if stat.pid == 1 {
            Some("init: the host would go down")
        } else if number(stat.pid) == number(getpid().as_raw_pid()) {
            Some("the agent itself")
        } else if agent.is_some() && executable.as_ref().map(|executable| executable.file) == *agent {
            Some("a process of the agent")
        } else if under.contains(&number(stat.pid)) {
            Some("the agent was started by it")
        } else if *sshd && SSHD.contains(&name) {
            Some("sshd: people may be logged in through it; force includes it")
        } else {
            None
        }
    }
}

/// The numbers of the agent's parent, of its parent, and so on.
fn own_line() -> HashSet<u32> {
    let mut line = HashSet::new();
    let mut next = number(getpid().as_raw_pid());
    while next > 1 && line.insert(next) {
        let parent = ProcDir::open(next).and_then(|directory| directory.stat());
        next = parent.map_or(0, |stat| number(stat.ppid));
    }
    line
}
