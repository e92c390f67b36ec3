use std::time::{Duration, Instant};

use clap::Args;

use super::{Common, Run, say};
use crate::{
    fleet::Habits,
    report::{Latency, Recorder},
};

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Between the return of the last agent and the next loss.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    rest: u64,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = Run::new(&arguments.common, Habits::default())?;
    let size = run.fleet.agents().len();
    let began = Instant::now();
    let mut rounds = Recorder::default();
    while began.elapsed() < run.duration() {
        let round = Instant::now();
        let connected = run.fleet.connect(0..size);
        run.fleet.joined(size, Duration::from_secs(120)).await?;
        rounds.record(round.elapsed());
        say(&format!("{size} streams back after {:.2} s", round.elapsed().as_secs_f64()));
        tokio::time::sleep(Duration::from_secs(arguments.rest)).await;
        connected.end().await;
    }
    let rounds = Latency { what: "loss of all to return of the last", spread: rounds.spread() };
    run.report("reconnect-storm", began.elapsed(), vec![rounds])
}
