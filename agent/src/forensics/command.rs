use std::{
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    collection::{Collection, Trouble},
    proc::{self, TICKS_PER_SECOND},
};

const DIRECTORIES: [&str; 6] =
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const LARGEST_COMPLAINT: u64 = 2000;

/// A program of the host, and what it may take.
pub(super) struct Program<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: &'a [&'a str],
    pub(super) within: Duration,
    pub(super) max_bytes: u64,
}

/// Ends the program when it is left early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program and makes an entry of what it prints. It has our low priority, no environment and no input.
pub(super) fn run(
    collection: &mut Collection<'_>,
    program: &Program<'_>,
    entry: &str,
) -> Result<(), Trouble> {
    let path = DIRECTORIES.iter().map(|directory| Path::new(directory).join(program.name));
    let Some(path) = path.into_iter().find(|path| path.exists()) else {
        return Err(Trouble::Failed(format!("{} is not installed", program.name)));
    };
    let started = Command::new(path)
        .args(program.arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = match started {
        Ok(child) => Running(child),
        Err(error) => return Err(Trouble::Failed(format!("{} could not be started: {error}", program.name))),
    };
    let source = format!("{} {}", program.name, program.arguments.join(" "));
    collection.begin(entry.as_bytes(), Some(source))?;
    let ended = take_output(collection, program, &mut running);
    collection.end()?;
    ended
}

fn take_output(
    collection: &mut Collection<'_>,
    program: &Program<'_>,
    running: &mut Running,
) -> Result<(), Trouble> {
    let failed = |what: &str| Trouble::Failed(format!("{} {what}", program.name));
    let (Some(mut output), Some(mut complaints)) = (running.0.stdout.take(), running.0.stderr.take()) else {
        return Err(failed("has no output"));
    };
    let deadline = Instant::now() + program.within;
    let process = Path::new("/proc").join(running.0.id().to_string());
    let (mut buffer, mut bytes, mut cpu) = (vec![0; 64 * 1024], 0, Duration::ZERO);
    let mut complaint = Vec::new();
    let (mut is_output_open, mut are_complaints_open) = (true, true);
    while is_output_open || are_complaints_open {
        let mut fds = Vec::with_capacity(2);
        if is_output_open {
            fds.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        if are_complaints_open {
            fds.push(PollFd::from_borrowed_fd(complaints.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&LOOK_EVERY)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(&format!("cannot be waited for: {}", io::Error::from(error)))),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if is_output_open && ready.first() == Some(&true) {
            let length = output.read(&mut buffer).unwrap_or(0);
            is_output_open = length > 0;
            let taken = (program.max_bytes - bytes).min(length as u64) as usize;
            collection.write(&buffer[..taken])?;
            bytes += taken as u64;
            if taken < length {
                return Err(failed(&format!(
                    "printed more than {} bytes; the first ones are kept",
                    program.max_bytes
                )));
            }
        }
        if are_complaints_open && ready.last() == Some(&true) && (ready.len() == 2 || !is_output_open) {
            let length = complaints.read(&mut buffer).unwrap_or(0);
            are_complaints_open = length > 0;
            let room = (LARGEST_COMPLAINT as usize).saturating_sub(complaint.len());
            complaint.extend_from_slice(&buffer[..length.min(room)]);
        }
        if Instant::now() >= deadline {
            return Err(failed(&format!("did not finish within {} s", program.within.as_secs())));
        }
        if let Ok(stat) = proc::Stat::read(&process) {
            let used = Duration::from_millis((stat.user_ticks + stat.system_ticks) * 1000 / TICKS_PER_SECOND);
            collection.add_child_cpu(used.saturating_sub(cpu));
            cpu = cpu.max(used);
        }
        collection.check()?;
    }
    let status = running.0.wait().map_err(|error| failed(&error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let complaint = super::text::text(&complaint);
    Err(failed(&format!("ended with {status}: {}", complaint.trim())))
}
