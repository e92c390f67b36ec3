use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::HostFiles;

impl HostFiles {
    /// The names of all processes (proc_pid_comm(5)).
    pub(in crate::isolation) fn process_names(&self) -> BTreeSet<String> {
        self.process_directories()
            .filter_map(|path| fs::read_to_string(path.join("comm")).ok())
            .map(|name| name.trim().to_owned())
            .collect()
    }

    /// How many network namespaces besides our own have processes.
    pub(in crate::isolation) fn other_namespaces(&self) -> usize {
        let Ok(own) = fs::read_link(self.path("/proc/thread-self/ns/net")) else { return 0 };
        let all: BTreeSet<PathBuf> =
            self.process_directories().filter_map(|path| fs::read_link(path.join("ns/net")).ok()).collect();
        all.into_iter().filter(|namespace| *namespace != own).count()
    }

    /// Whether any process holds the file open.
    pub(in crate::isolation) fn is_open(&self, file: &str) -> bool {
        self.process_directories().any(|path| {
            let Ok(descriptors) = fs::read_dir(path.join("fd")) else { return false };
            descriptors
                .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
                .any(|target| target == Path::new(file))
        })
    }

    fn process_directories(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.path("/proc")).ok();
        entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        })
    }
}
