use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use crate::forensics::{
    collection::{Collection, Trouble},
    proc,
    text::{path_text, text},
};

const LARGEST_VIEW: u64 = 8 * 1024 * 1024;
const SYS: &str = "/sys";
const SETTINGS: [&str; 24] = [
    "cmdline",
    "version",
    "uptime",
    "loadavg",
    "meminfo",
    "filesystems",
    "sys/kernel/core_pattern",
    "sys/kernel/dmesg_restrict",
    "sys/kernel/hostname",
    "sys/kernel/io_uring_disabled",
    "sys/kernel/kptr_restrict",
    "sys/kernel/modprobe",
    "sys/kernel/modules_disabled",
    "sys/kernel/perf_event_paranoid",
    "sys/kernel/random/boot_id",
    "sys/kernel/randomize_va_space",
    "sys/kernel/tainted",
    "sys/kernel/unprivileged_bpf_disabled",
    "sys/kernel/yama/ptrace_scope",
    "sys/net/core/bpf_jit_enable",
    "sys/net/ipv4/ip_forward",
    "sys/net/ipv6/conf/all/forwarding",
    "sys/fs/suid_dumpable",
    "sys/fs/binfmt_misc/status",
];
const TRACING: [&str; 5] = [
    "kernel/security/lsm",
    "kernel/security/lockdown",
    "kernel/tracing/kprobe_events",
    "kernel/tracing/uprobe_events",
    "kernel/debug/kprobes/list",
];

#[derive(Serialize)]
struct Module {
    name: String,
    size_bytes: Option<u64>,
    references: Option<u64>,
    used_by: Option<String>,
    state: Option<String>,
    taint: Option<String>,
    /// In /sys/module and not in /proc/modules: it hides.
    is_hidden: bool,
}

pub(super) fn modules(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let listed = text(&proc::read(&collection.host.proc.join("modules"), LARGEST_VIEW).unwrap_or_default());
    let mut modules: BTreeMap<String, Module> =
        listed.lines().filter_map(module).map(|module| (module.name.clone(), module)).collect();
    for entry in fs::read_dir(Path::new(SYS).join("module")).into_iter().flatten().flatten() {
        let attribute = |name: &str| {
            proc::read(&entry.path().join(name), 4096).ok().map(|value| text(&value).trim().to_owned())
        };
        let name = path_text(Path::new(&entry.file_name()));
        // What is built into the kernel has no state.
        let Some(state) = attribute("initstate") else { continue };
        let taint = attribute("taint").filter(|taint| !taint.is_empty());
        match modules.get_mut(&name) {
            Some(module) => module.taint = taint.or(module.taint.take()),
            None => {
                let (size_bytes, references, used_by) = (None, None, None);
                let state = Some(state);
                let hidden = Module { name, size_bytes, references, used_by, state, taint, is_hidden: true };
                modules.insert(hidden.name.clone(), hidden);
            }
        }
    }
    collection.json("volatile/modules.json", &modules.into_values().collect::<Vec<_>>())
}

/// `name size references used_by state address (taint)`
fn module(line: &str) -> Option<Module> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
    Some(Module {
        name: word(0)?,
        size_bytes: word(1)?.parse().ok(),
        references: word(2)?.parse().ok(),
        used_by: word(3).filter(|names| names != "-"),
        state: word(4),
        taint: word(6).map(|taint| taint.trim_matches(['(', ')']).to_owned()),
        is_hidden: false,
    })
}

pub(super) fn settings(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let read =
        |path: &Path| proc::read(path, LARGEST_VIEW).ok().map(|value| text(&value).trim_end().to_owned());
    let proc = collection.host.proc.clone();
    let of_proc = SETTINGS.iter().map(|name| proc.join(name));
    let of_sys = TRACING.iter().map(|name| Path::new(SYS).join(name));
    let settings: BTreeMap<String, String> =
        of_proc.chain(of_sys).filter_map(|path| Some((path_text(&path), read(&path)?))).collect();
    collection.json("volatile/kernel.json", &settings)
}

pub(super) fn mounts(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let mounts = collection.mounts.all().to_vec();
    collection.json("volatile/mounts.json", &mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_modules() {
        let module = module("evil 16384 2 a,b, Live 0xffffffffc0000000 (OE)").unwrap();
        assert_eq!(
            (module.name.as_str(), module.size_bytes, module.references),
            ("evil", Some(16384), Some(2))
        );
        assert_eq!((module.used_by.as_deref(), module.taint.as_deref()), (Some("a,b,"), Some("OE")));
        assert!(self::module("").is_none());
    }
}
