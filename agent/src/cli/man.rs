use std::{fs, path::Path};

use anyhow::Context as _;
use clap::Command;

/// One page a command: `voltaxe-sentinel.1`, `voltaxe-sentinel-enroll.1` and so on, in roff.
pub(super) fn write(command: Command, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .with_context(|| format!("the man pages cannot be written to {}", directory.display()))
}
