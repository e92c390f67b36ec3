//! The process view.

use serde_json::Value;
use voltaxe_protocol::{Process, ProcessList};

use super::text;
use crate::model::{
    sheet::{Part, Row, Table},
    time,
};

pub(in crate::api) fn parts(data: &Value) -> Option<Vec<Part>> {
    let list: ProcessList = serde_json::from_value(data.clone()).ok()?;
    let mut processes = list.processes;
    processes.sort_by(|a, b| (b.cpu_seconds, a.pid).cmp(&(a.cpu_seconds, b.pid)));
    let rows = processes.iter().map(|process| Row {
        cells: vec![
            text::of_host(&process.name),
            process.pid.to_string(),
            process.parent.to_string(),
            text::of_host(&process.user),
            time::span(seconds(process.cpu_seconds)),
            time::bytes(process.rss_kib.saturating_mul(1024)),
            state(process.state),
            program(process),
        ],
        value: Some(value(process, &list.boot_id)),
        ..Row::default()
    });
    let columns = ["Process", "PID", "Parent", "User", "CPU time", "Memory", "State", "Program"];
    let mut parts = vec![Part::Table(Table {
        caption: "Processes".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        tick: "pick".to_owned(),
    })];
    if list.left_out > 0 {
        let words = format!("{} processes that used the least CPU time are left out.", list.left_out);
        parts.insert(0, Part::Warning(words));
    }
    Some(parts)
}

/// A process's tick: pid, start and boot make it unmistakable.
pub(super) fn value(process: &Process, boot_id: &str) -> String {
    format!("{} {} {boot_id}", process.pid, process.start_ticks)
}

pub(super) fn program(process: &Process) -> String {
    let gone = if process.is_deleted { " (deleted)" } else { "" };
    match (&process.exe, process.cmdline.as_str()) {
        (None, "") => "–".to_owned(),
        (None, line) => text::of_host(line),
        (Some(exe), line) if line.is_empty() || line == exe => format!("{}{gone}", text::of_host(exe)),
        (Some(exe), line) => format!("{}{gone} · {}", text::of_host(exe), text::of_host(line)),
    }
}

fn state(state: char) -> String {
    match state {
        'R' => "Running",
        'S' | 'I' => "Sleeping",
        'D' => "Waiting for a device",
        'T' => "Stopped",
        't' => "Traced",
        'Z' => "Zombie",
        _ => "Unknown",
    }
    .to_owned()
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / time::SECOND).saturating_mul(time::SECOND)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_used_the_most_time_comes_first() {
        let process = |pid: u32, cpu: u64| {
            json!({ "pid": pid, "ppid": 1, "start_ticks": 7, "name": "nc", "user": "root", "state": "T", "rss_kib": 2048,
                    "cpu_seconds": cpu, "exe": "/tmp/nc", "is_deleted": true, "cmdline": "nc -l" })
        };
        let data = json!({ "boot_id": "b", "timestamp": "2026-01-31T17:00:00Z", "left_out": 3,
                           "processes": [process(9, 1), process(8, 90), process(7, u64::MAX)] });
        let parts = parts(&data).unwrap();
        assert!(matches!(&parts[0], Part::Warning(words) if words.starts_with("3 processes")));
        let Part::Table(table) = &parts[1] else { panic!("{parts:?}") };
        let pids: Vec<_> = table.rows.iter().map(|row| row.cells[1].as_str()).collect();
        assert_eq!(pids, ["7", "8", "9"]);
        assert_eq!(table.rows[1].cells[4..], ["1 min", "2.0 MiB", "Stopped", "/tmp/nc (deleted) · nc -l"]);
        assert_eq!(table.rows[1].value.as_deref(), Some("8 7 b"));
    }
}
