//! Readers of /proc: bounded, of bytes, and never of a process that may make them wait.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use serde::Serialize;

use super::text::text;

/// The unit of times in /proc/PID/stat, on every architecture that we are built for.
pub(super) const TICKS_PER_SECOND: u64 = 100;
/// `PF_KTHREAD` in include/linux/sched.h.
const FLAG_KERNEL_THREAD: u64 = 0x0020_0000;

/// At most `limit` bytes of a file.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Ids of all processes, rising.
pub(super) fn pids(proc: &Path) -> io::Result<Vec<u32>> {
    numbered(proc)
}

/// The entries of a directory whose names are numbers.
pub(super) fn numbered(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers: Vec<u32> = fs::read_dir(directory)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// /proc/PID/stat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) state: char,
    pub(super) ppid: u32,
    pub(super) process_group: i64,
    pub(super) session: i64,
    pub(super) terminal: i64,
    #[serde(skip)]
    pub(super) flags: u64,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) threads: u64,
    pub(super) start_ticks: u64,
}

impl Stat {
    pub(super) fn read(process: &Path) -> io::Result<Self> {
        Self::parse(&read(&process.join("stat"), 4096)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The name may hold anything, parentheses too: it ends at the last one.
    fn parse(line: &[u8]) -> Option<Self> {
        let start = line.iter().position(|byte| *byte == b'(')?;
        let end = line.iter().rposition(|byte| *byte == b')')?;
        let name = text(line.get(start + 1..end)?);
        let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let signed = |at: usize| words.get(at)?.parse::<i64>().ok();
        let unsigned = |at: usize| words.get(at)?.parse::<u64>().ok();
        Some(Self {
            name,
            state: words.first()?.chars().next()?,
            ppid: words.get(1)?.parse().ok()?,
            process_group: signed(2)?,
            session: signed(3)?,
            terminal: signed(4)?,
            flags: unsigned(6)?,
            user_ticks: unsigned(11)?,
            system_ticks: unsigned(12)?,
            threads: unsigned(17)?,
            start_ticks: unsigned(19)?,
        })
    }

    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & FLAG_KERNEL_THREAD != 0
    }

    /// Reading the memory of a process that waits for a disk may wait as long.
    pub(super) fn is_safe_to_ask(&self) -> bool {
        !matches!(self.state, 'D' | 'X' | 'Z')
    }
}

/// The value of a line `key:\tvalue` of files like /proc/PID/status.
pub(super) fn field<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let line = b"42 (a) R 1 (\n\xff) S 7 42 42 34816 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9000 10 11";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.name, "a) R 1 (\n\\xff");
        assert_eq!((stat.state, stat.ppid, stat.start_ticks, stat.threads), ('S', 7, 9000, 1));
        assert_eq!((stat.user_ticks, stat.system_ticks), (5, 6));
        assert_eq!(Stat::parse(b"42 (a"), None);
    }

    #[test]
    fn this_process_is_there() {
        let pid = std::process::id();
        assert!(pids(Path::new("/proc")).unwrap().contains(&pid));
        let stat = Stat::read(Path::new("/proc/self")).unwrap();
        assert!(!stat.is_kernel_thread());
    }
}
