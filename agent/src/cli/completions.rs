use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

pub(super) fn print(command: &mut Command, shell: Shell) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    io::stdout().write_all(&script).context("the completions cannot be written to standard output")
}
