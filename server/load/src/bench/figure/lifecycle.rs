use std::time::{Duration, Instant};

use anyhow::bail;

use super::{Lab, Meters, Outcome, Row, Settings, VERIFY_ONE_OF, Verdict, commits, connected, mean_note};
use crate::{
    agent::Verify,
    fleet::{Counters, Fleet},
    operator::{Operator, Pressure, Until},
};

const AGENTS: usize = 2_000;
const COMMANDS: u64 = 100_000;
const PROMISED_A_SECOND: f64 = 8_000.0;
const FINISH_WITHIN: Duration = Duration::from_secs(300);

/// Batches of a quarter of this fleet by four callers, and at most five commands open a host.
pub(super) const PRESSURE: Pressure =
    Pressure { callers: 4, batch: 500, most_open: 10_000, until: Until::Ordered(0) };

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(settings.agents(AGENTS)).await?;
    let (fleet, _connected) = connected(&lab, &file, Verify::OneOf(VERIFY_ONE_OF), None).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let total = settings.scaled(COMMANDS);
    throughput(&fleet, &lab.operator, total / 20).await?;
    let meters = Meters::read(&lab.operator).await?;
    let cpu = lab.cpu_seconds()?;
    let Throughput { rate, executed } = throughput(&fleet, &lab.operator, total).await?;
    let cpu = (lab.cpu_seconds()? - cpu) / executed as f64;
    let now = Meters::read(&lab.operator).await?;
    let grouped = |what, words| mean_note(&meters, &now, "voltaxe_commit_group_size", what, 1.0, words);
    let grouped =
        grouped("Receipt", "Receipts that shared one commit") + &grouped("Result", "Results that did");
    commits_seen.merge(&commits(&lab.postgres).await?);
    check(&lab, &fleet).await?;
    let row = Row {
        figure: "full lifecycle: enqueue, push, receipt, result, durable",
        target: format!(">= {PROMISED_A_SECOND}/s"),
        measured: rate,
        floor: None,
        unit: "/s",
        verdict: Verdict::of(rate >= PROMISED_A_SECOND),
        note: format!(
            "{executed} agent checks in batches of {}, {} callers, {} agents on streams that send receipt, started and result \
             for each and wait for its acknowledgement; every command counted once in the database. {:.0} us CPU of server \
             and Postgres a command. The fleet checks one signature of {VERIFY_ONE_OF}.{grouped}",
            PRESSURE.batch,
            PRESSURE.callers,
            file.len(),
            cpu * 1e6
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

pub(super) struct Throughput {
    pub(super) rate: f64,
    pub(super) executed: u64,
}

/// Orders about `total` commands and waits until the last result is acknowledged.
pub(super) async fn throughput(fleet: &Fleet, operator: &Operator, total: u64) -> anyhow::Result<Throughput> {
    let before = Counters::read(&fleet.counters().recorded);
    let began = Instant::now();
    let pressed = Pressure { until: Until::Ordered(total), ..PRESSURE }.put_on(fleet, operator).await?;
    fleet.recorded(before + pressed.ordered, FINISH_WITHIN).await?;
    Ok(Throughput { rate: pressed.ordered as f64 / began.elapsed().as_secs_f64(), executed: pressed.ordered })
}

/// Nothing is open, everything took effect once, and the database and the agents have counted the same.
pub(super) async fn check(lab: &Lab, fleet: &Fleet) -> anyhow::Result<()> {
    let doubled = fleet.doubled();
    if !doubled.is_empty() {
        bail!("{} commands took effect more than once: {doubled:?}", doubled.len());
    }
    let effects: u64 = fleet
        .agents()
        .iter()
        .map(|agent| {
            agent.with_ledger(|ledger| {
                ledger.entries().map(|(_, entry)| u64::from(entry.effects)).sum::<u64>()
            })
        })
        .sum();
    let counted = lab
        .postgres
        .ask("SELECT count(*) FILTER (WHERE status = 'executed'), count(*) FILTER (WHERE finished_at IS NULL) FROM commands")
        .await?;
    if counted != format!("{effects}|0") {
        bail!("the agents executed {effects} commands; executed and open in the database: {counted}");
    }
    Ok(())
}
