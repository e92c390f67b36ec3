use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use voltaxe_protocol::{
    EvidenceLimits,
    evidence::{LARGEST_BUNDLE_BYTES, LARGEST_UNPACKED_BYTES},
};

/// So much stays free on the bundle's disk: a twentieth of it, but never less or more than this.
const LEAST_FREE_BYTES: u64 = 512 * 1024 * 1024;
const MOST_FREE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const FREE_SHARE: u64 = 20;
const DISK_LOOK_EVERY: Duration = Duration::from_millis(100);
/// What was not used of the CPU's share earlier than this ago is lost: no burst makes up for a quiet minute.
const PACE_WINDOW: Duration = Duration::from_secs(1);
/// Sleeping for less costs more than it spares.
const PACE_SLACK: Duration = Duration::from_millis(5);
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Why a collection ended early. What it has is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Halt {
    Cancelled,
    Seconds(u32),
    Bytes(u64),
    Disk {
        free: u64,
        kept: u64,
    },
    /// Somebody else filled it, faster than we looked.
    DiskFull,
    /// Its disk fails.
    Unwritable(io::ErrorKind),
    Unpacked,
    Entries,
}

impl Halt {
    pub(super) fn unwritable(error: &io::Error) -> Self {
        Self::Unwritable(error.kind())
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Seconds(limit) => write!(f, "it met its limit of {limit} s"),
            Self::Bytes(limit) => write!(f, "it met its limit of {limit} bytes"),
            Self::Disk { free, kept } => write!(
                f,
                "the disk of the state directory has {free} bytes free and {kept} must stay free; make room or set \
                 another state_dir"
            ),
            Self::DiskFull => {
                f.write_str("the disk of the state directory is full; make room or set another state_dir")
            }
            Self::Unwritable(error) => write!(f, "the bundle cannot be written ({error}); check the disk"),
            Self::Unpacked => {
                write!(f, "its files have {LARGEST_UNPACKED_BYTES} bytes, more than any bundle holds")
            }
            Self::Entries => f.write_str("it has as many files as a bundle holds"),
        }
    }
}

/// What a collection may still cost.
pub(super) struct Budget<'a> {
    limits: EvidenceLimits,
    cancelled: &'a AtomicBool,
    directory: PathBuf,
    deadline: Instant,
    disk_looked_at: Option<Instant>,
    window: Window,
}

struct Window {
    since: Instant,
    cpu: Duration,
    /// Of programs that we started.
    children: Duration,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: EvidenceLimits, cancelled: &'a AtomicBool, directory: &Path) -> Self {
        let max_bytes = limits.max_bytes.clamp(1024 * 1024, LARGEST_BUNDLE_BYTES);
        let limits = EvidenceLimits { max_bytes, cpu_percent: limits.cpu_percent.clamp(1, 100), ..limits };
        let now = Instant::now();
        Self {
            limits,
            cancelled,
            directory: directory.to_owned(),
            deadline: now + Duration::from_secs(limits.max_seconds.into()),
            disk_looked_at: None,
            window: Window { since: now, cpu: thread_cpu(), children: Duration::ZERO },
        }
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    /// To be called between pieces of work of a few milliseconds. Sleeps when the CPU's share is used up.
    pub(super) fn check(&mut self) -> Result<(), Halt> {
        self.pace()?;
        let is_due = self.disk_looked_at.is_none_or(|at| at.elapsed() >= DISK_LOOK_EVERY);
        if is_due { self.check_disk() } else { Ok(()) }
    }

    pub(super) fn check_disk(&mut self) -> Result<(), Halt> {
        self.disk_looked_at = Some(Instant::now());
        // A disk that does not say how full it is says so when it is written to.
        let Ok(disk) = rustix::fs::statvfs(&self.directory) else { return Ok(()) };
        let (free, size) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        let kept = (size / FREE_SHARE).clamp(LEAST_FREE_BYTES, MOST_FREE_BYTES);
        if free < kept { Err(Halt::Disk { free, kept }) } else { Ok(()) }
    }

    /// A program that we started used so much of the CPU since the last call.
    pub(super) fn add_child_cpu(&mut self, used: Duration) {
        self.window.children += used;
    }

    fn pace(&mut self) -> Result<(), Halt> {
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Halt::Cancelled);
            }
            if Instant::now() >= self.deadline {
                return Err(Halt::Seconds(self.limits.max_seconds));
            }
            let elapsed = self.window.since.elapsed();
            let used = thread_cpu().saturating_sub(self.window.cpu) + self.window.children;
            // So long would this have taken at the share that is allowed.
            let due = used * 100 / u32::from(self.limits.cpu_percent);
            if due <= elapsed + PACE_SLACK {
                if elapsed > PACE_WINDOW {
                    self.window =
                        Window { since: Instant::now(), cpu: thread_cpu(), children: Duration::ZERO };
                }
                return Ok(());
            }
            sleep((due - elapsed).min(LONGEST_SLEEP));
        }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget<'a>(limits: EvidenceLimits, cancelled: &'a AtomicBool) -> Budget<'a> {
        Budget::new(limits, cancelled, Path::new("/nowhere"))
    }

    #[test]
    fn a_tenth_of_the_cpu_takes_ten_times_as_long() {
        let cancelled = AtomicBool::new(false);
        let mut budget = budget(EvidenceLimits { cpu_percent: 10, ..EvidenceLimits::default() }, &cancelled);
        let (started, cpu) = (Instant::now(), thread_cpu());
        while thread_cpu() - cpu < Duration::from_millis(60) {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
            budget.check().unwrap();
        }
        // Never less; how much more depends on the machine.
        assert!(started.elapsed() >= Duration::from_millis(500), "{:?}", started.elapsed());
    }

    #[test]
    fn ends_when_it_is_told_to_and_when_its_time_is_over() {
        let cancelled = AtomicBool::new(false);
        let limits = EvidenceLimits { max_seconds: 0, ..EvidenceLimits::default() };
        assert_eq!(budget(limits, &cancelled).check(), Err(Halt::Seconds(0)));
        cancelled.store(true, Ordering::Relaxed);
        assert_eq!(budget(EvidenceLimits::default(), &cancelled).check(), Err(Halt::Cancelled));
    }
}
