//! What the kernel tells of processes and sockets.

use std::{fs, path::Path};

use anyhow::Context as _;

/// Anonymous memory of a process: what it has allocated, without the pages of its files.
pub fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    let text = read(&format!("/proc/{pid}/status"))?;
    Ok(1024 * field(&text, "RssAnon:").context("/proc/PID/status has no RssAnon")?)
}

/// Kernel memory of the whole machine: pages in TCP buffers, and slabs (sockets, files, epoll items).
pub fn kernel_bytes() -> anyhow::Result<u64> {
    let sockstat = read("/proc/net/sockstat")?;
    let tcp =
        sockstat.lines().find(|line| line.starts_with("TCP:")).context("/proc/net/sockstat has no TCP")?;
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1);
    let pages: u64 = pages.and_then(|pages| pages.parse().ok()).context("/proc/net/sockstat has no mem")?;
    let slab = field(&read("/proc/meminfo")?, "Slab:").context("/proc/meminfo has no Slab")?;
    Ok(pages * rustix::param::page_size() as u64 + 1024 * slab)
}

/// CPU seconds that a server and its Postgres have used so far, ended backends included.
pub fn cpu_seconds(server: u32, postmaster: u32) -> anyhow::Result<f64> {
    let mut ticks = Stat::read(server)?.own + {
        let postmaster = Stat::read(postmaster)?;
        postmaster.own + postmaster.of_ended_children
    };
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let pid = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // A process that ended meanwhile is counted with its parent's.
        let Some(stat) = pid.and_then(|pid| Stat::read(pid).ok()) else { continue };
        if stat.parent == postmaster {
            ticks += stat.own;
        }
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

struct Stat {
    parent: u32,
    own: u64,
    of_ended_children: u64,
}

impl Stat {
    fn read(pid: u32) -> anyhow::Result<Self> {
        Self::parse(&read(&format!("/proc/{pid}/stat"))?).context("/proc/PID/stat is not as known")
    }

    fn parse(text: &str) -> Option<Self> {
        // The name before the last `)` may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            of_ended_children: number(13)? + number(14)?,
        })
    }
}

/// How many processes wanted a core in the last minute.
pub fn load_average() -> anyhow::Result<f64> {
    let text = read("/proc/loadavg")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("/proc/loadavg is not as known")
}

/// Raises this process's limit of open files as far as it may go; its children inherit it. Answers with the limit.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails the old limit stays, and what needs more says so.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_parsed_whatever_its_name() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.of_ended_children), (7, 33, 77));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(anonymous_bytes(std::process::id()).unwrap() > 0);
        assert!(kernel_bytes().unwrap() > 0);
    }
}
