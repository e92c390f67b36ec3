use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use voltaxe_protocol::ForensicsProfile;

use crate::forensics::{
    collection::{Collection, Part, Trouble},
    file::{self, FileError},
    mounts::{Kind, Mounts, is_deleted},
    proc::{self, Stat, TICKS_PER_SECOND, field},
    text::{path_text, text},
};

const LARGEST_COMMAND_LINE: u64 = 64 * 1024;
const LARGEST_ENVIRONMENT: u64 = 256 * 1024;
const LARGEST_MAPS: u64 = 1024 * 1024;
const MOST_MAPPINGS: usize = 512;
const LARGEST_PROGRAM: u64 = 64 * 1024 * 1024;
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
/// Make a program load somebody's code. The rest of an environment often holds secrets, so it is for full collections.
const LOADER_VARIABLES: [&str; 6] =
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PROMPT_COMMAND"];

#[derive(Serialize)]
struct Process {
    pid: u32,
    #[serde(flatten)]
    stat: Stat,
    started_at: Option<chrono::DateTime<chrono::Utc>>,
    is_kernel_thread: bool,
    executable: Option<String>,
    is_executable_deleted: bool,
    command_line: Vec<String>,
    working_directory: Option<String>,
    root: Option<String>,
    /// Real, effective, saved, of the file system.
    uids: Vec<u32>,
    gids: Vec<u32>,
    effective_capabilities: Option<String>,
    no_new_privileges: Option<String>,
    seccomp: Option<String>,
    tracer_pid: Option<String>,
    control_group: Option<String>,
    namespaces: BTreeMap<&'static str, u64>,
    /// Files that code is executed from, the program's own first.
    mapped_code: BTreeSet<String>,
    environment: Vec<String>,
    /// Why something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_asked: Option<&'static str>,
}

pub(super) fn list(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let proc = collection.host.proc.clone();
    let booted_at = booted_at(&proc);
    collection.begin_list("volatile/processes.json")?;
    for pid in proc::pids(&proc)? {
        // One that has ended meanwhile is not there any more.
        if let Some(process) = process(&proc, pid, booted_at, collection.profile) {
            collection.item(&process)?;
        }
    }
    Ok(())
}

fn process(proc: &Path, pid: u32, booted_at: i64, profile: ForensicsProfile) -> Option<Process> {
    let directory = proc.join(pid.to_string());
    let stat = Stat::read(&directory).ok()?;
    let status = text(&proc::read(&directory.join("status"), 64 * 1024).unwrap_or_default());
    let numbers = |key| {
        let words = field(&status, key).unwrap_or_default().split_ascii_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let word = |key| field(&status, key).map(str::to_owned);
    let link = |name| fs::read_link(directory.join(name)).ok();
    let asks = stat.is_safe_to_ask();
    let read = |name, limit| match asks {
        true => proc::read(&directory.join(name), limit).unwrap_or_default(),
        false => Vec::new(),
    };
    let executable = link("exe");
    let since_boot = (stat.start_ticks / TICKS_PER_SECOND) as i64;
    Some(Process {
        pid,
        started_at: chrono::DateTime::from_timestamp(booted_at + since_boot, 0),
        is_kernel_thread: stat.is_kernel_thread(),
        is_executable_deleted: executable.as_deref().is_some_and(is_deleted),
        executable: executable.as_deref().map(path_text),
        command_line: strings(&read("cmdline", LARGEST_COMMAND_LINE)),
        working_directory: link("cwd").as_deref().map(path_text),
        root: link("root").as_deref().map(path_text),
        uids: numbers("Uid"),
        gids: numbers("Gid"),
        effective_capabilities: word("CapEff"),
        no_new_privileges: word("NoNewPrivs"),
        seccomp: word("Seccomp"),
        tracer_pid: word("TracerPid").filter(|pid| pid != "0"),
        control_group: proc::read(&directory.join("cgroup"), 4096)
            .ok()
            .map(|group| text(&group).trim().to_owned()),
        namespaces: NAMESPACES
            .into_iter()
            .filter_map(|name| Some((name, namespace(&directory, name)?)))
            .collect(),
        mapped_code: mapped_code(&read("maps", LARGEST_MAPS)),
        environment: environment(&read("environ", LARGEST_ENVIRONMENT), profile),
        not_asked: (!asks).then_some("it waits for a disk or has ended; asking it could wait as long"),
        stat,
    })
}

/// Seconds since 1970.
fn booted_at(proc: &Path) -> i64 {
    let stat = text(&proc::read(&proc.join("stat"), 1024 * 1024).unwrap_or_default());
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0)
}

/// The inode of a namespace: equal for those who share it.
pub(super) fn namespace(process: &Path, name: &str) -> Option<u64> {
    Some(fs::metadata(process.join("ns").join(name)).ok()?.ino())
}

fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() { Vec::new() } else { bytes.split(|byte| *byte == 0).map(text).collect() }
}

fn environment(bytes: &[u8], profile: ForensicsProfile) -> Vec<String> {
    let mut variables = strings(bytes);
    if profile != ForensicsProfile::Full {
        variables.retain(|variable| {
            variable.split_once('=').is_some_and(|(name, _)| LOADER_VARIABLES.contains(&name))
        });
    }
    variables
}

