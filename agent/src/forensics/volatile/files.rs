use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use crate::forensics::{
    collection::{Collection, Trouble},
    proc,
    text::{path_text, text},
};

const MOST_FILES_OF_A_PROCESS: usize = 4096;
const LARGEST_INFO: u64 = 4096;
/// Descriptors behind which the kernel runs somebody's code.
const TELLING: [&str; 4] =
    ["anon_inode:bpf", "anon_inode:[perf_event]", "anon_inode:[fanotify]", "anon_inode:inotify"];

#[derive(Serialize)]
struct OpenFiles {
    pid: u32,
    /// From the number of a descriptor to what it is open on.
    files: BTreeMap<u32, String>,
    /// What the kernel says of eBPF programs, probes and watches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<u32, String>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
}

pub(super) fn list(collection: &mut Collection<'_>) -> Result<(), Trouble> {
    let proc = collection.host.proc.clone();
    collection.begin_list("volatile/open_files.json")?;
    for pid in proc::pids(&proc)? {
        if let Some(files) = open_files(&proc.join(pid.to_string()), pid) {
            collection.item(&files)?;
        }
    }
    Ok(())
}

fn open_files(process: &Path, pid: u32) -> Option<OpenFiles> {
    let descriptors = proc::numbered(&process.join("fd")).ok()?;
    if descriptors.is_empty() {
        return None;
    }
    let left_out = descriptors.len().saturating_sub(MOST_FILES_OF_A_PROCESS);
    let mut open = OpenFiles { pid, files: BTreeMap::new(), details: BTreeMap::new(), left_out };
    for descriptor in descriptors.into_iter().take(MOST_FILES_OF_A_PROCESS) {
        let Ok(target) = fs::read_link(process.join("fd").join(descriptor.to_string())) else { continue };
        let target = path_text(&target);
        if TELLING.iter().any(|telling| target.starts_with(telling))
            && let Ok(info) = proc::read(&process.join("fdinfo").join(descriptor.to_string()), LARGEST_INFO)
        {
            open.details.insert(descriptor, text(&info));
        }
        open.files.insert(descriptor, target);
    }
    Some(open)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}
