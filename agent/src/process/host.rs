//! Reading /proc, one process at a time, through a directory that stays this process's whatever becomes of its number.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use procfs_core::{
    FromRead as _, ProcError,
    process::{Stat, StatFlags},
};
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    param::{clock_ticks_per_second, page_size},
    process::getpid,
};
use voltaxe_protocol::Process;

const MOST_CMDLINE_BYTES: usize = 200;
const MOST_PATH_BYTES: usize = 1024;
const MOST_USER_BYTES: usize = 64;
const MOST_MOUNTS_BYTES: u64 = 1024 * 1024;
const MOST_PASSWD_BYTES: u64 = 1024 * 1024;

/// What tells a process from every other one of this boot.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
}

impl Key {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { pid: number(stat.pid), start_ticks: stat.starttime }
    }
}

/// Nothing was looked at, nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// The operator mounts it, or gives the agent the rights.
    #[error("/proc cannot be read ({0}); mount it, and run the agent as its units do")]
    NoProc(io::Error),
    /// The operator runs the agent outside of a container, or with a /proc of its own.
    #[error("/proc shows the processes of another pid namespace than the agent's; mount the agent's own")]
    OtherNamespace,
}

/// What all processes have in common.
pub(super) struct Host {
    pub(super) boot_id: String,
    users: HashMap<u32, String>,
}

impl Host {
    pub(super) fn read() -> Result<Self, HostError> {
        let own = fs::read_link("/proc/self").map_err(HostError::NoProc)?;
        if own.to_str() != Some(&getpid().as_raw_nonzero().to_string()) {
            return Err(HostError::OtherNamespace);
        }
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(HostError::NoProc)?
            .trim()
            .to_owned();
        Ok(Self { boot_id, users: users() })
    }

    /// All of it, as results show it.
    pub(super) fn describe(&self, directory: &ProcDir, stat: &Stat) -> Process {
        let executable = directory.executable();
        let user = directory.user_id();
        let user = user.map_or_else(String::new, |id| {
            self.users.get(&id).map_or_else(|| id.to_string(), |name| cut(name, MOST_USER_BYTES))
        });
        Process {
            pid: number(stat.pid),
            parent: number(stat.ppid),
            start_ticks: stat.starttime,
            name: stat.comm.clone(),
            is_deleted: executable.as_ref().is_some_and(|executable| executable.is_deleted),
            exe: executable.map(|executable| cut(&executable.path, MOST_PATH_BYTES)),
            // It is read from the process's memory, which may wait as long as a process does that waits for a disk.
            cmdline: if stat.state == 'D' { String::new() } else { directory.cmdline() },
            user,
            state: stat.state,
            rss_kib: stat.rss.saturating_mul(page_size() as u64) / 1024,
            cpu_seconds: cpu_ticks(stat) / clock_ticks_per_second().max(1),
        }
    }
}

/// `/proc/PID`. Once its process has been collected, all reading fails.
#[derive(Debug)]
pub(super) struct ProcDir(OwnedFd);

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ProcDir {
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())?))
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        self.stat_at("stat")
    }

    /// The numbers of its threads.
    pub(super) fn threads(&self) -> io::Result<Vec<u32>> {
        let directory =
            openat(&self.0, "task", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let numbers = rustix::fs::Dir::new(directory)?
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok())
            .collect();
        Ok(numbers)
    }

    /// No thread of it can run until it is continued.
    pub(super) fn is_stopped(&self) -> io::Result<bool> {
        for thread in self.threads()? {
            match self.stat_at(&format!("task/{thread}/stat")) {
                Ok(stat) if !matches!(stat.state, 'T' | 't' | 'Z' | 'X') => return Ok(false),
                // Errors: the thread has ended.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(true)
    }

    fn stat_at(&self, name: &str) -> io::Result<Stat> {
        Stat::from_read(self.open_file(name)?).map_err(|error| match error {
            ProcError::Io(error, _) => error,
            ProcError::NotFound(_) => io::ErrorKind::NotFound.into(),
            ProcError::PermissionDenied(_) => io::ErrorKind::PermissionDenied.into(),
            ProcError::Incomplete(_) | ProcError::Other(_) | ProcError::InternalError(_) => {
                io::ErrorKind::InvalidData.into()
            }
        })
    }

    /// Whose rights it has: the effective user.
    fn user_id(&self) -> Option<u32> {
        let status = self.beginning_of("status", 4096)?;
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// `mountinfo`, as text.
    pub(super) fn mounts(&self) -> Vec<u8> {
        self.beginning_of("mountinfo", MOST_MOUNTS_BYTES).unwrap_or_default()
    }

    fn cmdline(&self) -> String {
        let mut bytes = self.beginning_of("cmdline", MOST_CMDLINE_BYTES as u64).unwrap_or_default();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        cut(&String::from_utf8_lossy(&bytes), MOST_CMDLINE_BYTES)
    }

    fn beginning_of(&self, name: &str, most_bytes: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name).ok()?.take(most_bytes).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn open_file(&self, name: &str) -> io::Result<File> {
        Ok(File::from(openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }
}

/// Every process and kernel thread that may be seen, each as it was at some moment during the look. One is open at a time.
pub(super) fn scan() -> Result<impl Iterator<Item = Result<(ProcDir, Stat), HostError>>, HostError> {
    let entries = fs::read_dir("/proc").map_err(HostError::NoProc)?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter_map(|pid| {
        let read = ProcDir::open(pid).and_then(|directory| Ok((directory.stat()?, directory)));
        match read {
            Ok((stat, directory)) => Some(Ok((directory, stat))),
            Err(error) if is_out_of_sight(&error) => None,
            Err(error) => Some(Err(HostError::NoProc(error))),
        }
    }))
}

/// It has ended, or it is hidden from the agent.
fn is_out_of_sight(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::SRCH | Errno::PERM | Errno::ACCESS))
        || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

pub(super) fn is_kernel_thread(stat: &Stat) -> bool {
    stat.flags & StatFlags::PF_KTHREAD.bits() != 0
}

pub(super) fn cpu_ticks(stat: &Stat) -> u64 {
    stat.utime.saturating_add(stat.stime)
}

/// Of the agent's own pid namespace, hence never negative.
pub(super) fn number(pid: i32) -> u32 {
    pid.try_into().unwrap_or_default()
}

fn users() -> HashMap<u32, String> {
    let mut passwd = Vec::new();
    if let Ok(file) = File::open("/etc/passwd") {
        let _ = file.take(MOST_PASSWD_BYTES).read_to_end(&mut passwd);
    }
    let user = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        Some((id.parse().ok()?, name.to_owned()))
    };
    // The first entry of a number is the one that the C library answers with.
    String::from_utf8_lossy(&passwd).lines().rev().filter_map(user).collect()
}

fn cut(text: &str, most_bytes: usize) -> String {
    text[..text.floor_char_boundary(most_bytes)].to_owned()
}
