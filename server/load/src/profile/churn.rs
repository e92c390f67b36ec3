use std::time::{Duration, Instant};

use clap::Args;

use super::{Common, Run};
use crate::fleet::Habits;

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// About how long a stream lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    stream_lasts: u64,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let lasts = Duration::from_secs(arguments.stream_lasts.max(1));
    let run = Run::new(&arguments.common, Habits { stream_lasts: Some(lasts), ..Habits::default() })?;
    let began = Instant::now();
    let connected = run.fleet.connect(0..run.fleet.agents().len());
    run.pass_time().await;
    connected.end().await;
    run.report("churn", began.elapsed(), vec![])
}
