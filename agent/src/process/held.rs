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
