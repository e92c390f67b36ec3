//! The same orders with little and with much history, in turn: the big partitions are attached and detached.

pub(in crate::bench) mod pages;
mod rows;

use anyhow::Context as _;

use self::rows::History;
use super::{
    Lab, Outcome, Row, Settings, Verdict,
    clicks::{Clicker, Clicks, arrivals},
    commits, connected,
    lifecycle::throughput,
};
use crate::{agent::Verify, fleet::Fleet};

const AGENTS: usize = 2_000;
const FEW_ROWS: u64 = 100_000;
const ORDERS: u64 = 300;
/// For the CPU of a command: enough that ticks of 10 ms do not matter.
const COMMANDS: u64 = 20_000;
const ROUNDS: usize = 2;
const PROMISED: f64 = 1.10;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(settings.agents(AGENTS)).await?;
    let (little, much) = (FEW_ROWS.min(settings.history_rows), settings.history_rows);
    let history = History::fill(&lab.postgres, little, much).await?;

    let (watch, arrivals) = arrivals();
    let (fleet, _connected) = connected(&lab, &file, Verify::Always, Some(watch)).await?;
    let mut clicker = Clicker::new(&lab.operator, arrivals).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    throughput(&fleet, &lab.operator, settings.scaled(COMMANDS)).await?;
    let (mut with_little, mut with_much) = (Side::default(), Side::default());
    for _ in 0..ROUNDS {
        history.detach_much(&lab.postgres).await?;
        with_little.add(&lab, &fleet, &mut clicker, settings).await?;
        history.attach_much(&lab.postgres).await?;
        with_much.add(&lab, &fleet, &mut clicker, settings).await?;
    }
    commits_seen.merge(&commits(&lab.postgres).await?);

    let (p50, p50_floor) = (with_much.clicks.told.spread(), with_little.clicks.told.spread());
    let (cpu, cpu_floor) = (with_much.cpu_a_command(), with_little.cpu_a_command());
    let rows = vec![
        Row {
            figure: "order to result with 20 million history rows, p50",
            target: format!("<= {PROMISED} x with 100,000"),
            measured: p50.p50,
            floor: Some(p50_floor.p50),
            unit: "ms",
            verdict: Verdict::of(p50.p50 <= PROMISED * p50_floor.p50),
            note: format!(
                "{little} rows, then {much} more, in turn, {ROUNDS} times; {} orders each, 1 caller, to the event of the \
                 result; p99 {:.2} ms and {:.2} ms.",
                p50.count, p50_floor.p99, p50.p99
            ),
        },
        Row {
            figure: "CPU a command with 20 million history rows",
            target: format!("<= {PROMISED} x with 100,000"),
            measured: cpu,
            floor: Some(cpu_floor),
            unit: "us",
            verdict: Verdict::of(cpu <= PROMISED * cpu_floor),
            note: format!(
                "Server and Postgres, from /proc, over {} commands each in batches, in the same rounds.",
                with_much.commands
            ),
        },
    ];
    Ok(Outcome { rows, commits: commits_seen })
}

#[derive(Default)]
struct Side {
    clicks: Clicks,
    cpu_seconds: f64,
    commands: u64,
}

impl Side {
    async fn add(
        &mut self,
        lab: &Lab,
        fleet: &Fleet,
        clicker: &mut Clicker,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        lab.postgres.execute("CHECKPOINT").await?;
        let orders = usize::try_from(settings.scaled(ORDERS))? / ROUNDS;
        self.clicks.merge(&clicker.click(&fleet.hostnames(), orders).await.context("single orders")?);
        let before = lab.cpu_seconds()?;
        let pressed = throughput(fleet, &lab.operator, settings.scaled(COMMANDS)).await;
        self.commands += pressed.context("batches")?.executed;
        self.cpu_seconds += lab.cpu_seconds()? - before;
        Ok(())
    }

    /// Microseconds.
    fn cpu_a_command(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.commands.max(1) as f64
    }
}
