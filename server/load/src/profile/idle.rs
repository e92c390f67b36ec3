use std::time::{Duration, Instant};

use clap::Args;

use super::{Common, Run, say};
use crate::fleet::Habits;

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = Run::new(&arguments.common, Habits::default())?;
    let size = run.fleet.agents().len();
    let began = Instant::now();
    let connected = run.fleet.connect(0..size);
    run.fleet.joined(size, Duration::from_secs(120)).await?;
    say(&format!("{size} streams open after {:.1} s", began.elapsed().as_secs_f64()));
    run.pass_time().await;
    connected.end().await;
    run.report("idle", began.elapsed(), vec![])
}
