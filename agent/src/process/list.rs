//! Which processes run.

use chrono::{DateTime, Utc};
use voltaxe_protocol::{Process, ProcessList};

use super::{
    host::{self, Host, HostError, cpu_ticks, is_kernel_thread},
    report::{self, Room},
};
use crate::core::ActionOutcome;

/// Every process of the agent's pid namespace and those below it, without the kernel's own threads, by number. `data` is a
/// [`ProcessList`] of at most 48 KiB: those that used the least CPU time are left out first, of equals the older ones.
#[must_use]
pub fn list(now: DateTime<Utc>) -> ActionOutcome {
    match look() {
        Ok((boot_id, processes)) => outcome(boot_id, processes, now),
        Err(error) => report::refused(&error.into()),
    }
}

/// With the CPU time of each in clock ticks.
fn look() -> Result<(String, Vec<(u64, Process)>), HostError> {
    let host = Host::read()?;
    let mut processes = Vec::new();
    for found in host::scan()? {
        let (directory, stat) = found?;
        if !is_kernel_thread(&stat) {
            processes.push((cpu_ticks(&stat), host.describe(&directory, &stat)));
        }
    }
    Ok((host.boot_id, processes))
}

fn outcome(boot_id: String, mut processes: Vec<(u64, Process)>, timestamp: DateTime<Utc>) -> ActionOutcome {
    let count = processes.len();
    processes.sort_by_key(|(cpu_ticks, process)| std::cmp::Reverse((*cpu_ticks, process.start_ticks)));
    let mut list = ProcessList { boot_id, timestamp, processes: Vec::new(), left_out: u32::MAX };
    let mut room = Room::beside(&list);
    list.processes =
        processes.into_iter().map(|(_, process)| process).take_while(|process| room.takes(process)).collect();
    list.left_out = u32::try_from(count - list.processes.len()).unwrap_or(u32::MAX);
    list.processes.sort_by_key(|process| process.pid);
    let message = match list.left_out {
        0 => format!("{count} processes run"),
        left_out => format!(
            "{count} processes run; the {left_out} that used the least CPU time do not fit into a result"
        ),
    };
    let data = serde_json::to_value(list).expect("our wire types have a JSON form");
    ActionOutcome { success: true, message, data: Some(data) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::LARGEST_DATA_BYTES;

    #[test]
    fn the_least_busy_are_left_out_and_counted() {
        let process = |pid: u32| Process {
            pid,
            start_ticks: pid.into(),
            name: "\u{1}".repeat(15),
            cmdline: "x".repeat(200),
            state: 'S',
            ..Process::default()
        };
        let processes = (1..=1000).map(|pid| (u64::from(pid / 2), process(pid))).collect();
        let outcome = outcome("boot".to_owned(), processes, DateTime::UNIX_EPOCH);
        let data = outcome.data.unwrap();
        let length = data.to_string().len();
        assert!((LARGEST_DATA_BYTES - 600..=LARGEST_DATA_BYTES).contains(&length), "{length}");
        let list: ProcessList = serde_json::from_value(data).unwrap();
        assert_eq!(list.processes.len() + list.left_out as usize, 1000);
        let first = 1 + list.left_out;
        assert!(list.processes.iter().map(|process| process.pid).eq(first..=1000));
        assert!(outcome.success && outcome.message.contains("1000 processes"), "{}", outcome.message);
    }
}
