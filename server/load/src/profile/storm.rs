use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;

use super::{Common, Run, say};
use crate::{
    fleet::Habits,
    operator::{Operator, Pressure, Until},
    report::Latency,
};

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// An operator who may order (a responder or an admin).
    #[arg(long)]
    username: String,
    /// A file whose first line is the operator's password; `-` reads standard input.
    #[arg(long, value_name = "FILE", default_value = "-")]
    password_file: PathBuf,
    /// Connections that order at the same time.
    #[arg(long, default_value_t = 8)]
    callers: usize,
    /// Hosts a batch; 0 orders one host at a time.
    #[arg(long, value_name = "HOSTS", default_value_t = 0)]
    batch: usize,
    /// Orders are held back while so many are not answered by a result.
    #[arg(long, default_value_t = 10_000)]
    most_open: u64,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = Run::new(&arguments.common, Habits::default())?;
    let password = read_password(&arguments.password_file)?;
    let operator = Operator::sign_in(&arguments.common.server, &arguments.username, &password).await?;
    let size = run.fleet.agents().len();
    let connected = run.fleet.connect(0..size);
    run.fleet.joined(size, Duration::from_secs(120)).await?;
    say(&format!("{size} streams open; ordering"));

    let began = Instant::now();
    let pressure = Pressure {
        callers: arguments.callers,
        batch: arguments.batch,
        most_open: arguments.most_open,
        until: Until::Time(began + run.duration()),
    };
    let ((), pressed) = tokio::join!(run.pass_time(), pressure.put_on(&run.fleet, &operator));
    let pressed = pressed?;
    run.fleet.recorded(pressed.ordered, Duration::from_secs(120)).await?;
    let took = began.elapsed();
    connected.end().await;
    let what = if arguments.batch == 0 { "an order to its answer" } else { "a batch to its answer" };
    run.report("storm", took, vec![Latency { what, spread: pressed.latency.spread() }])
}

const LONGEST_PASSWORD_BYTES: u64 = 1024;

fn read_password(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LONGEST_PASSWORD_BYTES).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(LONGEST_PASSWORD_BYTES).read_to_string(&mut text)?;
    }
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
