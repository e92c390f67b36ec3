use std::time::{Duration, Instant};

use clap::Args;

use super::{Common, Run, say};
use crate::fleet::Habits;

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Every agent sends telemetry so often instead of as often as the server asks: 1000 agents at 1000 make 1000 changes a
    /// second.
    #[arg(long, value_name = "MILLISECONDS")]
    telemetry_every_ms: Option<u64>,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let telemetry_every = arguments.telemetry_every_ms.map(Duration::from_millis);
    let run = Run::new(&arguments.common, Habits { telemetry_every, ..Habits::default() })?;
    let size = run.fleet.agents().len();
    let began = Instant::now();
    let connected = run.fleet.connect(0..size);
    run.fleet.joined(size, Duration::from_secs(120)).await?;
    say(&format!("{size} streams open after {:.1} s", began.elapsed().as_secs_f64()));
    run.pass_time().await;
    connected.end().await;
    run.report("idle", began.elapsed(), vec![])
}
