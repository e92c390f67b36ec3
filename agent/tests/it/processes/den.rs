//! Programs of the tests' own, by which their processes are known from all others.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use voltaxe_protocol::ProcessId;

/// A directory of programs. Whatever still runs one of them is ended when it is dropped.
pub(super) struct Den {
    directory: tempfile::TempDir,
}

impl Den {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A copy of a program, of a digest that no other file has.
    pub(super) fn program(&self, name: &str, original: &str) -> PathBuf {
        if self.path(name).exists() {
            return self.path(name);
        }
        let mut program = fs::read(original).unwrap();
        program.extend_from_slice(self.path(name).as_os_str().as_encoded_bytes());
        fs::write(self.path(name), program).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name)
    }

    pub(super) fn digest(&self, name: &str) -> String {
        hex::encode(Sha256::digest(fs::read(self.path(name)).unwrap()))
    }

    /// Runs for longer than any test.
    pub(super) fn sleeper(&self, name: &str) -> (ProcessId, Victim) {
        let program = self.program(name, "/usr/bin/sleep");
        let child = Command::new(program).arg("1000").spawn().unwrap();
        (id(child.id()), Victim { child, output: None })
    }

    /// A script of the copied shell, which has `$sleeper`, too, and says when it is ready by `echo`.
    pub(super) fn script(&self, text: &str) -> (ProcessId, Victim) {
        let mut child = Command::new(self.program("vx-sh", "/bin/sh"))
            .args(["-c", text])
            .env("sleeper", self.program("vx-sleep", "/usr/bin/sleep"))
            .env("sh", self.path("vx-sh"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().map(BufReader::new);
        let mut victim = Victim { child, output };
        victim.hear();
        (id(victim.child.id()), victim)
    }

    /// The numbers of all that run a program from here.
    pub(super) fn alive(&self) -> Vec<u32> {
        let runs_ours = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(self.directory.path()))
        };
        let entries = fs::read_dir("/proc").unwrap();
        entries
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter(runs_ours)
            .collect()
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        // Some may be making more of themselves.
        for _ in 0..100 {
            let alive = self.alive();
            if alive.is_empty() {
                break;
            }
            for pid in alive {
                let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Ended and collected when dropped.
pub(super) struct Victim {
    pub(super) child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Victim {
    /// The next line that it says.
    pub(super) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it said {line:?}");
        line.trim_end().to_owned()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a process that cannot have been collected.
pub(super) fn id(pid: u32) -> ProcessId {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
    ProcessId { pid, start_ticks: stat(pid, 22).parse().unwrap(), boot_id }
}

pub(super) fn state(pid: u32) -> char {
    stat(pid, 3).chars().next().unwrap()
}

/// A field by its number in proc(5), from the third on.
fn stat(pid: u32, field: usize) -> String {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    let stat = String::from_utf8_lossy(&stat);
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(field - 3).unwrap().to_owned()
}
