//! Running `nft -f -`: the second way, for when the kernel refuses the transaction that we made ourselves.

use std::{
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

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
    /// It was ended. The kernel has all of the script or nothing.
    #[error("nft did not finish within 10 s")]
    TimedOut,
}

/// Runs a script to its end.
pub(super) fn run(script: &str) -> Result<(), NftError> {
    let mut child = start()?;
    let Some(mut errors) = feed(&mut child, script).map_err(NftError::NotStarted)? else {
        return Err(NftError::NotStarted(io::ErrorKind::BrokenPipe.into()));
    };
    // nft writes to stderr only to complain, and closes it when it ends.
    if !is_readable_by(&errors, Instant::now() + GIVE_UP_AFTER) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(NftError::TimedOut);
    }
    let mut complaint = String::new();
    let _ = errors.by_ref().take(4096).read_to_string(&mut complaint);
    drop(errors);
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
        .args(["-f", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NftError::NotStarted)
}

/// Writes and closes the pipe: nft works once it has read to the end.
fn feed(child: &mut Child, script: &str) -> io::Result<Option<ChildStderr>> {
    let written = match child.stdin.take() {
        Some(mut pipe) => pipe.write_all(script.as_bytes()),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    // One that ends before it has read everything says why on stderr.
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
        _ => Ok(child.stderr.take()),
    }
}

fn is_readable_by(pipe: &ChildStderr, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            Ok(ready) => return ready > 0,
            Err(_) => return false,
        }
    }
}
