//! What the host's own files say. All paths hang off one root, so that tests can have files of their own.

mod connections;
mod leases;
mod processes;
mod resolvers;
mod sessions;

pub(super) use connections::Connection;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// `/`, or a directory that looks like it.
#[derive(Clone, Debug)]
pub struct HostFiles(PathBuf);

impl Default for HostFiles {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl HostFiles {
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// An absolute path below the root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// `None` when it cannot be read; odd bytes are replaced.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        fs::read(self.path(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The texts of the files in a directory whose names satisfy `wanted`, in the order of their names.
    pub(super) fn texts_in(&self, directory: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(directory)) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
            .collect();
        paths.sort();
        paths
            .iter()
            .filter_map(|path| fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    pub(super) fn boot_id(&self) -> Option<String> {
        Some(self.text("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
    }
}