/// `address permissions offset device inode path`
fn mapped_code(maps: &[u8]) -> BTreeSet<String> {
    maps.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut words = line.splitn(6, |byte| *byte == b' ');
            let permissions = words.nth(1)?;
            let path = words.nth(3)?.trim_ascii_start();
            (permissions.get(2) == Some(&b'x') && path.first() == Some(&b'/')).then(|| text(path))
        })
        .take(MOST_MAPPINGS)
        .collect()
}

#[derive(Serialize)]
struct Program {
    executable: String,
    pids: Vec<u32>,
    sha256: Option<String>,
    size_bytes: u64,
    links: u64,
    modified_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// Digests the programs that run, each once.
pub(super) fn digests(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let mut programs: BTreeMap<(u64, u64), Program> = BTreeMap::new();
    let halted = each_program(collection, &mut |collection, program| {
        let key = (program.stat.st_dev, program.stat.st_ino);
        if let Some(known) = programs.get_mut(&key) {
            known.pids.push(program.pid);
            return Ok(());
        }
        let sha256 = collection.digest(&mut program.file, &program.stat, &program.target)?;
        let facts = file::FileFacts::new(&program.target, &program.stat);
        programs.insert(
            key,
            Program {
                executable: facts.path,
                pids: vec![program.pid],
                sha256,
                size_bytes: facts.size_bytes,
                links: facts.links,
                modified_at: facts.modified_at,
            },
        );
        Ok(())
    });
    let programs: Vec<Program> = programs.into_values().collect();
    collection.last_list("volatile/programs.json", &programs)?;
    halted
}

/// Copies programs that run and have no file any more: the kernel still has them.
pub(super) fn deleted(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let mut copied = HashSet::new();
    each_program(collection, &mut |collection, program| {
        let is_gone = program.stat.st_nlink == 0 || is_deleted(&program.target);
        if !is_gone || !copied.insert((program.stat.st_dev, program.stat.st_ino)) {
            return Ok(());
        }
        let name = program.target.file_name().map(OsStrExt::as_bytes).unwrap_or(b"program");
        let entry = [format!("files/deleted/pid-{}/", program.pid).as_bytes(), name].concat();
        let target = program.target.clone();
        collection.copy_open(
            &mut program.file,
            &program.stat,
            &entry,
            &target,
            LARGEST_PROGRAM,
            Part::First,
        )?;
        Ok(())
    })
}

/// A process' program, open.
struct Open {
    pid: u32,
    target: PathBuf,
    file: fs::File,
    stat: rustix::fs::Stat,
}

fn each_program(
    collection: &mut Collection<'_>,
    visit: &mut dyn FnMut(&mut Collection<'_>, &mut Open) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let proc = collection.host.proc.clone();
    let own = namespace(&proc.join("self"), "mnt");
    let mut others: BTreeMap<u64, Mounts> = BTreeMap::new();
    for pid in proc::pids(&proc)? {
        collection.check()?;
        let directory = proc.join(pid.to_string());
        // A kernel thread has none.
        let Ok(target) = fs::read_link(directory.join("exe")) else { continue };
        let kind = match namespace(&directory, "mnt") {
            Some(other) if Some(other) != own => others
                .entry(other)
                .or_insert_with(|| Mounts::read(&directory.join("mountinfo")).unwrap_or_default())
                .kind(&target),
            _ => collection.mounts.kind(&target),
        };
        if kind == Kind::Remote {
            collection.fail(
                &target,
                &format!("the program of process {pid} is on a file system that may not answer"),
            );
            continue;
        }
        match file::open_magic(&directory.join("exe")) {
            Ok((file, stat)) => visit(collection, &mut Open { pid, target, file, stat })?,
            Err(FileError::Missing) => {}
            Err(error) => collection.fail(&target, &format!("the program of process {pid}: {error}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_environments_are_for_full_collections() {
        let bytes = b"PASSWORD=secret\0LD_PRELOAD=/tmp/x.so\0PATH=/bin\0";
        assert_eq!(environment(bytes, ForensicsProfile::Standard), ["LD_PRELOAD=/tmp/x.so"]);
        assert_eq!(environment(bytes, ForensicsProfile::Full).len(), 3);
        assert_eq!(strings(b""), Vec::<String>::new());
        assert_eq!(strings(b"a\0\0"), ["a", ""]);
    }

    #[test]
    fn only_files_that_code_runs_from() {
        let maps =
            b"55-56 r-xp 0000 fe:00 12      /usr/bin/a b (deleted)\n57-58 rw-p 00 fe:00 12 /usr/bin/c\n\
                     59-5a r-xp 00 00:00 0    [vdso]\n5b-5c r-xp 00 00:00 0 \n";
        assert_eq!(mapped_code(maps).into_iter().collect::<Vec<_>>(), ["/usr/bin/a b (deleted)"]);
    }

    #[test]
    fn this_process_is_described() {
        let process = process(Path::new("/proc"), std::process::id(), 0, ForensicsProfile::Quick).unwrap();
        assert_eq!(process.executable.unwrap(), std::env::current_exe().unwrap().display().to_string());
        assert!(process.namespaces.contains_key("net") && process.uids.len() == 4);
        assert!(!process.mapped_code.is_empty() && !process.command_line.is_empty());
    }
}
