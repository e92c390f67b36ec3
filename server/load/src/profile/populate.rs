use std::{io::Read as _, path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use voltaxe_protocol::EnrolString;

use super::{print, say};
use crate::{fleet, target::Target};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The server's address: http://127.0.0.1:8080. Only loopback is allowed.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Target,
    /// How many agents to enrol.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Decides every agent's key, name and behaviour. A seed enrols once on one server.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A file with enrolment strings, one a line (voltaxe-server admin enrolment-token --uses 1000); `-` reads standard
    /// input. Each enrols an equal part of the fleet.
    #[arg(long, value_name = "FILE", default_value = "-")]
    enrol_strings: PathBuf,
    /// Where to write the fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.json")]
    fleet: PathBuf,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let strings = read_strings(&arguments.enrol_strings)?;
    let began = Instant::now();
    let progress = |done| say(&format!("{done} of {} enrolled", arguments.agents));
    let file = fleet::enrol(&arguments.server, arguments.seed, arguments.agents, strings, progress).await?;
    file.write(&arguments.fleet)?;
    let seconds = began.elapsed().as_secs_f64();
    print(&format!(
        "populate: {} agents enrolled in {seconds:.1} s ({:.0} a second); fleet file: {}\n",
        file.len(),
        file.len() as f64 / seconds,
        arguments.fleet.display()
    ));
    Ok(())
}

const LONGEST_FILE_BYTES: u64 = 64 * 1024;

fn read_strings(path: &std::path::Path) -> anyhow::Result<Vec<EnrolString>> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LONGEST_FILE_BYTES).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(LONGEST_FILE_BYTES).read_to_string(&mut text)?;
    }
    let strings = text.lines().filter(|line| line.trim_start().starts_with("vxe1."));
    let strings: Vec<EnrolString> = strings
        .map(|line| line.trim().parse().context("an enrolment string is not valid"))
        .collect::<anyhow::Result<_>>()?;
    if strings.is_empty() {
        bail!("{} holds no enrolment string (a line that starts with vxe1.)", path.display());
    }
    Ok(strings)
}
