//! Exactly one process, and no other one.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use procfs_core::process::Stat;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::host::{Key, ProcDir};

#[derive(Debug, thiserror::Error)]
pub(super) enum NotHeld {
    #[error("it was gone")]
    Gone,
    #[error("its number belongs to another process by now")]
    TakenOver,
    /// The operator updates the kernel.
    #[error("this kernel cannot name a process beyond doubt; it needs Linux 5.3 or newer")]
    OldKernel,
    /// The agent lacks the rights, or the host has no room.
    #[error("the kernel refused: {0}")]
    Refused(io::Error),
}

impl From<io::Error> for NotHeld {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::SRCH | Errno::NOENT) => Self::Gone,
            Some(Errno::NOSYS) => Self::OldKernel,
            _ if error.kind() == io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Refused(error),
        }
    }
}

impl From<Errno> for NotHeld {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// A process that was `key` when it was opened, ended or not.
pub(super) struct Held {
    pidfd: OwnedFd,
    pub(super) directory: ProcDir,
    pub(super) stat: Stat,
}

impl Held {
    /// The pidfd comes first. Should its process end before the start time is read, the number's next owner has another
    /// start time, or, if it is the very one that is meant, is not the one that the pidfd reaches: then nothing is hit.
    pub(super) fn open(key: Key) -> Result<Self, NotHeld> {
        let pid = i32::try_from(key.pid).ok().and_then(Pid::from_raw).ok_or(NotHeld::Gone)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            // The number of a thread that is not its process's first.
            Err(Errno::INVAL) => return Err(NotHeld::Gone),
            opened => opened?,
        };
        let directory = ProcDir::open(key.pid)?;
        let stat = directory.stat()?;
        if Key::of(&stat) != key {
            return Err(NotHeld::TakenOver);
        }
        Ok(Self { pidfd, directory, stat })
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), NotHeld> {
        Ok(pidfd_send_signal(&self.pidfd, signal)?)
    }

    /// All its threads have; its parent may not have collected it yet.
    pub(super) fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits for its end, for so long.
    pub(super) fn ends_within(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { return false };
            let mut fds = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Err(Errno::INTR) => {}
                Ok(ready) => return ready > 0,
                Err(_) => return false,
            }
        }
    }
}

/// Root only, in a pid namespace of its own, in which a number can be had again at will.
#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        process::{Child, Command, Stdio},
    };

    use super::*;
    use crate::chaos::{Chaos, size};

    #[test]
    fn the_next_owner_of_a_number_is_out_of_reach() {
        let status = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "process::held::tests::within_a_pid_namespace", "--ignored", "--nocapture"])
            .env("VOLTAXE_WITHIN_PID_NAMESPACE", "1")
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
    }

    #[test]
    #[ignore = "run by the test above, in a pid namespace of its own"]
    fn within_a_pid_namespace() {
        if env::var_os("VOLTAXE_WITHIN_PID_NAMESPACE").is_none() {
            return;
        }
        let chaos = Chaos::new("the next owner of a number");
        let rounds = size(200, 2_000);
        for _ in 0..rounds {
            let mut owner = waiter();
            let pid = owner.id();
            let key = Key::of(&ProcDir::open(pid).unwrap().stat().unwrap());
            let held = Held::open(key).unwrap();
            owner.kill().unwrap();
            assert!(held.ends_within(Duration::from_secs(10)));
            owner.wait().unwrap();
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
            let mut next = waiter();
            assert_eq!(next.id(), pid);
            assert!(matches!(held.signal(Signal::KILL), Err(NotHeld::Gone)));
            assert!(held.directory.stat().is_err());
            drop(next.stdin.take());
            assert!(next.wait().unwrap().success());
        }
        chaos.tell(format!("{rounds} numbers used again between a look and its signal, 0 hit somebody else"));
    }

    /// Ends with success when its input does.
    fn waiter() -> Child {
        Command::new("cat").stdin(Stdio::piped()).spawn().unwrap()
    }
}
