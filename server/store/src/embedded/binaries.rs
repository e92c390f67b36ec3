use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::EmbeddedError;

/// The two programs, of one installation.
pub(super) struct Binaries {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Binaries {
    /// From the newest version under `/usr/lib/postgresql`, else from PATH.
    pub(super) async fn find() -> Result<Self, EmbeddedError> {
        let packaged = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("bin"));
        let mut found = Vec::new();
        for directory in packaged.chain(path_directories()) {
            if let Some(binaries) = Self::in_directory(&directory) {
                let version = binaries.version().await.unwrap_or_default();
                found.push((version, binaries));
            }
        }
        found
            .into_iter()
            .max_by_key(|(version, _)| *version)
            .map(|(_, binaries)| binaries)
            .ok_or(EmbeddedError::NotInstalled)
    }

    fn in_directory(directory: &Path) -> Option<Self> {
        let binaries = Self { initdb: directory.join("initdb"), postgres: directory.join("postgres") };
        (binaries.initdb.is_file() && binaries.postgres.is_file()).then_some(binaries)
    }

    /// The major version, from `postgres (PostgreSQL) 15.18 (Debian ..)`.
    async fn version(&self) -> Option<u32> {
        let output = Command::new(&self.postgres).arg("--version").output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
    }
}

fn path_directories() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}
