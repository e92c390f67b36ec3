//! Facts about the host, from /proc and the kernel.

use std::fs;

use chrono::{DateTime, Utc};
use rustix::system::uname;
use voltaxe_protocol::{
    AgentFacts, Disk, HostFacts, IsolationObservation, LoadAverage, Memory, ObservedIsolation, Telemetry,
};

use crate::isolation;

/// Never more than this many, whatever a host has mounted.
const MAX_DISKS: usize = 32;
const MAX_ADDRESSES: usize = 32;
/// On local disks. Network file systems are left out: asking one that an isolation cut off would hang.
const DISK_FILE_SYSTEMS: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "vfat", "ntfs3", "bcachefs", "jfs"];

/// Reads everything anew. A fact that cannot be read is left at its default: telemetry never fails.
#[must_use]
pub fn collect(
    hostname: &str,
    agent: AgentFacts,
    isolation: IsolationObservation,
    now: DateTime<Utc>,
) -> Telemetry {
    Telemetry {
        hostname: hostname.to_owned(),
        isolated: isolation.state == ObservedIsolation::Isolated,
        observed_at: now,
        isolation,
        agent,
        host: host_facts(),
        load: load(&read("/proc/loadavg")),
        memory: memory(&read("/proc/meminfo")),
        disks: disks(&read("/proc/self/mounts")),
        uptime_seconds: uptime_seconds(&read("/proc/uptime")),
    }
}

#[must_use]
pub fn host_facts() -> HostFacts {
    let kernel = uname();
    HostFacts {
        os: os_name(&fs::read_to_string("/etc/os-release").unwrap_or_else(|_| read("/usr/lib/os-release"))),
        kernel: kernel.release().to_string_lossy().into_owned(),
        arch: kernel.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        boot_id: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        addresses: isolation::addresses()
            .unwrap_or_default()
            .iter()
            .take(MAX_ADDRESSES)
            .map(ToString::to_string)
            .collect(),
    }
}

/// The system's host name.
#[must_use]
pub fn system_hostname() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn os_name(os_release: &str) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "Linux".to_owned())
}

fn load(loadavg: &str) -> LoadAverage {
    let mut numbers = loadavg.split_whitespace().map_while(|word| word.parse().ok());
    let mut next = || numbers.next().unwrap_or(0.0);
    LoadAverage { one: next(), five: next(), fifteen: next() }
}

fn memory(meminfo: &str) -> Memory {
    let kibibytes = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let bytes = |key| kibibytes(key).unwrap_or(0) * 1024;
    Memory { total_bytes: bytes("MemTotal"), available_bytes: bytes("MemAvailable") }
}

fn uptime_seconds(uptime: &str) -> u64 {
    uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

fn disks(mounts: &str) -> Vec<Disk> {
    mounted(mounts)
        .into_iter()
        .filter_map(|mount| {
            let size = rustix::fs::statvfs(&mount).ok()?;
            Some(Disk {
                total_bytes: size.f_blocks * size.f_frsize,
                available_bytes: size.f_bavail * size.f_frsize,
                mount,
            })
        })
        .filter(|disk| disk.total_bytes > 0)
        .take(MAX_DISKS)
        .collect()
}

/// The first mount point of each local disk, and the root whatever it is on.
fn mounted(mounts: &str) -> Vec<String> {
    let mut devices = Vec::new();
    let mut points = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if (DISK_FILE_SYSTEMS.contains(&kind) || point == "/") && !devices.contains(&device) {
            devices.push(device);
            points.push(unescaped(point));
        }
    }
    points
}

/// /proc/mounts writes space, tab, newline and backslash as three octal digits.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (code, character)| text.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_writes() {
        assert_eq!(load("0.42 1.50 2.00 1/234 5678\n"), LoadAverage { one: 0.42, five: 1.5, fifteen: 2.0 });
        assert_eq!(load(""), LoadAverage::default());
        let memory = memory("MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n");
        assert_eq!(memory, Memory { total_bytes: 16_777_216, available_bytes: 8_388_608 });
        assert_eq!(uptime_seconds("12345.67 99.0\n"), 12345);
        assert_eq!(
            os_name("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
    }

    #[test]
    fn pseudo_and_network_file_systems_are_left_out() {
        let mounts = "proc /proc proc rw 0 0\noverlay / overlay rw 0 0\n/dev/vda1 /data ext4 rw 0 0\n\
                      /dev/vda1 /data/again ext4 rw 0 0\nnas:/x /nfs nfs4 rw 0 0\n/dev/vdb /with\\040space xfs rw 0 0\n";
        assert_eq!(mounted(mounts), ["/", "/data", "/with space"]);
    }

    #[test]
    fn this_host_has_facts() {
        let facts = host_facts();
        assert!(!facts.kernel.is_empty() && !facts.boot_id.is_empty() && facts.cpus > 0);
    }
}
