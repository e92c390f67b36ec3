//! Running `nft -f -`.
//!
//! Starting nft takes longer than all the rest of an isolation (2.6 to 4 ms against 1 ms), so one is kept started,
//! waiting for its script on a pipe. Its end is not waited for either: once the kernel shows the rules they are in
//! force, while nft may need another 17 ms to close its socket. Should the agent die, the pipe closes, nft reads an
//! empty script and ends.

use std::{
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netlink::Netlink;

const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];
/// Far more than any transaction takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    /// The operator installs it.
    #[error("nft is not installed (looked for {}); install the package nftables", PLACES.join(", "))]
    NotInstalled,
    #[error("nft could not be started")]
    NotStarted(#[source] io::Error),
    /// The kernel or nft refused the script; nothing was changed.
    #[error("nft refused the rules: {0}")]
    Refused(String),
    #[error("nft did not finish within 10 s")]
    TimedOut,
}

/// Keeps one nft ready.
#[derive(Debug, Default)]
pub(super) struct Nft {
    ready: Option<Child>,
    /// Its work is done, its end not yet waited for.
    ending: Option<Child>,
}

impl Nft {
    /// Feeds nft a script and returns when `is_done` says that the kernel shows its effect, or nft has ended well.
    /// `events` wakes for each change of the kernel's rules.
    pub(super) fn run(
        &mut self,
        script: &str,
        events: &mut Netlink,
        mut is_done: impl FnMut() -> bool,
    ) -> Result<(), NftError> {
        events.drain();
        let mut child = self.feed(script)?;
        let deadline = Instant::now() + GIVE_UP_AFTER;
        let outcome = wait(&mut child, events, deadline, &mut is_done);
        match outcome {
            Outcome::Shown => {
                self.ending = Some(child);
                Ok(())
            }
            Outcome::Ended => finished(child),
            Outcome::TimedOut => {
                let _ = child.kill();
                let _ = child.wait();
                Err(NftError::TimedOut)
            }
        }
    }

    /// Between two runs, when nobody waits: sees the last one off and starts the next.
    pub(super) fn prepare(&mut self) {
        if let Some(mut child) = self.ending.take() {
            let _ = child.wait();
        }
        if self.ready.is_none() {
            self.ready = start().ok();
        }
    }

    fn feed(&mut self, script: &str) -> Result<Child, NftError> {
        // The one that was kept ready may have been killed meanwhile: then a fresh one does it.
        if let Some(mut child) = self.ready.take() {
            if write_all(&mut child, script).is_ok() {
                return Ok(child);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let mut child = start()?;
        write_all(&mut child, script).map_err(NftError::NotStarted)?;
        Ok(child)
    }
}

impl Drop for Nft {
    fn drop(&mut self) {
        for mut child in self.ready.take().into_iter().chain(self.ending.take()) {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

enum Outcome {
    Shown,
    Ended,
    TimedOut,
}

fn wait(
    child: &mut Child,
    events: &mut Netlink,
    deadline: Instant,
    is_done: &mut impl FnMut() -> bool,
) -> Outcome {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return Outcome::TimedOut };
        let (changed, ended, timed_out) = {
            let Some(errors) = child.stderr.as_ref() else { return Outcome::Ended };
            let mut fds = [
                PollFd::from_borrowed_fd(events.fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(errors.as_fd(), PollFlags::IN),
            ];
            let timed_out = matches!(poll(&mut fds, Some(&left)), Ok(0));
            let [events, errors] = fds;
            (!events.revents().is_empty(), !errors.revents().is_empty(), timed_out)
        };
        if timed_out {
            return Outcome::TimedOut;
        }
        if changed {
            events.drain();
            if is_done() {
                return Outcome::Shown;
            }
        }
        // nft writes to stderr only to complain, and closes it when it ends.
        if ended {
            return Outcome::Ended;
        }
    }
}

fn finished(mut child: Child) -> Result<(), NftError> {
    let mut complaint = String::new();
    if let Some(errors) = child.stderr.take() {
        let _ = errors.take(4096).read_to_string(&mut complaint);
    }
    let status = child.wait().map_err(NftError::NotStarted)?;
    if status.success() {
        return Ok(());
    }
    let first_line = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(NftError::Refused(format!("{first_line} ({status})")))
}

fn start() -> Result<Child, NftError> {
    let path = PLACES.iter().map(Path::new).find(|path| path.exists()).ok_or(NftError::NotInstalled)?;
    Command::new(path)
        .args(["-f", "-"].map(OsStr::new))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NftError::NotStarted)
}

/// Writes and closes the pipe: nft works once it has read to the end.
fn write_all(child: &mut Child, script: &str) -> io::Result<()> {
    let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    pipe.write_all(script.as_bytes())
}
